//! TensorBoard event files, written without TensorBoard: a few protobuf fields ([`mod@event`]) in checksummed records
//! (`record`). A run keeps one such file beside its log, so that `tensorboard --logdir runs` shows every run.

mod crc32c;
pub mod event;
mod file;
mod record;

pub(crate) use file::now;
pub use file::{EventFile, Until};
