//! Writing a dataset to disk in the layout of Cityscapes, so that any tool that reads one reads the other.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::cityscapes::Annotation;
use crate::classes::IGNORE;
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::picture::LabelMap;
use crate::render::label_ids;

/// How far from the border of a class coarse labels leave pixels out, as a share of the height: polygons drawn in haste stay
/// within things.
const COARSE: usize = 64;

/// Writes every sample as `leftImg8bit/<split>/<city>/<city>_<n>_000019_leftImg8bit.png` and
/// `gtFine/.../<city>_<n>_000019_gtFine_labelIds.png` under `root`, with the official label ids (ignored
/// pixels become "unlabeled", 0). [`crate::Cityscapes`] reads the same samples back in the same order. With
/// [`Annotation::Coarse`] the labels go to `gtCoarse`, and pixels near a border between classes are left unlabelled.
///
/// Each file is written to a temporary name and then renamed. `progress` is called with the number of
/// samples written so far. Errors when the dataset does not use the Cityscapes classes, `city` is not made of
/// letters, or a file cannot be written.
pub fn write_cityscapes(
    dataset: &dyn Dataset,
    root: impl AsRef<Path>,
    split: Split,
    annotation: Annotation,
    city: &str,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let root = root.as_ref();
    if dataset.classes().scheme() != "cityscapes" {
        return Err(Error::Options(format!(
            "{} has the classes of {}; only datasets with Cityscapes classes can be written in its layout",
            dataset.describe(),
            dataset.classes().scheme()
        )));
    }
    if city.is_empty() || !city.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(Error::Options(format!("a city's name must be made of letters a-z, not \"{city}\"")));
    }
    let folder = |kind: &str| -> PathBuf { root.join(kind).join(split.as_str()).join(city) };
    let (images, truth) = (folder("leftImg8bit"), folder(annotation.as_str()));
    let done = AtomicUsize::new(0);
    (0..dataset.len()).into_par_iter().try_for_each(|index| {
        let sample = dataset.load(index)?;
        let frame = format!("{city}_{index:06}_000019");
        sample.image.save_png(images.join(format!("{frame}_leftImg8bit.png")))?;
        let labels = match annotation {
            Annotation::Fine => sample.labels,
            Annotation::Coarse => coarse(&sample.labels),
        };
        let ids = label_ids(&labels, dataset.classes())?;
        ids.save_png(truth.join(format!("{frame}_{annotation}_labelIds.png")))?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        Ok(())
    })
}

/// The labels without those within some pixels, along a row or a column, of another label.
fn coarse(labels: &LabelMap) -> LabelMap {
    let (width, height) = labels.size();
    let reach = (height / COARSE).max(1);
    let near = |at: usize, len: usize| at.saturating_sub(reach)..(at + reach + 1).min(len);
    let inner = |x: usize, y: usize| {
        let label = labels.at(x, y);
        near(x, width).all(|x| labels.at(x, y) == label) && near(y, height).all(|y| labels.at(x, y) == label)
    };
    let data = (0..width * height).map(|i| {
        let (x, y) = (i % width, i / width);
        if inner(x, y) { labels.at(x, y) } else { IGNORE }
    });
    LabelMap::from_parts(width, height, data.collect())
}
