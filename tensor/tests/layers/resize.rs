//! Resizing against the position formulas, and its adjoint.

use proptest::prelude::*;
use tensor::{
    DType, Ops, Tensor,
    ops::{Interpolation, Resize2d, Resize2dInput},
};

use crate::support::*;

/// (place, weight) pairs of result `i` along an axis.
fn sources(resize: &Resize2d, i: usize, from: usize, to: usize) -> Vec<(usize, f64)> {
    let (i, from_f, to_f) = (i as f64, from as f64, to as f64);
    let aligned = if to > 1 { i * (from_f - 1.0) / (to_f - 1.0) } else { 0.0 };
    match (resize.mode, resize.align_corners) {
        (Interpolation::Nearest, true) => vec![((aligned + 1e-9).round() as usize, 1.0)],
        (Interpolation::Nearest, false) => vec![((i * from_f / to_f + 1e-9).floor() as usize, 1.0)],
        (Interpolation::Bilinear, corners) => {
            let at = if corners { aligned } else { ((i + 0.5) * from_f / to_f - 0.5).max(0.0) };
            let low = at.floor();
            let high = (low as usize + 1).min(from - 1);
            vec![(low as usize, 1.0 - (at - low)), (high, at - low)]
        }
    }
}

fn reference(resize: &Resize2d, x: &Array) -> Array {
    let mut y = Array::zeros(&[x.dims[0], x.dims[1], resize.size[0], resize.size[1]]);
    for_each_index(&y.dims.clone(), |o| {
        for (h, v) in sources(resize, o[2], x.dims[2], resize.size[0]) {
            for (w, u) in sources(resize, o[3], x.dims[3], resize.size[1]) {
                y.add(o, v * u * x.get(&[o[0], o[1], h, w]));
            }
        }
    });
    y
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn maps(n in 1usize..3, c in 1usize..20, from in [1usize..12, 1usize..12], size in [1usize..20, 1usize..20],
            bilinear: bool, align_corners: bool, seed: u64, dtype in float(), place in place()) {
        let mode = if bilinear { Interpolation::Bilinear } else { Interpolation::Nearest };
        let resize = Resize2d { mode, align_corners, size };
        let x = Array::random(&[n, c, from[0], from[1]], seed).rounded(dtype);
        let want = reference(&resize, &x);
        let y = apply(resize.clone(), &[&x.tensor(dtype, place)]);
        assert_close(&y[0], &want, tolerance(dtype));
        let g = Array::random(&want.dims, seed ^ 1).rounded(dtype);
        let back = apply(Resize2dInput { resize, input: from }, &[&g.tensor(dtype, place)]);
        let (left, right) = (want.dot(&g), x.dot(&Array::of(&back[0])));
        assert!((left - right).abs() <= 100.0 * tolerance(dtype) * (1.0 + left.abs()), "{left} {right}");
    }
}

#[test]
fn known_values() {
    let x = Tensor::from_vec(vec![0.0f32, 1.0, 2.0, 3.0], &[1, 1, 2, 2]).unwrap();
    let half = x.resize2d(Interpolation::Bilinear, false, [1, 4]).unwrap();
    assert_eq!(half.to_vec::<f32>().unwrap(), [1.0, 1.25, 1.75, 2.0]);
    let corners = x.resize2d(Interpolation::Bilinear, true, [3, 3]).unwrap();
    assert_eq!(corners.to_vec::<f32>().unwrap(), [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]);
    let nearest = x.resize2d(Interpolation::Nearest, false, [2, 3]).unwrap();
    assert_eq!(nearest.to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]);
}

#[test]
fn the_same_size_changes_nothing() {
    let x = Array::random(&[2, 3, 7, 9], 4).rounded(DType::F32);
    for mode in [Interpolation::Nearest, Interpolation::Bilinear] {
        for corners in [false, true] {
            let y = x.tensor(DType::F32, Place::RowMajor).resize2d(mode, corners, [7, 9]).unwrap();
            assert_eq!(Array::of(&y), x);
        }
    }
}

#[test]
fn threads_do_not_matter() {
    let x = Array::random(&[2, 13, 61, 67], 9).tensor(DType::F32, Place::ChannelsLast);
    let resize = Resize2d { mode: Interpolation::Bilinear, align_corners: false, size: [130, 90] };
    same_for_any_threads(|| {
        let mut all = apply(resize.clone(), &[&x]);
        all.extend(apply(Resize2dInput { resize: resize.clone(), input: [61, 67] }, &[&all[0]]));
        all
    });
}
