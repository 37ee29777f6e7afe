//! Reductions.

use proptest::prelude::*;
use tensor::{
    DType, Format, Ops, Tensor,
    ops::{ArgReduce, Extremum, Reduction},
};

use super::layouts::*;

/// Axes to reduce: a subset by mask, all, or one.
fn chosen(rank: usize, mask: u8) -> Vec<usize> {
    (0..rank).filter(|a| mask >> a & 1 == 1).collect()
}

/// The reduced index, with size 1 (and so index 0) on the reduced axes.
fn kept(index: &[usize], axes: &[usize]) -> Vec<usize> {
    index.iter().enumerate().map(|(a, &i)| if axes.contains(&a) { 0 } else { i }).collect()
}

/// The elements that go into each result, in row-major order of both.
fn groups(x: &Sample, axes: &[usize]) -> Vec<Vec<f64>> {
    let dims = x.tensor.dims();
    let out: Vec<usize> =
        dims.iter().enumerate().map(|(a, &d)| if axes.contains(&a) { 1 } else { d }).collect();
    let mut groups = vec![vec![]; out.iter().product()];
    for (i, &v) in indices(dims).zip(&x.values) {
        groups[number(&out, &kept(&i, axes))].push(v);
    }
    groups
}

fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 1e-3,
        DType::BF16 => 8e-3,
        DType::F32 => 1e-6,
        DType::F64 => 1e-14,
        DType::I64 | DType::U8 => 0.0,
    }
}

fn sample() -> impl Strategy<Value = Sample> {
    (dims(), any_dtype()).prop_flat_map(|(dims, dtype)| sample_of(dims, dtype))
}

/// Large enough for several pieces, with each of the layouts that matter.
fn large(seed: u64) -> Vec<Sample> {
    let plan =
        |axes: [usize; 4], seed| Arrangement { axes: axes.to_vec(), spans: vec![(0, 1, false); 4], seed };
    let view = |axes: [usize; 4]| Arrangement {
        spans: vec![(0, 1, false), (1, 1, false), (0, 2, false), (0, 1, false)],
        ..plan(axes, seed)
    };
    vec![
        plan([0, 2, 3, 1], seed).sample(&[2, 19, 60, 61], DType::F32),
        plan([0, 1, 2, 3], seed).sample(&[2, 19, 60, 61], DType::F32),
        plan([0, 2, 3, 1], seed).sample(&[2, 300, 20, 12], DType::F64),
        plan([3, 1, 2, 0], seed).sample(&[2, 5, 70, 150], DType::I64),
        plan([0, 2, 3, 1], seed).sample(&[1, 3, 170, 200], DType::U8),
        view([0, 2, 3, 1]).sample(&[2, 16, 50, 70], DType::F32),
        view([0, 1, 2, 3]).sample(&[2, 16, 50, 70], DType::F32),
    ]
}

fn check_reduce(x: &Sample, kind: Reduction, axes: &[usize], keep: bool) {
    let dtype = x.tensor.dtype();
    let groups = groups(x, axes);
    let y = x.tensor.reduce(kind, axes, keep).unwrap();
    assert_eq!(y.dtype(), if kind == Reduction::Sum && dtype == DType::U8 { DType::I64 } else { dtype });
    assert!(y.layout().is_dense(Format::Contiguous) || y.layout().is_dense(Format::ChannelsLast));
    for (i, (got, group)) in y.to_f64_vec().unwrap().into_iter().zip(groups).enumerate() {
        let sum: f64 = group.iter().sum();
        let want = match kind {
            Reduction::Sum => sum,
            Reduction::Mean => sum / group.len() as f64,
            Reduction::Max => group.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Reduction::Min => group.iter().copied().fold(f64::INFINITY, f64::min),
        };
        let allowed = tolerance(dtype) * (1.0 + want.abs());
        let fits = (got - want).abs() <= allowed || (got.is_infinite() && want.abs() > 65504.0);
        assert!(fits, "{kind:?} over {axes:?}, result {i}: {got}, wanted {want}");
    }
}

fn check_arg(x: &Sample, kind: Extremum, axis: usize, keep: bool) {
    let y = Tensor::apply1(ArgReduce { kind, axis, keep }.into(), &[&x.tensor]).unwrap();
    let got = y.to_vec::<i64>().unwrap();
    for (got, group) in got.into_iter().zip(groups(x, &[axis])) {
        let best = match kind {
            Extremum::Max => group.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Extremum::Min => group.iter().copied().fold(f64::INFINITY, f64::min),
        };
        assert_eq!(Some(got as usize), group.iter().position(|&v| v == best));
    }
}

