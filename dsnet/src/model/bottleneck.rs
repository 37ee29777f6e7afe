//! The bottleneck of ENet (Paszke et al. 2016), for the variant ENET of Table 5.

use autograd::{Ops, Var};
use nn::{Ctx, Dropout2d, Initializer, Module, PRelu, Result, Visitor, visit_child};

use super::conv_bn::{Activation, Branch, ConvBn};

/// How many times narrower the middle of the unit is.
const NARROWING: usize = 4;

/// ENet drops fewer of the early, narrow maps.
const WIDE: usize = 128;

/// Keeps channels and size: 1×1 to a quarter of the channels, 3×3, 1×1 back, dropout; added to the input. Activations have
/// one learned slope each.
#[derive(Debug, Clone)]
pub struct Bottleneck {
    right: Branch,
    dropout: Dropout2d,
    slope: PRelu,
}

impl Bottleneck {
    pub(crate) fn new(channels: usize, dilation: usize, init: &Initializer) -> Result<Self> {
        let (narrow, right) = ((channels / NARROWING).max(1), init.scope("right"));
        let slope = |name| PRelu::new(1, &right.scope(name).scope("2")).map(Activation::PRelu);
        Ok(Self {
            right: Branch(vec![
                ConvBn::pointwise(channels, narrow, &right.scope("0"))?.ending_in(slope("0")?),
                ConvBn::dilated(narrow, dilation, &right.scope("1"))?.ending_in(slope("1")?),
                ConvBn::pointwise(narrow, channels, &right.scope("2"))?.ending_in(slope("2")?),
            ])
            .starting_small()?,
            dropout: Dropout2d::new(if channels < WIDE { 0.01 } else { 0.1 })?,
            slope: PRelu::new(1, &init.scope("slope"))?,
        })
    }
}

impl Module for Bottleneck {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let right = self.dropout.forward(&ctx.call("right", &self.right, x)?, ctx)?;
        ctx.call("slope", &self.slope, &x.add(&right)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "right", &self.right);
        visit_child(visitor, "slope", &self.slope);
    }
}
