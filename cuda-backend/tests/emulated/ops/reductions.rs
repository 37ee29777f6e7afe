//! Sums, extrema and their places, counts.

use tensor::ops::{ArgReduce, Bincount, Extremum, Histogram, Reduce, Reduction};
use tensor::{DType, Ops, Tensor};

use super::{ALL, FLOATS};
use crate::support::{check, integers, normal};

const KINDS: [Reduction; 4] = [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min];

pub fn reduce() {
    for dtype in ALL {
        for kind in KINDS {
            if kind == Reduction::Mean && !dtype.is_float() {
                continue;
            }
            let x = if dtype.is_float() {
                normal(&[2, 5, 9, 33], dtype, 1)
            } else {
                integers(&[2, 5, 9, 33], dtype, 200, 1)
            };
            for axes in [&[0][..], &[1], &[3], &[2, 3], &[0, 2, 3], &[0, 1, 2, 3], &[]] {
                for keep in [false, true] {
                    check(Reduce { kind, axes: axes.into(), keep }, &[&x]);
                }
            }
        }
        let none = integers(&[3, 0, 2], dtype, 9, 2);
        check(Reduce { kind: Reduction::Sum, axes: [1][..].into(), keep: false }, &[&none]);
        check(Reduce { kind: Reduction::Max, axes: [0][..].into(), keep: false }, &[&none]);
    }
    // Long enough for rows and pieces.
    for dims in [&[7000][..], &[3, 5000], &[300, 2, 40]] {
        for axes in [&[0][..], &[dims.len() - 1]] {
            for kind in KINDS {
                check(Reduce { kind, axes: axes.into(), keep: false }, &[&normal(dims, DType::F32, 3)]);
            }
        }
    }
}

pub fn arg_reduce() {
    for dtype in ALL {
        for kind in [Extremum::Max, Extremum::Min] {
            for axis in 0..4 {
                // Few different values: ties.
                check(
                    ArgReduce { kind, axis, keep: axis % 2 == 0 },
                    &[&integers(&[3, 7, 5, 4], dtype, 6, 4)],
                );
            }
            check(ArgReduce { kind, axis: 1, keep: false }, &[&integers(&[3, 900], dtype, 99, 5)]);
        }
    }
    let mut values = normal(&[400], DType::F32, 6).to_vec::<f32>().unwrap();
    (values[300], values[310]) = (f32::NAN, f32::NAN);
    let x = Tensor::from_slice(&values, &[400]).unwrap();
    check(ArgReduce { kind: Extremum::Min, axis: 0, keep: false }, &[&x]);
    check(Reduce { kind: Reduction::Max, axes: [0][..].into(), keep: false }, &[&x]);
    check(ArgReduce { kind: Extremum::Max, axis: 1, keep: false }, &[&normal(&[0, 3], DType::F32, 1)]);
}

pub fn bincount() {
    for dtype in [DType::U8, DType::I64] {
        for bins in [5, 3000] {
            check(Bincount { bins }, &[&integers(&[4, 3, 9, 2], dtype, 5, 7)]);
        }
        check(Bincount { bins: 4 }, &[&integers(&[0], dtype, 4, 7)]);
    }
}

pub fn histogram() {
    for dtype in FLOATS {
        let x = normal(&[2, 3, 20, 7], dtype, 8).mul_scalar(2.0).unwrap();
        check(Histogram { bins: 13, low: -2.0, high: 1.5 }, &[&x]);
    }
}