fn kind() -> impl Strategy<Value = Reduction> {
    proptest::sample::select(vec![Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reductions(x in sample(), kind in kind(), mask in any::<u8>(), keep in any::<bool>()) {
        let axes = chosen(x.tensor.dims().len(), mask);
        let empty = axes.iter().any(|&a| x.tensor.dims()[a] == 0);
        if (kind == Reduction::Mean && !x.tensor.dtype().is_float()) || (empty && kind != Reduction::Sum) {
            prop_assert!(x.tensor.reduce(kind, &axes, keep).is_err());
        } else {
            check_reduce(&x, kind, &axes, keep);
        }
    }

    #[test]
    fn places_of_extrema(x in sample(), max in any::<bool>(), axis in 0usize..5, keep in any::<bool>()) {
        let rank = x.tensor.dims().len();
        prop_assume!(rank > 0 && x.tensor.dims()[axis % rank] > 0);
        check_arg(&x, if max { Extremum::Max } else { Extremum::Min }, axis % rank, keep);
    }
}

#[test]
fn large_reductions() {
    for x in large(5) {
        for axes in [&[0, 1, 2, 3][..], &[0, 2, 3], &[1], &[3], &[2, 3], &[0], &[0, 1, 2], &[1, 2, 3], &[]] {
            check_reduce(&x, Reduction::Sum, axes, axes.len() % 2 == 0);
            check_reduce(&x, Reduction::Max, axes, true);
        }
        (0..4).for_each(|axis| check_arg(&x, Extremum::Max, axis, false));
    }
}

/// Sums of many values that f32 can not hold exactly: close to the f64 sum, and the same on 1 and 2 threads.
#[test]
fn sums_are_accurate_and_reproducible() {
    for axes in [vec![0, 1, 2, 3], vec![0, 2, 3], vec![1], vec![2, 3], vec![3], vec![0]] {
        for format in [Format::Contiguous, Format::ChannelsLast] {
            let key = tensor::rng::Key::new(1, 2);
            let uniform = tensor::ops::Distribution::Uniform { low: 0.0, high: 1.0 };
            let x = Tensor::random(uniform, &[4, 48, 100, 90], DType::F32, key).unwrap();
            let x = x.copy(format).unwrap();
            let exact = x.cast(DType::F64).unwrap().sum(&axes, false).unwrap().to_f64_vec().unwrap();
            let run = |threads| on_threads(threads, || x.sum(&axes, false).unwrap().to_vec::<f32>().unwrap());
            let (one, two) = (run(1), run(2));
            assert!(one.iter().zip(&two).all(|(a, b)| a.to_bits() == b.to_bits()));
            for (a, b) in one.iter().zip(&exact) {
                assert!((*a as f64 - b).abs() <= 5e-7 * b, "{a} {b}");
            }
            let arg = |threads| on_threads(threads, || x.argmax(axes[0]).unwrap().to_vec::<i64>().unwrap());
            assert_eq!(arg(1), arg(2));
        }
    }
}

#[test]
fn nan_wins_extrema() {
    for n in [3, 40, 70_000] {
        let mut v = vec![1.0f32; n];
        (v[1], v[2]) = (f32::NAN, f32::INFINITY);
        for dims in [[n, 1], [1, n]] {
            let x = Tensor::from_slice(&v, &dims).unwrap();
            assert!(x.reduce(Reduction::Max, &[0, 1], false).unwrap().item().unwrap().is_nan());
            assert!(x.reduce(Reduction::Min, &[0, 1], false).unwrap().item().unwrap().is_nan());
            assert_eq!(x.reshape(&[n]).unwrap().argmax(0).unwrap().item().unwrap(), 1.0);
        }
        let two = Tensor::cat(&[&Tensor::from_slice(&v, &[n, 1]).unwrap(); 2], 1).unwrap();
        assert_eq!(two.argmax(0).unwrap().to_vec::<i64>().unwrap(), [1, 1]);
        assert!(two.reduce(Reduction::Max, &[0], false).unwrap().to_f64_vec().unwrap()[1].is_nan());
    }
}

#[test]
fn sums_of_nothing_are_zero() {
    let x = Tensor::zeros(&[3, 0, 2], DType::U8).unwrap();
    assert_eq!(x.sum(&[1], false).unwrap().to_vec::<i64>().unwrap(), [0; 6]);
    assert_eq!(x.sum(&[0], true).unwrap().dims(), [1, 0, 2]);
}
