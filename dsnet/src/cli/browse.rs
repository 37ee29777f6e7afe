//! `dsnet browse`.

use std::path::PathBuf;

use clap::Args;
use datasets::{Loader, LoaderOptions};
use nn::checkpoint::write_atomically;

use super::on_threads;
use crate::{
    Error, Result,
    browse::{Choice, browse},
    train::TrainOptions,
    ui::{Progress, outln},
};

/// Options of `train` that change what samples look like or the order in which they come.
const SHOWN: [&str; 4] = ["seed", "batch", "threads", "config"];

/// Leaves the options of `train` that matter to training alone out of the help; they are taken all the same.
pub(super) fn quiet(arg: clap::Arg) -> clap::Arg {
    let training = matches!(arg.get_help_heading(), Some("Model" | "Training" | "Run"));
    let hide = training && !SHOWN.contains(&arg.get_id().as_str());
    arg.hide(hide)
}

/// Options of `dsnet browse`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    mut_args(quiet),
    after_help = "\
Takes all options of `train`: write browse in place of train to see what that training would see.

  dsnet browse --data camvid --root CamVid --crop 192x256 --scales 0.5..1.25
  dsnet browse --config run.toml --epoch 2 --count 60"
)]
pub struct BrowseArgs {
    #[command(flatten)]
    options: TrainOptions,
    /// File with options, as TOML; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Samples to show, in the order in which training meets them
    #[arg(long, value_name = "N", default_value_t = 24, help_heading = "Page")]
    count: usize,
    /// Epoch to show, from 1: each augments anew
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Page")]
    epoch: usize,
    /// File to write
    #[arg(long, value_name = "FILE", default_value = "browse.html", help_heading = "Page")]
    page: PathBuf,
}

impl BrowseArgs {
    pub(super) fn run(self) -> Result<()> {
        let Self { options, config, count, epoch, page } = self;
        if epoch == 0 || count == 0 {
            return Err(Error::usage("epoch and count must be at least 1"));
        }
        let file = config.as_deref().map(TrainOptions::read).transpose()?.unwrap_or_default();
        let options = options.or(file);
        let html = on_threads(options.threads, || {
            let config = options.resolve()?;
            let dataset = config.open_train()?;
            // Samples of an incomplete batch, which training leaves out, are worth a look as well.
            let options = LoaderOptions { drop_last: false, ..config.loader_options() };
            let loader = Loader::new(dataset, options)?;
            let choice = Choice { epoch: epoch - 1, count };
            let progress = Progress::new("drawing", "samples", count.min(loader.dataset().len()) as u64);
            let html = browse(&loader, choice, &|| progress.add(1))?;
            progress.finish();
            Ok(html)
        })?;
        write_atomically(&page, html.as_bytes())?;
        outln!("{}", page.display())?;
        Ok(())
    }
}
