//! Leaky ReLU with learned slopes.

use autograd::Var;
use tensor::Ops;

use crate::{Ctx, Error, Init, Initializer, Module, Param, Result, Visitor, Work};

/// x where positive, else slope·x, with one slope per channel (axis 1) or one for all (He et al. 2015).
#[derive(Debug, Clone)]
pub struct PRelu {
    /// `[C]` or `[1]`.
    pub weight: Param,
}

impl PRelu {
    /// `slopes` is the number of channels, or 1; all start at 0.25.
    ///
    /// # Errors
    /// No slope at all.
    pub fn new(slopes: usize, init: &Initializer) -> Result<Self> {
        if slopes == 0 {
            let why = "wants one slope, or one for each channel";
            return Err(Error::config("prelu", why).at(init.path()));
        }
        Ok(Self { weight: init.param("weight", &[slopes], Init::Constant(0.25))? })
    }
}

impl Module for PRelu {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (x, weight) = (ctx.operand(x, Work::Activation)?, ctx.weight(&self.weight, Work::Activation)?);
        let (slopes, rank) = (weight.dim(0)?, x.dims().len());
        if slopes > 1 && (rank < 2 || x.dims()[1] != slopes) {
            let why = format!("{slopes} slopes do not fit an input of dims {:?}", x.dims());
            return Err(Error::config("prelu", why));
        }
        // One slope has the same shape at every rank; several lie along axis 1.
        let mut dims = vec![1; rank.max(1)];
        if slopes > 1 {
            dims[1] = slopes;
        }
        Ok(x.prelu(&weight.reshape(&dims)?)?)
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.param("weight", &self.weight);
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
        check_gradients(&PRelu::new(3, &init).unwrap(), &[2, 3, 2, 4], true);
        check_gradients(&PRelu::new(1, &init).unwrap(), &[2, 3], true);
    }

    #[test]
    fn slopes_must_fit() {
        let layer = PRelu::new(3, &Initializer::new(1)).unwrap();
        let ctx = Ctx::eval();
        let error = ctx.call("act", &layer, &input(&[2, 4, 1, 1], DType::F32)).unwrap_err();
        assert_eq!(error.to_string(), "act: prelu: 3 slopes do not fit an input of dims [2, 4, 1, 1]");
    }
}
