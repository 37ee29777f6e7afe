//! Convolution speed on DSNet's layers.
//!
//! `cargo bench -p tensor --bench conv` runs criterion (throughput is in floating-point operations).
//! `cargo bench -p tensor --bench conv -- --table [FILTER] [--isa portable|avx2|avx512]` prints the best time of each layer
//! and pass as GFLOP/s and as share of the processor's multiply-add ceiling, in half a minute; FILTER picks layers by name.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tensor::cpu::conv::{
    ConvGeometry, Direction, Epilogue, PackedWeights, forward_packed, input_gradient, input_gradient_packed,
    weight_gradient,
};
use tensor::cpu::simd::{Isa, peak_flops, with_isa};

/// A layer as the network has it. A transposed one is the gradient of `geometry`, whose "output" is its input.
struct Layer {
    name: &'static str,
    geometry: ConvGeometry,
    transposed: bool,
}

fn layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut add = |name, geometry, transposed| layers.push(Layer { name, geometry, transposed });
    let conv = |size: [usize; 2], cin, cout, k: usize| {
        ConvGeometry::new(1, size, cin, cout, [k, k]).with_padding([k / 2, k / 2])
    };
    let dilated = |size, c, d: usize| {
        ConvGeometry::new(1, size, c, c, [3, 3]).with_padding([d, d]).with_dilation([d, d])
    };
    let oblong =
        |size, c, k: [usize; 2]| ConvGeometry::new(1, size, c, c, k).with_padding([k[0] / 2, k[1] / 2]);
    let (full, half, quarter, eighth) = ([360, 640], [180, 320], [90, 160], [45, 80]);
    add("init 3x3s2 3>13", conv(full, 3, 13, 3).with_stride([2, 2]), false);
    add("down1 1x1 16>32 half", conv(half, 16, 32, 1), false);
    add("down1 3x3s2 32>32", conv(half, 32, 32, 3).with_stride([2, 2]), false);
    add("stage2 1x1 32>32", conv(quarter, 32, 32, 1), false);
    add("stage2 3x3 32>32", conv(quarter, 32, 32, 3), false);
    add("down2 1x1 64>64 quarter", conv(quarter, 64, 64, 1), false);
    add("down2 3x3s2 64>64", conv(quarter, 64, 64, 3).with_stride([2, 2]), false);
    add("stage3 1x1 64>64", conv(eighth, 64, 64, 1), false);
    add("stage3 3x3d1 64>64", dilated(eighth, 64, 1), false);
    add("stage3 3x3d2 64>64", dilated(eighth, 64, 2), false);
    add("stage3 3x3d5 64>64", dilated(eighth, 64, 5), false);
    add("stage3 3x3d9 64>64", dilated(eighth, 64, 9), false);
    add("stage3 3x3d17 64>64", dilated(eighth, 64, 17), false);
    add("erfnet 3x1 64>64", oblong(eighth, 64, [3, 1]), false);
    add("erfnet 1x3 64>64", oblong(eighth, 64, [1, 3]), false);
    add("up4 1x1 128>64", conv(eighth, 128, 64, 1), false);
    add("up4 3x3s2 transposed 64>64", conv(quarter, 64, 64, 3).with_stride([2, 2]), true);
    add("up5 1x1 64>16", conv(quarter, 64, 16, 1), false);
    add("up5 3x3s2 transposed 16>16", conv(half, 16, 16, 3).with_stride([2, 2]), true);
    add("stage5 1x1 8>8", conv(half, 8, 8, 1), false);
    add("stage5 3x3 8>8", conv(half, 8, 8, 3), false);
    add("full 2x2s2 transposed 16>19", ConvGeometry::new(1, full, 19, 16, [2, 2]).with_stride([2, 2]), true);
    add("training 3x3d2 64>64", ConvGeometry { batch: 4, ..dilated([45, 60], 64, 2) }, false);
    add("training 3x3 32>32", ConvGeometry { batch: 4, ..conv([90, 120], 32, 32, 3) }, false);
    add("depthwise 3x3 64", dilated(eighth, 64, 1).with_groups(64), false);
    layers
}

/// Inputs and room for the results of every pass of one layer.
struct Data {
    x: Vec<f32>,
    y: Vec<f32>,
    w: Vec<f32>,
    gw: Vec<f32>,
    forward: PackedWeights<f32>,
    backward: PackedWeights<f32>,
}

