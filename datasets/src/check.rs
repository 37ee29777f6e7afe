//! Looking over a whole dataset at the door, so that a bad file is found before training starts and not an
//! hour into it. All problems are reported at once.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// How thorough [`check`] is. Missing files, formats, declared sizes and truncation are found at any depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Depth {
    /// Headers and container structure only, nothing is decompressed: about disk speed.
    Headers,
    /// Also decodes every label map and looks at every label id. The default: labels are what a network
    /// silently learns wrong things from; some 15 ms per Cityscapes frame and core.
    #[default]
    Labels,
    /// Also decodes every image, which finds corrupt compressed data.
    Full,
}

/// How many problems a message lists.
const SHOWN: usize = 20;

/// Everything wrong with a dataset. Prints at most 20 problems and the number of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The dataset in words.
    pub dataset: String,
    /// One sentence per problem, each naming its files, in sample order.
    pub list: Vec<String>,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.list.len();
        write!(f, "{} cannot be used: {n} problem{}", self.dataset, if n == 1 { "" } else { "s" })?;
        for problem in self.list.iter().take(SHOWN) {
            write!(f, "\n  - {problem}")?;
        }
        if n > SHOWN {
            write!(f, "\n  ... and {} more", n - SHOWN)?;
        }
        Ok(())
    }
}

/// Inspects every sample on rayon's threads. `progress` is called with the number of samples done so far.
///
/// Returns [`Error::Invalid`] with all problems: missing pairs, labels without images, truncated or corrupt
/// pictures, image and label of different sizes, label ids outside the table, and (from [`Depth::Labels`]
/// on) a split in which no pixel at all has a class.
pub fn check(dataset: &dyn Dataset, depth: Depth, progress: &(dyn Fn(usize) + Sync)) -> Result<()> {
    let done = AtomicUsize::new(0);
    let found: Vec<std::result::Result<bool, Vec<Error>>> = (0..dataset.len())
        .into_par_iter()
        .map(|index| {
            let found = dataset.inspect(index, depth);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            found
        })
        .collect();
    let mut list: Vec<String> = dataset.layout_problems();
    if dataset.is_empty() {
        list.push("it has no samples".into());
    } else if list.is_empty() && found.iter().all(|f| matches!(f, Ok(false))) {
        list.push(format!(
            "no pixel of its {} label maps belongs to a class: these look like the placeholder labels of a \
             test split, use another split",
            found.len()
        ));
    }
    let mut missing_labels = 0;
    for error in found.into_iter().filter_map(|f| f.err()).flatten() {
        missing_labels += usize::from(matches!(error, Error::NoLabel { .. }));
        list.push(error.to_string());
    }
    if missing_labels == dataset.len() && list.len() == missing_labels && missing_labels > 1 {
        // One sentence says it better than the same one for every image.
        let first = list.swap_remove(0);
        list = vec![format!("none of its {missing_labels} images has a label picture; the first: {first}")];
    }
    if list.is_empty() { Ok(()) } else { Err(Problems { dataset: dataset.describe(), list }.into()) }
}
