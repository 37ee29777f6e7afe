//! One training step: forward, loss, backward, update. The loop and the benchmark share it.

use std::{sync::Arc, time::Instant};

use nn::{
    Collective, Ctx, Initializer, Policy, buffers,
    collective::Solo,
    loss::{Criterion, LossSpec, LossValue},
    optim::{self, Adam, AdamW, Ema, LossScale, Optimizer, Sgd},
    parallel::{self, BUCKET_BYTES},
};
use tensor::{Device, Ops, Tensor, rng::Key};

use super::{OptimizerKind, Phases, TrainConfig, guard};
use crate::{
    Error, Result,
    compile::STRIDE,
    model::{DsNetConfig, TrainableDsNet},
};

/// A model and what teaches it.
#[derive(Debug)]
pub struct Learner {
    /// The model, with the head that the loss wants.
    pub model: TrainableDsNet,
    /// The loss.
    pub criterion: Criterion,
    /// The optimiser, with its state.
    pub optimizer: Optimizer,
    /// The running average of the model, where one is kept.
    pub average: Option<Average>,
    /// Largest norm of the gradient, where there is a limit.
    pub clip: Option<f64>,
    /// In which precision forward and backward pass compute: see [`Learner::compute_in`].
    pub(super) policy: Policy,
    /// What the loss is multiplied with before backward, where the precision wants that.
    pub scale: Option<LossScale>,
    /// Who takes each step together: this learner sees its share of a batch.
    pub ranks: Arc<dyn Collective>,
    /// Where it computes: see [`Learner::move_to`].
    pub(super) device: Device,
    /// Where the time of the last step went; the batch was there already.
    pub phases: Phases,
}

/// A running average of a model.
#[derive(Debug)]
pub struct Average {
    /// The average.
    pub model: TrainableDsNet,
    /// How it is taken.
    pub ema: Ema,
}

/// The loss of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// What was minimised.
    pub total: f64,
    /// The loss of pixels.
    pub pixel: f64,
    /// The semantic encoding loss, where it takes part.
    pub sel: Option<f64>,
    /// The loss scale at which loss or gradients overflowed, where they did: the step was then not taken, and the next one
    /// has half of it.
    pub overflow: Option<f64>,
}

impl StepLoss {
    /// The sum of all ranks' parts.
    fn sum(part: &LossValue, ranks: &dyn Collective) -> Result<Self> {
        let mut parts = vec![part.total.tensor().item()?, part.pixel.tensor().item()?];
        parts.extend(part.sel.as_ref().map(|v| v.tensor().item()).transpose()?);
        let all = ranks.all_reduce(&Tensor::from_slice(&parts, &[parts.len()])?)?.to_vec::<f64>()?;
        Ok(Self { total: all[0], pixel: all[1], sel: all.get(2).copied(), overflow: None })
    }
}

/// The optimiser that a run asks for.
fn optimizer(kind: OptimizerKind, lr: f64, weight_decay: f64) -> Optimizer {
    let optimizer = match kind {
        OptimizerKind::Adam => Optimizer::new(Adam::default(), lr),
        OptimizerKind::Adamw => Optimizer::new(AdamW::default(), lr),
        OptimizerKind::Sgd => Optimizer::new(Sgd { momentum: 0.9, ..Sgd::default() }, lr),
    };
    optimizer.weight_decay(weight_decay)
}

impl Learner {
    /// A learner as `config` describes it, its weights drawn from the seed. `frequencies` are the shares of the classes.
    ///
    /// # Errors
    /// Where the loss can not be made from the frequencies.
    pub fn new(config: &TrainConfig, shape: &DsNetConfig, frequencies: &[f64]) -> Result<Self> {
        let mut learner =
            Self::with(shape, config.loss.0, frequencies, config.optimizer, config.lr, config.seed)?;
        learner.optimizer = optimizer(config.optimizer, config.lr, config.weight_decay);
        learner.clip = config.clip;
        learner.compute_in(config.precision.policy())?;
        if let Some(decay) = config.ema {
            let init = Initializer::new(config.seed);
            let model = TrainableDsNet::new(shape, config.loss.0.needs_head(), &init)?;
            learner.average = Some(Average { model, ema: Ema::new(decay)? });
        }
        Ok(learner)
    }

    /// The model that is evaluated and kept: the average where there is one.
    pub fn scored(&self) -> &TrainableDsNet {
        self.average.as_ref().map_or(&self.model, |average| &average.model)
    }

    /// A learner without weight decay and without a limit on gradients.
    ///
    /// # Errors
    /// As [`Learner::new`].
    pub fn with(
        shape: &DsNetConfig,
        loss: LossSpec,
        frequencies: &[f64],
        kind: OptimizerKind,
        lr: f64,
        seed: u64,
    ) -> Result<Self> {
        Ok(Self {
            model: TrainableDsNet::new(shape, loss.needs_head(), &Initializer::new(seed))?,
            criterion: loss.build(frequencies)?,
            optimizer: optimizer(kind, lr, 0.0),
            average: None,
            clip: None,
            policy: Policy::default(),
            scale: None,
            device: tensor::cpu::device(),
            phases: Phases::default(),
            ranks: Arc::new(Solo),
        })
    }

