//! One step by several ranks: each differentiates the loss of its share, and the gradients are summed over them.
//!
//! What makes N ranks with B/N images each take the step of one rank with B: batch normalisation takes statistics over
//! all ranks ([`Ctx::across`]), losses are divided by the number of pixels of all ranks (`forward_across` of a loss), so
//! that a *sum* of gradients is what one rank would have found, and every rank applies the same update to its copy of
//! the model. Clipping needs nothing more: the summed gradients have the global norm.

mod buckets;
mod replica;
#[cfg(test)]
mod tests;

pub use replica::{broadcast_optimizer, broadcast_state, check_replicas};

use autograd::Var;

use crate::{
    Ctx, Module, Result,
    optim::{self, Gradient},
};

/// Bytes of gradients that are summed in one call, unless something else is asked for: few enough that the first sum
/// begins early in the backward pass, enough that a call's overhead does not count.
pub const BUCKET_BYTES: usize = 1 << 20;

/// The gradients of `model`'s parameters, summed over the ranks of `ctx`, in the order of the visit. `loss` is this
/// rank's part of the loss, from a pass under `ctx`; the parts of all ranks add up to the loss.
///
/// Sums begin while backward still runs: gradients fill buckets of `bucket_bytes` as they come, and each full bucket is
/// on its way at once. On one rank this is [`Var::backward`] and [`optim::gradients`].
///
/// # Errors
/// What backward reports; a rank that is lost or hangs.
pub fn backward(loss: &Var, ctx: &Ctx, model: &dyn Module, bucket_bytes: usize) -> Result<Vec<Gradient>> {
    if ctx.ranks().world() == 1 {
        return Ok(optim::gradients(ctx, &loss.backward()?, model));
    }
    let buckets = buckets::Buckets::attach(ctx, model, bucket_bytes);
    loss.backward()?;
    buckets.finish()
}
