//! The unit of MobileNetV2 (Sandler et al. 2018), for the variant MBV2 of Table 5.

use autograd::{Ops, Var};
use nn::{Ctx, Initializer, Module, Result, Visitor, visit_child};

use super::conv_bn::{Activation, Branch, ConvBn};

/// How many times wider the middle of the unit is.
const EXPANSION: usize = 6;

/// Keeps channels and size: 1×1 to six times the channels, 3×3 on each alone, 1×1 back without an activation; added to the
/// input.
#[derive(Debug, Clone)]
pub struct Inverted {
    right: Branch,
}

impl Inverted {
    pub(crate) fn new(channels: usize, dilation: usize, init: &Initializer) -> Result<Self> {
        let (wide, right) = (EXPANSION * channels, init.scope("right"));
        Ok(Self {
            right: Branch(vec![
                ConvBn::pointwise(channels, wide, &right.scope("0"))?.ending_in(Activation::Relu6),
                ConvBn::depthwise(wide, 1, dilation, &right.scope("1"))?.ending_in(Activation::Relu6),
                ConvBn::pointwise(wide, channels, &right.scope("2"))?.ending_in(Activation::Linear),
            ])
            .starting_small()?,
        })
    }
}

impl Module for Inverted {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        Ok(x.add(&ctx.call("right", &self.right, x)?)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "right", &self.right);
    }
}
