//! NVIDIA GPUs as a [`Backend`](tensor::Backend) of `tensor`.
//!
//! Nothing is linked and no toolkit is needed: a program with this crate builds and starts on a machine that has never seen a
//! GPU. Libraries are opened when asked for, in a fixed search order ([`folders`]), and what was tried is part of every
//! answer. [`device`] opens a GPU; [`examine`] looks at everything and returns a [`Report`], which `dsnet doctor` prints.
//!
//! | module | holds |
//! | --- | --- |
//! | [`catalog`], [`environment`], [`folders`], [`locate`](mod@locate) | the libraries, where they are sought, opening them |
//! | [`driver`], [`version`], [`report`] | what was found, for `dsnet doctor` |
//! | `ffi` | C functions with the types of `cudarc`'s generated bindings, without their panics |
//! | [`runtime`] | contexts, streams, events, pinned memory, modules, recorded graphs, launches |
//! | [`memory`] | the caching pool, with who holds what |
//! | `dnn`, `blas`, [`nccl`] | cuDNN, cuBLASLt, NCCL |
//! | `ops` | each operation's kernel or library call; start here to add one |
//! | `plan` | graphs, recorded and replayed |
//! | `staging` | batches on their way to the device |
//! | `recording`, `kept` | whole steps, recorded and replayed |
//! | `faults` | values out of range, told by kernels |
//! | [`cache`] | what is kept on disk: compiled kernels, fastest algorithms |
//!
//! Kernels lie in `kernels/`; `emulator/` stands for driver and libraries in tests. `docs/cuda.md` tells the whole.

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
mod kept;
pub mod locate;
pub mod memory;
pub mod nccl;
mod ops;
mod plan;
mod recording;
pub mod report;
pub mod runtime;
mod staging;
pub mod version;

pub use backend::{CudaBackend, device};
pub use buffer::CudaBuffer;
pub use catalog::Library;
pub use environment::Environment;
pub use error::{Code, Error, Result};
pub use locate::{Found, Missing, locate};
pub use recording::{Recorded, Recording};
pub use report::{Report, examine};
pub use staging::{Staged, Staging};
