//! `dsnet adjust`.

use std::path::PathBuf;

use clap::Args;
use datasets::{Depth, class_weights};

use super::{DataArgs, ThreadArgs};
use crate::{
    Error, Result,
    adjust::adjust,
    data::{self, Source},
    ui::outln,
    weights,
};

/// Options of `dsnet adjust`.
#[derive(Debug, Args)]
#[command(
    after_help = "For models trained with wce, fl or owfl, whose weights α make rare classes win too often. `dsnet eval` on \
val tells which strength serves a data set.

  dsnet adjust --weights runs/camvid/best.safetensors --root CamVid --out adjusted.safetensors
  dsnet eval --weights adjusted.safetensors --root CamVid"
)]
pub struct AdjustArgs {
    /// Checkpoint of a trained model
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// How much of the weights to take out: above 0, up to 1 for all
    #[arg(long, value_name = "X", default_value_t = 0.75)]
    strength: f64,
    /// File to write: the model for inference
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the training samples came from [default: what the checkpoint says]
    #[arg(long, value_enum)]
    data: Option<Source>,
    #[command(flatten)]
    at: DataArgs,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

impl AdjustArgs {
    pub(super) fn run(self) -> Result<()> {
        if let (Ok(from), Ok(to)) = (self.weights.canonicalize(), self.out.canonicalize())
            && from == to
        {
            let what = format!(
                "{} would replace the weights it is made from; choose another --out",
                self.out.display()
            );
            return Err(Error::usage(what));
        }
        let mut trained = weights::load(&self.weights)?;
        let dataset = self.at.spec(self.data.unwrap_or(trained.info.data))?.open_train()?;
        trained.info.check_classes(dataset.classes(), &self.weights, &dataset.describe())?;
        data::look_over(&*dataset, Depth::Headers)?;
        let alpha = class_weights(&data::class_stats(&*dataset)?.frequencies())?.alpha;
        adjust(&mut trained, &alpha, self.strength).map_err(|e| match e {
            e @ Error::Usage(_) => e,
            e => Error::message(format!("{}: {}", self.weights.display(), e.chain())),
        })?;
        weights::save_model(&self.out, &trained.net, &trained.info)?;
        outln!(
            "{}: {} with α of {} taken out to the power {}",
            self.out.display(),
            trained.info.model,
            dataset.describe(),
            self.strength
        )?;
        Ok(())
    }
}
