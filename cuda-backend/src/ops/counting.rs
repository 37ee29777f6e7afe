//! Counts: `kernels/counting.cu`.

use tensor::ops::{Bincount, Histogram};
use tensor::{Format, Meta, Tensor};

use super::geometry::int;
use super::{Run, address, fill_zeros, suffix};
use crate::error::Result;

/// The operand, dense in any order, and zeros to count in.
fn start(run: &Run, x: &Tensor, out: &Meta) -> Result<(Tensor, Tensor)> {
    let counts = run.empty(&out.dims, out.dtype, Format::Contiguous)?;
    fill_zeros(run, &counts)?;
    Ok((run.dense(x, x.layout().preferred_format())?, counts))
}

pub(crate) fn bincount(run: &Run, op: &Bincount, x: &Tensor, out: &Meta) -> Result<Tensor> {
    let (x, counts) = start(run, x, out)?;
    if x.is_empty() {
        return Ok(counts);
    }
    let (rule, format) = (format!("has no bin among 0..{}", op.bins), x.layout().preferred_format());
    let (fault, ticket) = run.fault("value", rule, x.dims(), format);
    run.kernel("counting", &format!("bincount_{}", suffix(x.dtype())))?
        .over(x.len())
        .arg(address(&x)?)
        .arg(address(&counts)?)
        .arg(x.len() as i64)
        .arg(int(run, op.bins)?)
        .arg(fault)
        .arg(ticket)
        .run()?;
    Ok(counts)
}

pub(crate) fn histogram(run: &Run, op: &Histogram, x: &Tensor, out: &Meta) -> Result<Tensor> {
    let (x, counts) = start(run, x, out)?;
    if x.is_empty() {
        return Ok(counts);
    }
    run.kernel("counting", &format!("histogram_{}", suffix(x.dtype())))?
        .over(x.len())
        .arg(address(&x)?)
        .arg(address(&counts)?)
        .arg(x.len() as i64)
        .arg(int(run, op.bins)?)
        .arg(op.low)
        .arg(op.high)
        .run()?;
    Ok(counts)
}
