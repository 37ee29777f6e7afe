//! A street-scene generator: pictures in the manner of Cityscapes, painted from a plan, with exact labels.
//!
//! Each sample is a function of (seed, split, index, size). A plan of the street is drawn up (`street`), filled
//! with things (`scene`), and painted from far to near by a pinhole camera (`camera`, `painter`, `canvas`)
//! under one of several lights (`light`). All 19 Cityscapes classes occur, as unevenly as in a real street:
//! see [`crate::class_weights`]. The arithmetic is additions, products, quotients and square roots, which
//! every machine rounds alike, so pictures are the same bytes everywhere.

mod barrier;
mod building;
mod camera;
mod canvas;
mod color;
mod cycle;
mod develop;
mod figure;
mod furniture;
mod ground;
mod hood;
mod ids;
mod light;
mod noise;
mod painter;
mod plant;
mod scene;
mod sky;
mod solid;
mod street;
mod vehicle;

use canvas::Canvas;
use develop::develop;

use crate::check::Depth;
use crate::classes::Classes;
use crate::dataset::{Dataset, Normalization, Sample, Split};
use crate::error::{Error, Result};
use crate::files::Fingerprint;
use crate::picture::{Image, LabelMap};
use crate::rng::Rng;

/// Changes whenever the generator draws different pictures, so that caches notice.
const VERSION: u64 = 1;

/// Marks the random stream of scene drawing.
const STREAM: u64 = 0x7363_656E;

/// Which scenes to draw, how many, how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticOptions {
    /// Scenes of different seeds have nothing in common.
    pub seed: u64,
    /// Scenes of different splits have nothing in common either.
    pub split: Split,
    /// Number of samples.
    pub len: usize,
    /// Width in pixels, 16 to 8192.
    pub width: usize,
    /// Height in pixels, 16 to 8192.
    pub height: usize,
}

impl SyntheticOptions {
    /// The built-in dataset: 256×128 pixels; 600 training, 100 validation and 100 test scenes (2000 for
    /// `train_extra`).
    pub fn new(split: Split) -> SyntheticOptions {
        let len = match split {
            Split::Train => 600,
            Split::Val | Split::Test => 100,
            Split::TrainExtra => 2000,
        };
        SyntheticOptions { seed: 0, split, len, width: 256, height: 128 }
    }
}

/// A dataset that is drawn when it is asked for. Uses the classes of Cityscapes.
#[derive(Debug, Clone)]
pub struct Synthetic {
    options: SyntheticOptions,
    names: Vec<String>,
    classes: Classes,
}

impl Synthetic {
    /// Errors when the size is out of range or there is no sample.
    pub fn new(options: SyntheticOptions) -> Result<Synthetic> {
        let SyntheticOptions { seed, split, len, width, height } = options;
        if !(16..=8192).contains(&width) || !(16..=8192).contains(&height) {
            return Err(Error::Options(format!(
                "synthetic scenes can be 16 to 8192 pixels wide and high, not {width}x{height}"
            )));
        }
        if len == 0 {
            return Err(Error::Options("a synthetic dataset needs at least one sample".into()));
        }
        let names = (0..len).map(|i| format!("synthetic {split} scene {i} (seed {seed})")).collect();
        Ok(Synthetic { options, names, classes: Classes::cityscapes() })
    }

    /// What was asked for.
    pub fn options(&self) -> &SyntheticOptions {
        &self.options
    }

    /// The painted scene and the random stream that goes on with the camera.
    fn paint(&self, index: usize) -> Result<(Canvas, Rng)> {
        let SyntheticOptions { seed, split, len, width, height } = self.options;
        if index >= len {
            return Err(Error::Index { index, len, dataset: self.describe() });
        }
        let mut rng = Rng::new(seed, &[STREAM, split as u64, index as u64]);
        let canvas = scene::paint(&mut rng, width, height);
        Ok((canvas, rng))
    }
}

impl Dataset for Synthetic {
    fn describe(&self) -> String {
        format!("synthetic {}", self.options.split)
    }

    fn len(&self) -> usize {
        self.options.len
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn normalization(&self) -> Normalization {
        Normalization::SYNTHETIC
    }

    fn image(&self, index: usize) -> Result<Image> {
        Ok(self.load(index)?.image)
    }

    fn labels(&self, index: usize) -> Result<LabelMap> {
        let (canvas, _) = self.paint(index)?;
        Ok(canvas.into_labels())
    }

    fn load(&self, index: usize) -> Result<Sample> {
        let (canvas, mut rng) = self.paint(index)?;
        Ok(develop(canvas, &mut rng))
    }

    fn content_key(&self) -> Result<String> {
        let SyntheticOptions { seed, split, len, width, height } = self.options;
        let mut key = Fingerprint::new();
        for part in [VERSION, seed, split as u64, len as u64, width as u64, height as u64] {
            key.add(&part.to_le_bytes());
        }
        Ok(key.finish())
    }

    fn inspect(&self, _index: usize, _depth: Depth) -> std::result::Result<bool, Vec<Error>> {
        // A formula has no broken files.
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
