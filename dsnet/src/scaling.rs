//! What a training step takes on more ranks than there are: a simulation from measured compute, the model's bytes, and the
//! bandwidth and latency between ranks.
//!
//! It follows what `nn` does. Forward and backward, every batch normalisation exchanges its statistics and everybody waits;
//! gradients go in buckets, each summed while backward makes the next; the update needs all of them. Meanwhile loading threads
//! make the next batch. Not in it: ranks that are slower than others, and traffic of others.

use std::time::{Duration, Instant};

use nn::{
    Collective, Initializer, Module, Slot, collective::Threads, loss::LossSpec, parallel::BUCKET_BYTES,
};
use serde::Serialize;
use tensor::{DType, Tensor};

use crate::{
    Error, Result, model,
    model::{DsNet, TrainableDsNet},
    summary,
    train::Size,
};

/// Backward takes about twice as long as forward: two products in place of each.
const BACKWARD: f64 = 2.0 / 3.0;

/// Small messages of a step beside those of normalisation: counts of the losses, its parts, checks.
const OTHER_MESSAGES: usize = 5;

/// What ranks compute and exchange in a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Work {
    /// Bytes of each bucket of gradients, in the order in which backward makes them.
    pub buckets: Vec<usize>,
    /// Channels of each batch normalisation.
    pub norms: Vec<usize>,
}

/// What connects ranks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link {
    /// Bytes per second in each direction.
    pub bandwidth: f64,
    /// Seconds of a message without content.
    pub latency: f64,
}

/// A rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rank {
    /// Samples of a step.
    pub batch: usize,
    /// Seconds of forward and backward for one sample.
    pub sample_seconds: f64,
    /// Seconds of a step that do not depend on the batch: the update.
    pub step_seconds: f64,
    /// Samples per second that its loading threads make; infinite where they are not looked at.
    pub loader: f64,
}

/// Where the seconds of a step go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Step {
    /// Number of ranks.
    pub ranks: usize,
    /// Forward, backward and update.
    pub compute: f64,
    /// Waiting for statistics and other small messages.
    pub messages: f64,
    /// Waiting for gradients after backward is done.
    pub gradients: f64,
    /// Waiting for the batch.
    pub data: f64,
}

impl Step {
    /// All of it.
    pub fn seconds(&self) -> f64 {
        self.compute + self.messages + self.gradients + self.data
    }

    /// What it is bound by: loading, which goes on beside all else, where that has to wait for it; otherwise the longest part.
    pub fn bound(&self) -> &'static str {
        if self.data > 0.0 {
            return "data";
        }
        let parts = [(self.compute, "compute"), (self.messages, "messages"), (self.gradients, "gradients")];
        parts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map_or("", |(_, name)| name)
    }
}

impl Work {
    /// Of a model with the head that the paper's loss wants.
    ///
    /// # Errors
    /// Where there is no such model.
    pub fn of(name: &str, classes: usize) -> Result<Self> {
        let head = "owfl+sel".parse::<LossSpec>()?.needs_head();
        let model = TrainableDsNet::new(&model::config(name, classes)?, head, &Initializer::new(0))?;
        let entries = nn::Collect::of(&model as &dyn Module);
        let mut work = Self { buckets: vec![], norms: vec![] };
        let mut filling = 0;
        for entry in entries.iter().rev() {
            let len = entry.value().len();
            match &entry.slot {
                Slot::Buffer(_) if entry.name.ends_with("running_mean") => work.norms.push(len),
                Slot::Buffer(_) => {}
                Slot::Param(_) => {
                    filling += len * size_of::<f32>();
                    if filling >= BUCKET_BYTES {
                        work.buckets.push(std::mem::take(&mut filling));
                    }
                }
            }
        }
        work.buckets.extend((filling > 0).then_some(filling));
        Ok(work)
    }

    /// Bytes of all gradients.
    pub fn gradient_bytes(&self) -> usize {
        self.buckets.iter().sum()
    }
}

impl Link {
    /// Seconds of a sum over `ranks` of a message of so many bytes, by the better of two ways: around a ring in parts, or
    /// doubling the distance with the whole.
    pub fn all_reduce(&self, ranks: usize, bytes: f64) -> f64 {
        if ranks < 2 {
            return 0.0;
        }
        let n = ranks as f64;
        let ring = 2.0 * (n - 1.0) * (self.latency + bytes / n / self.bandwidth);
        let doubling = n.log2().ceil() * (self.latency + bytes / self.bandwidth);
        ring.min(doubling)
    }

    /// That of ranks as threads of this process, measured: sums of one number and of 4 MB between two of them.
    ///
    /// # Errors
    /// Where a thread can not be started.
    pub fn measured() -> Result<Self> {
        const LARGE: usize = 1 << 20;
        let time = |len: usize, times: usize| -> Result<f64> {
            let work = move |ranks: std::sync::Arc<dyn Collective>| -> nn::Result<f64> {
                let value = Tensor::zeros(&[len], DType::F32)?;
                ranks.all_reduce(&value)?;
                let start = Instant::now();
                for _ in 0..times {
                    ranks.all_reduce(&value)?;
                }
                Ok(start.elapsed().as_secs_f64() / times as f64)
            };
            let all = Threads::run(2, Duration::from_secs(60), work);
            let all = all.map_err(|e| {
                Error::message(format!("two ranks could not exchange anything: {}", e.failure))
            })?;
            Ok(all.into_iter().fold(0.0, f64::max))
        };
        let (small, large) = (time(1, 200)?, time(LARGE, 10)?);
        // Of two ranks, both ways send one message of the whole, or two of a half.
        let bandwidth = (LARGE * size_of::<f32>()) as f64 / (large - small).max(1e-9);
        Ok(Self { bandwidth, latency: small })
    }
}

