//! CPU kernels: operands brought to channels-last (runs of channels are read where they lie) and weights to row-major, then the machinery in
//! `cpu/conv`. Results are channels-last.

use super::*;
use crate::{
    Element, Format, Outputs, Tensor,
    cpu::{
        buffer, channels_last,
        conv::{ConvGeometry, Direction, Epilogue, Source, once, weight_gradient},
        dispatch_float, output,
        simd::Scalar,
        slice,
    },
};

/// The geometry of `conv` between an input of dims `x` and an output of dims `y` (both N, C, H, W).
pub(crate) fn geometry(conv: &Conv2d, x: &[usize], y: &[usize], kernel: [usize; 2]) -> ConvGeometry {
    ConvGeometry {
        batch: x[0],
        in_h: x[2],
        in_w: x[3],
        c_in: x[1],
        c_out: y[1],
        kernel,
        stride: conv.stride,
        padding: conv.padding,
        dilation: conv.dilation,
        groups: conv.groups,
        out_h: y[2],
        out_w: y[3],
    }
}

/// Runs one of the two directions.
fn run<T: Element + Scalar>(
    geometry: &ConvGeometry,
    direction: Direction,
    ins: &[&Tensor],
    out: &[usize],
) -> Result<Outputs<Tensor>> {
    let dense;
    let source = match channels_in_place::<T>(ins[0])? {
        Some(source) => source,
        None => {
            dense = ins[0].to_format(Format::ChannelsLast)?;
            let channels = dense.dims()[1];
            Source { data: slice::<T>(&dense)?, pitch: channels, start: 0, len: channels }
        }
    };
    let w = ins[1].to_format(Format::Contiguous)?;
    let bias = ins.get(2).map(|b| b.to_format(Format::Contiguous)).transpose()?;
    let bias = bias.as_ref().map(|b| slice::<T>(b)).transpose()?;
    let (w, epilogue) = (slice::<T>(&w)?, Epilogue { bias, ..Epilogue::default() });
    Ok(smallvec::smallvec![output(out, Format::ChannelsLast, |y| {
        once(geometry, direction, source, w, epilogue, y);
    })])
}

/// The operand where it lies, if it is a run of channels of a channels-last image: half of a split needs no copy.
fn channels_in_place<T: Element>(x: &Tensor) -> Result<Option<Source<'_, T>>> {
    let (layout, dims) = (x.layout(), x.dims());
    let &[n, c, h, w] = dims else { return Ok(None) };
    let pitch = layout.strides()[3];
    let strides = [h * w * pitch, 1, w * pitch, pitch];
    if layout.strides() != strides || pitch < c || x.is_empty() {
        return Ok(None);
    }
    let start = layout.offset() % pitch;
    let (first, len) = (layout.offset() - start, n * h * w * pitch);
    let image = buffer::<T>(x)?.get(first..first + len).filter(|_| start + c <= pitch);
    Ok(image.map(|data| Source { data, pitch, start, len: c }))
}

impl Conv2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, w, y) = (ins[0].dims(), ins[1].dims(), &outs[0].dims);
        let geometry = geometry(self, x, y, [w[2], w[3]]);
        dispatch_float!(self.name(), ins[0].dtype(), T => run::<T>(&geometry, Direction::Forward, ins, y))
    }
}

impl ConvTranspose2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, w, y) = (ins[0].dims(), ins[1].dims(), &outs[0].dims);
        // The convolution of which this is the data gradient maps y to x.
        let geometry = geometry(&self.conv, y, x, [w[2], w[3]]);
        dispatch_float!(self.name(), ins[0].dtype(), T => run::<T>(&geometry, Direction::InputGradient, ins, y))
    }
}

impl Conv2dWeight {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let ((x, x_dims), (g, g_dims)) = (channels_last(ins[0])?, channels_last(ins[1])?);
        let geometry = geometry(&self.conv, &x_dims, &g_dims, self.kernel);
        dispatch_float!(self.name(), x.dtype(), T => {
            let (x, g) = (slice::<T>(&x)?, slice::<T>(&g)?);
            let fill = |w: &mut [T]| weight_gradient(&geometry, x, g, w);
            Ok(smallvec::smallvec![output(&outs[0].dims, Format::Contiguous, fill)])
        })
    }
}
