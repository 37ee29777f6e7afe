//! Layers, losses, optimisers, schedules and checkpoints.
//!
//! A [`Module`] is a function of a [`Var`](autograd::Var) and a [`Ctx`], and a list of named [`Param`]s. The
//! context is passed, not global: it holds the tape (or none), whether the module trains, the random stream
//! and the path of the module that runs, so that errors name the layer.

mod ctx;
mod error;
mod module;
mod param;

pub use ctx::Ctx;
pub use error::{Error, Result};
pub use module::{Collect, Entry, Module, Slot, Visitor, buffers, parameter_count, parameters, visit_child};
pub use param::{Buffer, Param};
