//! Values from nothing: `kernels/create.cu`.

use tensor::ops::{Arange, Distribution, Full, Random};
use tensor::{Format, Tensor};

use super::{Run, address, suffix};
use crate::error::Result;

pub(crate) fn full(run: &Run, op: &Full) -> Result<Tensor> {
    let y = run.empty(&op.dims, op.dtype, Format::Contiguous)?;
    if y.is_empty() {
        return Ok(y);
    }
    run.kernel("create", &format!("full_{}", suffix(op.dtype)))?
        .over(y.len())
        .arg(address(&y)?)
        .arg(y.len() as i64)
        .arg(op.value)
        .run()?;
    Ok(y)
}

pub(crate) fn arange(run: &Run, op: &Arange) -> Result<Tensor> {
    let y = run.empty(&[op.len], op.dtype, Format::Contiguous)?;
    if y.is_empty() {
        return Ok(y);
    }
    run.kernel("create", &format!("arange_{}", suffix(op.dtype)))?
        .over(y.len())
        .arg(address(&y)?)
        .arg(y.len() as i64)
        .arg(op.start)
        .arg(op.step)
        .run()?;
    Ok(y)
}

pub(crate) fn random(run: &Run, op: &Random) -> Result<Tensor> {
    let y = run.empty(&op.dims, op.dtype, Format::Contiguous)?;
    if y.is_empty() {
        return Ok(y);
    }
    let (name, a, b) = match op.distribution {
        Distribution::Uniform { low, high } => ("uniform", low, high),
        Distribution::Normal { mean, std } => ("normal", mean, std),
        Distribution::Bernoulli { p } => ("bernoulli", p, 0.0),
    };
    run.kernel("create", &format!("random_{name}_{}", suffix(op.dtype)))?
        .over(y.len().div_ceil(4))
        .arg(address(&y)?)
        .arg(y.len() as i64)
        .arg(op.key.seed)
        .arg(op.key.stream)
        .arg(run.shift())
        .arg(a)
        .arg(b)
        .run()?;
    Ok(y)
}
