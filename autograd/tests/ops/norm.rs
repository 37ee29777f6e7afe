//! Batch normalisation in its pieces, and the focal loss.

use proptest::prelude::*;
use tensor::{
    Op, Ops, Tensor,
    ops::{
        BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats, FocalLoss, FocalLossInput,
    },
};

use crate::{
    case::{Case, check},
    draw::{self, Values},
};

const EPS: f64 = 1e-3;

/// `[N, C, …]` dims with at least `least` values in each channel.
fn dims(least: usize) -> impl Strategy<Value = Vec<usize>> {
    draw::dims(2..=4, 3).prop_map(move |mut dims| {
        dims[0] = dims[0].max(least);
        dims
    })
}

/// Operands of a normalisation by given statistics.
struct Operands {
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    gamma: Tensor,
    beta: Tensor,
}

/// With no normalised value near zero, where the ReLU has its kink. `statistics`: the batch's own.
fn operands(seed: u64, dims: &[usize], statistics: bool) -> Operands {
    let c = [dims[1]];
    (seed..=u64::MAX)
        .find_map(|seed| {
            let mut draw = Values::new(seed);
            let x = draw.any(dims);
            let (mean, var) = if statistics {
                let outs = Tensor::apply(BatchNormStats.into(), &[&x]).unwrap();
                (outs[0].clone(), outs[1].clone())
            } else {
                (draw.any(&c), draw.uniform(&c, 0.3, 1.5))
            };
            let (gamma, beta) = (draw.uniform(&c, 0.3, 1.5), draw.any(&c));
            let op = BatchNormApply { eps: EPS, relu: false };
            let y = Tensor::apply1(op.into(), &[&x, &mean, &var, &gamma, &beta]).unwrap();
            let clear = y.to_vec::<f64>().unwrap().iter().all(|y| y.abs() > 1e-3);
            clear.then_some(Operands { x, mean, var, gamma, beta })
        })
        .unwrap()
}

/// Looking at all results, at the normalised values alone (as training does) or at the statistics alone.
pub fn batch_norm() {
    let outputs = prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![1, 2]), Just(vec![0, 1])];
    let cases = (dims(3), any::<bool>(), outputs, draw::seed()).prop_map(|(dims, relu, outputs, seed)| {
        let o = operands(seed, &dims, true);
        Case { outputs, ..Case::new(BatchNorm { eps: EPS, relu }, vec![o.x, o.gamma, o.beta]) }
    });
    check(cases.boxed());
}

pub fn stats() {
    let cases = (dims(1), draw::seed())
        .prop_map(|(dims, seed)| Case::new(BatchNormStats, vec![Values::new(seed).any(&dims)]));
    check(cases.boxed());
}

pub fn apply() {
    let cases = (dims(1), any::<bool>(), draw::seed()).prop_map(|(dims, relu, seed)| {
        let o = operands(seed, &dims, false);
        Case::new(BatchNormApply { eps: EPS, relu }, vec![o.x, o.mean, o.var, o.gamma, o.beta])
    });
    check(cases.boxed());
}

pub fn reduce() {
    let cases = (dims(1), any::<bool>(), draw::seed()).prop_map(|(dims, relu, seed)| {
        let o = operands(seed, &dims, false);
        let g = Values::new(seed ^ 1).any(&dims);
        Case::new(BatchNormReduce { eps: EPS, relu }, vec![o.x, g, o.mean, o.var, o.gamma, o.beta])
    });
    check(cases.boxed());
}

pub fn input() {
    let cases = (dims(1), any::<bool>(), 1..9_usize, draw::seed()).prop_map(|(dims, relu, count, seed)| {
        let o = operands(seed, &dims, false);
        let mut draw = Values::new(seed ^ 1);
        let c = [dims[1]];
        let (g, sum, product) = (draw.any(&dims), draw.any(&c), draw.any(&c));
        let op: Op = BatchNormInput { eps: EPS, relu, count }.into();
        Case::new(op, vec![o.x, g, o.mean, o.var, o.gamma, o.beta, sum, product])
    });
    check(cases.boxed());
}

/// Logits, labels (some ignored), α and γ (0, 1, 2 and between), and the ignored label: beyond the classes or
/// one of them.
fn losses() -> impl Strategy<Value = (Vec<Tensor>, i64)> {
    (draw::dims(2..=4, 3), any::<bool>(), draw::seed()).prop_map(|(mut dims, beyond, seed)| {
        dims[1] += 1;
        let classes = dims[1];
        let mut draw = Values::new(seed);
        let logits = draw.uniform(&dims, -3.0, 3.0);
        let mut pixels = dims.clone();
        pixels.remove(1);
        let ignore = if beyond { classes } else { 0 };
        let labels = draw.indices(&pixels, classes + usize::from(beyond));
        let alpha = draw.uniform(&[classes], 0.1, 2.0);
        let gammas = [0.0, 1.0, 2.0, 1.5];
        let gamma: Vec<f64> = (0..classes).map(|i| gammas[(i + seed as usize % 4) % 4]).collect();
        let gamma = Tensor::from_vec(gamma, &[classes]).unwrap();
        (vec![logits, labels, alpha, gamma], ignore as i64)
    })
}

pub fn focal_loss() {
    let cases = losses().prop_map(|(inputs, ignore)| Case {
        constant: vec![2, 3],
        outputs: vec![0],
        ..Case::new(FocalLoss { ignore }, inputs)
    });
    check(cases.boxed());
}

pub fn focal_loss_input() {
    let cases = losses().prop_map(|(mut inputs, ignore)| {
        inputs.push(Tensor::scalar(0.7));
        Case { constant: vec![2, 3], ..Case::new(FocalLossInput { ignore }, inputs) }
    });
    check(cases.boxed());
}
