//! Class statistics over a training set (line 1 of the paper's Algorithm 1), kept on disk between runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::classes::IGNORE;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::files::Fingerprint;
use crate::write::write_atomic;

/// Changes when the meaning of the cache file does.
const FORMAT: u32 = 2;

/// Pixel counts of every class over all samples of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassStats {
    /// The dataset in words.
    pub dataset: String,
    /// Class names in train id order.
    pub classes: Vec<String>,
    /// Number of samples.
    pub images: u64,
    /// Pixels of each class.
    pub pixels: Vec<u64>,
    /// Pixels that belong to no class.
    pub ignored: u64,
    /// Number of samples in which each class occurs.
    pub images_with: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    format: u32,
    content_key: String,
    /// Over all counts and names: a file that was changed or damaged is not believed.
    checksum: String,
    stats: ClassStats,
}

impl ClassStats {
    /// Number of pixels that belong to a class.
    pub fn labelled(&self) -> u64 {
        self.pixels.iter().sum()
    }

    /// Share of each class among the labelled pixels; all 0 when nothing is labelled.
    pub fn frequencies(&self) -> Vec<f64> {
        let total = self.labelled().max(1) as f64;
        self.pixels.iter().map(|&n| n as f64 / total).collect()
    }

    fn checksum(&self) -> String {
        let mut sum = Fingerprint::new();
        sum.add(self.dataset.as_bytes());
        self.classes.iter().for_each(|name| sum.add(name.as_bytes()));
        let numbers = self.pixels.iter().chain(&self.images_with).chain([&self.images, &self.ignored]);
        numbers.for_each(|n| sum.add(&n.to_le_bytes()));
        sum.finish()
    }

    fn belongs_to(&self, dataset: &dyn Dataset) -> bool {
        let n = dataset.classes().len();
        self.classes == dataset.classes().names()
            && self.images == dataset.len() as u64
            && self.pixels.len() == n
            && self.images_with.len() == n
    }
}

/// Counts every label pixel of the dataset, on rayon's threads.
///
/// With a `cache` folder, a file there is used when it was made from the very same samples (see
/// [`Dataset::content_key`]); a missing, stale or damaged one is replaced, by temporary file and rename.
/// `progress` is called with the number of samples counted so far (not at all when the cache is used).
/// Errors when a label cannot be read. A cache that cannot be written is none: its reason comes beside the statistics.
pub fn class_stats(
    dataset: &dyn Dataset,
    cache: Option<&Path>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<(ClassStats, Option<Error>)> {
    let Some(folder) = cache else { return Ok((count(dataset, progress)?, None)) };
    let content_key = dataset.content_key()?;
    let path = cache_path(folder, dataset);
    if let Some(stats) = read_cache(&path, &content_key, dataset) {
        return Ok((stats, None));
    }
    let stats = count(dataset, progress)?;
    let cached = Cached { format: FORMAT, content_key, checksum: stats.checksum(), stats };
    let json = serde_json::to_vec_pretty(&cached).map_err(|e| Error::decode(&path, e.to_string()));
    let unkept = json.and_then(|json| write_atomic(&path, &json)).err();
    Ok((cached.stats, unkept))
}

fn cache_path(folder: &Path, dataset: &dyn Dataset) -> PathBuf {
    let name: String =
        dataset.describe().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    folder.join(format!("class-stats-{name}.json"))
}

fn read_cache(path: &Path, content_key: &str, dataset: &dyn Dataset) -> Option<ClassStats> {
    // Whatever is wrong with the file, counting again is the answer; it will be overwritten.
    let cached: Cached = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let usable = cached.format == FORMAT
        && cached.content_key == content_key
        && cached.checksum == cached.stats.checksum();
    (usable && cached.stats.belongs_to(dataset)).then_some(cached.stats)
}

fn count(dataset: &dyn Dataset, progress: &(dyn Fn(usize) + Sync)) -> Result<ClassStats> {
    let n = dataset.classes().len();
    let empty = || (vec![0u64; n], 0u64, vec![0u64; n]);
    let done = AtomicUsize::new(0);
    let (pixels, ignored, images_with) = (0..dataset.len())
        .into_par_iter()
        .map(|index| {
            let histogram = dataset.labels(index)?.histogram();
            let pixels = histogram[..n].to_vec();
            let images_with = pixels.iter().map(|&p| u64::from(p > 0)).collect();
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            Ok::<_, Error>((pixels, histogram[IGNORE as usize], images_with))
        })
        .try_reduce(empty, |mut a, b| {
            a.0.iter_mut().zip(&b.0).for_each(|(x, y)| *x += y);
            a.1 += b.1;
            a.2.iter_mut().zip(&b.2).for_each(|(x, y): (&mut u64, &u64)| *x += y);
            Ok(a)
        })?;
    Ok(ClassStats {
        dataset: dataset.describe(),
        classes: dataset.classes().names().into_iter().map(str::to_owned).collect(),
        images: dataset.len() as u64,
        pixels,
        ignored,
        images_with,
    })
}
