//! DSNet: training, evaluating and benchmarking real-time driving-scene segmentation. The program is a thin shell
//! around this library, whose parts can be used alone.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the network and its sizes |
//! | [`data`] | which dataset a command works on |
//! | [`launch`] | which of several processes this is, and which ranks and GPUs are its own |
//! | [`train`] | settings, run folder, training loop |
//! | [`browse`] | looking at training samples |
//! | [`infer`], [`eval`], [`predict`], [`pictures`] | running a trained model |
//! | [`adjust`] | taking the weights of classes out of a trained model's logits |
//! | [`report`] | pages and figures made from runs |
//! | [`reproduce`] | the paper's tables, made again |
//! | [`tensorboard`] | a run's numbers as TensorBoard events |
//! | [`metrics`] | confusion matrix and scores |
//! | [`scaling`] | training steps on more ranks, simulated |
//! | [`mod@bench`], [`summary`], [`models`] | what a model costs, and all of them beside the paper's figures |
//! | [`ui`] | progress and tables |
//! | [`stop`] | being asked to stop by a signal |
//! | [`cli`] | the command line |

pub mod adjust;
pub mod bench;
pub mod browse;
pub mod cli;
pub mod compile;
pub mod data;
pub mod device;
mod error;
pub mod eval;
pub mod infer;
pub mod launch;
pub mod metrics;
pub mod model;
pub mod models;
pub mod pictures;
pub mod predict;
pub mod report;
pub mod reproduce;
pub mod scaling;
mod spare;
pub mod stop;
pub mod summary;
pub mod tensorboard;
pub mod train;
pub mod ui;
pub mod weights;

pub use error::{Error, Result};
