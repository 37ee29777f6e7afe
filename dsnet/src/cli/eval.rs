//! `dsnet eval`.

use std::path::{Path, PathBuf};

use clap::Args;
use datasets::{Depth, Split};
use nn::checkpoint::write_atomically;
use serde::Serialize;

use super::{DataArgs, ThreadArgs, print_json, to_json};
use crate::{
    Error, Result,
    data::{self, Source},
    device::{DeviceArgs, Precision},
    eval::evaluate,
    metrics::Scores,
    ui::{Progress, counted, out, outln, score_table},
    weights,
};

/// Options of `dsnet eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Checkpoint of a trained model
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Where samples come from [default: what the model was trained on]
    #[arg(long, value_enum)]
    data: Option<Source>,
    /// Which split
    #[arg(long, default_value = "val")]
    split: Split,
    /// Write the scores as JSON to this file; - for standard output
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
    #[command(flatten)]
    at: DataArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    weights: String,
    model: &'a str,
    data: String,
    split: String,
    images: usize,
    precision: Precision,
    #[serde(flatten)]
    scores: &'a Scores,
}

impl EvalArgs {
    pub(super) fn run(self) -> Result<()> {
        let device = self.device.open()?;
        let trained = weights::load(&self.weights)?;
        nn::to_device(&trained.net, &device)?;
        let source = self.data.unwrap_or(trained.info.data);
        let dataset = self.at.spec(source)?.open(self.split)?;
        trained.info.check_classes(dataset.classes(), &self.weights, &dataset.describe())?;
        data::look_over(&*dataset, Depth::Labels)?;
        let progress = Progress::new("evaluating", "images", dataset.len() as u64);
        let confusion = evaluate(
            &trained.net,
            self.device.precision(),
            &dataset,
            trained.info.normalization(),
            &progress,
        )?;
        progress.finish();
        let scores = Scores::new(&confusion, dataset.classes(), Some(&trained.info.gamma));
        let report = Report {
            weights: self.weights.display().to_string(),
            model: &trained.info.model,
            data: dataset.describe(),
            split: self.split.to_string(),
            images: dataset.len(),
            precision: self.device.precision(),
            scores: &scores,
        };
        match self.json.as_deref() {
            Some(path) if path == Path::new("-") => return print_json(&report),
            Some(path) => write_atomically(path, to_json(&report)?.as_bytes())?,
            None => {}
        }
        outln!("{} on {} ({})\n", trained.info.model, dataset.describe(), counted(dataset.len(), "image"))?;
        out!("{}", score_table(&scores))?;
        if scores.pixels == 0 {
            return Err(Error::message("no pixel of this split is labelled: there is nothing to score"));
        }
        Ok(())
    }
}
