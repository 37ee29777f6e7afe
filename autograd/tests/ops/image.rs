//! Operations on images: convolutions, pooling, resizing; and matrix products.

use proptest::prelude::*;
use tensor::{
    Op, Ops, Tensor,
    ops::{
        AvgPool2d, AvgPool2dInput, Conv2d, Conv2dWeight, ConvTranspose2d, Interpolation, MatMul, MaxPool2d,
        MaxUnpool2d, PoolGather, Resize2d, Resize2dInput, Window,
    },
};

use crate::{
    case::{Case, check},
    draw::{self, Values},
};

fn pair(from: usize, to: usize) -> impl Strategy<Value = [usize; 2]> {
    [from..to, from..to]
}

pub fn matmul() {
    let cases = draw::dims(0..=2, 3)
        .prop_flat_map(|lead| {
            let narrower = || draw::narrower(&lead);
            (
                narrower(),
                narrower(),
                Just(lead.clone()),
                any::<bool>(),
                [1..4_usize, 1..4, 1..4],
                draw::seed(),
            )
        })
        .prop_map(|(mut a, mut b, lead, full, [m, k, n], seed)| {
            *(if full { &mut a } else { &mut b }) = lead;
            let mut draw = Values::new(seed);
            a.extend([m, k]);
            b.extend([k, n]);
            Case::new(MatMul, vec![draw.any(&a), draw.any(&b)])
        });
    check(cases.boxed());
}

/// A convolution: parameters, dims of input, of weight and of result, and a seed.
type Convolution = (Conv2d, [usize; 4], [usize; 4], [usize; 4], u64);

fn convolutions() -> impl Strategy<Value = Convolution> {
    let window = (pair(1, 4), pair(1, 4), pair(0, 3), pair(1, 3));
    let sizes = (pair(0, 4), 1..3_usize, 1..4_usize, 1..3_usize, 1..3_usize);
    (window, sizes, draw::seed()).prop_map(|(window, sizes, seed)| {
        let (kernel, stride, padding, dilation) = window;
        let (extra, batch, groups, ins, outs) = sizes;
        let conv = Conv2d { stride, padding, dilation, groups };
        let least = |a: usize| (dilation[a] * (kernel[a] - 1) + 1).saturating_sub(2 * padding[a]).max(1);
        let size = [least(0) + extra[0], least(1) + extra[1]];
        let [ho, wo] = conv.output_size(size, kernel).unwrap();
        let x = [batch, ins * groups, size[0], size[1]];
        let w = [outs * groups, ins, kernel[0], kernel[1]];
        let y = [batch, outs * groups, ho, wo];
        (conv, x, w, y, seed)
    })
}

pub fn conv2d() {
    let cases = (convolutions(), any::<bool>()).prop_map(|((conv, x, w, y, seed), bias)| {
        let mut draw = Values::new(seed);
        let mut inputs = vec![draw.any(&x), draw.any(&w)];
        if bias {
            inputs.push(draw.any(&[y[1]]));
        }
        Case::new(conv, inputs)
    });
    check(cases.boxed());
}

/// Also with output padding beyond the stride, which a dilation allows.
pub fn conv_transpose2d() {
    let cases =
        (convolutions(), any::<bool>(), pair(0, 3)).prop_map(|((conv, x, w, y, seed), bias, wish)| {
            let mut draw = Values::new(seed);
            let most = |a: usize| conv.stride[a].max(conv.dilation[a]) - 1;
            let output_padding = [wish[0].min(most(0)), wish[1].min(most(1))];
            let mut y = y;
            let transposed = ConvTranspose2d { conv, output_padding };
            // Padding may take away everything: then a larger operand.
            while transposed.output_size([y[2], y[3]], [w[2], w[3]]).is_none() {
                (y[2], y[3]) = (y[2] + 1, y[3] + 1);
            }
            let mut inputs = vec![draw.any(&y), draw.any(&w)];
            if bias {
                inputs.push(draw.any(&[x[1]]));
            }
            Case::new(transposed, inputs)
        });
    check(cases.boxed());
}

