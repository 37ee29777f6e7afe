//! Joining, putting back, shuffling, picking.

use tensor::Ops;
use tensor::ops::{Cat, ChannelShuffle, Deinterleave, Gather, Interleave, ScatterAdd, Span, Unslice};
use tensor::{DType, Tensor};

use super::ALL;
use crate::support::{check, integers, normal};

pub fn unslice() {
    let span = |start, len, step| Span { start, len, step };
    for dtype in ALL {
        let spans = [span(1, 1, 1), span(0, 3, 1), span(2, 2, 3), span(0, 4, 2)];
        let x = integers(&[1, 3, 2, 4], dtype, 100, 1);
        check(Unslice { dims: [2, 3, 7, 9][..].into(), spans: spans.into() }, &[&x]);
        check(
            Unslice { dims: [4][..].into(), spans: [span(0, 0, 1)].into_iter().collect() },
            &[&integers(&[0], dtype, 9, 1)],
        );
    }
}

pub fn cat() {
    for dtype in ALL {
        for axis in 0..4 {
            let parts: Vec<Tensor> = (0..11_usize)
                .map(|i| {
                    let mut dims = [2, 3, 4, 5];
                    dims[axis] = i % 4;
                    integers(&dims, dtype, 100, i as u64)
                })
                .collect();
            check(Cat { axis }, &parts.iter().collect::<Vec<_>>());
        }
        check(Cat { axis: 0 }, &[&integers(&[3], dtype, 100, 1), &integers(&[2], dtype, 100, 2)]);
    }
}

pub fn channel_shuffle() {
    for dtype in ALL {
        for groups in [1, 2, 4] {
            check(ChannelShuffle { groups }, &[&integers(&[2, 8, 5, 3], dtype, 100, 3)]);
            check(ChannelShuffle { groups }, &[&integers(&[3, 8], dtype, 100, 4)]);
            check(ChannelShuffle { groups }, &[&integers(&[3, 8, 7], dtype, 100, 4)]);
        }
    }
    check(ChannelShuffle { groups: 2 }, &[&normal(&[0, 8, 5, 3], DType::F32, 5)]);
}

pub fn interleave() {
    for dtype in ALL {
        for dims in [&[2, 3, 5, 4][..], &[4, 3], &[2, 3, 6], &[1, 5, 1, 1], &[2, 0, 3, 3]] {
            for count in [1, 2, 3, 11] {
                let parts: Vec<Tensor> = (0..count).map(|i| integers(dims, dtype, 100, i)).collect();
                check(Interleave, &parts.iter().collect::<Vec<_>>());
            }
        }
    }
}

pub fn deinterleave() {
    for dtype in ALL {
        for dims in [&[2, 22, 5, 4][..], &[4, 22], &[2, 22, 3], &[0, 22, 3, 3]] {
            for parts in [1, 2, 11] {
                let x = integers(dims, dtype, 100, 3);
                check(Deinterleave { parts }, &[&x]);
                let (a, b) = (x.narrow(1, 0, 9).unwrap(), x.narrow(1, 9, 13).unwrap());
                check(Deinterleave { parts }, &[&a, &b]);
            }
        }
    }
}

pub fn gather() {
    for dtype in ALL {
        for axis in 0..4 {
            let x = integers(&[2, 6, 4, 5], dtype, 100, 6);
            let mut dims = [2, 6, 4, 5];
            let size = dims[axis];
            dims[axis] = 3;
            check(Gather { axis }, &[&x, &integers(&dims, DType::I64, size as u32, 7)]);
        }
    }
}

pub fn scatter_add() {
    for dtype in ALL {
        for axis in 0..4 {
            let g = integers(&[2, 6, 4, 5], dtype, 20, 8);
            check(ScatterAdd { axis, len: 7 }, &[&g, &integers(&[2, 6, 4, 5], DType::I64, 7, 9)]);
        }
        let none = integers(&[3, 0], dtype, 9, 1);
        check(ScatterAdd { axis: 1, len: 4 }, &[&none, &integers(&[3, 0], DType::I64, 4, 1)]);
    }
}
