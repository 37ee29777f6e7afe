//! Resizing by a factor.

use autograd::Var;
use tensor::{Ops, ops::Interpolation};

use crate::{Ctx, Error, Module, Result, Visitor};

/// `[N, C, H, W]` to `[N, C, factor·H, factor·W]`. For a given size, use [`Ops::resize2d`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upsample {
    /// How many times larger.
    pub factor: usize,
    /// How values between pixels are found.
    pub mode: Interpolation,
    /// Whether the corner pixels' centres (instead of their outer corners) are aligned.
    pub align_corners: bool,
}

impl Upsample {
    /// Bilinear, corners not aligned.
    pub fn bilinear(factor: usize) -> Self {
        Self { factor, mode: Interpolation::Bilinear, align_corners: false }
    }

    /// Nearest pixel.
    pub fn nearest(factor: usize) -> Self {
        Self { factor, mode: Interpolation::Nearest, align_corners: false }
    }
}

impl Module for Upsample {
    fn forward(&self, x: &Var, _: &Ctx) -> Result<Var> {
        let &[_, _, h, w] = x.dims() else {
            return Err(Error::config("upsample", format!("wants [N, C, H, W], got dims {:?}", x.dims())));
        };
        Ok(x.resize2d(self.mode, self.align_corners, [h * self.factor, w * self.factor])?)
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::check_gradients;

    #[test]
    fn gradients() {
        check_gradients(&Upsample::nearest(2), &[1, 2, 3, 4], true);
        check_gradients(&Upsample::bilinear(3), &[1, 2, 3, 4], true);
        check_gradients(&Upsample { align_corners: true, ..Upsample::bilinear(2) }, &[1, 2, 3, 4], true);
    }
}
