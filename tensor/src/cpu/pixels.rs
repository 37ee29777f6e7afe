//! Tensors `[N, C, …]` seen as `[pixels, channels]` in memory, the form in which per-channel kernels work.

use super::conv::Source;
use crate::{Dims, Element, Error, Format, Layout, Result, Tensor, cpu};

/// `t` `[N, C, …]`, of rank 2 or more, dense in memory with the channels innermost: `[pixels, C]`. Rank 4
/// channels-last and rank 2 row-major tensors already are.
pub(crate) fn pixels(t: &Tensor) -> Result<Tensor> {
    if t.dims().len() == 4 {
        return t.to_format(Format::ChannelsLast);
    }
    let dims = folded(t.dims());
    let dense = match t.layout().reshape(&dims) {
        Some(layout) => t.with_layout(layout),
        None => t.to_format(Format::Contiguous)?.with_layout(Layout::contiguous(&dims)),
    };
    dense.to_format(Format::ChannelsLast)
}

/// A tensor of `dims` `[N, C, …]` whose `[pixels, C]` elements `fill` writes.
pub(crate) fn from_pixels<T: Element>(dims: &[usize], fill: impl FnOnce(&mut [T])) -> Result<Tensor> {
    if dims.len() == 4 {
        return cpu::output(dims, Format::ChannelsLast, fill);
    }
    let t = cpu::output(&folded(dims), Format::ChannelsLast, fill)?.to_format(Format::Contiguous)?;
    Ok(t.with_layout(Layout::contiguous(dims)))
}

/// Channels between pixels of `x`, if it is a run of channels of a channels-last image, all of whose pixels are in memory:
/// half of a split, say.
fn pitch(x: &Tensor) -> Option<usize> {
    let (layout, dims) = (x.layout(), x.dims());
    if layout.is_dense(Format::ChannelsLast) {
        return Some(dims[1]);
    }
    let pitch = layout.strides()[3];
    let run = layout.strides() == [dims[2] * dims[3] * pitch, 1, dims[3] * pitch, pitch];
    if !run || pitch == 0 {
        return None;
    }
    let start = layout.offset() % pitch;
    let end = layout.offset() - start + dims[0] * dims[2] * dims[3] * pitch;
    (start + dims[1] <= pitch && end * x.dtype().size() <= x.buffer().bytes()).then_some(pitch)
}

/// A tensor of rank 4 as it is, if its channels can be read where they lie, or a channels-last copy.
pub(crate) fn readable(x: &Tensor) -> Result<Tensor> {
    if pitch(x).is_some() { Ok(x.clone()) } else { x.to_format(Format::ChannelsLast) }
}

/// The channels of a [`readable`] tensor.
pub(crate) fn source<T: Element>(x: &Tensor) -> Result<Source<'_, T>> {
    let (dims, offset) = (x.dims(), x.layout().offset());
    let pitch = pitch(x).unwrap_or(dims[1]);
    let start = if x.layout().is_dense(Format::ChannelsLast) { 0 } else { offset % pitch };
    let (first, len) = (offset - start, dims[0] * dims[2] * dims[3] * pitch);
    let data = cpu::buffer::<T>(x)?.get(first..first + len);
    let data = data.ok_or_else(|| Error::value("channels", "an operand reaches beyond its memory"))?;
    Ok(Source { data, pitch, start, len: dims[1] })
}

/// `[N, C, L, 1]`, with all further axes joined in L.
fn folded(dims: &[usize]) -> Dims {
    Dims::from_slice(&[dims[0], dims[1], dims[2..].iter().product(), 1])
}
