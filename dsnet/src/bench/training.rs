//! Time and memory of one training step.

use serde::Serialize;
use tensor::{Device, Tensor, rng::Key};

use super::{Memory, Timing, latency::noise, measure, memory, reset_memory};
use crate::{
    Error, Result,
    device::Precision,
    model,
    train::{Learner, OptimizerKind, Size},
};

/// The result of [`training`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingStep {
    /// Name of the model.
    pub model: String,
    /// Number of classes.
    pub classes: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Images per step.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// What it was computed in.
    pub precision: Precision,
    /// Where it was computed.
    pub device: String,
    /// Times of a step.
    #[serde(flatten)]
    pub timing: Timing,
    /// Images per second, from the median time.
    pub images_per_second: f64,
    /// Highest use of memory.
    #[serde(flatten)]
    pub memory: Memory,
}

/// A learner with a batch to learn from, over and over.
pub(super) struct Pupil {
    learner: Learner,
    images: Tensor,
    labels: Tensor,
    steps: u64,
}

impl Pupil {
    /// A freshly initialised model with its head, OWFL + SEL and Adam, and a batch of noise.
    ///
    /// # Errors
    /// Where there is no such model, or the size is no multiple of 8.
    pub(super) fn new(
        name: &str,
        classes: usize,
        size: Size,
        batch: usize,
        precision: Precision,
        device: &Device,
    ) -> Result<Self> {
        if !size.height.is_multiple_of(8) || !size.width.is_multiple_of(8) {
            return Err(Error::usage(format!("training wants multiples of 8, not {size} (height x width)")));
        }
        let shape = model::config(name, classes)?;
        // A long tail, so that all of α and γ are at work.
        let tail: Vec<f64> = (0..classes).map(|i| 0.6f64.powi(i as i32)).collect();
        let sum: f64 = tail.iter().sum();
        let frequencies: Vec<f64> = tail.iter().map(|f| f / sum).collect();
        let loss = "owfl+sel".parse()?;
        let mut learner = Learner::with(&shape, loss, &frequencies, OptimizerKind::Adam, 1e-4, 0)?;
        learner.compute_in(precision.policy())?;
        learner.move_to(device)?;
        let images = noise(batch, size)?.to_device(device)?;
        let pixels = batch * size.height * size.width;
        let labels = (0..pixels).map(|i| (i / 97 % classes) as u8).collect();
        let labels = Tensor::from_vec(labels, &[batch, size.height, size.width])?.to_device(device)?;
        Ok(Self { learner, images, labels, steps: 0 })
    }

    /// Forward with the head, loss, backward, update.
    pub(super) fn step(&mut self) -> Result<()> {
        self.steps += 1;
        self.learner.step(&self.images, &self.labels, Key::new(0, self.steps), 1.0)?;
        Ok(self.images.device().synchronize()?)
    }
}

/// Times `iters` training steps (forward with the head, OWFL + SEL, backward, Adam) in `precision` on `device`, which was
/// opened for it, over noise.
///
/// # Errors
/// Where there is no such model, or the size is no multiple of 8.
pub fn training(
    name: &str,
    classes: usize,
    size: Size,
    batch: usize,
    iters: usize,
    precision: Precision,
    device: &Device,
    tick: &dyn Fn(),
) -> Result<TrainingStep> {
    let mut pupil = Pupil::new(name, classes, size, batch, precision, device)?;
    reset_memory(device)?;
    let timing = measure(iters, || pupil.step(), tick)?;
    Ok(TrainingStep {
        model: name.into(),
        classes,
        height: size.height,
        width: size.width,
        batch,
        threads: rayon::current_num_threads(),
        precision,
        device: device.name().into(),
        timing,
        images_per_second: 1e3 * batch as f64 / timing.median_ms,
        memory: memory(device)?,
    })
}
