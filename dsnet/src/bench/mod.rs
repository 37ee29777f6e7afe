//! What a model costs in time and memory.

mod data;
mod latency;
mod layers;
mod memory;
mod operations;
mod training;

use std::time::Instant;

use serde::Serialize;

pub use data::{DataBench, Delivery, Stage, data, total};
pub use latency::{Inference, Way, inference};
pub use layers::{LayerTime, Layers, layers};
pub(crate) use memory::kilobytes;
pub use memory::{Memory, memory, reset_memory};
pub use operations::{OperationTime, Operations, operations};
pub use training::{TrainingStep, training};

/// Times of repeated runs, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timing {
    /// Runs measured.
    pub iters: usize,
    /// The fastest.
    pub min_ms: f64,
    /// The middle one.
    pub median_ms: f64,
    /// The mean: what the paper prints (Section IV-F: of 10 × 100 images).
    pub mean_ms: f64,
    /// 99 of 100 are as fast.
    pub p99_ms: f64,
}

impl Timing {
    /// Summary of times in milliseconds; at least one.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let n = times.len();
        // The nearest-rank percentile: the smallest time that 99 % of the runs do not exceed.
        let rank = |share: f64| times[((share * n as f64).ceil() as usize).clamp(1, n) - 1];
        let middle = f64::midpoint(times[(n - 1) / 2], times[n / 2]);
        let mean_ms = times.iter().sum::<f64>() / n as f64;
        Self { iters: n, min_ms: times[0], median_ms: middle, mean_ms, p99_ms: rank(0.99) }
    }
}

/// Runs `f` a few times to warm up, then `iters` times on the clock; `tick` is called after each.
fn measure(iters: usize, mut f: impl FnMut() -> crate::Result<()>, tick: &dyn Fn()) -> crate::Result<Timing> {
    for _ in 0..(iters / 10).clamp(1, 5) {
        f()?;
    }
    let mut times = Vec::with_capacity(iters);
    for _ in 0..iters.max(1) {
        let start = Instant::now();
        f()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        tick();
    }
    Ok(Timing::of(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_statistics() {
        let t = Timing::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((t.iters, t.min_ms, t.median_ms, t.mean_ms, t.p99_ms), (200, 1.0, 100.5, 100.5, 198.0));
        let one = Timing::of(vec![3.0]);
        assert_eq!((one.median_ms, one.p99_ms), (3.0, 3.0));
    }
}
