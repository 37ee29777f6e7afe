//! Training: options and what they resolve to, the run folder, the loop.

mod config;
mod data;
mod feed;
mod fit;
mod folder;
mod guard;
mod learner;
mod line;
mod lock;
mod log;
mod options;
mod processes;
mod ranks;
mod rate;
mod recorded;
mod rescue;
mod run;
mod samples;
mod shrink;
mod tell;
mod values;

pub use config::TrainConfig;
pub use data::TrainData;
use feed::Feed;
pub use folder::RunFolder;
pub(crate) use folder::{LAST, PREVIOUS};
pub use learner::{Learner, StepLoss};
pub use line::{EpochLine, Line, Phases, StartLine, StepLine};
use lock::Lock;
pub use log::Log;
pub use options::{OptimizerKind, TrainOptions};
pub use processes::{follow, lead};
pub use run::{train, train_on};
pub use samples::{Sample, Samples};
pub(crate) use values::pair as size_pair;
pub use values::{Crop, Fall, Loss, PatchList, Scales, Size};
