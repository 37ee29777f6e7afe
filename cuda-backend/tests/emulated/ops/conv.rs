//! Convolutions and products.

use tensor::DType;
use tensor::ops::{Conv2d, Conv2dWeight, ConvTranspose2d, MatMul};

use super::FLOATS;
use crate::support::{check, normal};

/// Geometry, kernel, channels per group in and out.
fn cases() -> Vec<(Conv2d, [usize; 2], usize, usize)> {
    let c = |stride, padding, dilation, groups| Conv2d { stride, padding, dilation, groups };
    vec![
        (c([1, 1], [1, 1], [1, 1], 1), [3, 3], 4, 6),
        (c([2, 2], [1, 1], [1, 1], 1), [3, 3], 3, 5),
        (c([1, 1], [2, 2], [2, 2], 2), [3, 3], 2, 3),
        (c([1, 1], [0, 0], [1, 1], 1), [1, 1], 7, 3),
        (c([2, 1], [0, 2], [1, 2], 3), [2, 4], 1, 1),
    ]
}

pub fn conv2d() {
    for (conv, [kh, kw], c, k) in cases() {
        for dtype in FLOATS {
            let g = conv.groups;
            let x = normal(&[2, c * g, 9, 11], dtype, 1);
            let w = normal(&[k * g, c, kh, kw], dtype, 2);
            let bias = normal(&[k * g], dtype, 3);
            check(conv.clone(), &[&x, &w]);
            check(conv.clone(), &[&x, &w, &bias]);
        }
    }
    check(Conv2d::default(), &[&normal(&[0, 3, 4, 4], DType::F32, 1), &normal(&[5, 3, 1, 1], DType::F32, 2)]);
}

pub fn conv_transpose2d() {
    // Rows and columns that no window reaches: more than cuDNN takes.
    for dtype in FLOATS {
        let conv = Conv2d { dilation: [1, 2], ..Conv2d::default() };
        let (x, w) = (normal(&[2, 3, 4, 5], dtype, 1), normal(&[3, 2, 1, 2], dtype, 2));
        check(ConvTranspose2d { conv, output_padding: [0, 1] }, &[&x, &w, &normal(&[2], dtype, 3)]);
    }
    for (conv, [kh, kw], c, k) in cases() {
        for dtype in FLOATS {
            let g = conv.groups;
            let output_padding = [conv.stride[0] - 1, 0];
            let op = ConvTranspose2d { conv: conv.clone(), output_padding };
            let x = normal(&[2, c * g, 5, 6], dtype, 4);
            let w = normal(&[c * g, k, kh, kw], dtype, 5);
            check(op.clone(), &[&x, &w]);
            check(op, &[&x, &w, &normal(&[k * g], dtype, 6)]);
        }
    }
}

pub fn conv2d_weight() {
    for (conv, kernel, c, k) in cases() {
        for dtype in FLOATS {
            let g = conv.groups;
            let x = normal(&[2, c * g, 7, 8], dtype, 7);
            let [h, w] = conv.output_size([7, 8], kernel).unwrap();
            let grad = normal(&[2, k * g, h, w], dtype, 8);
            check(Conv2dWeight { conv: conv.clone(), kernel }, &[&x, &grad]);
        }
    }
}

pub fn matmul() {
    for dtype in FLOATS {
        check(MatMul, &[&normal(&[5, 7], dtype, 1), &normal(&[7, 3], dtype, 2)]);
        check(MatMul, &[&normal(&[2, 3, 5, 7], dtype, 3), &normal(&[3, 7, 4], dtype, 4)]);
        check(MatMul, &[&normal(&[4, 1, 6], dtype, 5), &normal(&[6, 1], dtype, 6)]);
    }
    check(MatMul, &[&normal(&[3, 0], DType::F32, 7), &normal(&[0, 4], DType::F32, 8)]);
}
