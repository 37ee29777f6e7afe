//! Pointwise functions without parameters.

use autograd::Var;
use tensor::Ops;

use crate::{Ctx, Module, Result, Visitor};

/// max(x, 0).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Relu;

/// x limited to 0..6.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Relu6;

/// x where positive, else slope·x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakyRelu {
    /// The slope below zero.
    pub slope: f64,
}

/// 1/(1 + e⁻ˣ).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sigmoid;

impl Default for LeakyRelu {
    /// Slope 0.01.
    fn default() -> Self {
        Self { slope: 0.01 }
    }
}

macro_rules! modules {
    ($($name:ident: |$layer:ident, $x:ident| $y:expr;)*) => {$(
        impl Module for $name {
            fn forward(&self, $x: &Var, _: &Ctx) -> Result<Var> {
                let $layer = self;
                Ok($y?)
            }

            fn visit(&self, _: &mut dyn Visitor) {}
        }
    )*};
}

modules! {
    Relu: |_layer, x| x.relu();
    Relu6: |_layer, x| x.relu6();
    LeakyRelu: |layer, x| x.leaky_relu(layer.slope);
    Sigmoid: |_layer, x| x.sigmoid();
}

#[cfg(test)]
mod tests {
    use tensor::Tensor;

    use super::*;
    use crate::layers::testing::check_gradients;

    #[test]
    fn values() {
        let apply = |m: &dyn Module| {
            let x = Var::new(Tensor::from_vec(vec![-2.0, 0.0, 1.0, 7.0], &[4]).unwrap());
            m.forward(&x, &Ctx::eval()).unwrap().tensor().to_vec::<f64>().unwrap()
        };
        assert_eq!(apply(&Relu), [0.0, 0.0, 1.0, 7.0]);
        assert_eq!(apply(&Relu6), [0.0, 0.0, 1.0, 6.0]);
        assert_eq!(apply(&LeakyRelu { slope: 0.5 }), [-1.0, 0.0, 1.0, 7.0]);
        assert!((apply(&Sigmoid)[2] - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-12);
    }

    #[test]
    fn gradients() {
        for layer in [&Relu as &dyn Module, &Relu6, &LeakyRelu::default(), &Sigmoid] {
            check_gradients(layer, &[2, 3, 4, 2], true);
        }
    }
}
