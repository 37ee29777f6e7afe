//! Batch normalisation against the textbook.

use proptest::prelude::*;
use tensor::{
    DType, Tensor,
    ops::{BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats},
};

use crate::support::*;

const EPS: f64 = 1e-5;

struct Case {
    x: Array,
    g: Array,
    gamma: Array,
    beta: Array,
}

impl Case {
    fn new(dims: &[usize], seed: u64, dtype: DType) -> Self {
        let c = [dims[1]];
        let random = |dims: &[usize], i: u64| Array::random(dims, seed.wrapping_add(i)).rounded(dtype);
        Self { x: random(dims, 0), g: random(dims, 1), gamma: random(&c, 2), beta: random(&c, 3) }
    }

    fn count(&self) -> f64 {
        (self.x.values.len() / self.gamma.values.len()) as f64
    }

    fn statistics(&self) -> (Array, Array) {
        let (mut mean, mut var) = (Array::zeros(&self.gamma.dims), Array::zeros(&self.gamma.dims));
        for_each_index(&self.x.dims, |at| mean.add(&at[1..2], self.x.get(at) / self.count()));
        for_each_index(&self.x.dims, |at| {
            var.add(&at[1..2], (self.x.get(at) - mean.get(&at[1..2])).powi(2) / self.count());
        });
        (mean, var)
    }

    fn forward(&self, mean: &Array, var: &Array, relu: bool) -> (Array, Array) {
        let (mut normal, mut y) = (Array::zeros(&self.x.dims), Array::zeros(&self.x.dims));
        for_each_index(&self.x.dims, |at| {
            let c = &at[1..2];
            let v = (self.x.get(at) - mean.get(c)) / (var.get(c) + EPS).sqrt();
            normal.set(at, v);
            let v = self.gamma.get(c) * v + self.beta.get(c);
            y.set(at, if relu { v.max(0.0) } else { v });
        });
        (normal, y)
    }
}

fn check(dims: &[usize], seed: u64, dtype: DType, place: Place, relu: bool) {
    let case = Case::new(dims, seed, dtype);
    let near = 4.0 * tolerance(dtype);
    let [x, g] = [&case.x, &case.g].map(|a| a.tensor(dtype, place));
    let [gamma, beta] = [&case.gamma, &case.beta].map(|a| a.tensor(dtype, Place::RowMajor));

    let outs = apply(BatchNorm { eps: EPS, relu }, &[&x, &gamma, &beta]);
    let (mean, var) = case.statistics();
    assert_close(&outs[1], &mean, near);
    assert_close(&outs[2], &var, near);
    // What follows is compared for the statistics that were found: their rounding may turn the ReLU's mask.
    let (mean, var) = (Array::of(&outs[1]), Array::of(&outs[2]));
    let (normal, y) = case.forward(&mean, &var, relu);
    assert_close(&outs[0], &y, near);

    let stats = apply(BatchNormStats, &[&x]);
    assert_eq!((Array::of(&stats[0]), Array::of(&stats[1])), (mean.clone(), var.clone()));
    let applied = apply(BatchNormApply { eps: EPS, relu }, &[&x, &stats[0], &stats[1], &gamma, &beta]);
    assert_eq!(Array::of(&applied[0]), Array::of(&outs[0]));

    // The mask of the backward pass is that of the forward pass, to the bit.
    let mut passed = case.g.clone();
    if relu {
        let y = Array::of(&outs[0]);
        passed.values.iter_mut().zip(y.values).for_each(|(g, y)| *g = if y > 0.0 { *g } else { 0.0 });
    }
    let (mut sum, mut product) = (Array::zeros(&mean.dims), Array::zeros(&mean.dims));
    for_each_index(dims, |at| {
        sum.add(&at[1..2], passed.get(at));
        product.add(&at[1..2], passed.get(at) * normal.get(at));
    });
    let sums = apply(BatchNormReduce { eps: EPS, relu }, &[&x, &g, &outs[1], &outs[2], &gamma, &beta]);
    let many = near * case.count().sqrt();
    assert_close(&sums[0], &sum, many);
    assert_close(&sums[1], &product, many);

    let count = case.count();
    let mut dx = Array::zeros(dims);
    for_each_index(dims, |at| {
        let c = &at[1..2];
        let rest = passed.get(at) - sum.get(c) / count - normal.get(at) * product.get(c) / count;
        dx.set(at, case.gamma.get(c) / (var.get(c) + EPS).sqrt() * rest);
    });
    let got = apply(
        BatchNormInput { eps: EPS, relu, count: count as usize },
        &[&x, &g, &outs[1], &outs[2], &gamma, &beta, &sums[0], &sums[1]],
    );
    // Two values alone may lie as close as eps allows: the gradient is then as large as its terms.
    let scale = var.values.iter().fold(1.0, |a: f64, v| a.max(1.0 / (v + EPS).sqrt()));
    assert_close(&got[0], &dx, near * scale * scale);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn maps(n in 1usize..4, c in 1usize..40, h in 1usize..12, w in 2usize..12, seed: u64,
            dtype in float(), place in place(), relu: bool) {
        check(&[n, c, h, w], seed, dtype, place, relu);
    }

    #[test]
    fn other_ranks(dims in prop::collection::vec(2usize..6, 2..6), seed: u64, dtype in float(),
                   place in place(), relu: bool) {
        check(&dims, seed, dtype, place, relu);
    }
}

