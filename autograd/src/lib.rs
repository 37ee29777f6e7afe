//! Tape-based automatic differentiation over [`tensor`]'s operations.
//!
//! A [`Tape`] is a list of what was applied, in order; a [`Var`] is a tensor that may know its place in such
//! a list. Operations are [`Ops`] methods on `Var`; [`Var::backward`] walks the list in reverse.
//! Rules (in `rules/`) are themselves written in `Var`s: on plain values they run at once, on a tape they are
//! recorded, so that derivatives can be differentiated again ([`gradients`] with `create_graph`).
//!
//! ```
//! use autograd::{Ops, Tape};
//! use tensor::Tensor;
//! let tape = Tape::new();
//! let x = tape.leaf(Tensor::from_vec(vec![1.0, 2.0, 3.0], &[3])?);
//! let loss = x.square()?.sum_all()?;
//! assert_eq!(loss.backward()?.get(&x).unwrap().to_vec::<f64>()?, [2.0, 4.0, 6.0]);
//! # Ok::<(), autograd::Error>(())
//! ```

mod backward;
mod checkpoint;
mod custom;
mod error;
pub mod gradcheck;
mod pending;
mod rules;
mod tape;
mod trace;
mod var;

pub use backward::{Context, Grads, gradients, vjp};
pub use checkpoint::checkpoint;
pub use custom::{CustomOp, apply_custom};
pub use error::{Error, Result};
pub use tape::{Record, Tape};
pub use tensor::Ops;
pub use var::Var;
