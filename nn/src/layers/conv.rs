//! Two-dimensional convolution.

use autograd::Var;
use tensor::{Ops, Tensor, ops};

use crate::{Ctx, Error, Init, Initializer, Module, Param, Result, Visitor, Work};

/// A convolution of `[N, in, H, W]` to `[N, out, Ho, Wo]` (size: see [`ops::Conv2d`]).
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// `[out, in/groups, kh, kw]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
    /// Stride, padding, dilation, groups.
    pub op: ops::Conv2d,
}

/// What a [`Conv2d`] is made from. The fields are public for kernels that are not square.
#[derive(Debug, Clone)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the result.
    pub out_channels: usize,
    /// (rows, columns).
    pub kernel: [usize; 2],
    /// Stride, padding, dilation, groups.
    pub op: ops::Conv2d,
    /// Whether there is a bias.
    pub bias: bool,
    /// First values of the weight; a bias starts uniform within ±1/√fan-in, as PyTorch's does.
    pub init: Init,
}

impl Conv2dConfig {
    /// A square kernel, stride 1, no padding, no bias, [`Init::FAN_IN_UNIFORM`].
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Self {
        let (op, init) = (ops::Conv2d::default(), Init::FAN_IN_UNIFORM);
        Self { in_channels, out_channels, kernel: [kernel; 2], op, bias: false, init }
    }

    /// The same step both ways.
    pub fn stride(mut self, stride: usize) -> Self {
        self.op.stride = [stride; 2];
        self
    }

    /// The same padding on all sides.
    pub fn padding(mut self, padding: usize) -> Self {
        self.op.padding = [padding; 2];
        self
    }

    /// The same distance between taps both ways. Call before [`Conv2dConfig::same`].
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.op.dilation = [dilation; 2];
        self
    }

    /// The padding that keeps the size at stride 1, for odd kernels.
    pub fn same(mut self) -> Self {
        for a in 0..2 {
            self.op.padding[a] = self.op.dilation[a] * (self.kernel[a] / 2);
        }
        self
    }

    /// Channel groups.
    pub fn groups(mut self, groups: usize) -> Self {
        self.op.groups = groups;
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
    pub fn build(self, init: &Initializer) -> Result<Conv2d> {
        let Self { in_channels, out_channels, kernel, op, bias, .. } = self;
        check_channels("conv2d", in_channels, out_channels, kernel, &op).map_err(|e| e.at(init.path()))?;
        let dims = [out_channels, in_channels / op.groups, kernel[0], kernel[1]];
        let weight = init.param("weight", &dims, self.init)?;
        let bias = bias.then(|| init.param("bias", &[out_channels], bias_init(&dims))).transpose()?;
        Ok(Conv2d { weight, bias, op })
    }
}

impl Conv2d {
    /// A layer from its values: weight `[out, in/groups, kh, kw]`, bias `[out]`.
    pub fn from_parts(weight: Tensor, bias: Option<Tensor>, op: ops::Conv2d) -> Self {
        Self { weight: Param::new(weight), bias: bias.map(Param::new), op }
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (x, weight) = (ctx.operand(x, Work::Product)?, ctx.weight(&self.weight, Work::Product)?);
        let bias = self.bias.as_ref().map(|b| ctx.weight(b, Work::Product)).transpose()?;
        Ok(x.conv2d(&weight, bias.as_ref(), &self.op)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.param("weight", &self.weight);
        if let Some(bias) = &self.bias {
            visitor.param("bias", bias);
        }
    }
}

/// Uniform within ±1/√fan-in of a weight of these dims.
pub(super) fn bias_init(weight: &[usize]) -> Init {
    Init::within((weight[1..].iter().product::<usize>().max(1) as f64).powf(-0.5))
}

/// Fails for sizes of 0 and for groups that do not divide the channels.
pub(super) fn check_channels(
    what: &str,
    input: usize,
    output: usize,
    kernel: [usize; 2],
    op: &ops::Conv2d,
) -> Result<()> {
    let sizes = [input, output, op.groups];
    if sizes.contains(&0) || [kernel, op.stride, op.dilation].iter().any(|pair| pair.contains(&0)) {
        let why = format!("channels {input}→{output}, kernel {kernel:?} and {op:?} must all be at least 1");
        return Err(Error::config(what, why));
    }
    if !input.is_multiple_of(op.groups) || !output.is_multiple_of(op.groups) {
        let why = format!("{} groups do not divide the channels {input}→{output}", op.groups);
        return Err(Error::config(what, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::layers::testing::{check_gradients, input};

    #[test]
    fn gradients() {
        let init = Initializer::new(1).dtype(DType::F64);
        let plain = Conv2dConfig::new(3, 4, 3).dilation(2).same().bias(true).build(&init).unwrap();
        check_gradients(&plain, &[2, 3, 5, 6], true);
        let grouped = Conv2dConfig::new(4, 6, 2).stride(2).groups(2).build(&init).unwrap();
        check_gradients(&grouped, &[2, 4, 4, 5], true);
    }

    #[test]
    fn an_error_names_the_layer() {
        let conv = Conv2dConfig::new(32, 8, 3).same().build(&Initializer::new(1)).unwrap();
        let ctx = Ctx::eval();
        let x = ctx.input(Tensor::zeros(&[1, 64, 4, 4], DType::F32).unwrap());
        let error = ctx.scope("up4", || ctx.scope("right", || ctx.call("1", &conv, &x))).unwrap_err();
        let want = "up4.right.1: conv2d: input has 64 channels, weight [8, 32, 3, 3] with 1 groups wants 32";
        assert!(error.to_string().starts_with(want), "{error}");
        assert_eq!(ctx.path(), "");
    }

    #[test]
    fn bad_configurations() {
        let init = Initializer::new(1).scope("stem");
        let error = Conv2dConfig::new(3, 4, 3).groups(2).build(&init).unwrap_err();
        assert_eq!(error.to_string(), "stem: conv2d: 2 groups do not divide the channels 3→4");
        assert!(Conv2dConfig::new(3, 0, 3).build(&init).is_err());
    }

    #[test]
    fn same_keeps_the_size() {
        let conv = Conv2dConfig::new(2, 2, 3).dilation(3).same().build(&Initializer::new(1)).unwrap();
        let y = conv.forward(&input(&[1, 2, 7, 9], DType::F32), &Ctx::eval()).unwrap();
        assert_eq!(y.dims(), [1, 2, 7, 9]);
    }
}
