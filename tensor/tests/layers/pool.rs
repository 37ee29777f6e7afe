//! Pooling, its gathers by index, and averages.

use proptest::prelude::*;
use tensor::{
    DType, Ops, Tensor,
    ops::{AvgPool2d, AvgPool2dInput, MaxPool2d, MaxUnpool2d, PoolGather, Window},
};

use crate::support::*;

/// Calls `f(output index, tap, input index)` for all taps within the map, window by window, row-major.
fn for_each_tap(
    window: Window,
    large: &[usize],
    pooled: &[usize],
    mut f: impl FnMut(&[usize], usize, &[usize]),
) {
    let Window { kernel, stride, padding } = window;
    for_each_index(pooled, |o| {
        for tap in 0..kernel[0] * kernel[1] {
            let h = (o[2] * stride[0] + tap / kernel[1]).wrapping_sub(padding[0]);
            let w = (o[3] * stride[1] + tap % kernel[1]).wrapping_sub(padding[1]);
            if h < large[2] && w < large[3] {
                f(o, tap, &[o[0], o[1], h, w]);
            }
        }
    });
}

fn pooled_dims(window: Window, dims: &[usize]) -> Option<Vec<usize>> {
    let [h, w] = window.output_size([dims[2], dims[3]])?;
    Some(vec![dims[0], dims[1], h, w])
}

fn max_pool(window: Window, x: &Array) -> (Array, Array) {
    let pooled = pooled_dims(window, &x.dims).unwrap();
    let (mut y, mut index) = (Array::zeros(&pooled).map(|_| f64::NEG_INFINITY), Array::zeros(&pooled));
    let mut seen = Array::zeros(&pooled);
    for_each_tap(window, &x.dims, &pooled, |o, tap, i| {
        let (v, best) = (x.get(i), y.get(o));
        if seen.get(o) == 0.0 || v > best || v.is_nan() && !best.is_nan() {
            y.set(o, v);
            index.set(o, tap as f64);
            seen.set(o, 1.0);
        }
    });
    (y, index)
}

fn window() -> impl Strategy<Value = Window> {
    let axis = (1usize..5, 1usize..4).prop_flat_map(|(k, s)| (Just(k), Just(s), 0..=k / 2));
    let general = (axis.clone(), axis).prop_map(|(a, b)| Window {
        kernel: [a.0, b.0],
        stride: [a.1, b.1],
        padding: [a.2, b.2],
    });
    prop_oneof![2 => general, 1 => (1usize..4).prop_map(Window::square)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn max(window in window(), n in 1usize..3, c in 1usize..20, h in 1usize..12, w in 1usize..12, seed: u64,
           dtype in float(), place in place()) {
        let dims = [n, c, h, w];
        prop_assume!(pooled_dims(window, &dims).is_some());
        // Few different values, so that ties occur.
        let x = Array::random(&dims, seed).map(|v| (2.0 * v).round());
        let (y, index) = max_pool(window, &x);
        let got = apply(MaxPool2d { window }, &[&x.tensor(dtype, place)]);
        assert_eq!(Array::of(&got[0]), y.clone());
        assert_eq!(Array::of(&got[1]), index.clone());

        // Gather and unpool by the index, against the definition; adjoint to one another.
        let index = index.tensor(DType::U8, place);
        let picked = apply(PoolGather { window }, &[&x.tensor(dtype, place), &index]);
        assert_eq!(Array::of(&picked[0]), y.clone());
        let g = Array::random(&y.dims, seed ^ 1).rounded(dtype);
        let mut want = Array::zeros(&dims);
        let places = Array::of(&index);
        for_each_tap(window, &dims, &y.dims, |o, tap, i| {
            if places.get(o) == tap as f64 {
                want.add(i, g.get(o));
            }
        });
        let spread = apply(MaxUnpool2d { window, size: [h, w] }, &[&g.tensor(dtype, place), &index]);
        assert_close(&spread[0], &want, tolerance(dtype));
        let (left, right) = (Array::of(&picked[0]).dot(&g), x.dot(&Array::of(&spread[0])));
        assert!((left - right).abs() <= 10.0 * tolerance(dtype) * (1.0 + left.abs()) * (c as f64));
    }

    #[test]
    fn average(window in window(), n in 1usize..3, c in 1usize..20, h in 1usize..12, w in 1usize..12, seed: u64,
               dtype in float(), place in place(), count_padding: bool) {
        let dims = [n, c, h, w];
        prop_assume!(pooled_dims(window, &dims).is_some());
        let x = Array::random(&dims, seed).rounded(dtype);
        let pooled = pooled_dims(window, &dims).unwrap();
        let mut count = Array::zeros(&pooled);
        for_each_tap(window, &dims, &pooled, |o, _, _| count.add(o, 1.0));
        if count_padding {
            count = count.map(|_| (window.kernel[0] * window.kernel[1]) as f64);
        }
        let g = Array::random(&pooled, seed ^ 1).rounded(dtype);
        let (mut y, mut dx) = (Array::zeros(&pooled), Array::zeros(&dims));
        for_each_tap(window, &dims, &pooled, |o, _, i| {
            y.add(o, x.get(i) / count.get(o));
            dx.add(i, g.get(o) / count.get(o));
        });
        let pool = AvgPool2d { window, count_padding };
        assert_close(&apply(pool.clone(), &[&x.tensor(dtype, place)])[0], &y, tolerance(dtype));
        let got = apply(AvgPool2dInput { pool, size: [h, w] }, &[&g.tensor(dtype, place)]);
        assert_close(&got[0], &dx, tolerance(dtype));
        assert!((y.dot(&g) - x.dot(&dx)).abs() < 1e-9);
    }
}

#[test]
fn nan_wins_and_padding_never() {
    let x = Tensor::from_vec(vec![1.0f32, f32::NAN, f32::NAN, 4.0], &[1, 1, 2, 2]).unwrap();
    for window in [Window::square(2), Window { kernel: [2, 2], stride: [1, 1], padding: [0, 0] }] {
        let got = apply(MaxPool2d { window }, &[&x]);
        assert!(got[0].to_vec::<f32>().unwrap()[0].is_nan());
        assert_eq!(got[1].to_vec::<u8>().unwrap(), [1]);
    }
    let x = Tensor::from_vec(vec![f32::NEG_INFINITY; 4], &[1, 1, 2, 2]).unwrap();
    let got = apply(MaxPool2d { window: Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1] } }, &[&x]);
    assert_eq!(got[0].to_vec::<f32>().unwrap(), [f32::NEG_INFINITY; 4]);
    // The first place of each window that lies in the map.
    assert_eq!(got[1].to_vec::<u8>().unwrap(), [4, 3, 1, 0]);
}

