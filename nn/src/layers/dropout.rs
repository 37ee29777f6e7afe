//! Dropout of whole feature maps.

use autograd::Var;
use tensor::{Ops, Tensor, ops::Distribution};

use crate::{Ctx, Error, Module, Result, Visitor, collective::Share};

/// In training, sets whole channels of `[N, C, …]` to zero with probability `p` and scales the others by
/// `1/(1 − p)`; in evaluation, does nothing. The mask comes from the context's random stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout2d {
    p: f64,
}

impl Dropout2d {
    /// Drops channels with probability `p`.
    ///
    /// # Errors
    /// Unless `0 ≤ p < 1`.
    pub fn new(p: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&p) {
            return Err(Error::config("dropout2d", format!("wants a probability in 0..1, got {p}")));
        }
        Ok(Self { p })
    }
}

impl Module for Dropout2d {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        if !ctx.training() || self.p == 0.0 {
            return Ok(x.clone());
        }
        let &[n, c, ..] = x.dims() else {
            return Err(Error::config("dropout2d", format!("wants [N, C, …], got dims {:?}", x.dims())));
        };
        let mut dims = vec![1; x.dims().len()];
        // The mask of all ranks' samples, of which each rank takes its part: the same as on one rank.
        let share = Share::find(n, &**ctx.ranks())?;
        (dims[0], dims[1]) = (share.total, c);
        let keep = Distribution::Bernoulli { p: 1.0 - self.p };
        let mask = Tensor::random_on(&x.device(), keep, &dims, x.tensor().dtype(), ctx.next_key())?;
        let mask = if share.total == n { mask } else { mask.narrow(0, share.first, n)? };
        Ok(x.mul(&Var::new(mask.mul_scalar(1.0 / (1.0 - self.p))?))?)
    }

    fn visit(&self, _: &mut dyn Visitor) {}
}

#[cfg(test)]
mod tests {
    use tensor::{DType, rng::Key};

    use super::*;

    fn apply(ctx: &Ctx) -> Vec<f64> {
        let x = Var::new(Tensor::ones(&[20, 50, 1, 2], DType::F32).unwrap());
        Dropout2d::new(0.25).unwrap().forward(&x, ctx).unwrap().tensor().to_f64_vec().unwrap()
    }

    #[test]
    fn drops_whole_channels_by_the_key() {
        let ctx = Ctx::train(Key::new(5, 1));
        let first = apply(&ctx);
        assert!(first.chunks(2).all(|c| c[0] == c[1] && (c[0] == 0.0 || (c[0] - 4.0 / 3.0).abs() < 1e-6)));
        let dropped = first.iter().filter(|v| **v == 0.0).count() as f64 / 2000.0;
        assert!((dropped - 0.25).abs() < 0.05, "{dropped}");
        assert_ne!(first, apply(&ctx), "the next draw of the same step differs");
        assert_eq!(first, apply(&Ctx::train(Key::new(5, 1))), "the same step draws the same");
        assert_ne!(first, apply(&Ctx::train(Key::new(5, 2))), "the next step differs");
    }

    #[test]
    fn evaluation_keeps_everything() {
        assert!(apply(&Ctx::eval()).iter().all(|v| *v == 1.0));
        assert!(Dropout2d::new(1.0).is_err() && Dropout2d::new(f64::NAN).is_err());
    }
}
