//! Kernels on bf16 against the same operations on the widened operands in f32, rounded once: equal bits where the arithmetic
//! is the same, and within the rounding of the sums where its order differs (convolutions).

use std::sync::LazyLock;

use proptest::prelude::*;
use tensor::{
    DType, Op, Ops, Tensor,
    cpu::simd::{Isa, with_isa},
    ops::*,
};

use crate::support::*;

/// Standard normal values in bf16.
fn half(dims: &[usize], seed: u64, place: Place) -> Tensor {
    Array::random(dims, seed).tensor(DType::BF16, place)
}

fn wide(t: &Tensor) -> Tensor {
    if t.dtype() == DType::BF16 { t.cast(DType::F32).unwrap() } else { t.clone() }
}

/// Runs `f` on one thread with the instructions of `isa`: the choice is a thread's own.
fn with_only<R: Send>(isa: Isa, f: impl FnOnce() -> R + Send) -> R {
    static ALONE: LazyLock<rayon::ThreadPool> =
        LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    ALONE.install(|| with_isa(isa, f)).unwrap()
}

/// The bf16 kernel gives the bits of the f32 kernel on widened operands, rounded, with every instruction set.
fn same_bits(op: impl Into<Op>, ins: &[&Tensor]) {
    let op = op.into();
    let widened: Vec<Tensor> = ins.iter().map(|t| wide(t)).collect();
    for isa in Isa::available() {
        with_only(isa, || {
            let found = apply(op.clone(), ins);
            let wanted = apply(op.clone(), &widened.iter().collect::<Vec<_>>());
            for (found, wanted) in found.iter().zip(&wanted) {
                let wanted = wanted.cast(found.dtype()).unwrap();
                assert_eq!(found.to_bytes().unwrap(), wanted.to_bytes().unwrap(), "{} by {isa}", op.name());
            }
        });
    }
}

fn dims() -> impl Strategy<Value = [usize; 4]> {
    [1usize..3, 1usize..40, 2usize..13, 2usize..13]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batch_normalisation(dims in dims(), seed in any::<u32>(), place in place(), relu: bool) {
        let seed = seed.into();
        let (x, g) = (half(&dims, seed, place), half(&dims, seed + 1, place));
        let vector = |i: u64| Array::random(&[dims[1]], seed + i).tensor(DType::F32, Place::RowMajor);
        let (gamma, beta, mean, sum, product) = (vector(2), vector(3), vector(4), vector(5), vector(6));
        let var = vector(7).square().unwrap();
        let eps = 1e-3;
        same_bits(BatchNorm { eps, relu }, &[&x, &gamma, &beta]);
        same_bits(BatchNormStats, &[&x]);
        same_bits(BatchNormApply { eps, relu }, &[&x, &mean, &var, &gamma, &beta]);
        same_bits(BatchNormReduce { eps, relu }, &[&x, &g, &mean, &var, &gamma, &beta]);
        let input = BatchNormInput { eps, relu, count: dims[0] * dims[2] * dims[3] };
        same_bits(input, &[&x, &g, &mean, &var, &gamma, &beta, &sum, &product]);
    }

    #[test]
    fn focal_losses(dims in dims(), seed in any::<u32>(), place in place(), powers: bool) {
        let seed = seed.into();
        let [n, k, height, width] = dims;
        let x = half(&dims, seed, place);
        // The last class is ignored.
        let labels: Vec<u8> = (0..n * height * width).map(|i| ((i * 7 + i / 5) % k) as u8).collect();
        let labels = Tensor::from_vec(labels, &[n, height, width]).unwrap();
        let alpha = Array::random(&[k], seed + 1).map(f64::abs).tensor(DType::F32, Place::RowMajor);
        let exponents = if powers { [0.0_f32, 1.5, 3.0] } else { [0.0, 1.0, 2.0] };
        let gamma = Tensor::from_vec((0..k).map(|c| exponents[c % 3]).collect(), &[k]).unwrap();
        let ignore = k as i64 - 1;
        same_bits(FocalLoss { ignore }, &[&x, &labels, &alpha, &gamma]);
        same_bits(FocalLossInput { ignore }, &[&x, &labels, &alpha, &gamma, &Tensor::scalar(0.3_f32)]);
    }

    #[test]
    fn sums(dims in dims(), seed in any::<u32>(), place in place(), kept in 0usize..4, mean: bool, keep: bool) {
        let x = half(&dims, seed.into(), place);
        let kind = if mean { Reduction::Mean } else { Reduction::Sum };
        for axes in [(0..4).filter(|&axis| axis != kept).collect::<tensor::Dims>(), [kept].into_iter().collect()] {
            same_bits(Reduce { kind, axes, keep }, &[&x]);
        }
    }

    #[test]
    fn pools(dims in dims(), seed in any::<u32>(), place in place(), overlap: bool) {
        let seed = seed.into();
        let x = half(&dims, seed, place);
        let (stride, padding) = if overlap { ([1, 2], [1, 0]) } else { ([2, 2], [0, 0]) };
        let window = Window { kernel: [2, 2], stride, padding };
        let pool = MaxPool2d { window };
        same_bits(pool.clone(), &[&x]);
        let found = apply(pool, &[&x]);
        let g = half(found[0].dims(), seed + 1, place);
        same_bits(PoolGather { window }, &[&x, &found[1]]);
        same_bits(MaxUnpool2d { window, size: [dims[2], dims[3]] }, &[&g, &found[1]]);
        let pool = AvgPool2d { window, count_padding: overlap };
        same_bits(pool.clone(), &[&x]);
        same_bits(AvgPool2dInput { pool, size: [dims[2], dims[3]] }, &[&g]);
    }

    #[test]
    fn pointwise_functions(dims in dims(), seed in any::<u32>(), place in place()) {
        let seed = seed.into();
        let (x, y) = (half(&dims, seed, place), half(&dims, seed + 1, Place::ChannelsLast));
        let channel = half(&[1, dims[1], 1, 1], seed + 2, Place::RowMajor);
        same_bits(Unary::Relu, &[&x]);
        same_bits(Unary::MulScalar(0.3), &[&x]);
        for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::ReluGrad] {
            same_bits(op, &[&x, &y]);
            same_bits(op, &[&x, &channel]);
        }
    }

    #[test]
    fn convolutions(
        (batch, size, c, k) in (1usize..4, [1usize..14, 1usize..14], 1usize..40, 1usize..40),
        kernel in [1usize..4, 1usize..4],
        (stride, padding) in ([1usize..3, 1usize..3], [0usize..3, 0usize..3]),
        dilation in [1usize..3, 1usize..3],
        (seed, place) in (any::<u32>(), place()),
    ) {
        let seed = seed.into();
        let conv = Conv2d { stride, padding, dilation, groups: 1 };
        let transposed = ConvTranspose2d { conv: conv.clone(), output_padding: [0; 2] };
        let Some(out) = conv.output_size(size, kernel) else { return Ok(()) };
        prop_assume!(transposed.output_size(out, kernel).is_some());
        let x = half(&[batch, c, size[0], size[1]], seed, place);
        let g = half(&[batch, k, out[0], out[1]], seed + 1, place);
        let w = half(&[k, c, kernel[0], kernel[1]], seed + 2, Place::RowMajor);
        let bias = half(&[k], seed + 3, Place::RowMajor);
        close(conv.clone(), &[&x, &w, &bias], c * kernel[0] * kernel[1]);
        close(transposed, &[&g, &w], k * kernel[0] * kernel[1]);
        close(Conv2dWeight { conv, kernel }, &[&x, &g], batch * out[0] * out[1]);
    }
}

