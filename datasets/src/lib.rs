//! Driving-scene datasets: real ones from disk, an invented one from a formula, and everything between a
//! file name and a batch of tensors.
//!
//! What is here, in the order data flows through it:
//!
//! 1. [`Classes`]: names, palette, categories and id mapping of a labelling scheme (Cityscapes, CamVid).
//! 2. [`Image`] and [`LabelMap`]: decoded pictures in host memory, read with size limits and strict formats.
//! 3. [`Dataset`]: numbered samples. [`Cityscapes`] and [`CamVid`] read folders, [`Synthetic`] draws street
//!    scenes, and [`check`] finds every broken pair before training starts.
//!    [`Patches`] cuts each sample into overlapping parts, [`Cached`] keeps decoded samples on disk.
//! 4. [`class_stats`] and [`class_weights`]: class frequencies (cached on disk) and the α, γ that
//!    order-of-magnitude weighted focal loss derives from them.
//! 5. [`Augment`]: random scale, crop, flip and colour jitter, drawn from (seed, epoch, index).
//! 6. [`Loader`]: worker threads that turn samples into [`Batch`]es in an order that does not depend on how
//!    many of them there are.
//! 7. [`render`]: label maps back into pictures for people.
//!
//! Nothing in this crate panics on bad input: every failure is an [`Error`] that names the file, and the
//! pixel or line where there is one.

mod augment;
mod batch;
mod cache;
mod camvid;
mod check;
mod cityscapes;
mod cityscapes_export;
mod cityscapes_labels;
mod classes;
mod dataset;
mod error;
mod files;
mod jitter;
mod loader;
mod patches;
mod picture;
mod png;
mod read;
pub mod render;
mod resize;
pub mod rng;
mod shard;
mod shrink;
mod stats;
pub mod synthetic;
mod weights;
mod write;

pub use augment::{Augment, Geometry, Scale};
pub use batch::{Batch, Pixels, image_tensor};
pub use cache::{CacheFolder, CacheUse, Cached};
pub use camvid::CamVid;
pub use check::{Depth, Problems, check};
pub use cityscapes::{Annotation, Cityscapes};
pub use cityscapes_export::write_cityscapes;
pub use cityscapes_labels::{CITYSCAPES_LABELS, Label};
pub use classes::{Class, Classes, IGNORE};
pub use dataset::{Area, Dataset, Normalization, Sample, Split};
pub use error::{Error, Result};
pub use files::Pairs;
pub use jitter::Jitter;
pub use loader::{Augmented, Batches, Loader, LoaderOptions, Position};
pub use patches::{PatchGrid, Patches};
pub use picture::{Image, LabelMap};
pub use read::{MAX_BYTES, MAX_PIXELS};
pub use resize::{resize_image, resize_labels};
pub use shard::Shard;
pub use shrink::shrink_image;
pub use stats::{ClassStats, class_stats};
pub use synthetic::{Synthetic, SyntheticOptions};
pub use weights::{ClassWeights, class_weights};
