//! The units of DSNet (the paper's Fig. 3 and Table 3).

use autograd::{Ops, Var};
use nn::{Ctx, Initializer, MaxPool2d, MaxUnpool2d, Module, Result, Visitor, visit_child};

use super::conv_bn::{Branch, ConvBn};

/// First scale of the last normalisation of a [`Basic`] unit's branch. A small one lets the half of the channels that passes
/// speak first, so that the deep net starts shallow (after Goyal et al. 2017, who start residual branches at 0); with 1 the
/// untrained net amplifies rounding errors and learns more slowly (`docs/results.md`).
const BRANCH_SCALE: f64 = 0.2;

/// 3 → `channels`, half the size: a 3×3 stride-2 convolution beside a 2×2 max pool of the image itself.
#[derive(Debug, Clone)]
pub struct InitUnit {
    conv: ConvBn,
}

/// `input` → `output` channels, half the size: pooled left branch, strided right branch.
#[derive(Debug, Clone)]
pub struct Down {
    left: ConvBn,
    right: Branch,
}

/// Keeps channels and size: one half of the channels passes, the other goes through a dilated bottleneck.
#[derive(Debug, Clone)]
pub struct Basic {
    right: Branch,
}

/// `input` → `output` channels, twice the size: unpooled left branch, transposed right branch, added.
#[derive(Debug, Clone)]
pub struct Up {
    left: ConvBn,
    right: Branch,
}

impl InitUnit {
    pub(crate) fn new(channels: usize, init: &Initializer) -> Result<Self> {
        Ok(Self { conv: ConvBn::halving(3, channels.saturating_sub(3), &init.scope("conv"))? })
    }
}

impl Module for InitUnit {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let pooled = MaxPool2d::new(2).forward(x, ctx)?;
        Ok(Var::cat(&[&ctx.call("conv", &self.conv, x)?, &pooled], 1)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "conv", &self.conv);
    }
}

impl Down {
    pub(crate) fn new(input: usize, output: usize, init: &Initializer) -> Result<Self> {
        let half = output / 2;
        let right = init.scope("right");
        Ok(Self {
            left: ConvBn::pointwise(input, half, &init.scope("left"))?,
            right: Branch([
                ConvBn::pointwise(input, half, &right.scope("0"))?,
                ConvBn::halving(half, half, &right.scope("1"))?,
                ConvBn::pointwise(half, half, &right.scope("2"))?,
            ]),
        })
    }

    /// The unit's result, and the places of the maxima for the matching [`Up`].
    pub(crate) fn forward_indexed(&self, x: &Var, ctx: &Ctx) -> Result<(Var, Var)> {
        let (pooled, index) = MaxPool2d::new(2).forward_indexed(x)?;
        let left = ctx.call("left", &self.left, &pooled)?;
        let right = ctx.call("right", &self.right, x)?;
        Ok((Var::interleave(&[&left, &right])?, index))
    }
}

impl Module for Down {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        Ok(self.forward_indexed(x, ctx)?.0)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "left", &self.left);
        visit_child(visitor, "right", &self.right);
    }
}

impl Basic {
    pub(crate) fn new(channels: usize, dilation: usize, init: &Initializer) -> Result<Self> {
        let half = channels / 2;
        let right = init.scope("right");
        let last = ConvBn::pointwise(half, half, &right.scope("2"))?;
        last.bn.weight.set(last.bn.weight.value().mul_scalar(BRANCH_SCALE)?);
        Ok(Self {
            right: Branch([
                ConvBn::pointwise(half, half, &right.scope("0"))?,
                ConvBn::dilated(half, dilation, &right.scope("1"))?,
                last,
            ]),
        })
    }
}

impl Module for Basic {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let half = x.dim(1)? / 2;
        let left = x.narrow(1, 0, half)?;
        let right = ctx.call("right", &self.right, &x.narrow(1, half, half)?)?;
        Ok(Var::interleave(&[&left, &right])?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "right", &self.right);
    }
}

impl Up {
    pub(crate) fn new(input: usize, output: usize, init: &Initializer) -> Result<Self> {
        let right = init.scope("right");
        Ok(Self {
            left: ConvBn::pointwise(input, output, &init.scope("left"))?,
            right: Branch([
                ConvBn::pointwise(input, output, &right.scope("0"))?,
                ConvBn::doubling(output, &right.scope("1"))?,
                ConvBn::pointwise(output, output, &right.scope("2"))?,
            ]),
        })
    }

    /// `index` holds the places of the maxima of the matching [`Down`], `[N, output, H, W]` for `x` `[N, input, H, W]`.
    pub(crate) fn forward(&self, x: &Var, index: &Var, ctx: &Ctx) -> Result<Var> {
        let size = [2 * x.dim(2)?, 2 * x.dim(3)?];
        let left = MaxUnpool2d::new(2).forward(&ctx.call("left", &self.left, x)?, index, size)?;
        Ok(left.add(&ctx.call("right", &self.right, x)?)?)
    }

    pub(crate) fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "left", &self.left);
        visit_child(visitor, "right", &self.right);
    }
}