/// Within one rounding to bf16, and that of a sum of `terms` products in f32.
fn close(op: impl Into<Op>, ins: &[&Tensor], terms: usize) {
    let op = op.into();
    let widened: Vec<Tensor> = ins.iter().map(|t| wide(t)).collect();
    let wanted = apply(op.clone(), &widened.iter().collect::<Vec<_>>())[0].to_f64_vec().unwrap();
    let size = 4.0 * (terms as f64).sqrt();
    for isa in Isa::available() {
        let found = with_only(isa, || apply(op.clone(), ins));
        assert_eq!(found[0].dtype(), DType::BF16);
        for (i, (found, wanted)) in found[0].to_f64_vec().unwrap().iter().zip(&wanted).enumerate() {
            let bound = wanted.abs() / 255.0 + size * 1e-4;
            assert!((found - wanted).abs() <= bound, "{} by {isa}: {i} is {found}, not {wanted}", op.name());
        }
    }
}

/// Operands large enough to be cut into tasks.
#[test]
fn threads_do_not_change_results() {
    let (x, g) =
        (half(&[3, 24, 37, 41], 1, Place::ChannelsLast), half(&[3, 24, 37, 41], 2, Place::ChannelsLast));
    let w = half(&[24, 24, 3, 3], 3, Place::RowMajor);
    let vector = |i: u64| Array::random(&[24], i).tensor(DType::F32, Place::RowMajor).square().unwrap();
    let (mean, var, gamma, beta) = (vector(4), vector(5), vector(6), vector(7));
    let eps = 1e-3;
    same_for_any_threads(|| {
        let mut all = apply(BatchNorm { eps, relu: true }, &[&x, &gamma, &beta]);
        let operands = [&x, &g, &mean, &var, &gamma, &beta];
        all.extend(apply(BatchNormReduce { eps, relu: true }, &operands));
        all.extend(apply(Binary::Add, &[&x, &g]));
        all
    });
    let conv = Conv2d { padding: [1, 1], ..Conv2d::default() };
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let forward = apply(conv.clone(), &[&x, &w]);
            let back = apply(ConvTranspose2d { conv: conv.clone(), output_padding: [0; 2] }, &[&g, &w]);
            let weight = apply(Conv2dWeight { conv: conv.clone(), kernel: [3, 3] }, &[&x, &g]);
            [forward, back, weight].map(|y| y[0].to_bytes().unwrap())
        })
    };
    let alone = bytes(1);
    assert!(bytes(2) == alone && bytes(3) == alone);
}
