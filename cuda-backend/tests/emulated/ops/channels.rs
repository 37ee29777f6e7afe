//! Softmax, batch normalisation, the focal loss.

use tensor::ops::{
    BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats, FocalLoss, FocalLossInput,
    LogSoftmax, Softmax,
};
use tensor::{DType, Ops, Tensor, execute};

use super::FLOATS;
use crate::support::{check, integers, normal};

pub fn softmax() {
    each_axis(|x, axis| check(Softmax { axis }, &[x]));
}

pub fn log_softmax() {
    each_axis(|x, axis| check(LogSoftmax { axis }, &[x]));
}

fn each_axis(run: impl Fn(&Tensor, usize)) {
    for dtype in FLOATS {
        for dims in [&[2, 19, 5, 3][..], &[4, 300], &[1, 1], &[3, 2, 5]] {
            let x = normal(dims, dtype, 1).mul_scalar(4.0).unwrap();
            (0..dims.len()).for_each(|axis| run(&x, axis));
        }
    }
    run(&normal(&[0, 3], DType::F32, 1), 1);
}

const EPS: f64 = 1e-3;

/// Runs a check on [x, g, mean, variance, γ, β, Σ g', Σ g'·x̂] of several dims, with and without a ReLU.
fn each_norm(run: impl Fn(&[Tensor; 8], bool)) {
    for dtype in FLOATS {
        for dims in [&[2, 5, 9, 7][..], &[40, 33], &[3, 16, 8], &[2, 3, 2, 3, 5]] {
            let channels = &dims[1..2];
            let (x, g) = (normal(dims, dtype, 1).add_scalar(2.0).unwrap(), normal(dims, dtype, 2));
            let stats = execute(&BatchNormStats.into(), &[&x]).unwrap();
            let (gamma, beta) = (normal(channels, dtype.wide(), 3), normal(channels, dtype.wide(), 4));
            let [mean, var] = [stats[0].clone(), stats[1].clone()];
            for relu in [false, true] {
                let op = BatchNormReduce { eps: EPS, relu };
                let sums = execute(&op.into(), &[&x, &g, &mean, &var, &gamma, &beta]).unwrap();
                let [x, g, m, v] = [&x, &g, &mean, &var].map(Clone::clone);
                let (gamma, beta) = (gamma.clone(), beta.clone());
                run(&[x, g, m, v, gamma, beta, sums[0].clone(), sums[1].clone()], relu);
            }
        }
    }
}

pub fn batch_norm() {
    each_norm(|[x, _, _, _, gamma, beta, _, _], relu| check(BatchNorm { eps: EPS, relu }, &[x, gamma, beta]));
}

pub fn batch_norm_stats() {
    each_norm(|[x, ..], _| check(BatchNormStats, &[x]));
    check(BatchNormStats, &[&normal(&[5000, 3], DType::F32, 5).add_scalar(100.0).unwrap()]);
}

pub fn batch_norm_apply() {
    each_norm(|[x, _, m, v, gamma, beta, ..], relu| {
        check(BatchNormApply { eps: EPS, relu }, &[x, m, v, gamma, beta]);
    });
}

pub fn batch_norm_reduce() {
    each_norm(|[x, g, m, v, gamma, beta, ..], relu| {
        check(BatchNormReduce { eps: EPS, relu }, &[x, g, m, v, gamma, beta]);
    });
}

pub fn batch_norm_input() {
    each_norm(|[x, g, m, v, gamma, beta, s, p], relu| {
        let count = x.len() / x.dims()[1];
        check(BatchNormInput { eps: EPS, relu, count }, &[x, g, m, v, gamma, beta, s, p]);
    });
}

/// Runs a check on logits, labels (some of them ignored), α, γ and the gradient of the sum, these three in f32 for halves.
fn each_loss(run: impl Fn([&Tensor; 5], i64)) {
    for dtype in FLOATS {
        for label in [DType::U8, DType::I64] {
            for dims in [&[2, 6, 9, 7][..], &[300, 6], &[2, 6, 5]] {
                let x = normal(dims, dtype, 6).mul_scalar(3.0).unwrap();
                let mut outer = dims.to_vec();
                outer.remove(1);
                // Class 5 is ignored here.
                let labels = integers(&outer, label, 6, 7);
                let vector = |v: [f64; 6]| Tensor::from_slice(&v, &[6]).unwrap().cast(dtype.wide()).unwrap();
                let (alpha, gamma) =
                    (vector([1.0, 0.5, 2.0, 1.25, 0.25, 3.0]), vector([0.0, 1.0, 2.0, 2.5, 1.5, 5.0]));
                let g = Tensor::scalar(0.75_f64).cast(dtype.wide()).unwrap();
                run([&x, &labels, &alpha, &gamma, &g], 5);
            }
        }
    }
}

pub fn focal_loss() {
    each_loss(|[x, labels, alpha, gamma, _], ignore| check(FocalLoss { ignore }, &[x, labels, alpha, gamma]));
}

pub fn focal_loss_input() {
    each_loss(|ins, ignore| check(FocalLossInput { ignore }, &ins));
}
