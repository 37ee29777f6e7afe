//! Sizes as kernels take them, and tensors as [pixels, channels].

use tensor::{DType, Format, Layout, Tensor};

use super::{Run, copy};
use crate::error::{Error, Result};

/// A size as a C `int`, in which kernels also count the elements that they divide into pixels and channels.
///
/// # Errors
/// For 2³¹ or more.
pub(super) fn int(run: &Run, n: usize) -> Result<i32> {
    i32::try_from(n).map_err(|_| Error::Unsupported {
        op: run.op(),
        what: format!("{n} elements are more than kernels count (2^31)"),
    })
}

/// Several sizes.
pub(super) fn ints<const N: usize>(run: &Run, sizes: [usize; N]) -> Result<[i32; N]> {
    let mut all = [0; N];
    for (to, n) in all.iter_mut().zip(sizes) {
        *to = int(run, n)?;
    }
    Ok(all)
}

/// `t` seen through another layout, which must lie within its memory.
pub(super) fn seen(t: &Tensor, layout: Layout) -> Tensor {
    Tensor::from_parts(t.buffer().clone(), layout, t.dtype())
}

/// The axes of `[N, C, …]` with the channels last.
fn channels_last(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).collect()
}

/// The elements of `x` `[N, C, …]`, dense as `[N, …, C]`: its dims are these where the rank is neither 2 nor 4.
pub(super) fn pixels(run: &Run, x: &Tensor) -> Result<Tensor> {
    match x.dims().len() {
        2 => run.dense(x, Format::Contiguous),
        4 => run.dense(x, Format::ChannelsLast),
        rank => run.dense(&seen(x, x.layout().permute(&channels_last(rank))), Format::Contiguous),
    }
}

/// Room for a tensor of `dims` `[N, C, …]` in the order of [`pixels`].
pub(super) fn empty_pixels(run: &Run, dims: &[usize], dtype: DType) -> Result<Tensor> {
    match dims.len() {
        2 => run.empty(dims, dtype, Format::Contiguous),
        4 => run.empty(dims, dtype, Format::ChannelsLast),
        rank => {
            let moved: Vec<usize> = channels_last(rank).into_iter().map(|a| dims[a]).collect();
            run.empty(&moved, dtype, Format::Contiguous)
        }
    }
}

/// What [`empty_pixels`] gave, with the axes of `[N, C, …]` in their places again.
pub(super) fn from_pixels(run: &Run, y: Tensor) -> Result<Tensor> {
    let rank = y.dims().len();
    if rank == 2 || rank == 4 {
        return Ok(y);
    }
    let back: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let view = seen(&y, y.layout().permute(&back));
    copy::copy(run, &tensor::ops::Copy { format: Format::Contiguous }, &view)
}
