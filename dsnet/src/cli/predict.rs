//! `dsnet predict`.

use std::path::PathBuf;

use clap::Args;

use super::ThreadArgs;
use crate::{
    Result,
    infer::Predictor,
    predict::{Form, jobs, predict},
    ui::Progress,
    weights,
};

/// Options of `dsnet predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Checkpoint of a trained model
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Pictures (PNG or JPEG, any size), or folders of them
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Folder for the results
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write class colours over the picture (the default)
    #[arg(long)]
    overlay: bool,
    /// Write ids as in the dataset's label files, 8-bit grey
    #[arg(long)]
    label_ids: bool,
    /// Write class colours alone
    #[arg(long)]
    color: bool,
    #[command(flatten)]
    threads: ThreadArgs,
}

impl PredictArgs {
    pub(super) fn run(self) -> Result<()> {
        self.threads.apply()?;
        let trained = weights::load(&self.weights)?;
        let jobs = jobs(&self.inputs)?;
        let wanted =
            [(self.overlay, Form::Overlay), (self.label_ids, Form::LabelIds), (self.color, Form::Color)];
        let mut forms: Vec<Form> = wanted.into_iter().filter(|(on, _)| *on).map(|(_, form)| form).collect();
        if forms.is_empty() {
            forms.push(Form::Overlay);
        }
        let (classes, normalization) = (trained.info.classes()?, trained.info.normalization());
        let progress = Progress::new("predicting", "images", jobs.len() as u64);
        let predictor = Predictor::new(&trained.net);
        for job in &jobs {
            predict(&predictor, job, &classes, &normalization, &self.out, &forms)?;
            progress.add(1);
        }
        progress.finish();
        println!("{} pictures segmented, results in {}", jobs.len(), self.out.display());
        Ok(())
    }
}
