//! Softmax and its logarithm, from the saved result.

use tensor::{
    Ops,
    ops::{LogSoftmax, Softmax},
};

use super::{Gradients, single};
use crate::Context;

/// `y·(g − Σ g·y)`.
pub(super) fn softmax(op: &Softmax, cx: &Context<'_>) -> Gradients {
    let (g, y) = (cx.grad(0)?, cx.output(0)?);
    let inner = g.mul(&y)?.sum(&[op.axis], true)?;
    single(y.mul(&g.sub(&inner)?)?)
}

/// `g − eʸ·Σ g`.
pub(super) fn log_softmax(op: &LogSoftmax, cx: &Context<'_>) -> Gradients {
    let (g, y) = (cx.grad(0)?, cx.output(0)?);
    let total = g.sum(&[op.axis], true)?;
    single(g.sub(&y.exp()?.mul(&total)?)?)
}
