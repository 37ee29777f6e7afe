//! Gathering, scattering and counting.

use proptest::prelude::*;
use tensor::{
    DType, Format, Ops, Tensor,
    ops::{Bincount, Histogram},
};

use super::layouts::*;

/// An operand, an axis, and an index of `size` along it whose values fit `range`.
fn indexed() -> impl Strategy<Value = (Sample, usize, Sample)> {
    (dims(), any_dtype(), 0usize..5, 1usize..9).prop_flat_map(|(mut dims, dtype, axis, size)| {
        if dims.is_empty() {
            dims.push(3);
        }
        let axis = axis % dims.len();
        dims[axis] = dims[axis].max(1);
        let len = dims[axis];
        let mut places = dims.clone();
        places[axis] = size;
        let index = sample_of(places, DType::I64).prop_map(move |s| wrapped(&s, len));
        (sample_of(dims, dtype), Just(axis), index)
    })
}

/// The values of an integer sample brought into `0..len`, in the same layout.
fn wrapped(s: &Sample, len: usize) -> Sample {
    let values: Vec<f64> = s.values.iter().map(|&v| (v as i64).rem_euclid(len as i64) as f64).collect();
    let tensor = from_f64(&values, s.tensor.dims(), DType::I64);
    let format = s.tensor.layout().preferred_format();
    Sample { tensor: tensor.copy(format).unwrap(), values }
}

fn check_gather(x: &Sample, axis: usize, index: &Sample) {
    let y = x.tensor.gather(axis, &index.tensor).unwrap();
    let want: Vec<f64> = indices(index.tensor.dims())
        .zip(&index.values)
        .map(|(mut i, &v)| {
            i[axis] = v as usize;
            x.values[number(x.tensor.dims(), &i)]
        })
        .collect();
    assert!(y.layout().is_dense(Format::Contiguous) || y.layout().is_dense(Format::ChannelsLast));
    assert_eq!(y.to_f64_vec().unwrap(), want);
}

fn check_scatter(g: &Sample, axis: usize, index: &Sample, len: usize) {
    let mut dims = g.tensor.dims().to_vec();
    dims[axis] = len;
    let mut want = vec![0.0; dims.iter().product()];
    for ((mut i, &to), &v) in indices(g.tensor.dims()).zip(&index.values).zip(&g.values) {
        i[axis] = to as usize;
        want[number(&dims, &i)] += v;
    }
    let dtype = g.tensor.dtype();
    let want: Vec<f64> =
        want.into_iter().map(|v| if dtype == DType::U8 { (v as i64 as u8).into() } else { v }).collect();
    let run = |threads| on_threads(threads, || g.tensor.scatter_add(axis, &index.tensor, len).unwrap());
    let got = run(2).to_f64_vec().unwrap();
    assert_eq!(got, run(1).to_f64_vec().unwrap());
    // Sums of up to eight quarters below 4: exact, but in bf16.
    let close = |(g, w): (&f64, &f64)| (g - w).abs() <= if dtype.is_half() { 0.01 * w.abs() } else { 0.0 };
    assert!(got.iter().zip(&want).all(close), "{got:?} {want:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn gather_picks((x, axis, index) in indexed()) {
        check_gather(&x, axis, &index);
    }

    #[test]
    fn scatter_adds((x, axis, index) in indexed(), layout in any::<u64>()) {
        let len = x.tensor.dims()[axis];
        let dims = index.tensor.dims();
        let plan = Arrangement { axes: (0..dims.len()).rev().collect(), spans: vec![(1, 2, false); dims.len()], seed: layout };
        check_scatter(&plan.sample(dims, x.tensor.dtype()), axis, &index, len);
    }

    #[test]
    fn counts(x in dims().prop_flat_map(|d| sample_of(d, DType::U8)), wide in any::<bool>()) {
        let x = Sample { tensor: if wide { x.tensor.cast(DType::I64).unwrap() } else { x.tensor }, ..x };
        let y = Tensor::apply1(Bincount { bins: 17 }.into(), &[&x.tensor]).unwrap().to_vec::<i64>().unwrap();
        for (bin, n) in y.into_iter().enumerate() {
            prop_assert_eq!(n as usize, x.values.iter().filter(|&&v| v == bin as f64).count());
        }
    }

    #[test]
    fn histograms(x in (dims(), float()).prop_flat_map(|(d, t)| sample_of(d, t))) {
        let op = Histogram { bins: 6, low: -3.0, high: 3.0 };
        let y = Tensor::apply1(op.into(), &[&x.tensor]).unwrap().to_vec::<i64>().unwrap();
        for (bin, n) in y.into_iter().enumerate() {
            let (from, to) = (bin as f64 - 3.0, bin as f64 - 2.0);
            let within = |v: &&f64| from <= **v && (**v < to || (bin == 5 && **v == to));
            prop_assert_eq!(n as usize, x.values.iter().filter(within).count());
        }
    }
}

#[test]
fn large_scores_are_picked_by_class() {
    for axes in [[0, 2, 3, 1], [0, 1, 2, 3]] {
        let plan = |seed| Arrangement { axes: axes.to_vec(), spans: vec![(0, 1, false); 4], seed };
        let x = plan(1).sample(&[2, 19, 60, 70], DType::F32);
        let labels = wrapped(&plan(2).sample(&[2, 1, 60, 70], DType::I64), 19);
        check_gather(&x, 1, &labels);
        check_scatter(&plan(3).sample(&[2, 1, 60, 70], DType::F32), 1, &labels, 19);
    }
}

#[test]
fn values_out_of_range_are_named() {
    let x = Tensor::zeros(&[2, 3], DType::F32).unwrap();
    let index = Tensor::from_vec(vec![0i64, 2, 3, -1], &[2, 2]).unwrap();
    let message = x.gather(1, &index).unwrap_err().to_string();
    assert_eq!(message, "gather: index 3 at [1, 0] is outside axis 1 of size 3");
    let g = Tensor::zeros(&[2, 2], DType::F32).unwrap();
    let message = g.scatter_add(0, &index, 3).unwrap_err().to_string();
    assert_eq!(message, "scatter_add: index 3 at [1, 0] is outside axis 0 of size 3");
    assert!(g.scatter_add(0, &index, 0).is_err());
    let message = Tensor::apply1(Bincount { bins: 3 }.into(), &[&index]).unwrap_err().to_string();
    assert_eq!(message, "bincount: value 3 at [1, 0] has no bin among 0..3");
    let nan = Tensor::from_vec(vec![f32::NAN, 0.0, 1.0, 2.0], &[4]).unwrap();
    let y = Tensor::apply1(Histogram { bins: 2, low: 0.0, high: 1.0 }.into(), &[&nan]).unwrap();
    assert_eq!(y.to_vec::<i64>().unwrap(), [1, 1]);
}
