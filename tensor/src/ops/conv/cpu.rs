//! CPU kernels: operands brought to channels-last (runs of channels are read where they lie) and weights to row-major, then the machinery in
//! `cpu/conv`. Results are channels-last.

use super::*;
use crate::{
    Element, Format, Outputs, Tensor,
    cpu::{
        conv::{ConvGeometry, Direction, Epilogue, once, weight_gradient_of},
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
    })])
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
        let geometry = geometry(&self.conv, ins[0].dims(), ins[1].dims(), self.kernel);
        let (x, g) = (readable(ins[0])?, readable(ins[1])?);
        dispatch_float!(self.name(), x.dtype(), T => {
            let (x, g) = (source::<T>(&x)?, source::<T>(&g)?);
            let fill = |w: &mut [T]| weight_gradient_of(&geometry, x, g, w);
            Ok(smallvec::smallvec![output(&outs[0].dims, Format::Contiguous, fill)])
        })
    }
}
