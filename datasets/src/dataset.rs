//! What a dataset is to the rest of the program: numbered samples with names, classes and a fingerprint.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::check::Depth;
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::picture::{Image, LabelMap};

/// An image and what each of its pixels is; both have the same size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The picture.
    pub image: Image,
    /// Train ids of the same size.
    pub labels: LabelMap,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Area {
    /// Whether it has pixels and lies within a picture of this (width, height).
    pub fn lies_in(&self, (width, height): (usize, usize)) -> bool {
        let ends =
            |from: usize, len: usize, all: usize| len > 0 && from.checked_add(len).is_some_and(|e| e <= all);
        ends(self.left, self.width, width) && ends(self.top, self.height, height)
    }
}

impl Sample {
    /// The part of it that `area` says.
    ///
    /// Errors where that is not within the picture.
    pub fn cut(&self, area: Area) -> Result<Sample> {
        let (width, height) = self.image.size();
        if !area.lies_in((width, height)) {
            let what = format!("{area:?} does not lie in a picture of {width}x{height} pixels");
            return Err(Error::Options(what));
        }
        let rows = |data: &[u8], channels: usize| -> Vec<u8> {
            let row = |y: usize| &data[(y * width + area.left) * channels..][..area.width * channels];
            (area.top..area.top + area.height).flat_map(row).copied().collect()
        };
        Ok(Sample {
            image: Image::from_parts(area.width, area.height, rows(self.image.data(), 3)),
            labels: LabelMap::from_parts(area.width, area.height, rows(self.labels.data(), 1)),
        })
    }
}

/// Per-channel mean and standard deviation (RGB, on a 0..1 scale) that images are normalised with:
/// `(value / 255 - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Channel means.
    pub mean: [f32; 3],
    /// Channel standard deviations.
    pub std: [f32; 3],
}

impl Normalization {
    /// Statistics of the Cityscapes fine training images.
    pub const CITYSCAPES: Normalization =
        Normalization { mean: [0.28690, 0.32513, 0.28389], std: [0.18696, 0.19017, 0.18720] };
    /// Statistics of the CamVid training images.
    pub const CAMVID: Normalization =
        Normalization { mean: [0.41189, 0.42513, 0.43267], std: [0.30707, 0.31161, 0.30722] };
    /// Statistics of the synthetic training images at the default size.
    pub const SYNTHETIC: Normalization =
        Normalization { mean: [0.432, 0.436, 0.447], std: [0.192, 0.191, 0.227] };

    /// The mean as 8-bit colour: what padding is filled with, so that it comes out as (nearly) zero.
    pub fn mean_color(&self) -> [u8; 3] {
        self.mean.map(|m| (m * 255.0).round() as u8)
    }
}

/// Which part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// For fitting weights.
    Train,
    /// For choosing among models.
    Val,
    /// For the final score; Cityscapes keeps these labels to itself.
    Test,
    /// Cityscapes' 19,998 further images with coarse labels.
    TrainExtra,
}

impl Split {
    /// All splits.
    pub const ALL: [Split; 4] = [Split::Train, Split::Val, Split::Test, Split::TrainExtra];

    /// The folder or list name of this split.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
            Split::TrainExtra => "train_extra",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(s: &str) -> Result<Split> {
        Split::ALL.into_iter().find(|split| split.as_str() == s).ok_or_else(|| {
            Error::Options(format!("there is no split \"{s}\"; choose train, val, test or train_extra"))
        })
    }
}

/// Numbered samples. Implementations are immutable after construction and loaded from many threads.
pub trait Dataset: Send + Sync {
    /// The dataset in a few words for people, e.g. "cityscapes gtFine train".
    fn describe(&self) -> String;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where sample `index` comes from: the image's path, or the scene's number. Panics beyond the end.
    fn name(&self, index: usize) -> &str;

    /// The name as seen from the dataset's own folder: the same wherever that lies. Panics beyond the end.
    fn name_below_root(&self, index: usize) -> String {
        self.name(index).to_owned()
    }

    /// The labelling scheme.
    fn classes(&self) -> &Classes;

    /// What images of this dataset are normalised with.
    fn normalization(&self) -> Normalization;

    /// The image of a sample. Errors name the file.
    fn image(&self, index: usize) -> Result<Image>;

    /// The train ids of a sample. Errors name the file and, for ids outside the table, the pixel.
    fn labels(&self, index: usize) -> Result<LabelMap>;

    /// Image and labels of a sample, of one size.
    fn load(&self, index: usize) -> Result<Sample>;

    /// A part of a sample; whoever can do that without reading all of it does.
    fn load_area(&self, index: usize, area: Area) -> Result<Sample> {
        self.load(index)?.cut(area)
    }

    /// The files that sample `index` is read from; none for one that is drawn.
    fn files(&self, _index: usize) -> Vec<PathBuf> {
        Vec::new()
    }

    /// A fingerprint that changes when the samples do; caches are filed under it.
    fn content_key(&self) -> Result<String>;

    /// Looks for defects of one sample, as thoroughly as `depth` says. `Ok(true)` when a labelled pixel was
    /// seen or labels were not looked into.
    fn inspect(&self, index: usize, depth: Depth) -> std::result::Result<bool, Vec<Error>>;

    /// Defects that belong to no sample, such as a label file without an image.
    fn layout_problems(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_read_back_what_they_print() {
        for s in Split::ALL {
            assert_eq!(s.to_string().parse::<Split>().unwrap(), s);
        }
        let message = "training".parse::<Split>().unwrap_err().to_string();
        assert!(message.contains("\"training\"") && message.contains("train_extra"), "{message}");
    }
}
