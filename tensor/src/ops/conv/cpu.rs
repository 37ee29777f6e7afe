//! CPU kernels: operands brought to channels-last and weights to row-major, then the machinery in
//! `cpu/conv`. Results are channels-last.

use super::*;
use crate::{
    Element, Format, Outputs, Tensor,
    cpu::{
        channels_last,
        conv::{ConvGeometry, Epilogue, forward, input_gradient, weight_gradient},
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

/// Runs one of the two directions with operands prepared.
fn run<T: Element + Scalar>(
    ins: &[&Tensor],
    out: &[usize],
    kernel: impl Fn(&[T], &[T], Epilogue<'_, T>, &mut [T]),
) -> Result<Outputs<Tensor>> {
    let (x, _) = channels_last(ins[0])?;
    let w = ins[1].to_format(Format::Contiguous)?;
    let bias = ins.get(2).map(|b| b.to_format(Format::Contiguous)).transpose()?;
    let bias = bias.as_ref().map(|b| slice::<T>(b)).transpose()?;
    let (x, w) = (slice::<T>(&x)?, slice::<T>(&w)?);
    let epilogue = Epilogue { bias, ..Epilogue::default() };
    Ok(smallvec::smallvec![output(out, Format::ChannelsLast, |y| kernel(x, w, epilogue, y))])
}

impl Conv2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, w, y) = (ins[0].dims(), ins[1].dims(), &outs[0].dims);
        let geometry = geometry(self, x, y, [w[2], w[3]]);
        dispatch_float!(self.name(), ins[0].dtype(), T => {
            run::<T>(ins, y, |x, w, epilogue, y| forward(&geometry, x, w, epilogue, y))
        })
    }
}

impl ConvTranspose2d {
    pub(crate) fn cpu(&self, ins: &[&Tensor], outs: &[Meta]) -> Result<Outputs<Tensor>> {
        let (x, w, y) = (ins[0].dims(), ins[1].dims(), &outs[0].dims);
        // The convolution of which this is the data gradient maps y to x.
        let geometry = geometry(&self.conv, y, x, [w[2], w[3]]);
        dispatch_float!(self.name(), ins[0].dtype(), T => {
            run::<T>(ins, y, |x, w, epilogue, y| input_gradient(&geometry, x, w, epilogue, y))
        })
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
