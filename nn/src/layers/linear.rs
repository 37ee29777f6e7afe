//! Fully connected layer.

use autograd::Var;
use tensor::Ops;

use super::conv::bias_init;
use crate::{Ctx, Error, Init, Initializer, Module, Param, Result, Visitor, Work};

/// `[…, in]` to `[…, out]` (at least two axes): `x·Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param,
    /// `[out]`.
    pub bias: Option<Param>,
}

impl Linear {
    /// A layer with a bias, both uniform within ±1/√in as in PyTorch.
    ///
    /// # Errors
    /// A size of 0, with the initialiser's path.
    pub fn new(inputs: usize, outputs: usize, init: &Initializer) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            let why = format!("sizes {inputs}→{outputs} must be at least 1");
            return Err(Error::config("linear", why).at(init.path()));
        }
        let dims = [outputs, inputs];
        let weight = init.param("weight", &dims, Init::FAN_IN_UNIFORM)?;
        let bias = Some(init.param("bias", &[outputs], bias_init(&dims))?);
        Ok(Self { weight, bias })
    }
}

impl Module for Linear {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (x, weight) = (ctx.operand(x, Work::Product)?, ctx.weight(&self.weight, Work::Product)?);
        let y = x.matmul(&weight.transpose(0, 1)?)?;
        match &self.bias {
            Some(bias) => Ok(y.add(&ctx.weight(bias, Work::Product)?)?),
            None => Ok(y),
        }
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
    use crate::layers::testing::check_gradients;

    #[test]
    fn gradients() {
        let init = Initializer::new(1).dtype(DType::F64);
        check_gradients(&Linear::new(4, 3, &init).unwrap(), &[5, 4], true);
        let bare = Linear { bias: None, ..Linear::new(4, 3, &init).unwrap() };
        check_gradients(&bare, &[2, 5, 4], true);
    }
}
