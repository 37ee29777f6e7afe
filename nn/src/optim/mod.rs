//! Optimisers: a [`Rule`] says how parameters move, an [`Optimizer`] moves them all by one operation and keeps their state.
//!
//! A step takes named gradients ([`gradients`]), so that they can be clipped and checked in between, and so that
//! state belongs to names: it survives a checkpoint and a model built in another order.

mod adam;
mod clip;
mod ema;
mod gradient;
mod group;
mod loss_scale;
mod optimizer;
mod rule;
mod sgd;
#[cfg(test)]
mod testing;

pub use adam::{Adam, AdamW};
pub use clip::{clip_factor, clip_norm, clip_value};
pub use ema::Ema;
pub use gradient::{Gradient, check_finite, gradients};
pub use group::Group;
pub use loss_scale::LossScale;
pub use optimizer::{Optimizer, Proposal, State};
pub use rule::{Hyper, Rule};
pub use sgd::Sgd;
