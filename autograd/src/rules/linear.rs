//! Products: matrix products and convolutions. The convolution, its transpose and its weight gradient are closed
//! under differentiation: each one's derivatives are the other two.

use smallvec::SmallVec;
use tensor::{
    Ops,
    ops::{Conv2d, Conv2dWeight, ConvTranspose2d, Span, Unslice},
};

use super::{Gradients, wanted};
use crate::{Context, Error, Result, Var};

pub(super) fn matmul(cx: &Context<'_>) -> Gradients {
    let g = cx.grad(0)?;
    let (rank_a, rank_b) = (cx.input_meta(0).rank(), cx.input_meta(1).rank());
    let a = wanted(cx, 0, || g.matmul(&cx.input(1)?.transpose(rank_b - 2, rank_b - 1)?))?;
    let b = wanted(cx, 1, || {
        let a = cx.input(0)?;
        if rank_b > 2 || rank_a == 2 {
            return a.transpose(rank_a - 2, rank_a - 1)?.matmul(&g);
        }
        // A matrix applied to a batch: one product over all rows instead of one each and a sum.
        let rows = |x: &Var| x.flatten(0, rank_a - 2);
        rows(&a)?.transpose(0, 1)?.matmul(&rows(&g)?)
    })?;
    Ok(vec![a, b])
}

pub(super) fn conv2d(conv: &Conv2d, cx: &Context<'_>) -> Gradients {
    let g = cx.grad(0)?;
    let (size, kernel) = (image(cx, 0), image(cx, 1));
    let x = wanted(cx, 0, || transpose(conv, &g, &cx.input(1)?, size))?;
    let w = wanted(cx, 1, || weight(conv, &cx.input(0)?, &g, kernel))?;
    with_bias(cx, &g, vec![x, w])
}

pub(super) fn conv_transpose2d(transposed: &ConvTranspose2d, cx: &Context<'_>) -> Gradients {
    let g = cx.grad(0)?;
    let conv = &transposed.conv;
    let (size, kernel) = (image(cx, 0), image(cx, 1));
    // With output padding beyond the stride the convolution reaches further than the operand: there, the operand
    // counts as zero.
    let reach = conv.output_size(image_of(&g), kernel).unwrap_or(size);
    let x = wanted(cx, 0, || {
        let x = g.conv2d(&cx.input(1)?, None, conv)?;
        if reach == size { Ok(x) } else { x.slice(&spans(cx, size)) }
    })?;
    let w = wanted(cx, 1, || {
        let mut x = cx.input(0)?;
        if reach != size {
            let mut dims = cx.input_meta(0).dims.clone();
            dims[2..].copy_from_slice(&reach);
            x = Var::apply1(Unslice { dims, spans: spans(cx, size) }.into(), &[&x])?;
        }
        weight(conv, &g, &x, kernel)
    })?;
    with_bias(cx, &g, vec![x, w])
}

pub(super) fn conv2d_weight(op: &Conv2dWeight, cx: &Context<'_>) -> Gradients {
    let seed = cx.grad(0)?;
    let x = wanted(cx, 0, || transpose(&op.conv, &cx.input(1)?, &seed, image(cx, 0)))?;
    let g = wanted(cx, 1, || cx.input(0)?.conv2d(&seed, None, &op.conv))?;
    Ok(vec![x, g])
}

/// (H, W) of operand `i`.
fn image(cx: &Context<'_>, i: usize) -> [usize; 2] {
    let dims = &cx.input_meta(i).dims;
    [dims[2], dims[3]]
}

fn image_of(x: &Var) -> [usize; 2] {
    [x.dims()[2], x.dims()[3]]
}

/// The first rows and columns of a map with the batch and channels of operand 0.
fn spans(cx: &Context<'_>, size: [usize; 2]) -> SmallVec<[Span; 4]> {
    let dims = &cx.input_meta(0).dims;
    [dims[0], dims[1], size[0], size[1]].into_iter().map(Span::all).collect()
}

/// The transpose of `conv` applied to `g`, with the output padding that gives a map of `size`.
fn transpose(conv: &Conv2d, g: &Var, w: &Var, size: [usize; 2]) -> Result<Var> {
    let (from, kernel) = (image_of(g), image_of(w));
    let mut output_padding = [0; 2];
    for a in 0..2 {
        let full = (from[a] - 1) * conv.stride[a] + conv.dilation[a] * (kernel[a] - 1) + 1;
        output_padding[a] = (size[a] + 2 * conv.padding[a]).checked_sub(full).ok_or_else(|| {
            Error::Message(format!("conv2d: {from:?} is not the output size for an input of {size:?}"))
        })?;
    }
    g.conv_transpose2d(w, None, &ConvTranspose2d { conv: conv.clone(), output_padding })
}

fn weight(conv: &Conv2d, x: &Var, g: &Var, kernel: [usize; 2]) -> Result<Var> {
    Var::apply1(Conv2dWeight { conv: conv.clone(), kernel }.into(), &[x, g])
}

/// Appends the gradient of the bias, where there is one.
fn with_bias(cx: &Context<'_>, g: &Var, mut grads: Vec<Option<Var>>) -> Gradients {
    if cx.inputs() == 3 {
        grads.push(wanted(cx, 2, || g.sum(&[0, 2, 3], false))?);
    }
    Ok(grads)
}
