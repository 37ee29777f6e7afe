//! Softmax and its logarithm along any axis.

use proptest::prelude::*;
use tensor::{DType, Ops, Tensor};

use crate::support::*;

fn softmax(x: &Array, axis: usize) -> (Array, Array) {
    let (mut top, mut sum) = (x.dims.clone(), x.dims.clone());
    (top[axis], sum[axis]) = (1, 1);
    let (mut top, mut sum) = (Array::zeros(&top).map(|_| f64::NEG_INFINITY), Array::zeros(&sum));
    let along = |at: &[usize]| {
        let mut one = at.to_vec();
        one[axis] = 0;
        one
    };
    for_each_index(&x.dims, |at| {
        let v = top.get(&along(at)).max(x.get(at));
        top.set(&along(at), v);
    });
    for_each_index(&x.dims, |at| sum.add(&along(at), (x.get(at) - top.get(&along(at))).exp()));
    let (mut y, mut log) = (Array::zeros(&x.dims), Array::zeros(&x.dims));
    for_each_index(&x.dims, |at| {
        let v = x.get(at) - top.get(&along(at)) - sum.get(&along(at)).ln();
        log.set(at, v);
        y.set(at, v.exp());
    });
    (y, log)
}

fn check(x: Array, axis: usize, dtype: DType, place: Place) {
    let x = x.rounded(dtype);
    let (y, log) = softmax(&x, axis);
    let x = x.tensor(dtype, place);
    assert_close(&x.softmax(axis).unwrap(), &y, 0.2 * tolerance(dtype));
    assert_close(&x.log_softmax(axis).unwrap(), &log, 0.2 * tolerance(dtype));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn any_axis(dims in prop::collection::vec(1usize..9, 2..6), axis in any::<prop::sample::Index>(), seed: u64,
                scale in prop_oneof![Just(1.0), Just(30.0)], dtype in float(), place in place()) {
        let axis = axis.index(dims.len());
        check(Array::random(&dims, seed).map(|v| scale * v), axis, dtype, place);
    }

    #[test]
    fn channels(n in 1usize..3, k in 1usize..24, h in 1usize..12, w in 1usize..15, seed: u64, place in place()) {
        check(Array::random(&[n, k, h, w], seed), 1, DType::F32, place);
    }
}

#[test]
fn a_vector_and_very_many_classes() {
    check(Array::random(&[7], 1), 0, DType::F32, Place::RowMajor);
    check(Array::random(&[3, 5000], 1), 1, DType::F32, Place::RowMajor);
    check(Array::random(&[5000, 3], 1), 0, DType::F32, Place::RowMajor);
}

#[test]
fn extreme_logits() {
    let x = Tensor::from_vec(vec![1e30f32, 0.0, -1e30, -3e38, 3e38, f32::NEG_INFINITY], &[2, 3]).unwrap();
    assert_eq!(x.softmax(1).unwrap().to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let log = x.log_softmax(1).unwrap().to_vec::<f32>().unwrap();
    assert_eq!((log[0], log[1], log[4], log[5]), (0.0, -1e30, 0.0, f32::NEG_INFINITY));
    let x = Tensor::from_vec(vec![0.0f32, f32::NAN, 1.0, 2.0], &[2, 2]).unwrap();
    let y = x.log_softmax(1).unwrap().to_vec::<f32>().unwrap();
    assert!(y[0].is_nan() && y[1].is_nan() && !y[2].is_nan());
}

#[test]
fn threads_do_not_matter() {
    let x = Array::random(&[2, 19, 61, 67], 9).tensor(DType::F32, Place::ChannelsLast);
    same_for_any_threads(|| vec![x.softmax(1).unwrap(), x.log_softmax(3).unwrap()]);
}
