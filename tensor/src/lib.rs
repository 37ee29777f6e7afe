//! Tensors, operations as values, and the CPU backend.
//!
//! * [`Tensor`] is a cheap handle on an immutable value: a buffer seen through a [`Layout`], with a [`DType`].
//! * [`Op`] is an operation as a value. It knows its shape rule ([`Op::infer`]), its [`Cost`] and its name;
//!   everything that reads a list of operations (the tape, a profiler, a compiler) relies on that alone.
//! * [`Backend`] runs operations. The CPU is its first implementor; the trait is object-safe, so a tensor
//!   carries its device without a type parameter.
//! * [`Ops`] spells the operations as methods (`x.conv2d(..)`, `x.relu()`), once for every kind of value
//!   that can apply an [`Op`]: plain tensors here, recorded variables in `autograd`.

mod backend;
pub mod cpu;
mod dtype;
mod error;
pub mod graph;
mod layout;
mod meta;
mod op;
pub mod ops;
mod ops_trait;
mod plan;
pub mod profile;
pub mod rng;
pub mod scope;
mod shape_only;
mod tensor;

pub use backend::{Backend, Buffer, Device, execute, execute_on};
pub use dtype::{DType, Element};
pub use error::{Error, Result};
pub use graph::Graph;
pub use layout::{Dims, Format, Layout};
pub use meta::{Cost, Meta};
pub use op::{Op, OpDef};
pub use ops_trait::Ops;
pub use plan::{Plan, PlanMemory};
pub use tensor::{Outputs, Tensor};
