//! Batch normalisation: one implementation for feature maps and for vectors.

use autograd::Var;
use tensor::{Op, Ops, Tensor, ops};

use super::sync_batch_norm;
use crate::{Buffer, Ctx, Error, Init, Initializer, Module, Param, Result, Visitor};

/// Batch normalisation over every axis but the channel axis 1 (Ioffe & Szegedy 2015), of `[N, C, H, W]`.
///
/// In training it normalises by the batch's statistics and moves the running ones towards them (the running
/// variance towards the unbiased estimate, as PyTorch does); in evaluation it normalises by the running ones.
/// The update of the running statistics is not recorded on the tape.
///
/// Where several ranks share the batch ([`Ctx::across`]), the statistics are those of the whole batch.
#[derive(Debug, Clone)]
pub struct BatchNorm2d {
    /// γ, `[C]`.
    pub weight: Param,
    /// β, `[C]`.
    pub bias: Param,
    /// `[C]`.
    pub running_mean: Buffer,
    /// `[C]`.
    pub running_var: Buffer,
    /// Added to the variance.
    pub eps: f64,
    /// Share of the batch's statistics in the running ones after a step.
    pub momentum: f64,
    /// Whether a ReLU follows, done in the same pass over memory.
    pub relu: bool,
}

/// The same for `[N, C]` and `[N, C, L]`.
pub type BatchNorm1d = BatchNorm2d;

/// What a batch normalisation is made from.
#[derive(Debug, Clone)]
pub struct BatchNormConfig {
    /// Number of channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Share of the batch's statistics in the running ones after a step, 0 to 1.
    pub momentum: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl BatchNormConfig {
    /// eps 1e-5, momentum 0.1, no ReLU.
    pub fn new(channels: usize) -> Self {
        Self { channels, eps: 1e-5, momentum: 0.1, relu: false }
    }

    /// With another eps.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// With another momentum.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With or without a ReLU.
    pub fn relu(mut self, relu: bool) -> Self {
        self.relu = relu;
        self
    }

    /// The layer, with γ = 1, β = 0, mean 0 and variance 1.
    ///
    /// # Errors
    /// No channels, an eps that is not positive, a momentum outside 0..=1; with the initialiser's path.
    pub fn build(self, init: &Initializer) -> Result<BatchNorm2d> {
        let Self { channels, eps, momentum, relu } = self;
        if channels == 0 || eps.is_nan() || eps <= 0.0 || !(0.0..=1.0).contains(&momentum) {
            let why = format!(
                "wants channels ≥ 1, eps > 0 and momentum in 0..=1, got {channels}, {eps} and {momentum}"
            );
            return Err(Error::config("batch_norm", why).at(init.path()));
        }
        Ok(BatchNorm2d {
            weight: init.param("weight", &[channels], Init::ONES)?,
            bias: init.param("bias", &[channels], Init::ZEROS)?,
            running_mean: init.buffer(0.0, &[channels])?,
            running_var: init.buffer(1.0, &[channels])?,
            eps,
            momentum,
            relu,
        })
    }
}

impl BatchNorm2d {
    /// `(1 − momentum)·running + momentum·batch`, the variance scaled from the biased to the unbiased estimate.
    fn update(&self, mean: &Tensor, var: &Tensor, count: usize) -> Result<()> {
        let m = self.momentum;
        let mix = |old: &Buffer, new: &Tensor, factor: f64| -> Result<()> {
            old.set(old.value().mul_scalar(1.0 - m)?.add(&new.mul_scalar(m * factor)?)?);
            Ok(())
        };
        mix(&self.running_mean, mean, 1.0)?;
        mix(&self.running_var, var, count as f64 / (count as f64 - 1.0))
    }
}

impl Module for BatchNorm2d {
    fn forward(&self, x: &Var, ctx: &Ctx) -> Result<Var> {
        let (weight, bias) = (ctx.var(&self.weight), ctx.var(&self.bias));
        let Self { eps, relu, .. } = *self;
        if !ctx.training() {
            let (mean, var) = (Var::new(self.running_mean.value()), Var::new(self.running_var.value()));
            let op = ops::BatchNormApply { eps, relu };
            return Ok(Var::apply1(op.into(), &[x, &mean, &var, &weight, &bias])?);
        }
        if ctx.ranks().world() > 1 {
            let sync_batch_norm::Synced { y, mean, var, count } =
                sync_batch_norm::forward([x, &weight, &bias], eps, relu, ctx.ranks())?;
            self.update(&mean, &var, count)?;
            return Ok(y);
        }
        let outs = Var::apply(Op::from(ops::BatchNorm { eps, relu }), &[x, &weight, &bias])?;
        let [y, mean, var] = &outs[..] else {
            return Err(Error::config("batch_norm", format!("wants 3 results, got {}", outs.len())));
        };
        // The shape rule has seen to it that there are at least two values per channel.
        self.update(mean.tensor(), var.tensor(), x.tensor().len() / mean.tensor().len())?;
        Ok(y.clone())
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.param("weight", &self.weight);
        visitor.param("bias", &self.bias);
        visitor.buffer("running_mean", &self.running_mean);
        visitor.buffer("running_var", &self.running_var);
    }
}

#[cfg(test)]
mod tests {
    use tensor::{DType, rng::Key};

