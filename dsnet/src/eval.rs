//! Scoring a model on a split: one confusion matrix over every labelled pixel at full resolution.

use std::sync::Arc;

use datasets::{Dataset, Loader, LoaderOptions, Normalization};

use crate::{Result, infer, metrics::Confusion, model::DsNet, stop, ui::Progress};

/// Runs `model` over every sample of `dataset`, one at a time as they may differ in size.
///
/// # Errors
/// Where a sample can not be read, the model fails, or the process is asked to stop.
pub fn evaluate(
    model: &DsNet,
    dataset: &Arc<dyn Dataset>,
    normalization: Normalization,
    progress: &Progress,
) -> Result<Confusion> {
    let options = LoaderOptions { normalization: Some(normalization), ..LoaderOptions::default() };
    let loader = Loader::new(dataset.clone(), options)?;
    let mut confusion = Confusion::new(dataset.classes().len());
    for batch in loader.epoch(0)? {
        stop::check()?;
        let batch = batch?;
        let found: Vec<u8> = infer::labels(model, &batch.images)?.to_vec()?;
        let truth: Vec<u8> = batch.labels.to_vec()?;
        confusion.add(&truth, &found).map_err(|e| e.during(format!("scoring {}", batch.names[0])))?;
        progress.add(1);
    }
    Ok(confusion)
}