#[test]
fn the_largest_window() {
    let x = Array::random(&[1, 2, 16, 16], 1);
    let window = Window::square(16);
    let got = apply(MaxPool2d { window }, &[&x.tensor(DType::F64, Place::RowMajor)]);
    assert_eq!((Array::of(&got[0]), Array::of(&got[1])), max_pool(window, &x));
    let back = apply(MaxUnpool2d { window, size: [16, 16] }, &[&got[0], &got[1]]);
    let total: f64 = back[0].to_f64_vec().unwrap().iter().sum();
    assert_eq!(total, got[0].to_f64_vec().unwrap().iter().sum::<f64>());
}

#[test]
fn bad_indices_are_named() {
    let y = Array::random(&[2, 3, 2, 2], 1).tensor(DType::F32, Place::RowMajor);
    let mut index = Array::zeros(&[2, 3, 2, 2]);
    index.set(&[1, 2, 0, 1], 4.0);
    let outside = index.tensor(DType::U8, Place::RowMajor);
    let error = y.max_unpool2d(&outside, Window::square(2), [5, 4]).unwrap_err().to_string();
    let place = "index 4 at image 1, channel 2, row 0, column 1";
    assert!(error.contains(place) && error.contains("2×2"), "{error}");
    let x = Array::random(&[2, 3, 5, 4], 1).tensor(DType::F32, Place::RowMajor);
    let op = PoolGather { window: Window::square(2) };
    let error = Tensor::apply(op.into(), &[&x, &outside]).unwrap_err().to_string();
    assert!(error.contains("pool_gather") && error.contains(place), "{error}");

    // Place 0 of the first window of a padded map lies in the padding.
    let window = Window { kernel: [3, 3], stride: [2, 2], padding: [1, 1] };
    let index = Array::zeros(&[2, 3, 2, 2]).tensor(DType::U8, Place::RowMajor);
    let error = y.max_unpool2d(&index, window, [4, 4]).unwrap_err().to_string();
    assert!(error.contains("index 0 at image 0, channel 0, row 0, column 0 lies in the padding"), "{error}");
}

#[test]
fn threads_do_not_matter() {
    let x = Array::random(&[3, 13, 61, 67], 9).tensor(DType::F32, Place::ChannelsLast);
    for window in [Window::square(2), Window { kernel: [3, 3], stride: [2, 2], padding: [1, 1] }] {
        same_for_any_threads(|| {
            let mut all = apply(MaxPool2d { window }, &[&x]);
            let unpool = MaxUnpool2d { window, size: [61, 67] };
            let more = [
                apply(PoolGather { window }, &[&x, &all[1]]),
                apply(unpool, &[&all[0], &all[1]]),
                apply(AvgPool2d { window, count_padding: false }, &[&x]),
            ];
            all.extend(more.into_iter().flatten());
            all
        });
    }
}
