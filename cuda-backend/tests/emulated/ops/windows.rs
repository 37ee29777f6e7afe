//! Pools and resizing.

use tensor::ops::{
    AvgPool2d, AvgPool2dInput, Interpolation, MaxPool2d, MaxUnpool2d, PoolGather, Resize2d, Resize2dInput,
    Window,
};
use tensor::{DType, Op, Tensor, execute};

use super::FLOATS;
use crate::support::{check, integers, normal};

/// Windows with the sizes of the maps that they move over.
fn cases() -> [(Window, [usize; 2]); 3] {
    let w = |kernel, stride, padding| Window { kernel, stride, padding };
    [
        (w([2, 2], [2, 2], [0, 0]), [7, 8]),
        (w([3, 3], [2, 2], [1, 1]), [9, 7]),
        (w([3, 2], [1, 3], [0, 1]), [5, 8]),
    ]
}

/// A map with ties, its maxima and their places.
fn pooled(window: Window, size: [usize; 2], dtype: DType) -> (Tensor, Vec<Tensor>) {
    let x = integers(&[2, 5, size[0], size[1]], dtype, 9, 1);
    let outs = execute(&MaxPool2d { window }.into(), &[&x]).unwrap();
    (x, outs.into_vec())
}

fn each(check: impl Fn(Window, [usize; 2], DType)) {
    for dtype in FLOATS {
        for (window, size) in cases() {
            check(window, size, dtype);
        }
    }
}

pub fn max_pool2d() {
    each(|window, size, dtype| check(MaxPool2d { window }, &[&pooled(window, size, dtype).0]));
    check(MaxPool2d { window: Window::square(2) }, &[&normal(&[0, 3, 4, 4], DType::F32, 1)]);
}

pub fn pool_gather() {
    each(|window, size, dtype| {
        let (_, outs) = pooled(window, size, dtype);
        check(PoolGather { window }, &[&normal(&[2, 5, size[0], size[1]], dtype, 2), &outs[1]]);
    });
}

pub fn max_unpool2d() {
    each(|window, size, dtype| {
        let (_, outs) = pooled(window, size, dtype);
        check(MaxUnpool2d { window, size }, &[&normal(outs[0].dims(), dtype, 3), &outs[1]]);
    });
}

pub fn avg_pool2d() {
    each(|window, size, dtype| {
        for count_padding in [false, true] {
            let x = normal(&[2, 5, size[0], size[1]], dtype, 4);
            check(AvgPool2d { window, count_padding }, &[&x]);
        }
    });
}

pub fn avg_pool2d_input() {
    each(|window, size, dtype| {
        let [h, w] = window.output_size(size).unwrap();
        for count_padding in [false, true] {
            let pool = AvgPool2d { window, count_padding };
            check(AvgPool2dInput { pool, size }, &[&normal(&[2, 5, h, w], dtype, 5)]);
        }
    });
}

/// Both ways of resizing with and without aligned corners, between sizes.
fn resizings(run: impl Fn(Resize2d, [usize; 2])) {
    for (input, size) in [([4, 5], [8, 10]), ([7, 3], [5, 11]), ([1, 4], [5, 1]), ([9, 12], [3, 82])] {
        for mode in [Interpolation::Bilinear, Interpolation::Nearest] {
            for align_corners in [false, true] {
                run(Resize2d { mode, align_corners, size }, input);
            }
        }
    }
}

pub fn resize2d() {
    for dtype in FLOATS {
        resizings(|op, input| check(op, &[&normal(&[2, 3, input[0], input[1]], dtype, 6)]));
    }
}

pub fn resize2d_input() {
    for dtype in FLOATS {
        resizings(|resize, input| {
            let g = normal(&[2, 3, resize.size[0], resize.size[1]], dtype, 7);
            check(Op::from(Resize2dInput { resize, input }), &[&g]);
        });
    }
}
