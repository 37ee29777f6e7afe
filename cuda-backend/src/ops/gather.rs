//! Picking by index, and its adjoint: `kernels/gather.cu`.

use tensor::ops::{Gather, ScatterAdd};
use tensor::{Format, Layout, Meta, Tensor};

use super::{Run, Walk, address, fill_zeros, suffix};
use crate::error::Result;

/// What an index does that fails.
fn rule(axis: usize, size: usize) -> String {
    format!("is outside axis {axis} of size {size}")
}

/// `layout` without steps along `axis`, with the dims of `like`: where an index along that axis adds its own step.
fn without_axis(layout: &Layout, axis: usize, like: &[usize]) -> Layout {
    if layout.is_empty() {
        return Layout::contiguous(&vec![1; like.len()]).broadcast_to(like);
    }
    layout.slice(axis, 0, 1, 1).broadcast_to(like)
}

pub(crate) fn gather(run: &Run, op: &Gather, x: &Tensor, index: &Tensor, out: &Meta) -> Result<Tensor> {
    let y = run.empty(&out.dims, out.dtype, x.layout().preferred_format())?;
    if y.is_empty() {
        return Ok(y);
    }
    let rows = without_axis(x.layout(), op.axis, &out.dims);
    let format = x.layout().preferred_format();
    let (fault, ticket) = run.fault("index", rule(op.axis, x.dims()[op.axis]), &out.dims, format);
    run.kernel("gather", &format!("gather_b{}", x.dtype().size()))?
        .over(y.len())
        .arg(address(x)?)
        .arg(address(index)?)
        .arg(address(&y)?)
        .arg(Walk::new(run.op(), y.layout(), [index.layout(), &rows])?)
        .arg(y.len() as i64)
        .arg(x.dims()[op.axis] as i64)
        .arg(x.layout().strides()[op.axis] as i64)
        .arg(fault)
        .arg(ticket)
        .run()?;
    Ok(y)
}

pub(crate) fn scatter_add(
    run: &Run,
    op: &ScatterAdd,
    g: &Tensor,
    index: &Tensor,
    out: &Meta,
) -> Result<Tensor> {
    let y = run.empty(&out.dims, out.dtype, g.layout().preferred_format())?;
    if g.is_empty() {
        fill_zeros(run, &y)?;
        return Ok(y);
    }
    let (fault, ticket) = run.fault("index", rule(op.axis, op.len), index.dims(), Format::Contiguous);
    run.kernel("gather", "check_index")?
        .over(index.len())
        .arg(address(index)?)
        .arg(Walk::new(run.op(), &Layout::contiguous(index.dims()), [index.layout()])?)
        .arg(index.len() as i64)
        .arg(op.len as i64)
        .arg(fault)
        .arg(ticket)
        .run()?;
    if y.is_empty() {
        return Ok(y);
    }
    // The place along the axis, as an operand that is its own offset.
    let mut along = vec![1; out.dims.len()];
    along[op.axis] = op.len;
    let along = Layout::contiguous(&along).broadcast_to(&out.dims);
    let [from, by] = [g, index].map(|t| without_axis(t.layout(), op.axis, &out.dims));
    run.kernel("gather", &format!("scatter_add_{}", suffix(g.dtype())))?
        .over(y.len())
        .arg(address(g)?)
        .arg(address(index)?)
        .arg(address(&y)?)
        .arg(Walk::new(run.op(), y.layout(), [&from, &by, &along])?)
        .arg(y.len() as i64)
        .arg(g.dims()[op.axis] as i64)
        .arg(g.layout().strides()[op.axis] as i64)
        .arg(index.layout().strides()[op.axis] as i64)
        .run()?;
    Ok(y)
}
