//! One training step: forward, loss, backward, update. The loop and the benchmark share it. On a GPU it is recorded after the
//! first steps ([`super::recorded`]).

use std::{sync::Arc, time::Instant};

use cuda_backend::CudaBackend;
use nn::{
    Collective, Ctx, Initializer, Policy, buffers,
    collective::Solo,
    loss::{Criterion, LossSpec, LossValue, PixelLoss},
    optim::{self, Adam, AdamW, Ema, Gradient, LossScale, Optimizer, Sgd},
    parallel::{self, BUCKET_BYTES},
};
use tensor::{Device, Ops, Tensor, rng::Key};

use super::{OptimizerKind, Phases, TrainConfig, guard, recorded::Steps};
use crate::{
    Error, Result,
    compile::STRIDE,
    device,
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
    /// Where the time of the last step went; the batch was there already. Of a recorded step the host knows no parts.
    pub phases: Phases,
    /// Whether steps on a GPU are recorded.
    pub capture: bool,
    pub(super) steps: Steps,
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
        learner.capture = config.capture;
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
            capture: true,
            steps: Steps::default(),
            ranks: Arc::new(Solo),
        })
    }

    /// Lets all further steps compute in the precision that `policy` says; weights, optimiser and checkpoints stay as they are.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn compute_in(&mut self, policy: Policy) -> Result<()> {
        self.policy = policy;
        self.steps = Steps::default();
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
        self.steps = Steps::default();
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
        if let Some(gpu) = self.recorder()?
            && self.steps.ready(images, labels)
        {
            self.phases = Phases::default();
            if let Some(loss) = self.replay(&gpu, [images, labels], key, factor)? {
                return Ok(loss);
            }
            // Once more, one operation at a time, which finds out where the number arose.
        }
        // A pass moves running statistics before it is known whether the step will be done.
        let before = buffers(&self.model).into_iter().map(|(_, buffer)| (buffer.value(), buffer));
        let before: Vec<_> = before.collect();
        let result = self.try_step(images, labels, key, factor);
        if !result.as_ref().is_ok_and(|loss| loss.overflow.is_none()) {
            before.into_iter().for_each(|(value, buffer)| buffer.set(value));
            self.steps.left_out();
        }
        result
    }

    /// The GPU that records steps, where steps can be recorded and are to be.
    fn recorder(&self) -> Result<Option<Arc<CudaBackend>>> {
        match self.capture && self.hindrance().is_none() {
            true => device::gpu(&self.device),
            false => Ok(None),
        }
    }

    /// Why steps of this learner can not be recorded, where they can not.
    pub(super) fn hindrance(&self) -> Option<&'static str> {
        if self.ranks.world() > 1 {
            return Some("several GPUs take them together");
        }
        (self.criterion.spec().pixel == PixelLoss::Bootstrap)
            .then_some("the loss picks its pixels on the host")
    }

    /// A training pass.
    pub(super) fn pass(&self, key: Key) -> Ctx {
        Ctx::train(key).under(self.policy).across(self.ranks.clone())
    }

    /// The loss of a batch, in a pass under `ctx`: this rank's part.
    pub(super) fn loss(&self, ctx: &Ctx, images: &Tensor, labels: &Tensor) -> Result<LossValue> {
        let (logits, head) = self.model.forward_train(&ctx.input(images.clone()), ctx)?;
        Ok(self.criterion.forward_across(&logits, head.as_ref(), labels, &*self.ranks)?)
    }

    /// The gradients after a pass under `ctx`, which ends; those of the loss times `scale`.
    pub(super) fn gradients(
        &self,
        value: &LossValue,
        scale: Option<&LossScale>,
        ctx: Ctx,
    ) -> Result<Vec<Gradient>> {
        let total = scale.map_or_else(|| Ok(value.total.clone()), |scale| scale.scaled(&value.total))?;
        Ok(parallel::backward(&total, &ctx, &self.model, BUCKET_BYTES)?)
    }

    /// What gradients of the loss times `scale` are multiplied with before they move parameters: the scale is taken off, and
    /// their norm limited.
    pub(super) fn factor(&self, grads: &[Gradient], scale: Option<&LossScale>) -> Result<Tensor> {
        let off = match scale {
            Some(scale) => scale.inverse()?,
            None => Tensor::scalar(1.0_f64).to_device(&self.device)?,
        };
        Ok(match self.clip {
            Some(max) => optim::clip_factor(grads, max, &off)?,
            None => off,
        })
    }

    fn try_step(&mut self, images: &Tensor, labels: &Tensor, key: Key, factor: f64) -> Result<StepLoss> {
        let start = Instant::now();
        let (images, labels) = (&images.to_device(&self.device)?, &labels.to_device(&self.device)?);
        let ctx = self.pass(key);
        let value = self.loss(&ctx, images, labels)?;
        let loss = StepLoss::sum(&value, &*self.ranks)?;
        let forward = start.elapsed();
        self.phases = Phases { forward: forward.as_secs_f64(), ..Phases::default() };
        if !loss.total.is_finite() {
            return self.overflowed(loss, |l| guard::loss(&l.model, l.policy, images, loss, &*l.ranks));
        }
        let grads = self.gradients(&value, self.scale.as_ref(), ctx)?;
        let backward = start.elapsed();
        self.phases.backward = (backward - forward).as_secs_f64();
        let params: Vec<_> = grads.iter().map(|g| (g.name.clone(), g.param.clone())).collect();
        let numbers = self.optimizer.numbers(&params, factor)?;
        let by = self.factor(&grads, self.scale.as_ref())?;
        let proposal = self.optimizer.propose(&grads, &numbers, &by)?;
        if proposal.found.item()? != 0.0 {
            return self.overflowed(loss, |l| guard::gradient(&grads, &*l.ranks));
        }
        if let Some(scale) = &mut self.scale {
            scale.update(&proposal.finite()?)?;
        }
        self.optimizer.accept(&params, proposal.values, proposal.slots);
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
