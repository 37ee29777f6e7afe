//! Operations that move elements: each one's gradient moves them back.

use smallvec::SmallVec;
use tensor::{
    Dims, Ops,
    ops::{Cat, ChannelShuffle, Deinterleave, Gather, Permute, ScatterAdd, Unslice},
};

use super::{Gradients, single, wanted};
use crate::{Context, Var};

/// Where the gradient is that of the result as it is. That of a slice, which has the slice's dims, is put back into
/// its place by the engine.
pub(super) fn same(cx: &Context<'_>) -> Gradients {
    single(cx.grad(0)?)
}

pub(super) fn reshape(cx: &Context<'_>) -> Gradients {
    single(cx.grad(0)?.reshape(&cx.input_meta(0).dims)?)
}

pub(super) fn permute(permute: &Permute, cx: &Context<'_>) -> Gradients {
    let mut inverse: Dims = SmallVec::from_elem(0, permute.axes.len());
    for (to, &from) in permute.axes.iter().enumerate() {
        inverse[from] = to;
    }
    single(cx.grad(0)?.permute(&inverse)?)
}

pub(super) fn unslice(unslice: &Unslice, cx: &Context<'_>) -> Gradients {
    single(cx.grad(0)?.slice(&unslice.spans)?)
}

pub(super) fn cast(cx: &Context<'_>) -> Gradients {
    Ok(vec![wanted(cx, 0, || cx.grad(0)?.cast(cx.input_meta(0).dtype))?])
}

pub(super) fn cat(cat: &Cat, cx: &Context<'_>) -> Gradients {
    along(cx, cat.axis, &cx.grad(0)?)
}

/// What each operand has of the gradient of all, one after the other.
fn along(cx: &Context<'_>, axis: usize, g: &Var) -> Gradients {
    let mut start = 0;
    (0..cx.inputs())
        .map(|i| {
            let len = cx.input_meta(i).dims[axis];
            start += len;
            wanted(cx, i, || g.narrow(axis, start - len, len))
        })
        .collect()
}

pub(super) fn gather(gather: &Gather, cx: &Context<'_>) -> Gradients {
    let len = cx.input_meta(0).dims[gather.axis];
    Ok(vec![Some(cx.grad(0)?.scatter_add(gather.axis, &cx.input(1)?, len)?), None])
}

pub(super) fn scatter_add(scatter: &ScatterAdd, cx: &Context<'_>) -> Gradients {
    Ok(vec![Some(cx.grad(0)?.gather(scatter.axis, &cx.input(1)?)?), None])
}

pub(super) fn channel_shuffle(shuffle: &ChannelShuffle, cx: &Context<'_>) -> Gradients {
    let channels = cx.input_meta(0).dims[1];
    single(cx.grad(0)?.channel_shuffle(channels / shuffle.groups)?)
}

pub(super) fn interleave(cx: &Context<'_>) -> Gradients {
    let whole = match cx.pieces() {
        [] => Some(cx.grad(0)?),
        _ => None,
    };
    let pieces: Vec<&Var> = cx.pieces().iter().chain(&whole).collect();
    Ok(Var::apply(Deinterleave { parts: cx.inputs() }.into(), &pieces)?.into_iter().map(Some).collect())
}

/// The gradients of the operands lie one after the other in that of their concatenation.
pub(super) fn deinterleave(cx: &Context<'_>) -> Gradients {
    let grads = (0..cx.grads().len()).map(|i| cx.grad(i)).collect::<crate::Result<Vec<_>>>()?;
    let whole = Var::interleave(&grads.iter().collect::<Vec<_>>())?;
    along(cx, 1, &whole)
}
