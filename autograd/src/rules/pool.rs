//! Pooling. For a given index, unpooling and gathering are adjoint linear maps; so are average pooling and its
//! spreading.

use tensor::{
    Ops,
    ops::{AvgPool2d, AvgPool2dInput, MaxPool2d, MaxUnpool2d, PoolGather},
};

use super::{Gradients, single};
use crate::{Context, Var};

pub(super) fn max_pool2d(pool: &MaxPool2d, cx: &Context<'_>) -> Gradients {
    single(cx.grad(0)?.max_unpool2d(&cx.output(1)?, pool.window, size(cx))?)
}

pub(super) fn pool_gather(gather: &PoolGather, cx: &Context<'_>) -> Gradients {
    Ok(vec![Some(cx.grad(0)?.max_unpool2d(&cx.input(1)?, gather.window, size(cx))?), None])
}

pub(super) fn max_unpool2d(unpool: &MaxUnpool2d, cx: &Context<'_>) -> Gradients {
    let back = PoolGather { window: unpool.window };
    Ok(vec![Some(Var::apply1(back.into(), &[&cx.grad(0)?, &cx.input(1)?])?), None])
}

pub(super) fn avg_pool2d(pool: &AvgPool2d, cx: &Context<'_>) -> Gradients {
    let back = AvgPool2dInput { pool: pool.clone(), size: size(cx) };
    single(Var::apply1(back.into(), &[&cx.grad(0)?])?)
}

pub(super) fn avg_pool2d_input(op: &AvgPool2dInput, cx: &Context<'_>) -> Gradients {
    single(Var::apply1(op.pool.clone().into(), &[&cx.grad(0)?])?)
}

/// (H, W) of the operand.
fn size(cx: &Context<'_>) -> [usize; 2] {
    let dims = &cx.input_meta(0).dims;
    [dims[2], dims[3]]
}
