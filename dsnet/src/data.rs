//! Which data a command works on: a source, its folder, a split.

use std::{path::PathBuf, sync::Arc};

use datasets::{
    Annotation, CamVid, Cityscapes, ClassStats, Classes, Dataset, Depth, Split, Synthetic, SyntheticOptions,
};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    train::Size,
    ui::{Progress, note},
};

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Drawn street scenes; needs no files.
    Synthetic,
    /// CamVid in the SegNet layout, 11 classes.
    Camvid,
    /// Cityscapes as it unpacks, 19 classes.
    Cityscapes,
}

/// Which Cityscapes labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// `gtFine`.
    Fine,
    /// `gtCoarse`; training then uses the split `train_extra` where it is there.
    Coarse,
}

/// A dataset, not yet opened.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSpec {
    /// Where samples come from.
    pub source: Source,
    /// Its folder; none for the synthetic data.
    pub root: Option<PathBuf>,
    /// Which Cityscapes labels.
    pub labels: Labels,
    /// Number of synthetic training scenes.
    pub train_images: usize,
    /// Number of synthetic validation scenes, and of test scenes.
    pub val_images: usize,
    /// Size of synthetic scenes.
    pub scene_size: Size,
}

/// Options of a dataset as they were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct DataGiven {
    /// [`DataSpec::root`]
    pub root: Option<PathBuf>,
    /// [`DataSpec::labels`]
    pub labels: Option<Labels>,
    /// [`DataSpec::train_images`]
    pub train_images: Option<usize>,
    /// [`DataSpec::val_images`]
    pub val_images: Option<usize>,
    /// [`DataSpec::scene_size`]
    pub scene_size: Option<Size>,
}

impl DataGiven {
    /// The dataset, with the default of what was not given.
    ///
    /// # Errors
    /// Where an option is given that only other data has: it would be ignored.
    pub fn spec(self, source: Source) -> Result<DataSpec> {
        let drawn = self.train_images.is_some() || self.val_images.is_some() || self.scene_size.is_some();
        if source != Source::Synthetic && drawn {
            let what = "train-images, val-images and scene-size are options of the synthetic data";
            return Err(Error::usage(what));
        }
        if source != Source::Cityscapes && self.labels.is_some() {
            return Err(Error::usage("labels (fine or coarse) is an option of the cityscapes data"));
        }
        Ok(DataSpec {
            source,
            root: self.root,
            labels: self.labels.unwrap_or(Labels::Fine),
            train_images: self.train_images.unwrap_or(DataSpec::TRAIN_IMAGES),
            val_images: self.val_images.unwrap_or(DataSpec::VAL_IMAGES),
            scene_size: self.scene_size.unwrap_or(DataSpec::SCENE_SIZE),
        })
    }
}

impl DataSpec {
    /// Synthetic training scenes when nothing is said.
    pub const TRAIN_IMAGES: usize = 600;
    /// Synthetic validation scenes when nothing is said.
    pub const VAL_IMAGES: usize = 100;
    /// Size of synthetic scenes when nothing is said.
    pub const SCENE_SIZE: Size = Size { height: 128, width: 256 };

    /// The synthetic data as it is when nothing is said.
    pub fn synthetic() -> Self {
        let (train_images, val_images) = (Self::TRAIN_IMAGES, Self::VAL_IMAGES);
        let (source, scene_size) = (Source::Synthetic, Self::SCENE_SIZE);
        Self { source, root: None, labels: Labels::Fine, train_images, val_images, scene_size }
    }

    /// The labelling scheme.
    pub fn classes(&self) -> Classes {
        match self.source {
            Source::Camvid => Classes::camvid(),
            Source::Synthetic | Source::Cityscapes => Classes::cityscapes(),
        }
    }

    /// Fails where a folder is wanted and not given, or given and not wanted.
    pub(crate) fn check(&self) -> Result<()> {
        match (self.source, &self.root) {
            (Source::Synthetic, Some(_)) => Err(Error::usage(
                "the synthetic data has no --root; did you forget --data camvid or cityscapes?",
            )),
            (Source::Camvid | Source::Cityscapes, None) => {
                let name = format!("{:?}", self.source).to_lowercase();
                Err(Error::usage(format!("--data {name} needs --root, the folder of the dataset")))
            }
            (Source::Synthetic, None) if self.train_images.min(self.val_images) == 0 => {
                Err(Error::usage("train-images and val-images must be at least 1"))
            }
            _ => Ok(()),
        }
    }

