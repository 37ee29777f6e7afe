//! `dsnet train`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    Error, Result, device,
    train::{RunFolder, TrainOptions, train},
};

/// Options of `dsnet train`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Without options: trains on drawn street scenes for about three minutes, prints an IoU table and says where
the run folder with checkpoints and pictures lies.

  dsnet train --data camvid --root CamVid --epochs 60
  dsnet train --config run.toml --lr 5e-4
  dsnet train --resume --out runs/synthetic-dsnet-1.0-1

A run can be killed at any moment; --resume goes on with it and ends with the same weights, bit for bit.
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

/// Options that may change when a run goes on: they do not change its result.
const FREE: [&str; 8] =
    ["threads", "workers", "rank-timeout", "save-every", "root", "out", "cache", "cache-limit"];

impl TrainArgs {
    pub(super) fn run(self) -> Result<()> {
        let file = self.config.as_deref().map(TrainOptions::read).transpose()?.unwrap_or_default();
        let given = self.options.or(file);
        let out = given.out.clone();
        let (folder, options) = if self.resume {
            let (folder, stored) = RunFolder::reopen(out.as_deref())?;
            let all = stored.clone().with_defaults()?;
            let differing = given.differing(&all);
            if let Some((name, here, there)) = differing.iter().find(|(n, ..)| !FREE.contains(&n.as_str())) {
                return Err(Error::usage(format!(
                    "the run in {} was begun with {name} = {there}, not {here}; a run goes on as it was begun. \
                     To change it, start a new run, perhaps with --init {}",
                    folder.path().display(),
                    folder.last().display()
                )));
            }
            (folder, given.or(all))
        } else {
            let options = given.with_defaults()?;
            let config = options.resolve()?;
            config.check_init()?;
            // Opened once more when the training begins, at no cost: what can not work should leave no folder.
            (0..config.ranks)
                .try_for_each(|rank| device::of_rank(&config.device, config.precision, rank).map(drop))?;
            let source = format!("{:?}", config.data.source).to_lowercase();
            let name = format!("{source}-{}", config.model);
            (RunFolder::create(out.as_deref(), &name, &options)?, options)
        };
        super::use_threads(options.threads)?;
        train(&options.resolve()?, &folder.going_on_from(self.from))
    }
}
