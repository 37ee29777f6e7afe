//! CPU kernels: operands brought to channels-last (runs of channels are read where they lie) and weights to row-major, then the
//! machinery in `cpu/conv`. Results are channels-last.

use ::half::bf16;

use super::*;
use crate::{
    DType, Element, Format, Ops, Outputs, Tensor,
    cpu::{
        conv::{ConvGeometry, Direction, Epilogue, bf16 as half, once, weight_gradient_of},
        dispatch_float, output,
        pixels::{readable, source},
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
    let x = readable(ins[0])?;
    let source = source::<T>(&x)?;
    let w = ins[1].to_format(Format::Contiguous)?;
    let bias = ins.get(2).map(|b| b.to_format(Format::Contiguous)).transpose()?;
    let bias = bias.as_ref().map(|b| slice::<T>(b)).transpose()?;
    let (w, epilogue) = (slice::<T>(&w)?, Epilogue { bias, ..Epilogue::default() });
    Ok(smallvec::smallvec![output(out, Format::ChannelsLast, |y| {
        once(geometry, direction, source, w, epilogue, y);
    })?])
}

/// [`run`] on bf16 operands: sums in f32, rounded once.
fn run_bf16(
    geometry: &ConvGeometry,
    direction: Direction,
    ins: &[&Tensor],
    out: &[usize],
) -> Result<Outputs<Tensor>> {
    let x = readable(ins[0])?;
    let source = source::<bf16>(&x)?;
    let w = ins[1].to_format(Format::Contiguous)?;
    let bias = ins.get(2).map(|b| b.cast(DType::F32)?.to_format(Format::Contiguous)).transpose()?;
    let bias = bias.as_ref().map(|b| slice::<f32>(b)).transpose()?;
    let w = slice::<bf16>(&w)?;
    Ok(smallvec::smallvec![output(out, Format::ChannelsLast, |y| {
        half::once(geometry, direction, source, w, bias, y);
    })?])
}

/// Runs one of the two directions in the operands' type.
fn run_any(
    op: &'static str,
    geometry: &ConvGeometry,
    direction: Direction,
    ins: &[&Tensor],
    out: &[usize],
) -> Result<Outputs<Tensor>> {
    if ins[0].dtype() == DType::BF16 {
        return run_bf16(geometry, direction, ins, out);
    }
    dispatch_float!(op, ins[0].dtype(), T => run::<T>(geometry, direction, ins, out))
}

impl Conv2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, w, y) = (ins[0].dims(), ins[1].dims(), &outs[0].dims);
        let geometry = geometry(self, x, y, [w[2], w[3]]);
        run_any(self.name(), &geometry, Direction::Forward, ins, y)
    }
}

impl ConvTranspose2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, w, y) = (ins[0].dims(), ins[1].dims(), &outs[0].dims);
        // The convolution of which this is the data gradient maps y to x.
        let geometry = geometry(&self.conv, y, x, [w[2], w[3]]);
        run_any(self.name(), &geometry, Direction::InputGradient, ins, y)
    }
}

impl Conv2dWeight {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let geometry = geometry(&self.conv, ins[0].dims(), ins[1].dims(), self.kernel);
        let (x, g) = (readable(ins[0])?, readable(ins[1])?);
        if x.dtype() == DType::BF16 {
            let (x, g) = (source::<bf16>(&x)?, source::<bf16>(&g)?);
            let fill = |w: &mut [f32]| half::weight_gradient(&geometry, x, g, w);
            let w = output(&outs[0].dims, Format::Contiguous, fill)?;
            return Ok(smallvec::smallvec![w.cast(outs[0].dtype)?]);
        }
        dispatch_float!(self.name(), x.dtype(), T => {
            let (x, g) = (source::<T>(&x)?, source::<T>(&g)?);
            let fill = |w: &mut [T]| weight_gradient_of(&geometry, x, g, w);
            Ok(smallvec::smallvec![output(&outs[0].dims, Format::Contiguous, fill)?])
        })
    }
}