    /// Opens a split.
    ///
    /// # Errors
    /// Where the folder does not look as it should.
    pub fn open(&self, split: Split) -> Result<Arc<dyn Dataset>> {
        self.check()?;
        let root = self.root.clone().unwrap_or_default();
        Ok(match self.source {
            Source::Synthetic => {
                let len = if split == Split::Train { self.train_images } else { self.val_images };
                let Size { height, width } = self.scene_size;
                let options = SyntheticOptions { len, width, height, ..SyntheticOptions::new(split) };
                Arc::new(Synthetic::new(options)?)
            }
            Source::Camvid => Arc::new(CamVid::open(root, split)?),
            Source::Cityscapes => {
                let annotation = match self.labels {
                    Labels::Fine => Annotation::Fine,
                    Labels::Coarse => Annotation::Coarse,
                };
                Arc::new(Cityscapes::open(root, split, annotation)?)
            }
        })
    }
}

impl DataSpec {
    /// Opens the split to train on: `train`, or `train_extra` for coarse Cityscapes labels where it is there.
    ///
    /// # Errors
    /// As [`DataSpec::open`].
    pub fn open_train(&self) -> Result<Arc<dyn Dataset>> {
        let extra = self.root.as_ref().is_some_and(|root| root.join("leftImg8bit/train_extra").is_dir());
        let coarse = self.source == Source::Cityscapes && self.labels == Labels::Coarse;
        self.open(if coarse && extra { Split::TrainExtra } else { Split::Train })
    }

    /// Opens the split to choose models by: `val`, with fine labels always.
    ///
    /// # Errors
    /// As [`DataSpec::open`].
    pub fn open_val(&self) -> Result<Arc<dyn Dataset>> {
        Self { labels: Labels::Fine, ..self.clone() }.open(Split::Val)
    }
}

/// Counts the pixels of each class, with progress; kept in the user's cache folder (`DSNET_CACHE`, else
/// `$XDG_CACHE_HOME/dsnet`, else `~/.cache/dsnet`) where there is one, and it can be written.
///
/// # Errors
/// Where a label can not be read.
pub fn class_stats(dataset: &dyn Dataset) -> Result<ClassStats> {
    class_stats_while(dataset, &|| ())
}

/// The same; `alive` is called now and then, for those who wait.
pub(crate) fn class_stats_while(dataset: &dyn Dataset, alive: &(dyn Fn() + Sync)) -> Result<ClassStats> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = folder("DSNET_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("dsnet")))
        .or_else(|| Some(folder("HOME")?.join(".cache/dsnet")));
    let progress = Progress::new("counting classes", "images", dataset.len() as u64);
    let tell = |done: usize| {
        alive();
        progress.set(done as u64);
    };
    let (stats, unkept) = datasets::class_stats(dataset, cache.as_deref(), &tell)?;
    progress.finish();
    if let Some(e) = unkept {
        note(&format!(
            "the class statistics are not kept, and will be counted again: {e}; DSNET_CACHE can name another folder"
        ));
    }
    Ok(stats)
}

/// Looks over every sample of a dataset on disk, with progress.
///
/// # Errors
/// All problems at once.
pub fn look_over(dataset: &dyn Dataset, depth: Depth) -> Result<()> {
    look_over_while(dataset, depth, &|| ())
}

/// The same; `alive` is called now and then, for those who wait.
pub(crate) fn look_over_while(dataset: &dyn Dataset, depth: Depth, alive: &(dyn Fn() + Sync)) -> Result<()> {
    let progress = Progress::new(format!("checking {}", dataset.describe()), "images", dataset.len() as u64);
    let tell = |done: usize| {
        alive();
        progress.set(done as u64);
    };
    datasets::check(dataset, depth, &tell)?;
    Ok(())
}