impl Data {
    fn new(g: &ConvGeometry) -> Self {
        let noise = |len: usize| (0..len).map(|i| (i * 7919 % 1001) as f32 * 0.002 - 1.0).collect::<Vec<_>>();
        let w = noise(g.weight_len());
        Self {
            x: noise(g.input_len()),
            y: noise(g.output_len()),
            gw: vec![0.0; w.len()],
            forward: PackedWeights::new(g, Direction::Forward, &w),
            backward: PackedWeights::new(g, Direction::InputGradient, &w),
            w,
        }
    }

    /// Inference: packed weights, bias left out.
    fn forward(&mut self, layer: &Layer) {
        let epilogue = Epilogue { relu: true, ..Epilogue::default() };
        if layer.transposed {
            input_gradient_packed(&layer.geometry, &self.y, &self.backward, epilogue, &mut self.x);
        } else {
            forward_packed(&layer.geometry, &self.x, &self.forward, epilogue, &mut self.y);
        }
    }

    /// Data gradient as in training: weights packed every time.
    fn input_gradient(&mut self, layer: &Layer) {
        if layer.transposed {
            forward_packed(&layer.geometry, &self.x, &self.forward, Epilogue::default(), &mut self.y);
        } else {
            input_gradient(&layer.geometry, &self.y, &self.w, Epilogue::default(), &mut self.x);
        }
    }

    fn weight_gradient(&mut self, layer: &Layer) {
        weight_gradient(&layer.geometry, &self.x, &self.y, &mut self.gw);
    }
}

/// Runs one pass of a layer.
type Pass = fn(&mut Data, &Layer);

const PASSES: [(&str, Pass); 3] = [
    ("forward", Data::forward),
    ("input gradient", Data::input_gradient),
    ("weight gradient", Data::weight_gradient),
];

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start")
}

fn with_criterion() {
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    for (pass, run) in PASSES {
        let mut group = criterion.benchmark_group(pass);
        group.measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(200));
        for layer in layers() {
            group.throughput(Throughput::Elements(layer.geometry.flops() as u64));
            let mut data = Data::new(&layer.geometry);
            group.bench_function(BenchmarkId::from_parameter(layer.name), |b| {
                b.iter(|| run(&mut data, black_box(&layer)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Best seconds per call within a time budget.
fn best(mut f: impl FnMut()) -> f64 {
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while begin.elapsed() < Duration::from_millis(250) {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn table(filter: &str, isa: Isa) {
    let peak = peak_flops::<f32>(isa).unwrap_or_else(|| panic!("this processor has no {isa}")) / 1e9;
    let threads = rayon::current_num_threads();
    println!("{isa}: ceiling {peak:.1} GFLOP/s a core; forward, input gradient, weight gradient");
    println!(
        "{:30} {:>36}   {:>18} on {threads} threads",
        "", "GFLOP/s (% of ceiling) on 1 thread", "GFLOP/s"
    );
    let (one, all) = (pool(1), pool(threads));
    for layer in layers().iter().filter(|l| l.name.contains(filter)) {
        let mut cells = String::new();
        for pool in [&one, &all] {
            for (_, run) in PASSES {
                let seconds = pool.install(|| {
                    with_isa(isa, || {
                        let mut data = Data::new(&layer.geometry);
                        best(|| run(&mut data, layer))
                    })
                });
                let rate = layer.geometry.flops() as f64 / seconds.expect("checked above") / 1e9;
                cells += &if std::ptr::eq(pool, &one) {
                    format!("{rate:6.1} ({:3.0}%)", 100.0 * rate / peak)
                } else {
                    format!("{rate:7.1}")
                };
            }
            cells += "   ";
        }
        println!("{:30} {cells}", layer.name);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if !arguments.iter().any(|a| a == "--table") {
        return with_criterion();
    }
    let mut isa = Isa::best();
    let mut filter = "";
    let mut rest = arguments.iter().map(String::as_str).filter(|a| *a != "--table");
    while let Some(argument) = rest.next() {
        if argument == "--isa" {
            isa = match rest.next() {
                Some("portable") => Isa::Portable,
                Some("avx2") => Isa::Avx2,
                Some("avx512") => Isa::Avx512,
                other => panic!("--isa takes portable, avx2 or avx512, not {other:?}"),
            };
        } else {
            filter = argument;
        }
    }
    table(filter, isa);
}
