//! Softmax and its logarithm: `kernels/softmax.cu`.

use tensor::Tensor;

use super::geometry::{int, ints};
use super::{Run, address, suffix};
use crate::error::Result;

/// Rows that a block of the kernel takes at a time: a warp for each.
const ROWS: usize = 8;

/// Along `axis`; the logarithm where `log` is set.
pub(crate) fn softmax(run: &Run, x: &Tensor, axis: usize, log: bool) -> Result<Tensor> {
    let format = x.layout().preferred_format();
    let x = run.dense(x, format)?;
    let y = run.empty(x.dims(), x.dtype(), format)?;
    if y.is_empty() {
        return Ok(y);
    }
    int(run, x.len())?;
    let (k, suffix) = (x.dims()[axis], suffix(x.dtype()));
    // How far apart the elements of a line are in memory.
    let inner = if k == 1 { 1 } else { x.layout().strides()[axis] };
    let [k_int, inner_int] = ints(run, [k, inner])?;
    let lines = x.len() / k;
    if inner == 1 {
        run.kernel("softmax", &format!("softmax_rows_{suffix}"))?
            .over(lines.div_ceil(ROWS) * 256)
            .arg(address(&x)?)
            .arg(address(&y)?)
            .arg(lines as i64)
            .arg(k_int)
            .arg(i32::from(log))
            .run()?;
    } else {
        run.kernel("softmax", &format!("softmax_lines_{suffix}"))?
            .over(lines)
            .arg(address(&x)?)
            .arg(address(&y)?)
            .arg(lines as i64)
            .arg(k_int)
            .arg(inner_int)
            .arg(i32::from(log))
            .run()?;
    }
    Ok(y)
}
