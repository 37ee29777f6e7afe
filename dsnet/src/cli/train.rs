//! `dsnet train`.

use std::path::PathBuf;

use clap::Args;

use super::on_threads;
use crate::{
    Error, Result, device,
    launch::Launch,
    train::{RunFolder, TrainOptions, follow, lead, train},
};

/// Options of `dsnet train`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Without options: trains on drawn street scenes for about three minutes, prints an IoU table and says where the \
run folder with checkpoints and pictures lies.

  dsnet train --data camvid --root CamVid --epochs 60
  dsnet train --config run.toml --lr 5e-4
  dsnet train --resume --out runs/synthetic-dsnet-1.0-1

Under torchrun, mpirun or srun their processes train together; docs/parallel.md shows how.

A run can be killed at any moment; --resume goes on with it and ends with the same weights, bit for bit. \
Ctrl-C and SIGTERM finish the step and save first (exit code 130, 143); a second one ends at once."
)]
pub struct TrainArgs {
    #[command(flatten)]
    options: TrainOptions,
    /// File with options, as TOML: every flag without its dashes is a key; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Go on with the run in --out, or with the newest one
    #[arg(long, help_heading = "Run")]
    resume: bool,
    /// With --resume: go on from this checkpoint of the run, as previous.safetensors, instead of from the last one
    #[arg(long, value_name = "FILE", help_heading = "Run", requires = "resume")]
    from: Option<PathBuf>,
}

impl TrainArgs {
    pub(super) fn run(self) -> Result<()> {
        let launch = Launch::current()?.filter(|launch| launch.processes > 1);
        let file = self.config.as_deref().map(TrainOptions::read).transpose()?.unwrap_or_default();
        let given = self.options.or(file);
        // Processes of one machine share its cores.
        let threads = given.threads.or_else(|| launch.as_ref().and_then(Launch::threads));
        match &launch {
            Some(launch) if launch.process > 0 => {
                let given = if self.resume { given } else { given.launched(Some(launch))? };
                return on_threads(threads, || follow(given, self.resume, launch));
            }
            _ => {}
        }
        if self.resume {
            let (folder, options) = reopen(given)?;
            let folder = folder.going_on_from(self.from);
            return on_threads(threads.or(options.threads), || match &launch {
                Some(launch) => lead(&options, launch, || Ok(folder)),
                None => train(&options.resolve()?, &folder),
            });
        }
        let out = given.out.clone();
        let options = given.launched(launch.as_ref())?.with_defaults()?;
        let config = options.resolve_at(launch.as_ref())?;
        config.check_init()?;
        // Opened once more when the training begins, at no cost: what can not work should leave no folder.
        (0..config.place.count)
            .try_for_each(|rank| device::of_rank(config.place.gpu(rank), config.precision).map(drop))?;
        let source = format!("{:?}", config.data.source).to_lowercase();
        let name = format!("{source}-{}", config.model);
        let folder = || RunFolder::create(out.as_deref(), &name, &options);
        on_threads(threads, || match &launch {
            Some(launch) => lead(&options, launch, folder),
            None => train(&config, &folder()?),
        })
    }
}

/// The folder of a run to go on with, and its options with those given that may change.
fn reopen(given: TrainOptions) -> Result<(RunFolder, TrainOptions)> {
    let (folder, stored) = RunFolder::reopen(given.out.as_deref())?;
    let all = stored.with_defaults()?;
    if let Some((name, here, there)) = given.differing(&all)?.first() {
        return Err(Error::usage(format!(
            "the run in {} was begun with {name} = {there}, not {here}; a run goes on as it was begun. To change it, start a \
             new run, perhaps with --init {}",
            folder.path().display(),
            folder.last().display()
        )));
    }
    Ok((folder, given.or(all)))
}
