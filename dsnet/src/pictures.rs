//! Pictures of predictions for people.

use std::{path::Path, sync::Arc};

use datasets::{Classes, Dataset, Image, LabelMap, Normalization, render};

use crate::{Result, infer::Predictor, model::DsNet};

/// How strongly class colours cover the image.
pub const OPACITY: f32 = 0.55;

/// Image, truth and prediction side by side, in the dataset's palette (the paper's Fig. 6).
///
/// # Errors
/// Where their sizes differ.
pub fn panel(image: &Image, truth: &LabelMap, found: &LabelMap, classes: &Classes) -> Result<Image> {
    let overlay = render::overlay(image, found, classes, OPACITY)?;
    let (truth, found) = (render::colorize(truth, classes), render::colorize(found, classes));
    Ok(render::side_by_side(&[image, &truth, &found, &overlay], 4)?)
}

/// Writes `count` panels (image, truth, prediction, overlay), spread over the dataset, into `folder`; returns how
/// many there are.
///
/// # Errors
/// Where a sample can not be read or a picture not be written.
pub fn write_panels(
    model: &DsNet,
    dataset: &Arc<dyn Dataset>,
    normalization: &Normalization,
    count: usize,
    folder: &Path,
) -> Result<usize> {
    let count = count.min(dataset.len());
    let predictor = Predictor::new(model);
    for i in 0..count {
        let sample = dataset.load(i * dataset.len() / count)?;
        let found = predictor.segment(&sample.image, normalization)?;
        let picture = panel(&sample.image, &sample.labels, &found, dataset.classes())?;
        picture.save_png(folder.join(format!("{:02}.png", i + 1)))?;
    }
    Ok(count)
}
