//! Dense copies: `kernels/copy.cu`, which moves elements by their size alone.

use tensor::ops::Copy;
use tensor::{Format, Layout, Tensor};

use super::{Run, Walk, address};
use crate::error::Result;

/// Side of a tile of the transposing kernels.
const TILE: usize = 32;

/// A dense copy in the format asked for: straight, transposed (between row-major and channels-last), or walked.
pub(crate) fn copy(run: &Run, op: &Copy, x: &Tensor) -> Result<Tensor> {
    let y = run.empty(x.dims(), x.dtype(), op.format)?;
    if y.is_empty() {
        return Ok(y);
    }
    let (from, to, size) = (address(x)?, address(&y)?, x.dtype().size());
    if x.layout().is_dense(op.format) {
        run.exec.stream.copy(from, to, y.len() * size)?;
        return Ok(y);
    }
    if let Some((batch, rows, columns)) = transposed(x.layout(), op.format) {
        let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
        run.kernel("copy", &format!("transpose_b{size}"))?
            .grid([tiles as u32, 1, batch as u32])
            .block([TILE as u32, 8, 1])
            .arg(from)
            .arg(to)
            .arg(rows as i32)
            .arg(columns as i32)
            .run()?;
        return Ok(y);
    }
    run.kernel("copy", &format!("copy_strided_b{size}"))?
        .over(y.len())
        .arg(from)
        .arg(to)
        .arg(Walk::new(run.op(), y.layout(), [x.layout()])?)
        .arg(y.len() as i64)
        .run()?;
    Ok(y)
}

/// Number and sizes of the matrices to transpose, where a dense tensor of one format is wanted in the other.
fn transposed(from: &Layout, to: Format) -> Option<(usize, usize, usize)> {
    let &[n, c, h, w] = from.dims() else { return None };
    let (other, rows, columns) = match to {
        Format::ChannelsLast => (Format::Contiguous, c, h * w),
        Format::Contiguous => (Format::ChannelsLast, h * w, c),
    };
    // The batch is an axis of the grid, which the driver limits.
    (from.is_dense(other) && n < 1 << 16 && rows.max(columns) < 1 << 31).then_some((n, rows, columns))
}
