//! Tensors `[N, C, …]` seen as `[pixels, channels]` in memory, the form in which per-channel kernels work.

use crate::{Dims, Element, Format, Layout, Result, Tensor, cpu};

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
        return Ok(cpu::output(dims, Format::ChannelsLast, fill));
    }
    let t = cpu::output(&folded(dims), Format::ChannelsLast, fill).to_format(Format::Contiguous)?;
    Ok(t.with_layout(Layout::contiguous(dims)))
}

/// `[N, C, L, 1]`, with all further axes joined in L.
fn folded(dims: &[usize]) -> Dims {
    Dims::from_slice(&[dims[0], dims[1], dims[2..].iter().product(), 1])
}
