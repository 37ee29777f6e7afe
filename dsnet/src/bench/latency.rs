//! Time of one forward pass (the paper's Section IV-F: inference alone, no loading, no drawing).

use datasets::Normalization;
use nn::{Ctx, Initializer, Module};
use serde::Serialize;
use tensor::{DType, Device, Ops, Tensor, ops::Distribution, rng::Key};

use super::{Memory, Timing, measure, memory, reset_memory};
use crate::{
    Result, compile,
    compile::{Given, Wanted},
    device::Precision,
    model,
    model::DsNet,
    summary,
    train::Size,
};

/// The result of [`inference`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inference {
    /// Name of the model.
    pub model: String,
    /// Number of classes.
    pub classes: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Images per run.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// What it was computed in.
    pub precision: Precision,
    /// Where it was computed.
    pub device: String,
    /// Times of a run.
    #[serde(flatten)]
    pub timing: Timing,
    /// Images per second, from the mean time.
    pub fps: f64,
    /// Trainable values.
    pub parameters: usize,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// 10⁹ multiply-accumulates per second, from the median time.
    pub gmacs_per_second: f64,
    /// Highest use of memory.
    #[serde(flatten)]
    pub memory: Memory,
}

/// What compiled models are given: pictures as a decoder leaves them.
pub(super) const GIVEN: Given = Given::Pictures(Normalization::CITYSCAPES);

/// How a forward pass is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Compiled, from pictures as decoded, telling this, computing in that.
    Plan(Wanted, Precision),
    /// Operation by operation on normalised images, as in training, computing in this; tells the logits.
    Eager(Precision),
}

impl Size {
    /// Both sides rounded up to what the network takes.
    pub(super) fn padded(self) -> Self {
        let up = |n: usize| n.next_multiple_of(compile::STRIDE);
        Self { height: up(self.height), width: up(self.width) }
    }
}

/// A channels-last batch of noise, as bytes.
pub(super) fn pictures(batch: usize, size: Size) -> Result<Tensor> {
    random(batch, size, Distribution::Uniform { low: 0.0, high: 256.0 }, DType::U8)
}

/// The same, as normalised images.
pub(super) fn noise(batch: usize, size: Size) -> Result<Tensor> {
    random(batch, size, Distribution::Normal { mean: 0.0, std: 1.0 }, DType::F32)
}

fn random(batch: usize, size: Size, distribution: Distribution, dtype: DType) -> Result<Tensor> {
    let dims = [batch, size.height, size.width, 3];
    let noise = Tensor::random(distribution, &dims, DType::F32, Key::new(1, 1))?;
    Ok(noise.cast(dtype)?.permute(&[0, 3, 1, 2])?)
}

/// Times `iters` forward passes of a freshly initialised model on `device` over noise, sides rounded up to multiples of 8.
///
/// # Errors
/// Where there is no such model.
pub fn inference(
    name: &str,
    classes: usize,
    size: Size,
    batch: usize,
    iters: usize,
    way: Way,
    device: &Device,
    tick: &dyn Fn(),
) -> Result<Inference> {
    let net = DsNet::new(&model::config(name, classes)?, &Initializer::new(0))?;
    nn::to_device(&net, device)?;
    let padded = size.padded();
    let cost = summary::summarize(&net, padded.height, padded.width)?;
    let images = match way {
        Way::Plan(..) => pictures(batch, padded)?,
        Way::Eager(_) => noise(batch, padded)?,
    };
    let images = images.to_device(device)?;
    reset_memory(device)?;
    let timing = match way {
        Way::Plan(wanted, precision) => {
            let plan = compile::compile(&net, images.dims(), GIVEN, wanted, precision)?;
            let run = || {
                plan.run(&[&images])?;
                Ok(device.synchronize()?)
            };
            measure(iters, run, tick)?
        }
        Way::Eager(precision) => {
            let run = || {
                let ctx = Ctx::eval().under(precision.policy());
                net.forward(&ctx.input(images.clone()), &ctx)?;
                Ok(device.synchronize()?)
            };
            measure(iters, run, tick)?
        }
    };
    Ok(Inference {
        model: name.into(),
        classes,
        height: size.height,
        width: size.width,
        batch,
        threads: rayon::current_num_threads(),
        precision: match way {
            Way::Plan(_, precision) | Way::Eager(precision) => precision,
        },
        device: device.name().into(),
        timing,
        fps: 1e3 * batch as f64 / timing.mean_ms,
        parameters: cost.parameters,
        macs: cost.macs,
        gmacs_per_second: cost.macs as f64 * batch as f64 / timing.median_ms / 1e6,
        memory: memory(device)?,
    })
}
