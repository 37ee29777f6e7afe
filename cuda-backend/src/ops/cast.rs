//! Conversion between element types: `kernels/cast.cu`.

use tensor::Tensor;
use tensor::ops::Cast;

use super::{Run, address, suffix};
use crate::error::Result;

pub(crate) fn cast(run: &Run, op: &Cast, x: &Tensor) -> Result<Tensor> {
    let format = x.layout().preferred_format();
    let x = run.dense(x, format)?;
    if x.dtype() == op.dtype {
        return Ok(x);
    }
    let y = run.empty(x.dims(), op.dtype, format)?;
    if y.is_empty() {
        return Ok(y);
    }
    run.kernel("cast", &format!("cast_{}_{}", suffix(x.dtype()), suffix(op.dtype)))?
        .over(y.len())
        .arg(address(&x)?)
        .arg(address(&y)?)
        .arg(y.len() as i64)
        .run()?;
    Ok(y)
}
