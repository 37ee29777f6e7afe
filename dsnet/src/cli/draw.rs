//! `dsnet draw`.

use std::path::PathBuf;

use clap::Args;
use datasets::{Annotation, Split, write_cityscapes};

use super::ThreadArgs;
use crate::{
    Error, Result,
    data::{DataSpec, Labels, Source},
    train::Size,
    ui::{Progress, counted, outln},
};

/// Options of `dsnet draw`.
#[derive(Debug, Args)]
#[command(after_help = "\
Whatever reads Cityscapes reads this folder: it has the same layout, label ids and PNG files, with coarse labels too. \
The three stages of the paper can be rehearsed on it, with sizes divided by 8:

  dsnet draw --out drawn --scene-size 128x256
  dsnet train --config configs/cityscapes-1-pretrain.toml --root drawn --shrink 8 --epochs 2
  dsnet train --config configs/cityscapes-2-train.toml --root drawn --shrink 8 --epochs 2
  dsnet train --config configs/cityscapes-3-finetune.toml --root drawn --shrink 8 --epochs 2")]
pub struct DrawArgs {
    /// Folder to write; it must not hold a dataset
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Scenes with fine labels to train on, and as many with coarse ones
    #[arg(long, value_name = "N", default_value_t = 60)]
    train_images: usize,
    /// Scenes to validate on
    #[arg(long, value_name = "N", default_value_t = 20)]
    val_images: usize,
    /// Size of the scenes
    #[arg(long, value_name = "HxW", default_value_t = DataSpec::SCENE_SIZE)]
    scene_size: Size,
    #[command(flatten)]
    pub(super) threads: ThreadArgs,
}

impl DrawArgs {
    pub(super) fn run(self) -> Result<()> {
        let Self { train_images, val_images, scene_size, .. } = self;
        if self.out.join("leftImg8bit").exists() {
            let what = format!("{} holds a dataset already; choose another --out", self.out.display());
            return Err(Error::usage(what));
        }
        let spec = DataSpec { train_images, val_images, scene_size, ..DataSpec::synthetic() };
        let progress = Progress::new("drawing", "scenes", (2 * train_images + val_images) as u64);
        let mut before = 0;
        for (split, annotation) in [
            (Split::Train, Annotation::Fine),
            // Scenes with coarse labels are others than those with fine ones, and than those of any test.
            (Split::TrainExtra, Annotation::Coarse),
            (Split::Val, Annotation::Fine),
        ] {
            let count = if split == Split::Val { val_images } else { train_images };
            let drawn = DataSpec { val_images: count, ..spec.clone() }.open(split)?;
            let tick = |done: usize| progress.set((before + done) as u64);
            write_cityscapes(&*drawn, &self.out, split, annotation, "synthia", &tick)?;
            before += drawn.len();
        }
        progress.finish();
        // Read back what was written, as training will.
        let root = Some(self.out.clone());
        for labels in [Labels::Fine, Labels::Coarse] {
            let spec = DataSpec { source: Source::Cityscapes, root: root.clone(), labels, ..spec.clone() };
            let train = spec.open_train()?;
            outln!("{}: {}", train.describe(), counted(train.len(), "image"))?;
        }
        outln!("in {}", self.out.display())?;
        Ok(())
    }
}