pub fn conv2d_weight() {
    let cases = convolutions().prop_map(|(conv, x, w, y, seed)| {
        let mut draw = Values::new(seed);
        Case::new(Conv2dWeight { conv, kernel: [w[2], w[3]] }, vec![draw.any(&x), draw.any(&y)])
    });
    check(cases.boxed());
}

/// A window, dims of what it pools and dims of the result.
fn windows() -> impl Strategy<Value = (Window, [usize; 4], [usize; 4], u64)> {
    let window = (pair(1, 4), pair(1, 4), pair(0, 2));
    (window, pair(0, 4), 1..3_usize, 1..3_usize, draw::seed()).prop_map(
        |((kernel, stride, wish), extra, batch, channels, seed)| {
            let padding = [wish[0].min(kernel[0] / 2), wish[1].min(kernel[1] / 2)];
            let window = Window { kernel, stride, padding };
            let least = |a: usize| (kernel[a] - 2 * padding[a]).max(1);
            let size = [least(0) + extra[0], least(1) + extra[1]];
            let [ho, wo] = window.output_size(size).unwrap();
            (window, [batch, channels, size[0], size[1]], [batch, channels, ho, wo], seed)
        },
    )
}

/// Places of the maxima of random values: an index that some pooling returned.
fn index(draw: &mut Values, window: Window, x: &[usize]) -> Tensor {
    draw.distinct(x, 0.0).max_pool2d(window).unwrap().1
}

pub fn max_pool2d() {
    let cases = windows().prop_map(|(window, x, _, seed)| {
        Case::new(MaxPool2d { window }, vec![Values::new(seed).distinct(&x, 0.0)])
    });
    check(cases.boxed());
}

pub fn pool_gather() {
    let cases = windows().prop_map(|(window, x, _, seed)| {
        let mut draw = Values::new(seed);
        let index = index(&mut draw, window, &x);
        Case::new(PoolGather { window }, vec![draw.any(&x), index])
    });
    check(cases.boxed());
}

pub fn max_unpool2d() {
    let cases = windows().prop_map(|(window, x, y, seed)| {
        let mut draw = Values::new(seed);
        let index = index(&mut draw, window, &x);
        Case::new(MaxUnpool2d { window, size: [x[2], x[3]] }, vec![draw.any(&y), index])
    });
    check(cases.boxed());
}

pub fn avg_pool2d() {
    let cases = (windows(), any::<bool>()).prop_map(|((window, x, _, seed), count_padding)| {
        Case::new(AvgPool2d { window, count_padding }, vec![Values::new(seed).any(&x)])
    });
    check(cases.boxed());
}

pub fn avg_pool2d_input() {
    let cases = (windows(), any::<bool>()).prop_map(|((window, x, y, seed), count_padding)| {
        let op = AvgPool2dInput { pool: AvgPool2d { window, count_padding }, size: [x[2], x[3]] };
        Case::new(op, vec![Values::new(seed).any(&y)])
    });
    check(cases.boxed());
}

/// A resizing from one size to another, of (N, C) maps.
fn resizings() -> impl Strategy<Value = (Resize2d, [usize; 2], [usize; 2], u64)> {
    let mode = prop_oneof![Just(Interpolation::Nearest), Just(Interpolation::Bilinear)];
    (mode, any::<bool>(), pair(1, 7), pair(1, 7), pair(1, 3), draw::seed()).prop_map(
        |(mode, align_corners, size, from, maps, seed)| {
            (Resize2d { mode, align_corners, size }, from, maps, seed)
        },
    )
}

pub fn resize2d() {
    let cases = resizings().prop_map(|(resize, from, maps, seed)| {
        Case::new(resize, vec![Values::new(seed).any(&[maps[0], maps[1], from[0], from[1]])])
    });
    check(cases.boxed());
}

pub fn resize2d_input() {
    let cases = resizings().prop_map(|(resize, from, maps, seed)| {
        let [h, w] = resize.size;
        let op: Op = Resize2dInput { resize, input: from }.into();
        Case::new(op, vec![Values::new(seed).any(&[maps[0], maps[1], h, w])])
    });
    check(cases.boxed());
}