    /// Lets all further steps compute in the precision that `policy` says; weights, optimiser and checkpoints stay as they are.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn compute_in(&mut self, policy: Policy) -> Result<()> {
        self.policy = policy;
        self.scale = policy.wants_scale().then(|| LossScale::new(&self.device)).transpose()?;
        Ok(())
    }

    /// Moves the model and what the optimiser keeps to `device`, where all further steps are computed.
    ///
    /// # Errors
    /// Where a device fails or its memory is full.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        nn::to_device(&self.model, device)?;
        if let Some(average) = &self.average {
            nn::to_device(&average.model, device)?;
        }
        self.optimizer.to_device(device)?;
        if let Some(scale) = &mut self.scale {
            scale.to_device(device)?;
        }
        self.device = device.clone();
        Ok(())
    }

    /// One step on normalised images `[N, 3, H, W]` and labels `[N, H, W]`: moves the weights, at the base rate times
    /// `factor`. `key` names the step's random stream. Where several ranks take the step together, these are this rank's
    /// images; the loss and the update are those of all ranks' images. With a loss scale, a step whose loss or gradients overflow
    /// moves nothing and is no error ([`StepLoss::overflow`]).
    ///
    /// # Errors
    /// Shapes or labels that do not fit; [`Error::NotFinite`] where the loss or a gradient
    /// is NaN or infinite (with a loss scale: and the scale has fallen below 1), whose message names the layer; a rank that is
    /// lost or hangs. After any error the model is as before.
    pub fn step(&mut self, images: &Tensor, labels: &Tensor, key: Key, factor: f64) -> Result<StepLoss> {
        let (height, width) = (images.dim(2)?, images.dim(3)?);
        if !height.is_multiple_of(STRIDE) || !width.is_multiple_of(STRIDE) {
            return Err(Error::usage(format!(
                "training images of {width}x{height} pixels: both must be multiples of {STRIDE}; set --crop"
            )));
        }
        // A pass moves running statistics before it is known whether the step will be done.
        let before = buffers(&self.model).into_iter().map(|(_, buffer)| (buffer.value(), buffer));
        let before: Vec<_> = before.collect();
        let result = self.try_step(images, labels, key, factor);
        if !result.as_ref().is_ok_and(|loss| loss.overflow.is_none()) {
            before.into_iter().for_each(|(value, buffer)| buffer.set(value));
        }
        result
    }

    fn try_step(&mut self, images: &Tensor, labels: &Tensor, key: Key, factor: f64) -> Result<StepLoss> {
        let start = Instant::now();
        let (images, labels) = (&images.to_device(&self.device)?, &labels.to_device(&self.device)?);
        let ctx = Ctx::train(key).under(self.policy).across(self.ranks.clone());
        let (logits, head) = self.model.forward_train(&ctx.input(images.clone()), &ctx)?;
        let value = self.criterion.forward_across(&logits, head.as_ref(), labels, &*self.ranks)?;
        drop((logits, head));
        let loss = StepLoss::sum(&value, &*self.ranks)?;
        let forward = start.elapsed();
        self.phases = Phases { forward: forward.as_secs_f64(), ..Phases::default() };
        if !loss.total.is_finite() {
            return self.overflowed(loss, |l| guard::loss(&l.model, l.policy, images, loss, &*l.ranks));
        }
        let total = match &self.scale {
            Some(scale) => scale.scaled(&value.total)?,
            None => value.total,
        };
        let mut grads = parallel::backward(&total, &ctx, &self.model, BUCKET_BYTES)?;
        drop(ctx);
        let backward = start.elapsed();
        self.phases.backward = (backward - forward).as_secs_f64();
        let unscaled = self.scale.as_ref().map(|scale| scale.unscale(&mut grads)).transpose()?;
        let finite = match &unscaled {
            Some(finite) => finite.item()? != 0.0,
            None => guard::finite(&grads)?,
        };
        if !finite {
            return self.overflowed(loss, |l| guard::gradient(&grads, &*l.ranks));
        }
        if let (Some(scale), Some(finite)) = (&mut self.scale, unscaled) {
            scale.update(&finite)?;
        }
        if let Some(max) = self.clip {
            optim::clip_norm(&mut grads, max)?;
        }
        self.optimizer.step(&grads, factor)?;
        if let Some(Average { model, ema }) = &self.average {
            let steps = self.optimizer.state().values().map(|state| state.steps).max();
            ema.update(model, &self.model, steps.unwrap_or(0))?;
        }
        self.phases.update = (start.elapsed() - backward).as_secs_f64();
        Ok(loss)
    }

    /// What becomes of a step whose loss or gradients are not finite: where a smaller loss scale may help, it is not taken;
    /// else it is the `error`.
    fn overflowed(&mut self, loss: StepLoss, error: impl FnOnce(&Self) -> Error) -> Result<StepLoss> {
        let Some(scale) = &mut self.scale else { return Err(error(self)) };
        let overflow = Some(scale.value()?);
        scale.update(&Tensor::scalar(0.0_f32).to_device(&self.device)?)?;
        let now = scale.value()?;
        if now >= 1.0 {
            return Ok(StepLoss { overflow, ..loss });
        }
        Err(match error(self) {
            Error::NotFinite(what) => {
                Error::NotFinite(format!("{what}\n  no loss scale helps: it has fallen to {now}"))
            }
            other => other,
        })
    }
}