/// The step of `ranks` ranks.
pub fn step(work: &Work, rank: Rank, link: Link, ranks: usize) -> Step {
    let batch = rank.batch as f64;
    let passes = batch * rank.sample_seconds;
    let compute = passes + rank.step_seconds;
    // Forward: a row of count, means and variances of each rank; backward: two sums per channel.
    let norm = |channels: usize| {
        let forward = (ranks * (1 + 2 * channels) * size_of::<f64>()) as f64;
        let backward = (2 * channels * size_of::<f32>()) as f64;
        link.all_reduce(ranks, forward) + link.all_reduce(ranks, backward)
    };
    let waits: f64 = work.norms.iter().map(|&channels| norm(channels)).sum();
    let messages = waits + OTHER_MESSAGES as f64 * link.all_reduce(ranks, size_of::<f64>() as f64);
    // Buckets are ready evenly along backward, and go one after the other.
    let backward = BACKWARD * (passes + messages);
    let forward = passes + messages - backward;
    let all = work.gradient_bytes().max(1) as f64;
    let (mut made, mut free) = (0.0, 0.0_f64);
    for &bytes in &work.buckets {
        made += bytes as f64;
        let ready = forward + backward * made / all;
        free = free.max(ready) + link.all_reduce(ranks, bytes as f64);
    }
    let gradients = (free - passes - messages).max(0.0);
    let busy = compute + messages + gradients;
    let data = (batch / rank.loader - busy).max(0.0);
    Step { ranks, compute, messages, gradients, data }
}

/// Seconds of forward and backward for one sample on a device of so many operations and bytes per second, of which it reaches
/// the share `efficiency`: for each operation the larger of both, three times forward. An estimate, where nothing can be
/// measured.
///
/// # Errors
/// Where there is no such model, or the size does not fit.
pub fn estimated(
    name: &str,
    classes: usize,
    size: Size,
    flops: f64,
    bytes: f64,
    efficiency: f64,
) -> Result<f64> {
    let net = DsNet::new(&model::config(name, classes)?, &Initializer::new(0))?;
    let forward: f64 = summary::costs(&net, size.height, size.width)?
        .iter()
        .map(|c| (c.flops as f64 / flops).max(c.bytes as f64 / bytes))
        .sum();
    Ok(3.0 * forward / efficiency)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link { bandwidth: 1e9, latency: 1e-5 };
    const RANK: Rank = Rank { batch: 4, sample_seconds: 0.1, step_seconds: 0.01, loader: f64::INFINITY };

    fn work() -> Work {
        Work { buckets: vec![1_000_000, 1_000_000], norms: vec![64, 128] }
    }

    #[test]
    fn sums_by_hand() {
        assert_eq!(LINK.all_reduce(1, 1e6), 0.0);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        // Four ranks: large messages go around the ring, small ones by doubling.
        near(LINK.all_reduce(4, 8e6), 6.0 * (1e-5 + 2e6 / 1e9));
        near(LINK.all_reduce(4, 8.0), 2.0 * (1e-5 + 8e-9));
    }

    #[test]
    fn one_rank_computes_alone() {
        let one = step(&work(), RANK, LINK, 1);
        assert_eq!((one.messages, one.gradients, one.data), (0.0, 0.0, 0.0));
        assert!((one.seconds() - 0.41).abs() < 1e-12);
    }

    #[test]
    fn what_is_hidden_and_what_is_not() {
        let four = step(&work(), RANK, LINK, 4);
        // The first bucket goes while backward makes the second; the second has nothing to hide behind.
        assert!((four.gradients - LINK.all_reduce(4, 1e6)).abs() < 1e-9, "{four:?}");
        let expected: f64 = [64, 128]
            .iter()
            .map(|&c| {
                LINK.all_reduce(4, f64::from(4 * (1 + 2 * c) * 8)) + LINK.all_reduce(4, f64::from(2 * c * 4))
            })
            .sum();
        assert!((four.messages - expected - 5.0 * LINK.all_reduce(4, 8.0)).abs() < 1e-12);
        // A slow link: both buckets queue.
        let slow = step(&work(), RANK, Link { bandwidth: 1e5, ..LINK }, 4);
        assert!(slow.gradients > 10.0 && slow.bound() == "gradients", "{slow:?}");
        // Slow loading fills up what is left.
        let hungry = step(&work(), Rank { loader: 2.0, ..RANK }, LINK, 4);
        assert!((hungry.seconds() - 2.0).abs() < 1e-9 && hungry.bound() == "data", "{hungry:?}");
    }

    #[test]
    fn the_models_bytes() {
        let work = Work::of("dsnet-1.0", 19).unwrap();
        let head = 32 * 128 + 32 + 2 * 32 + 128 * 19 + 19;
        assert_eq!(work.gradient_bytes(), 4 * (910_460 + head));
        assert!(work.buckets.iter().rev().skip(1).all(|&b| b >= BUCKET_BYTES));
        // Of the first unit, two Downs, 22 Basic units, two Ups and the head.
        assert_eq!(work.norms.len(), 1 + 2 * 4 + 22 * 3 + 2 * 4 + 1);
    }

    #[test]
    fn estimates_follow_the_device() {
        let size = Size { height: 64, width: 96 };
        let at = |flops, bytes| estimated("dsnet-1.0", 19, size, flops, bytes, 0.5).unwrap();
        let bound = at(1e12, f64::INFINITY);
        assert!((at(2e12, f64::INFINITY) - bound / 2.0).abs() < 1e-9 * bound);
        assert!(at(1e12, 1e9) > bound);
    }

    #[test]
    fn this_machine_has_a_link() {
        let link = Link::measured().unwrap();
        assert!(link.latency > 0.0 && link.bandwidth > 0.0);
    }
}
