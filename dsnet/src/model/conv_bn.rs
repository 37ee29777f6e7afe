//! What DSNet is built from: a convolution without bias, batch normalisation, ReLU.

use autograd::Var;
use nn::{
    BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Ctx, Init,
    Initializer, Module, Result, Visitor, visit_child,
};

/// The convolution of a [`ConvBn`].
#[derive(Debug, Clone)]
pub enum Conv {
    /// A convolution.
    Plain(Conv2d),
    /// A transposed one, which doubles the size.
    Up(ConvTranspose2d),
}

/// Convolution, batch normalisation and ReLU; the last two are one operation. Children: `0`, `1`.
#[derive(Debug, Clone)]
pub struct ConvBn {
    /// The convolution, without bias.
    pub conv: Conv,
    /// The normalisation, with the ReLU.
    pub bn: BatchNorm2d,
}

impl ConvBn {
    /// 1×1.
    pub(crate) fn pointwise(input: usize, output: usize, init: &Initializer) -> Result<Self> {
        Self::plain(Conv2dConfig::new(input, output, 1), init)
    }

    /// 3×3 of stride 2: halves the size.
    pub(crate) fn halving(input: usize, output: usize, init: &Initializer) -> Result<Self> {
        Self::plain(Conv2dConfig::new(input, output, 3).stride(2).padding(1), init)
    }

    /// 3×3 with its taps `dilation` apart: keeps the size.
    pub(crate) fn dilated(channels: usize, dilation: usize, init: &Initializer) -> Result<Self> {
        Self::plain(Conv2dConfig::new(channels, channels, 3).dilation(dilation).same(), init)
    }

    fn plain(config: Conv2dConfig, init: &Initializer) -> Result<Self> {
        let channels = config.out_channels;
        let conv = config.init(Init::HE_NORMAL).build(&init.scope("0"))?;
        Self::with(Conv::Plain(conv), channels, init)
    }

    /// 3×3 transposed of stride 2: doubles the size.
    pub(crate) fn doubling(channels: usize, init: &Initializer) -> Result<Self> {
        let config = ConvTranspose2dConfig::new(channels, channels, 3).stride(2).padding(1).output_padding(1);
        let conv = config.init(Init::HE_NORMAL).build(&init.scope("0"))?;
        Self::with(Conv::Up(conv), channels, init)
    }

    fn with(conv: Conv, channels: usize, init: &Initializer) -> Result<Self> {
        let bn = BatchNormConfig::new(channels).relu(true).build(&init.scope("1"))?;
        Ok(Self { conv, bn })
    }

    fn conv(&self) -> &dyn Module {
        match &self.conv {
            Conv::Plain(conv) => conv,
            Conv::Up(conv) => conv,
        }
    }
}

impl Module for ConvBn {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let x = ctx.call("0", self.conv(), x)?;
        ctx.call("1", &self.bn, &x)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "0", self.conv());
        visit_child(visitor, "1", &self.bn);
    }
}

/// Three [`ConvBn`]s one after the other: the right branch of every unit. Children: `0`, `1`, `2`.
#[derive(Debug, Clone)]
pub struct Branch(pub [ConvBn; 3]);

impl Module for Branch {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let [a, b, c] = &self.0;
        let x = ctx.call("0", a, x)?;
        let x = ctx.call("1", b, &x)?;
        ctx.call("2", c, &x)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        for (name, child) in ["0", "1", "2"].into_iter().zip(&self.0) {
            visit_child(visitor, name, child);
        }
    }
}
