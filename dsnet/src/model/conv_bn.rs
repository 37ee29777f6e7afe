//! What DSNet is built from: a convolution without bias, batch normalisation, ReLU; variants of Table 5 end in other
//! functions.

use autograd::{Ops, Var};
use nn::{
    BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Ctx, Init,
    Initializer, Module, PRelu, Result, Visitor, visit_child,
};

/// First scale of the last normalisation of a branch beside which its input passes. A small one lets what passes
/// speak first, so that the deep net starts shallow (after Goyal et al. 2017, who start residual branches at 0); with 1 the
/// untrained net amplifies rounding errors and learns more slowly (`docs/results.md`).
const BRANCH_SCALE: f64 = 0.2;

/// The convolution of a [`ConvBn`].
#[derive(Debug, Clone)]
pub enum Conv {
    /// A convolution.
    Plain(Conv2d),
    /// A transposed one, which doubles the size.
    Up(ConvTranspose2d),
}

/// What follows the normalisation of a [`ConvBn`].
#[derive(Debug, Clone)]
pub enum Activation {
    /// Nothing.
    Linear,
    /// ReLU, done by the normalisation itself.
    Relu,
    /// ReLU limited to 6.
    Relu6,
    /// A learned slope below 0.
    PRelu(PRelu),
}

/// Convolution, batch normalisation and, unless something else is said, ReLU; the last two are one operation. Children:
/// `0`, `1`, and `2` for learned slopes.
#[derive(Debug, Clone)]
pub struct ConvBn {
    /// The convolution, without bias.
    pub conv: Conv,
    /// The normalisation, with a ReLU where one follows.
    pub bn: BatchNorm2d,
    /// What follows.
    pub activation: Activation,
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

    /// 3×3 on each channel alone, its taps `dilation` apart: keeps the size, or halves it with stride 2.
    pub(crate) fn depthwise(
        channels: usize,
        stride: usize,
        dilation: usize,
        init: &Initializer,
    ) -> Result<Self> {
        let config = Conv2dConfig::new(channels, channels, 3).stride(stride).dilation(dilation);
        Self::plain(config.same().groups(channels), init)
    }

    pub(crate) fn plain(config: Conv2dConfig, init: &Initializer) -> Result<Self> {
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
        Ok(Self { conv, bn, activation: Activation::Relu })
    }

    /// The same with another activation.
    pub(crate) fn ending_in(mut self, activation: Activation) -> Self {
        self.bn.relu = matches!(activation, Activation::Relu);
        self.activation = activation;
        self
    }

    /// The same as the last part of a branch beside which its input passes.
    pub(crate) fn starting_small(self) -> Result<Self> {
        self.bn.weight.set(self.bn.weight.value().mul_scalar(BRANCH_SCALE)?);
        Ok(self)
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
        let x = ctx.call("1", &self.bn, &x)?;
        match &self.activation {
            Activation::Linear | Activation::Relu => Ok(x),
            Activation::Relu6 => Ok(x.relu6()?),
            Activation::PRelu(slope) => ctx.call("2", slope, &x),
        }
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visit_child(visitor, "0", self.conv());
        visit_child(visitor, "1", &self.bn);
        if let Activation::PRelu(slope) = &self.activation {
            visit_child(visitor, "2", slope);
        }
    }
}

/// Some [`ConvBn`]s one after the other: the right branch of every unit. Children: `0`, `1`, `2`, …
#[derive(Debug, Clone)]
pub struct Branch(pub Vec<ConvBn>);

impl Branch {
    /// 1×1 from `input` to `width` channels, 3×3, 1×1. The 3×3 has its taps `dilation` apart, or halves the size with stride 2;
    /// where it is `separable`, it is a depthwise one and a 1×1.
    pub(crate) fn bottleneck(
        input: usize,
        width: usize,
        stride: usize,
        dilation: usize,
        separable: bool,
        init: &Initializer,
    ) -> Result<Self> {
        let mut all = vec![ConvBn::pointwise(input, width, &init.scope("0"))?];
        if separable {
            all.push(ConvBn::depthwise(width, stride, dilation, &init.scope("1"))?);
            all.push(ConvBn::pointwise(width, width, &init.scope("2"))?);
        } else if stride == 2 {
            all.push(ConvBn::halving(width, width, &init.scope("1"))?);
        } else {
            all.push(ConvBn::dilated(width, dilation, &init.scope("1"))?);
        }
        all.push(ConvBn::pointwise(width, width, &init.scope(all.len().to_string()))?);
        Ok(Self(all))
    }

    /// The same as a branch beside which its input passes.
    pub(crate) fn starting_small(mut self) -> Result<Self> {
        if let Some(last) = self.0.pop() {
            self.0.push(last.starting_small()?);
        }
        Ok(self)
    }
}

impl Module for Branch {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let mut x = x.clone();
        for (i, part) in self.0.iter().enumerate() {
            x = ctx.call(&i.to_string(), part, &x)?;
        }
        Ok(x)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        for (i, part) in self.0.iter().enumerate() {
            visit_child(visitor, &i.to_string(), part);
        }
    }
}
