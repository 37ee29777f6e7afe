//! The units of DSNet (the paper's Fig. 3 and Table 3), and what its Table 5 changes in them: how branches are joined, and
//! which convolutions they have.

use autograd::{Ops, Var};
use nn::{Ctx, Initializer, MaxPool2d, MaxUnpool2d, Module, Result, Visitor, visit_child};

use super::conv_bn::{Branch, ConvBn};

/// How the two branches of a [`Down`] or [`Basic`] unit become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Concatenated, each with half of the channels, and shuffled: the paper's.
    Shuffle,
    /// Concatenated alone.
    Concat,
    /// Added, each with all of the channels.
    Add,
}

impl Join {
    /// Channels of each branch for `channels` channels of the unit.
    fn width(self, channels: usize) -> usize {
        if self == Self::Add { channels } else { channels / 2 }
    }

    fn join(self, left: &Var, right: &Var) -> Result<Var> {
        Ok(match self {
            // Concatenation and shuffle of two groups in one pass over memory.
            Self::Shuffle => Var::interleave(&[left, right])?,
            Self::Concat => Var::cat(&[left, right], 1)?,
            Self::Add => left.add(right)?,
        })
    }
}

/// 3 → `channels`, half the size: a 3×3 stride-2 convolution, beside a 2×2 max pool of the image itself unless that is left
/// out.
#[derive(Debug, Clone)]
pub struct InitUnit {
    conv: ConvBn,
    pool: bool,
}

/// `input` → `output` channels, half the size: pooled left branch, strided right branch.
#[derive(Debug, Clone)]
pub struct Down {
    join: Join,
    left: ConvBn,
    right: Branch,
}

/// Keeps channels and size: one half of the channels passes, the other goes through a dilated bottleneck; or all do both,
/// and are added.
#[derive(Debug, Clone)]
pub struct Basic {
    join: Join,
    right: Branch,
}

/// `input` → `output` channels, twice the size: unpooled left branch, transposed right branch, added.
#[derive(Debug, Clone)]
pub struct Up {
    left: ConvBn,
    right: Branch,
}

impl InitUnit {
    pub(crate) fn new(channels: usize, pool: bool, init: &Initializer) -> Result<Self> {
        let drawn = if pool { channels.saturating_sub(3) } else { channels };
        Ok(Self { conv: ConvBn::halving(3, drawn, &init.scope("conv"))?, pool })
    }
}

impl Module for InitUnit {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let drawn = ctx.call("conv", &self.conv, x)?;
        if !self.pool {
            return Ok(drawn);
        }
        let pooled = MaxPool2d::new(2).forward(x, ctx)?;
        Ok(Var::cat(&[&drawn, &pooled], 1)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "conv", &self.conv);
    }
}

impl Down {
    pub(crate) fn new(
        [input, output]: [usize; 2],
        join: Join,
        separable: bool,
        init: &Initializer,
    ) -> Result<Self> {
        let width = join.width(output);
        Ok(Self {
            join,
            left: ConvBn::pointwise(input, width, &init.scope("left"))?,
            right: Branch::bottleneck(input, width, 2, 1, separable, &init.scope("right"))?,
        })
    }

    /// The unit's result, and the places of the maxima for the matching [`Up`].
    pub(crate) fn forward_indexed(&self, x: &Var, ctx: &Ctx) -> Result<(Var, Var)> {
        let (pooled, index) = MaxPool2d::new(2).forward_indexed(x)?;
        let left = ctx.call("left", &self.left, &pooled)?;
        let right = ctx.call("right", &self.right, x)?;
        Ok((self.join.join(&left, &right)?, index))
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
    pub(crate) fn new(
        channels: usize,
        dilation: usize,
        join: Join,
        separable: bool,
        init: &Initializer,
    ) -> Result<Self> {
        let width = join.width(channels);
        let right = Branch::bottleneck(width, width, 1, dilation, separable, &init.scope("right"))?;
        Ok(Self { join, right: right.starting_small()? })
    }
}

impl Module for Basic {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        if self.join == Join::Add {
            return self.join.join(x, &ctx.call("right", &self.right, x)?);
        }
        let half = x.dim(1)? / 2;
        let left = x.narrow(1, 0, half)?;
        let right = ctx.call("right", &self.right, &x.narrow(1, half, half)?)?;
        self.join.join(&left, &right)
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
            right: Branch(vec![
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
