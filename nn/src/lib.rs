//! Layers, losses, optimisers, schedules, checkpoints, and several ranks.
//!
//! A [`Module`] is a function of a [`Var`](autograd::Var) and a [`Ctx`], and a list of named [`Param`]s. The
//! context is passed, not global: it holds the tape (or none), whether the module trains, in which precision, the
//! random stream and the path of the module that runs, so that errors name the layer.
//!
//! A training step, from the layers up:
//!
//! ```
//! use autograd::Var;
//! use nn::{Conv2dConfig, Ctx, Initializer, Module, loss::CrossEntropy, optim::{self, Adam, Optimizer}};
//! use tensor::{DType, Tensor, rng::Key};
//!
//! # fn main() -> nn::Result<()> {
//! let layer = Conv2dConfig::new(3, 5, 3).same().bias(true).build(&Initializer::new(1).scope("conv"))?;
//! let mut optimizer = Optimizer::new(Adam::default(), 1e-3);
//! let (image, labels) = (Tensor::ones(&[1, 3, 4, 4], DType::F32)?, Tensor::zeros(&[1, 4, 4], DType::U8)?);
//!
//! let ctx = Ctx::train(Key::new(7, 0));
//! let logits = ctx.call("conv", &layer, &ctx.input(image))?;
//! let loss = CrossEntropy::default().forward(&logits, &labels)?;
//! let grads = loss.backward()?;
//! let mut grads = optim::gradients(&ctx, &grads, &layer);
//! optim::clip_norm(&mut grads, 1.0)?;
//! optimizer.step(&grads, 1.0)?;
//! # Ok(())
//! # }
//! ```

pub mod checkpoint;
pub mod collective;
mod ctx;
mod error;
pub mod init;
pub mod layers;
pub mod loss;
mod module;
pub mod optim;
pub mod parallel;
mod param;
mod policy;
pub mod schedule;
mod state;

pub use checkpoint::Checkpoint;
pub use collective::Collective;
pub use ctx::Ctx;
pub use error::{Error, Result};
pub use init::{Init, Initializer};
pub use layers::*;
pub use module::{
    Collect, Entry, Module, Slot, Visitor, buffers, device, parameter_count, parameters, to_device,
    visit_child,
};
pub use param::{Buffer, Param};
pub use policy::{Policy, Work};
pub use state::{load_state, state_dict};