#[test]
fn channel_counts_of_the_network() {
    for c in [8, 13, 16, 32, 64, 128] {
        check(&[2, c, 45, 60], c as u64, DType::F32, Place::ChannelsLast, true);
    }
}

#[test]
fn an_offset_does_not_cancel() {
    // A mean of 1000 with deviations of 1: a single pass of Σx² in f32 would be off by percents.
    let x = Array::random(&[2, 3, 80, 90], 5).map(|v| v + 1000.0).rounded(DType::F32);
    let case = Case { x, ..Case::new(&[2, 3, 80, 90], 6, DType::F32) };
    let stats = apply(BatchNormStats, &[&case.x.tensor(DType::F32, Place::ChannelsLast)]);
    let (mean, var) = case.statistics();
    assert_close(&stats[0], &mean, 1e-7);
    assert_close(&stats[1], &var, 1e-6);
}

#[test]
fn a_guess_of_the_mean_that_is_far_off_is_corrected() {
    // Statistics are taken around what one row of 8 pixels in 16 suggests: those have values of their own here.
    let mut x = Array::random(&[1, 16, 64, 64], 5);
    for (i, v) in x.values.iter_mut().enumerate() {
        let pixel = i % (64 * 64);
        *v += if pixel % 128 < 8 { 100.0 } else { 0.0 };
    }
    let x = x.rounded(DType::F32);
    let case = Case { x, ..Case::new(&[1, 16, 64, 64], 6, DType::F32) };
    let stats = apply(BatchNormStats, &[&case.x.tensor(DType::F32, Place::ChannelsLast)]);
    let (mean, var) = case.statistics();
    assert_close(&stats[0], &mean, 1e-5);
    assert_close(&stats[1], &var, 1e-5);
}

#[test]
fn nan_is_seen() {
    let x = Tensor::from_vec(vec![1.0f32, f32::NAN, 3.0, 4.0], &[2, 2]).unwrap();
    let ones = Tensor::from_vec(vec![1.0f32; 2], &[2]).unwrap();
    let y = apply(BatchNorm { eps: EPS, relu: true }, &[&x, &ones, &ones]);
    let y = y[0].to_vec::<f32>().unwrap();
    assert!(!y[0].is_nan() && y[1].is_nan() && !y[2].is_nan() && y[3].is_nan());
}

#[test]
fn an_empty_batch_sums_to_zero() {
    let case = Case::new(&[0, 3, 4, 5], 1, DType::F32);
    let [x, g] = [&case.x, &case.g].map(|a| a.tensor(DType::F32, Place::RowMajor));
    let ones = Tensor::from_vec(vec![1.0f32; 3], &[3]).unwrap();
    let sums = apply(BatchNormReduce { eps: EPS, relu: true }, &[&x, &g, &ones, &ones, &ones, &ones]);
    assert_eq!(sums[0].to_vec::<f32>().unwrap(), [0.0; 3]);
    assert_eq!(sums[1].to_vec::<f32>().unwrap(), [0.0; 3]);
}

#[test]
fn threads_do_not_matter() {
    let case = Case::new(&[3, 13, 61, 67], 9, DType::F32);
    let [x, g] = [&case.x, &case.g].map(|a| a.tensor(DType::F32, Place::ChannelsLast));
    let [gamma, beta] = [&case.gamma, &case.beta].map(|a| a.tensor(DType::F32, Place::RowMajor));
    same_for_any_threads(|| {
        let mut all = apply(BatchNorm { eps: EPS, relu: true }, &[&x, &gamma, &beta]);
        let ins = [&x, &g, &all[1], &all[2], &gamma, &beta];
        let sums = apply(BatchNormReduce { eps: EPS, relu: true }, &ins);
        let count = case.count() as usize;
        let ins = [&x, &g, &all[1], &all[2], &gamma, &beta, &sums[0], &sums[1]];
        let dx = apply(BatchNormInput { eps: EPS, relu: true, count }, &ins);
        all.extend(sums.into_iter().chain(dx));
        all
    });
}
