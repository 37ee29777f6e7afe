//! Joining, putting back, shuffling: the kernels of `kernels/copy.cu` besides plain copies.

use tensor::ops::{Cat, ChannelShuffle, Unslice};
use tensor::{Format, Meta, Tensor};

use super::geometry::{int, ints};
use super::{Run, address};
use crate::error::{Error, Result};
use crate::runtime::Scalar;

/// Operands that one launch joins (`MAX_OPERANDS`).
const AT_ONCE: usize = 8;
/// Axes that kernels take (`MAX_RANK`).
const MAX_RANK: usize = 8;

/// `Operands` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Operands {
    count: i32,
    width: [i32; AT_ONCE],
    start: [i32; AT_ONCE],
    data: [u64; AT_ONCE],
}

// SAFETY: the same fields in the same order as in `kernels/copy.cu`, by C's rules of layout; padding is never read.
unsafe impl Scalar for Operands {}

/// `Spans` of the kernels.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Spans {
    rank: i32,
    dims: [i32; MAX_RANK],
    start: [i32; MAX_RANK],
    len: [i32; MAX_RANK],
    step: [i32; MAX_RANK],
    from: [i64; MAX_RANK],
}

// SAFETY: as above.
unsafe impl Scalar for Spans {}

/// The axes from the outermost to the innermost in memory.
fn order(rank: usize, format: Format) -> Vec<usize> {
    match (format, rank) {
        (Format::ChannelsLast, 4) => vec![0, 2, 3, 1],
        _ => (0..rank).collect(),
    }
}

pub(crate) fn cat(run: &Run, op: &Cat, ins: &[&Tensor], out: &Meta) -> Result<Tensor> {
    let formats = ins.iter().map(|t| t.layout().preferred_format());
    let format = formats.max_by_key(|f| *f == Format::ChannelsLast).unwrap_or(Format::Contiguous);
    let y = run.empty(&out.dims, out.dtype, format)?;
    if y.is_empty() {
        return Ok(y);
    }
    let order = order(out.dims.len(), format);
    let at = order.iter().position(|&a| a == op.axis).unwrap_or(0);
    let size = |t: &[usize], axes: &[usize]| axes.iter().map(|&a| t[a]).product::<usize>();
    let (outer, row) = (size(&out.dims, &order[..at]), size(&out.dims, &order[at..]));
    let row_width = int(run, row)?;
    let mut start = 0;
    for group in ins.chunks(AT_ONCE) {
        let dense = group.iter().map(|t| run.dense(t, format)).collect::<Result<Vec<_>>>()?;
        let (width, mut data) = ([0; AT_ONCE], [0; AT_ONCE]);
        let mut operands = Operands { count: dense.len() as i32, width, start: width, data };
        let mut most = 0;
        for (i, t) in dense.iter().enumerate() {
            let width = size(t.dims(), &order[at..]);
            (operands.width[i], operands.start[i]) = (int(run, width)?, int(run, start)?);
            data[i] = address(t)?;
            start += width;
            most = most.max(int(run, t.len())?);
        }
        operands.data = data;
        if most > 0 {
            run.kernel("copy", &format!("cat_b{}", out.dtype.size()))?
                .over(most as usize)
                .arg(operands)
                .arg(address(&y)?)
                .arg(outer as i64)
                .arg(row_width)
                .run()?;
        }
    }
    Ok(y)
}

pub(crate) fn unslice(run: &Run, op: &Unslice, x: &Tensor) -> Result<Tensor> {
    let format = x.layout().preferred_format();
    let y = run.empty(&op.dims, x.dtype(), format)?;
    if y.is_empty() {
        return Ok(y);
    }
    let mut spans = Spans { rank: op.dims.len() as i32, ..Spans::default() };
    if op.dims.len() > MAX_RANK {
        let what = format!("kernels take up to {MAX_RANK} axes, not {}", op.dims.len());
        return Err(Error::Unsupported { op: run.op(), what });
    }
    int(run, y.len())?;
    for (i, &axis) in order(op.dims.len(), format).iter().enumerate() {
        let span = op.spans[axis];
        [spans.dims[i], spans.start[i], spans.len[i], spans.step[i]] =
            ints(run, [op.dims[axis], span.start, span.len, span.step])?;
        spans.from[i] = x.layout().strides()[axis] as i64;
    }
    run.kernel("copy", &format!("unslice_b{}", x.dtype().size()))?
        .over(y.len())
        .arg(address(x)?)
        .arg(address(&y)?)
        .arg(spans)
        .arg(y.len() as i64)
        .run()?;
    Ok(y)
}

pub(crate) fn channel_shuffle(run: &Run, op: &ChannelShuffle, x: &Tensor) -> Result<Tensor> {
    let format = x.layout().preferred_format();
    let x = run.dense(x, format)?;
    let y = run.empty(x.dims(), x.dtype(), format)?;
    if y.is_empty() {
        return Ok(y);
    }
    let inner = if format == Format::ChannelsLast { 1 } else { x.dims()[2..].iter().product() };
    let [n, channels, groups, inner] = ints(run, [y.len(), x.dims()[1], op.groups, inner])?;
    run.kernel("copy", &format!("channel_shuffle_b{}", x.dtype().size()))?
        .over(y.len())
        .arg(address(&x)?)
        .arg(address(&y)?)
        .arg(i64::from(n))
        .arg(channels)
        .arg(groups)
        .arg(inner)
        .run()?;
    Ok(y)
}
