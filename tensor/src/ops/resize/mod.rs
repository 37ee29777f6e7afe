//! Resizing of feature maps and its adjoint.
//!
//! Source position of result pixel `i`: with aligned corners `i·(in − 1)/(out − 1)`; otherwise, bilinear,
//! `(i + ½)·in/out − ½` clamped at 0, and, nearest, `⌊i·in/out⌋` — as PyTorch's `interpolate` does. (Nearest with
//! aligned corners rounds `i·(in − 1)/(out − 1)` to the nearest pixel.) Nearest positions are exact here; PyTorch's
//! single-precision scale takes the pixel before at a few places of odd size pairs, such as 2 → 82.

mod cpu;

use smallvec::SmallVec;

use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands, rank, same_float},
};

/// How values between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The value of one pixel.
    Nearest,
    /// Weighted mean of four pixels.
    Bilinear,
}

/// `[N, C, H, W]` resized to `[N, C, size]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize2d {
    /// How values between pixels are found.
    pub mode: Interpolation,
    /// Whether the corner pixels' centres (instead of their outer corners) are aligned.
    pub align_corners: bool,
    /// (H, W) of the result.
    pub size: [usize; 2],
}

/// The adjoint of [`Resize2d`]: operand of the resized shape, result of (H, W) `input`.
#[derive(Debug, Clone, PartialEq)]
pub struct Resize2dInput {
    /// The resizing.
    pub resize: Resize2d,
    /// (H, W) of the result: the size before resizing.
    pub input: [usize; 2],
}

impl OpDef for Resize2d {
    fn name(&self) -> &'static str {
        "resize2d"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("resize2d", ins)?;
        same_float("resize2d", ins)?;
        rank("resize2d", ins, 0, 4, "[N, C, H, W]")?;
        if x.dims[2] == 0 || x.dims[3] == 0 || self.size.contains(&0) {
            return Err(Error::shape(
                "resize2d",
                ins,
                format!("can not resize an empty map, or to {:?}", self.size),
            ));
        }
        one(Meta::new(&[x.dims[0], x.dims[1], self.size[0], self.size[1]][..], x.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, if self.mode == Interpolation::Bilinear { 7 } else { 0 })
    }
}

impl OpDef for Resize2dInput {
    fn name(&self) -> &'static str {
        "resize2d_input"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [g] = operands("resize2d_input", ins)?;
        same_float("resize2d_input", ins)?;
        rank("resize2d_input", ins, 0, 4, "[N, C, Ho, Wo]")?;
        if g.dims[2..] != self.resize.size || self.input.contains(&0) {
            let rule =
                format!("wants a gradient of size {:?} for a map of {:?}", self.resize.size, self.input);
            return Err(Error::shape("resize2d_input", ins, rule));
        }
        one(Meta::new(&[g.dims[0], g.dims[1], self.input[0], self.input[1]][..], g.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost { flops: 7 * ins[0].len() as u64, ..Cost::movement(ins, outs) }
    }
}
