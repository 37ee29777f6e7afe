//! Batch normalisation, pooling, softmax and the focal loss at the sizes of a DSNet training step (batch 4 of
//! 360×480, 11 classes), channels-last, on two threads. Throughput counts operands read and results written
//! once each, so that it compares with what the memory can do (`copy`).

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tensor::{
    DType, Format, Op, Ops, Tensor,
    cpu::release_cached_memory,
    ops::{
        BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats, Copy, Distribution,
        FocalLoss, FocalLossInput, Interpolation, MaxPool2d, MaxUnpool2d, PoolGather, Resize2d,
        Resize2dInput, Softmax, Window,
    },
    rng::Key,
};

const THREADS: usize = 2;

fn map(dims: [usize; 4], stream: u64) -> Tensor {
    let normal = Distribution::Normal { mean: 0.0, std: 1.0 };
    let x = Tensor::random(normal, &dims, DType::F32, Key::new(1, stream)).unwrap();
    x.to_format(Format::ChannelsLast).unwrap()
}

fn run(c: &mut Criterion, name: &str, op: impl Into<Op>, ins: &[&Tensor]) {
    let op = op.into();
    let cost = Tensor::cost_of(&op, ins).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    let mut group = c.benchmark_group(op.name());
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    group.throughput(Throughput::Bytes(cost.bytes));
    group.bench_function(name, |b| {
        pool.install(|| b.iter(|| black_box(Tensor::apply(op.clone(), ins).unwrap())));
    });
}

/// Lets the memory pool keep what the benchmarks use, as it does in the midst of a training step: fresh pages would
/// cost more than most of these operations.
fn keep_memory() {
    drop(Tensor::zeros(&[1 << 26], DType::F32).unwrap());
    release_cached_memory();
}

fn norm(c: &mut Criterion) {
    keep_memory();
    for dims in [[4, 13, 180, 240], [4, 16, 180, 240], [4, 32, 90, 120], [4, 64, 90, 120], [4, 64, 45, 60]] {
        let name = &format!("{}x{}x{}", dims[1], dims[2], dims[3]);
        let (x, g) = (map(dims, 1), map(dims, 2));
        let count = dims[0] * dims[2] * dims[3];
        let [mean, var, gamma, beta] =
            [0.1, 1.1, 0.9, 0.2].map(|v| Tensor::full(v, &[dims[1]], DType::F32).unwrap());
        let (eps, relu) = (1e-5, true);
        run(c, name, Copy { format: Format::ChannelsLast }, &[&x]);
        run(c, name, BatchNormStats, &[&x]);
        run(c, name, BatchNormApply { eps, relu }, &[&x, &mean, &var, &gamma, &beta]);
        run(c, name, BatchNorm { eps, relu }, &[&x, &gamma, &beta]);
        run(c, name, BatchNormReduce { eps, relu }, &[&x, &g, &mean, &var, &gamma, &beta]);
        let input = BatchNormInput { eps, relu, count };
        run(c, name, input, &[&x, &g, &mean, &var, &gamma, &beta, &mean, &var]);
    }
}

fn pool(c: &mut Criterion) {
    let window = Window::square(2);
    for dims in [[4, 3, 360, 480], [4, 16, 180, 240], [4, 64, 90, 120]] {
        let name = &format!("{}x{}x{}", dims[1], dims[2], dims[3]);
        let x = map(dims, 1);
        let (y, index) = x.max_pool2d(window).unwrap();
        run(c, name, MaxPool2d { window }, &[&x]);
        run(c, name, MaxUnpool2d { window, size: [dims[2], dims[3]] }, &[&y, &index]);
        run(c, name, PoolGather { window }, &[&x, &index]);
    }
}

fn loss(c: &mut Criterion) {
    for (classes, [h, w]) in [(11, [360, 480]), (19, [360, 480])] {
        let name = &format!("{classes}x{h}x{w}");
        let x = map([4, classes, h, w], 1);
        let labels = (0..4 * h * w).map(|i| (i / 100 % classes) as u8).collect();
        let labels = Tensor::from_vec(labels, &[4, h, w]).unwrap();
        let alpha = Tensor::full(0.7, &[classes], DType::F32).unwrap();
        let gamma = Tensor::from_vec((0..classes).map(|k| (k % 3) as f32).collect(), &[classes]).unwrap();
        let one = Tensor::scalar(1.0f32);
        run(c, name, Softmax { axis: 1 }, &[&x]);
        run(c, name, FocalLoss { ignore: 255 }, &[&x, &labels, &alpha, &gamma]);
        run(c, name, FocalLossInput { ignore: 255 }, &[&x, &labels, &alpha, &gamma, &one]);
    }
}

fn resize(c: &mut Criterion) {
    let (from, size) = ([180, 240], [360, 480]);
    let x = map([4, 11, from[0], from[1]], 1);
    for mode in [Interpolation::Nearest, Interpolation::Bilinear] {
        let resize = Resize2d { mode, align_corners: false, size };
        let name = &format!("{mode:?} 11x{from:?} to {size:?}");
        let y = Tensor::apply(resize.clone().into(), &[&x]).unwrap();
        run(c, name, resize.clone(), &[&x]);
        run(c, name, Resize2dInput { resize, input: from }, &[&y[0]]);
    }
}

criterion_group!(benches, norm, pool, loss, resize);
criterion_main!(benches);
