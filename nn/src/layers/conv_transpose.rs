//! Two-dimensional transposed convolution.

use autograd::Var;
use tensor::{Ops, Tensor, ops};

use super::conv::{bias_init, check_channels};
use crate::{Ctx, Init, Initializer, Module, Param, Result, Visitor, Work};

/// A transposed convolution of `[N, in, H, W]` to `[N, out, Ho, Wo]` (size: see [`ops::ConvTranspose2d`]).
#[derive(Debug, Clone)]
pub struct ConvTranspose2d {
    /// `[in, out/groups, kh, kw]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
    /// Stride, padding, dilation, groups, output padding.
    pub op: ops::ConvTranspose2d,
}

/// What a [`ConvTranspose2d`] is made from. The fields are public for kernels that are not square.
#[derive(Debug, Clone)]
pub struct ConvTranspose2dConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the result.
    pub out_channels: usize,
    /// (rows, columns).
    pub kernel: [usize; 2],
    /// Stride, padding, dilation, groups, output padding.
    pub op: ops::ConvTranspose2d,
    /// Whether there is a bias.
    pub bias: bool,
    /// First values of the weight. Fan-in is `out/groups · kh · kw`, as PyTorch counts it for this layout.
    pub init: Init,
}

impl ConvTranspose2dConfig {
    /// A square kernel, stride 1, no padding, no bias, [`Init::FAN_IN_UNIFORM`].
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Self {
        let op = ops::ConvTranspose2d { conv: ops::Conv2d::default(), output_padding: [0; 2] };
        Self { in_channels, out_channels, kernel: [kernel; 2], op, bias: false, init: Init::FAN_IN_UNIFORM }
    }

    /// The same step both ways.
    pub fn stride(mut self, stride: usize) -> Self {
        self.op.conv.stride = [stride; 2];
        self
    }

    /// Pixels removed on each side.
    pub fn padding(mut self, padding: usize) -> Self {
        self.op.conv.padding = [padding; 2];
        self
    }

    /// Rows and columns added at the bottom and right.
    pub fn output_padding(mut self, padding: usize) -> Self {
        self.op.output_padding = [padding; 2];
        self
    }

    /// The same distance between taps both ways.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.op.conv.dilation = [dilation; 2];
        self
    }

    /// Channel groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.op.conv.groups = groups;
        self
    }

    /// With or without a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// First values of the weight.
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// The layer.
    ///
    /// # Errors
    /// A size of 0, or groups that do not divide the channels; with the initialiser's path.
    pub fn build(self, init: &Initializer) -> Result<ConvTranspose2d> {
        let Self { in_channels, out_channels, kernel, op, bias, .. } = self;
        check_channels("conv_transpose2d", in_channels, out_channels, kernel, &op.conv)
            .map_err(|e| e.at(init.path()))?;
        let dims = [in_channels, out_channels / op.conv.groups, kernel[0], kernel[1]];
        let weight = init.param("weight", &dims, self.init)?;
        let bias = bias.then(|| init.param("bias", &[out_channels], bias_init(&dims))).transpose()?;
        Ok(ConvTranspose2d { weight, bias, op })
    }
}

impl ConvTranspose2d {
    /// A layer from its values: weight `[in, out/groups, kh, kw]`, bias `[out]`.
    pub fn from_parts(weight: Tensor, bias: Option<Tensor>, op: ops::ConvTranspose2d) -> Self {
        Self { weight: Param::new(weight), bias: bias.map(Param::new), op }
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (x, weight) = (ctx.operand(x, Work::Product)?, ctx.weight(&self.weight, Work::Product)?);
        let bias = self.bias.as_ref().map(|b| ctx.weight(b, Work::Product)).transpose()?;
        Ok(x.conv_transpose2d(&weight, bias.as_ref(), &self.op)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.param("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.param("bias", bias);
        }
    }
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::layers::testing::{check_gradients, input};

    #[test]
    fn gradients() {
        let init = Initializer::new(1).dtype(DType::F64);
        let config = ConvTranspose2dConfig::new(3, 4, 3).stride(2).padding(1).output_padding(1);
        check_gradients(&config.bias(true).build(&init).unwrap(), &[2, 3, 3, 4], true);
        let grouped = ConvTranspose2dConfig::new(4, 2, 2).stride(2).groups(2).build(&init).unwrap();
        check_gradients(&grouped, &[1, 4, 3, 3], true);
    }

    #[test]
    fn doubles_the_size() {
        let config = ConvTranspose2dConfig::new(4, 2, 3).stride(2).padding(1).output_padding(1);
        let up = config.build(&Initializer::new(1)).unwrap();
        let y = up.forward(&input(&[1, 4, 5, 6], DType::F32), &Ctx::eval()).unwrap();
        assert_eq!(y.dims(), [1, 2, 10, 12]);
    }
}
