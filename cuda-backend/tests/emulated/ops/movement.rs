//! Values from nothing, conversions, copies, joins.

use tensor::ops::{
    Arange, BroadcastTo, Cast, Copy, Distribution, Full, Permute, Random, Reshape, Slice, Span,
};
use tensor::{DType, Format, rng::Key};

use super::{ALL, FLOATS};
use crate::support::{check, integers, normal};

pub fn full() {
    for dtype in ALL {
        for dims in [&[][..], &[7, 3], &[0, 5], &[300, 11]] {
            check(Full { dims: dims.into(), value: 2.5, dtype }, &[]);
        }
    }
}

pub fn arange() {
    for dtype in ALL {
        check(Arange { start: 3.0, step: 0.5, len: 37, dtype }, &[]);
    }
}

pub fn random() {
    let key = Key::new(11, 5);
    for dtype in FLOATS {
        for distribution in [
            Distribution::Uniform { low: -2.0, high: 3.0 },
            Distribution::Normal { mean: 1.0, std: 0.5 },
            Distribution::Bernoulli { p: 0.3 },
        ] {
            check(Random { dims: [41, 3][..].into(), dtype, distribution, key }, &[]);
        }
    }
}

pub fn reshape() {
    let x = normal(&[2, 3, 4, 5], DType::F32, 1);
    check(Reshape { dims: [6, 20][..].into() }, &[&x]);
    check(Reshape { dims: [120][..].into() }, &[&x]);
}

pub fn permute() {
    check(Permute { axes: [2, 0, 3, 1][..].into() }, &[&normal(&[2, 3, 4, 5], DType::F16, 2)]);
}

pub fn broadcast_to() {
    check(BroadcastTo { dims: [2, 3, 4, 5][..].into() }, &[&normal(&[3, 1, 5], DType::F32, 3)]);
}

pub fn slice() {
    let spans =
        [(1, 1, 1), (0, 2, 2), (0, 4, 1), (1, 2, 2)].map(|(start, len, step)| Span { start, len, step });
    check(Slice { spans: spans.into_iter().collect() }, &[&normal(&[2, 3, 4, 5], DType::F32, 4)]);
}

pub fn cast() {
    for from in ALL {
        for dtype in ALL {
            let x = match from.is_float() {
                true => normal(&[2, 3, 5, 7], from, 5),
                false => integers(&[2, 3, 5, 7], from, 200, 5),
            };
            check(Cast { dtype }, &[&x]);
        }
    }
}

pub fn copy() {
    for dtype in ALL {
        for format in [Format::Contiguous, Format::ChannelsLast] {
            for dims in [&[2, 3, 5, 7][..], &[1, 40, 33, 2], &[5], &[0, 3, 2, 2], &[3, 1, 4, 1]] {
                check(Copy { format }, &[&integers(dims, dtype, 100, 6)]);
            }
        }
    }
}
