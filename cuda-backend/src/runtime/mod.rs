//! The driver's objects, owned: contexts, streams, events, page-locked memory, modules, captured graphs, launches.
//!
//! Everything here is a thin owner of a handle: creating returns an error that says what failed, dropping gives the handle
//! back and never panics. All `unsafe` calls into the driver are in this folder and in [`crate::memory`].

pub mod context;
mod copy;
pub mod event;
pub mod graph;
pub mod kernels;
mod launch;
mod mailbox;
pub mod pinned;
pub mod stream;

pub use context::Context;
pub use event::Event;
pub use graph::CapturedGraph;
pub use kernels::{Function, Kernels};
pub(crate) use launch::{BLOCK, Launch, Scalar, bytes_of};
pub use pinned::Pinned;
pub use stream::{Priority, Stream};
