//! Scoring a model on a split: one confusion matrix over every labelled pixel at full resolution.

use std::sync::Arc;

use datasets::{Dataset, Loader, LoaderOptions, Normalization, Pixels, Shard};
use nn::{Collective, collective::Solo};

use crate::{
    Result, device::Precision, infer::Predictor, metrics::Confusion, model::DsNet, stop, ui::Progress,
};

/// Runs `model` over every sample of `dataset`, one at a time as they may differ in size.
///
/// # Errors
/// Where a sample can not be read, the model fails, or the process is asked to stop.
pub fn evaluate(
    model: &DsNet,
    precision: Precision,
    dataset: &Arc<dyn Dataset>,
    normalization: Normalization,
    progress: &Progress,
) -> Result<Confusion> {
    evaluate_across(model, precision, dataset, normalization, progress, &Solo)
}

/// The same by several ranks with equal models, each of which runs its part of the samples; all get the whole matrix.
///
/// # Errors
/// As [`evaluate`]; a rank that is lost or hangs.
pub fn evaluate_across(
    model: &DsNet,
    precision: Precision,
    dataset: &Arc<dyn Dataset>,
    normalization: Normalization,
    progress: &Progress,
    ranks: &dyn Collective,
) -> Result<Confusion> {
    evaluate_part(&Predictor::with_precision(model, precision), dataset, normalization, progress, ranks)
}

fn evaluate_part(
    predictor: &Predictor<'_>,
    dataset: &Arc<dyn Dataset>,
    normalization: Normalization,
    progress: &Progress,
    ranks: &dyn Collective,
) -> Result<Confusion> {
    let shard = Shard { rank: ranks.rank(), world: ranks.world() };
    let options =
        LoaderOptions { batch: shard.world, shard, pixels: Pixels::Decoded, ..LoaderOptions::default() };
    let loader = Loader::new(dataset.clone(), options)?;
    let mut confusion = Confusion::new(dataset.classes().len());
    for batch in loader.epoch(0)? {
        // The others stop when rank 0 does.
        if ranks.rank() == 0 {
            stop::check()?;
        }
        ranks.alive();
        let batch = batch?;
        let done = (batch.position.batch + 1) * shard.world;
        progress.set(done.min(dataset.len()) as u64);
        if batch.is_empty() {
            continue;
        }
        let found = predictor.labels(&batch.images, &normalization)?;
        confusion
            .add_maps(&batch.labels, &found)
            .map_err(|e| e.during(format!("scoring {}", batch.names[0])))?;
    }
    confusion.sum_over(ranks)
}