    use super::*;
    use crate::layers::testing::{check_gradients, randomize};

    fn layer(channels: usize, relu: bool) -> BatchNorm2d {
        let init = Initializer::new(1).dtype(DType::F64);
        let bn = BatchNormConfig::new(channels).relu(relu).build(&init).unwrap();
        randomize(&bn);
        bn
    }

    #[test]
    fn gradients_in_both_modes() {
        for relu in [false, true] {
            check_gradients(&layer(3, relu), &[2, 3, 3, 4], true);
            check_gradients(&layer(3, relu), &[2, 3, 3, 4], false);
            check_gradients(&layer(4, relu), &[5, 4], true);
            check_gradients(&layer(2, relu), &[3, 2, 4], true);
        }
    }

    #[test]
    fn running_statistics_by_hand() {
        let bn = BatchNormConfig::new(1).momentum(0.25).build(&Initializer::new(1)).unwrap();
        let ctx = Ctx::train(Key::default());
        let x = ctx.input(Tensor::from_vec(vec![1.0_f32, 2.0, 3.0, 6.0], &[4, 1]).unwrap());
        let y = bn.forward(&x, &ctx).unwrap().tensor().to_f64_vec().unwrap();
        // Mean 3, biased variance 3.5, unbiased 14/3.
        let want = [-2.0, -1.0, 0.0, 3.0].map(|d| d / 3.5_f64.sqrt());
        assert!(y.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5), "{y:?}");
        let stat = |b: &Buffer| b.value().to_f64_vec().unwrap()[0];
        assert!((stat(&bn.running_mean) - 0.25 * 3.0).abs() < 1e-6);
        assert!((stat(&bn.running_var) - (0.75 + 0.25 * 14.0 / 3.0)).abs() < 1e-6);
        // Evaluation uses them and leaves them alone.
        let version = bn.running_var.version();
        let y = bn.forward(&x.detach(), &Ctx::eval()).unwrap().tensor().to_f64_vec().unwrap();
        assert!((y[3] - 5.25 / (0.75 + 3.5 / 3.0 + 1e-5_f64).sqrt()).abs() < 1e-5, "{y:?}");
        assert_eq!(bn.running_var.version(), version);
    }

    #[test]
    fn updating_records_nothing() {
        let bn = layer(3, true);
        let ctx = Ctx::train(Key::default());
        let x = ctx.input(Tensor::from_vec((0..24).map(f64::from).collect(), &[2, 3, 2, 2]).unwrap());
        bn.forward(&x, &ctx).unwrap();
        let names: Vec<_> = ctx.tape().unwrap().records().into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["batch_norm_relu"]);
    }

    #[test]
    fn one_value_is_too_few() {
        let bn = BatchNormConfig::new(2).build(&Initializer::new(1)).unwrap();
        let ctx = Ctx::train(Key::default());
        let x = ctx.input(Tensor::zeros(&[1, 2, 1, 1], DType::F32).unwrap());
        let error = ctx.call("bn", &bn, &x).unwrap_err().to_string();
        assert!(error.starts_with("bn: batch_norm: ") && error.contains("at least 2"), "{error}");
        assert_eq!(bn.running_mean.version(), 0);
    }
}
