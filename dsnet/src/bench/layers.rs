//! Where the time of a compiled model goes: one row for each fused step.

use std::time::Instant;

use nn::Initializer;
use serde::Serialize;
use tensor::{
    Device,
    cpu::{
        conv::Bf16Engine,
        simd::{Isa, peak_flops},
    },
};

use super::latency::{GIVEN, pictures};
use crate::{
    Result,
    compile::{Wanted, optimized},
    device::Precision,
    model,
    model::DsNet,
    train::Size,
};

/// What one step costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerTime {
    /// Path of the module that the step ends with.
    pub path: String,
    /// The step, as `dsnet summary --plan` prints it.
    pub step: String,
    /// Fastest time, in milliseconds.
    pub ms: f64,
    /// Floating-point operations of the plain sum.
    pub flops: u64,
    /// Bytes that have to be read and written at least.
    pub bytes: u64,
    /// The larger of operations over the multiply-add ceiling and bytes over the copy bandwidth of all threads, in
    /// milliseconds. Winograd's tiles need fewer operations than the plain sum, and can be faster.
    pub floor_ms: f64,
}

/// The result of [`layers`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layers {
    /// The steps in order.
    pub layers: Vec<LayerTime>,
    /// Threads.
    pub threads: usize,
    /// Which instructions convolutions use on the CPU.
    pub kernels: String,
    /// Multiply-add ceiling of one core in GFLOP/s, measured on registers.
    pub core_gflops: f64,
    /// Bytes read and written by a copy far larger than the caches, all threads, in GB/s.
    pub copy_gbytes: f64,
    /// Bytes of the arena.
    pub planned_bytes: usize,
    /// Bytes of all values, had each memory of its own.
    pub naive_bytes: usize,
}

/// Times each step of a compiled, freshly initialised model over noise, sides rounded up to multiples of 8: the fastest of
/// `iters` runs.
///
/// # Errors
/// Where there is no such model.
pub fn layers(
    name: &str,
    classes: usize,
    size: Size,
    batch: usize,
    iters: usize,
    wanted: Wanted,
    precision: Precision,
    device: &Device,
    tick: &dyn Fn(),
) -> Result<Layers> {
    let net = DsNet::new(&model::config(name, classes)?, &Initializer::new(0))?;
    nn::to_device(&net, device)?;
    let images = pictures(batch, size.padded())?;
    let graph = optimized(&net, images.dims(), GIVEN, wanted, precision)?;
    let plan = device.plan(&graph)?;
    let mut best = vec![f64::INFINITY; graph.nodes.len()];
    for _ in 0..iters.max(1) {
        plan.run_timed(&[&images], &mut |i, time| best[i] = best[i].min(time.as_secs_f64()))?;
        tick();
    }
    let threads = rayon::current_num_threads();
    let (flops, kernels) = if precision == Precision::Bf16 {
        (Bf16Engine::current().peak_flops(), Bf16Engine::current().to_string())
    } else {
        (peak_flops::<f32>(Isa::current()).unwrap_or(f64::NAN), Isa::current().to_string())
    };
    let copied = copy_bandwidth();
    let text = graph.to_string();
    let lines = text.lines().skip(graph.inputs.len());
    let layers = graph
        .nodes
        .iter()
        .zip(lines)
        .zip(&best)
        .map(|((node, line), seconds)| {
            let cost = graph.cost(node);
            let floor = (cost.flops as f64 / (flops * threads as f64)).max(cost.bytes as f64 / copied);
            let step = line.split_once(" = ").map_or(line, |(_, step)| step);
            LayerTime {
                path: node.scope.to_string(),
                step: step.split(" -> ").next().unwrap_or(step).into(),
                ms: seconds * 1e3,
                flops: cost.flops,
                bytes: cost.bytes,
                floor_ms: floor * 1e3,
            }
        })
        .collect();
    let memory = plan.memory();
    Ok(Layers {
        layers,
        threads,
        kernels,
        core_gflops: flops / 1e9,
        copy_gbytes: copied / 1e9,
        planned_bytes: memory.planned,
        naive_bytes: memory.naive,
    })
}

/// Bytes per second, read and written ones counted, of copies of 128 MB on all threads: the best of some.
fn copy_bandwidth() -> f64 {
    use rayon::prelude::*;
    const LEN: usize = 16 << 20;
    let from = vec![0.5; LEN];
    let mut to = vec![1.0; LEN];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        to.par_chunks_mut(1 << 16)
            .zip(from.par_chunks(1 << 16))
            .for_each(|(to, from)| to.copy_from_slice(from));
        best = best.min(start.elapsed().as_secs_f64());
    }
    (2 * LEN * size_of::<f64>()) as f64 / best
}
