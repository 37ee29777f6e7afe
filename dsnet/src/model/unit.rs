//! What the stages of a net are made of: the paper's unit, or one that its Table 5 puts in its place.

use autograd::Var;
use nn::{Ctx, Initializer, Module, Result, Visitor};

use super::{
    bottleneck::Bottleneck,
    inverted::Inverted,
    units::{Basic, Join},
};

/// Which unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// The paper's: split, and concatenated.
    Split,
    /// The same with depthwise separable convolutions.
    Separable,
    /// Twice as wide inside, and added.
    Add,
    /// MobileNetV2's.
    Inverted,
    /// ENet's.
    Bottleneck,
}

/// A unit of some kind; keeps channels and size.
#[derive(Debug, Clone)]
pub enum Unit {
    /// See [`Basic`].
    Basic(Basic),
    /// See [`Inverted`].
    Inverted(Inverted),
    /// See [`Bottleneck`].
    Bottleneck(Bottleneck),
}

impl UnitKind {
    /// How branches of units are joined that concatenate in the paper's net.
    pub(crate) fn join(self, shuffle: bool) -> Join {
        match (self, shuffle) {
            (Self::Add, _) => Join::Add,
            (_, true) => Join::Shuffle,
            (_, false) => Join::Concat,
        }
    }

    /// A unit of this kind.
    pub(crate) fn build(
        self,
        channels: usize,
        dilation: usize,
        shuffle: bool,
        init: &Initializer,
    ) -> Result<Unit> {
        Ok(match self {
            Self::Split | Self::Separable | Self::Add => {
                let separable = self == Self::Separable;
                Unit::Basic(Basic::new(channels, dilation, self.join(shuffle), separable, init)?)
            }
            Self::Inverted => Unit::Inverted(Inverted::new(channels, dilation, init)?),
            Self::Bottleneck => Unit::Bottleneck(Bottleneck::new(channels, dilation, init)?),
        })
    }
}

impl Unit {
    fn inner(&self) -> &dyn Module {
        match self {
            Self::Basic(unit) => unit,
            Self::Inverted(unit) => unit,
            Self::Bottleneck(unit) => unit,
        }
    }
}

impl Module for Unit {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        self.inner().forward(x, ctx)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        self.inner().visit(visitor);
    }
}
