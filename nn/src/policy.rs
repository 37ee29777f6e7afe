//! Mixed precision: in which type a pass computes what (Micikevicius et al. 2018). This file is the whole table.
//!
//! Parameters, their gradients and the optimiser's state are f32 whatever the policy: what computes in a 16-bit type gets copies
//! of them, made by recorded casts, so that gradients come back through those in f32.

use tensor::DType;

/// What is computed, as far as its precision is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Convolutions and matrix products: each sum is kept in f32 and rounded once.
    Product,
    /// What layers hand each other, and what is done to it value by value: activations, pools, resizing, moves.
    Activation,
    /// Exponentials and long sums: softmax, losses, the encoding layer.
    Sum,
}

/// How a pass computes. (Batch normalisation is in no row of the table: it takes activations as they come, and keeps its
/// statistics and parameters in f32 in any case; see [`tensor::ops::BatchNorm`].)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// In the types that values have: nothing is cast.
    #[default]
    Full,
    /// Products and activations in bfloat16.
    Bf16,
    /// Products and activations in IEEE halves, whose narrow range wants a [loss scale](crate::optim::LossScale).
    F16,
}

impl Policy {
    /// The 16-bit type, where there is one.
    pub const fn low(self) -> Option<DType> {
        match self {
            Self::Full => None,
            Self::Bf16 => Some(DType::BF16),
            Self::F16 => Some(DType::F16),
        }
    }

    /// Whether gradients want a [loss scale](crate::optim::LossScale): those of a type with few exponents.
    pub const fn wants_scale(self) -> bool {
        matches!(self, Self::F16)
    }

    /// In which type `work` is done on a value of type `given`. f64 stays: who uses it wants all of its digits.
    pub const fn dtype(self, work: Work, given: DType) -> DType {
        match (self.low(), given, work) {
            (Some(low), DType::F32 | DType::F16 | DType::BF16, Work::Product | Work::Activation) => low,
            (Some(_), DType::F16 | DType::BF16, Work::Sum) => DType::F32,
            _ => given,
        }
    }
}

#[cfg(test)]
mod tests {
    use autograd::Var;
    use tensor::{Ops, Tensor, rng::Key};

    use super::*;
    use crate::{Conv2dConfig, Ctx, EncodingConfig, Initializer, Module, PRelu, Result, optim};

    #[test]
    fn the_table() {
        for policy in [Policy::Bf16, Policy::F16] {
            let low = policy.low().unwrap();
            assert_eq!(policy.dtype(Work::Product, DType::F32), low);
            assert_eq!(policy.dtype(Work::Activation, low), low);
            assert_eq!(policy.dtype(Work::Sum, low), DType::F32);
            for kept in [DType::F64, DType::I64, DType::U8] {
                assert_eq!(policy.dtype(Work::Product, kept), kept);
            }
        }
        assert_eq!(Policy::Full.dtype(Work::Sum, DType::BF16), DType::BF16);
    }

    fn image() -> Tensor {
        Tensor::from_vec((0..96).map(|i| (i * 37 % 19) as f32 / 7.0 - 1.3).collect(), &[2, 3, 4, 4]).unwrap()
    }

    /// A weight that two calls share is cast once, and its gradient is that of f32 but for rounding.
    #[test]
    fn weights_are_cast_once_and_their_gradients_are_f32() {
        let conv = Conv2dConfig::new(3, 3, 3).same().bias(true).build(&Initializer::new(1)).unwrap();
        let run = |policy: Policy| {
            let ctx = Ctx::train(Key::default()).under(policy);
            let x = ctx.operand(&ctx.input(image()), Work::Activation).unwrap();
            let y = conv.forward(&conv.forward(&x, &ctx).unwrap(), &ctx).unwrap();
            let casts = ctx.tape().unwrap().records().iter().filter(|r| r.name == "cast").count();
            let loss = ctx.operand(&y, Work::Sum).unwrap().square().unwrap().sum_all().unwrap();
            let grads = optim::gradients(&ctx, &loss.backward().unwrap(), &conv);
            (y.tensor().dtype(), casts, grads)
        };
        let (_, none, want) = run(Policy::Full);
        assert_eq!(none, 0);
        for (policy, digits) in [(Policy::Bf16, 8), (Policy::F16, 11)] {
            let (dtype, casts, grads) = run(policy);
            // The image, the weight and the bias.
            assert_eq!((Some(dtype), casts), (policy.low(), 3));
            for (got, want) in grads.iter().zip(&want) {
                assert_eq!((&got.name, got.value.dtype()), (&want.name, DType::F32));
                let (got, want) = (got.value.to_f64_vec().unwrap(), want.value.to_f64_vec().unwrap());
                let largest = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                let off = got.iter().zip(&want).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
                assert!(off < largest * 4.0 * 0.5_f64.powi(digits), "{policy:?}: off by {off} of {largest}");
                assert!(off > 0.0, "{policy:?} rounds nothing");
            }
        }
    }

    /// Slopes follow the activations; the encoding layer and what it is made of stay in f32.
    #[test]
    fn layers_follow_the_table() -> Result<()> {
        let init = Initializer::new(1);
        let ctx = Ctx::train(Key::default()).under(Policy::Bf16);
        let x = ctx.operand(&ctx.input(image()), Work::Activation)?;
        assert_eq!(PRelu::new(3, &init)?.forward(&x, &ctx)?.tensor().dtype(), DType::BF16);
        let encoding = EncodingConfig::new(3, 5).codewords(4).build(&init)?;
        assert_eq!(encoding.forward(&x, &ctx)?.tensor().dtype(), DType::F32);
        // What comes after it is again as the policy says.
        assert_eq!(ctx.operand(&Var::new(image()), Work::Product)?.tensor().dtype(), DType::BF16);
        Ok(())
    }
}
