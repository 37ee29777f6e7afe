//! The one error type of this crate. Messages are for people: what was wrong, in which file and where in it,
//! and what to do about it.

use std::path::PathBuf;

use crate::check::Problems;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong between a folder name and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read, write or list something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "read", "write", "list".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A picture file is not what it should be: wrong format, truncated, corrupt.
    #[error("{}: {reason}", path.display())]
    Decode {
        /// The picture file.
        path: PathBuf,
        /// What is wrong with its contents.
        reason: String,
    },
    /// A picture declares more pixels than this crate is willing to allocate for.
    #[error("{}: the header declares {width}x{height} pixels, more than {limit}", path.display())]
    TooLarge {
        /// The picture file.
        path: PathBuf,
        /// Declared width in pixels.
        width: u64,
        /// Declared height in pixels.
        height: u64,
        /// What the size was measured against, in words.
        limit: String,
    },
    /// A label picture is not 8-bit grey.
    #[error("{}: label pictures must be 8-bit grey PNG (one class id per pixel), this one is {found}", path.display())]
    LabelFormat {
        /// The label file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A label picture holds an id that the label table does not know.
    #[error("{}: pixel (x={x}, y={y}) has label {value}, which {mapping} does not contain", path.display())]
    LabelValue {
        /// The label file.
        path: PathBuf,
        /// Column of the first offending pixel, from 0.
        x: usize,
        /// Row of the first offending pixel, from 0.
        y: usize,
        /// The value found there.
        value: u8,
        /// The table that was used, in words.
        mapping: &'static str,
    },
    /// Image and label of one sample differ in size.
    #[error("{} is {}x{} but its label {} is {}x{}", image.display(), image_size.0, image_size.1,
        label.display(), label_size.0, label_size.1)]
    SizeMismatch {
        /// The image file.
        image: PathBuf,
        /// Its width and height.
        image_size: (usize, usize),
        /// The label file.
        label: PathBuf,
        /// Its width and height.
        label_size: (usize, usize),
    },
    /// A label was asked for where there is none.
    #[error("{image}: no label picture; {hint}")]
    NoLabel {
        /// The sample.
        image: String,
        /// Where it was looked for, or why there is none.
        hint: String,
    },
    /// A dataset folder does not look like the layout it should have.
    #[error("{}: {reason}", root.display())]
    Layout {
        /// The folder.
        root: PathBuf,
        /// What was expected and not found.
        reason: String,
    },
    /// A line of a split list cannot be used.
    #[error("{}, line {line}: {reason}", path.display())]
    List {
        /// The list file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with the line.
        reason: String,
    },
    /// Several files are unusable; see [`crate::check`].
    #[error(transparent)]
    Invalid(#[from] Problems),
    /// A sample number beyond the end.
    #[error("sample {index} was asked for, but {dataset} has {len}")]
    Index {
        /// The number asked for.
        index: usize,
        /// How many samples there are.
        len: usize,
        /// The dataset.
        dataset: String,
    },
    /// An option that makes no sense.
    #[error("{0}")]
    Options(String),
    /// Samples of one batch came out in different sizes.
    #[error("{first} is {}x{} but {other} is {}x{}: pictures of one batch must have one size; \
        set a crop, or use a batch of 1", first_size.0, first_size.1, other_size.0, other_size.1)]
    BatchSizes {
        /// First sample of the batch.
        first: String,
        /// Its width and height.
        first_size: (usize, usize),
        /// The sample that differs.
        other: String,
        /// Its width and height.
        other_size: (usize, usize),
    },
    /// A loader thread failed in a way that is a bug, not bad data.
    #[error("a loader thread panicked at epoch {epoch}, batch {batch}: {message}")]
    Worker {
        /// Epoch being loaded.
        epoch: usize,
        /// Batch being loaded.
        batch: usize,
        /// The panic's message.
        message: String,
    },
    /// The tensor crate refused a batch.
    #[error("collating a batch: {0}")]
    Tensor(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Error {
        Error::Io { action, path: path.into(), source }
    }

    pub(crate) fn decode(path: impl Into<PathBuf>, reason: impl Into<String>) -> Error {
        Error::Decode { path: path.into(), reason: reason.into() }
    }
}
