//! Operations that move elements: each one's gradient moves them back.

use smallvec::SmallVec;
use tensor::{
    Dims, Ops,
    ops::{Cat, ChannelShuffle, Gather, Permute, ScatterAdd, Unslice},
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
    let g = cx.grad(0)?;
    let mut start = 0;
    (0..cx.inputs())
        .map(|i| {
            let len = cx.input_meta(i).dims[cat.axis];
            start += len;
            wanted(cx, i, || g.narrow(cat.axis, start - len, len))
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
    Ok(cx.grad(0)?.deinterleave(cx.inputs())?.into_iter().map(Some).collect())
}

pub(super) fn deinterleave(cx: &Context<'_>) -> Gradients {
    let grads = (0..cx.grads().len()).map(|i| cx.grad(i)).collect::<crate::Result<Vec<_>>>()?;
    single(Var::interleave(&grads.iter().collect::<Vec<_>>())?)
}
