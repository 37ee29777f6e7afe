//! Steps of optimisers.

use tensor::ops::{SquareSum, Update, UpdateRule};
use tensor::{DType, Ops, Tensor};

use super::FLOATS;
use crate::support::{check, normal};

pub fn update() {
    let rules = [
        UpdateRule::Sgd { momentum: false, nesterov: false },
        UpdateRule::Sgd { momentum: true, nesterov: false },
        UpdateRule::Sgd { momentum: true, nesterov: true },
        UpdateRule::Adam,
        UpdateRule::Average,
    ];
    for dtype in [DType::F32, DType::F64] {
        for rule in rules {
            let op = Update { rule };
            let numbers = normal(&[3, rule.numbers()], DType::F64, 1).abs().unwrap();
            let positive = |dims: &[usize], seed| normal(dims, dtype, seed).square().unwrap();
            for bad in [false, true] {
                let mut all = vec![numbers.clone(), Tensor::scalar(0.25_f64)];
                for (seed, dims) in [(2, &[4, 3, 2, 2][..]), (12, &[7]), (22, &[])] {
                    all.extend((0..op.group() as u64).map(|i| positive(dims, seed + i)));
                }
                if bad {
                    let at = Update::LEADING + op.group() + 1;
                    all[at] = all[at].mul_scalar(f64::INFINITY).unwrap();
                }
                check(op.clone(), &all.iter().collect::<Vec<_>>());
            }
        }
    }
    check(Update { rule: UpdateRule::Adam }, &[&normal(&[0, 9], DType::F64, 1), &Tensor::scalar(1.0)]);
}

pub fn square_sum() {
    for dtype in FLOATS {
        check(
            SquareSum {},
            &[&normal(&[3, 5, 2, 2], dtype, 1), &normal(&[0], dtype, 2), &normal(&[], dtype, 3)],
        );
    }
}
