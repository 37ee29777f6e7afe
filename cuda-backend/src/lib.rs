//! Finding NVIDIA's driver and libraries at run time, and saying what is missing.
//!
//! Nothing is linked: a program with this crate starts on a machine that has never seen a GPU. Libraries are opened when
//! asked for, in a fixed search order ([`folders`]), and what was tried is part of every answer, so that a person can see why
//! a library that "is installed" was not found. [`examine`] looks at everything and returns a [`Report`], which the
//! `dsnet doctor` command prints; [`locate()`] opens one library for use.
//!
//! | module | holds |
//! | --- | --- |
//! | [`catalog`] | the libraries: file names, packages that bring them |
//! | [`environment`] | what a search depends on: variables, file-system root, dynamic loader |
//! | [`folders`] | the search order |
//! | [`locate`](mod@locate) | opening a library, remembering every place tried |
//! | [`driver`] | the driver and the devices it shows |
//! | [`version`] | asking a library for its version |
//! | [`report`] | all of it together, readable |

mod backend;
mod blas;
mod buffer;
pub mod cache;
pub mod catalog;
mod dnn;
pub mod driver;
pub mod environment;
mod error;
mod faults;
mod ffi;
pub mod folders;
mod gpu;
pub mod locate;
pub mod memory;
pub mod nccl;
mod ops;
mod plan;
pub mod report;
pub mod runtime;
pub mod version;

pub use backend::{CudaBackend, device};
pub use buffer::CudaBuffer;
pub use catalog::Library;
pub use environment::Environment;
pub use error::{Code, Error, Result};
pub use locate::{Found, Missing, locate};
pub use report::{Report, examine};
