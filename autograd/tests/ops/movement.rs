//! Operations that make, move, pick or reduce elements.

use proptest::prelude::*;
use tensor::{
    DType, Format,
    ops::{
        Arange, ArgReduce, Bincount, BroadcastTo, Cast, Cat, ChannelShuffle, Copy, Deinterleave,
        Distribution, Extremum, Full, Gather, Histogram, Interleave, LogSoftmax, Permute, Random, Reduce,
        Reduction, Reshape, ScatterAdd, Slice, Softmax, Span, SquareSum, Unslice, Update, UpdateRule,
    },
    rng::Key,
};

use crate::{
    case::{Case, check, check_constant},
    draw::{self, Values},
};

/// Operand dims and a seed.
fn any_dims() -> impl Strategy<Value = (Vec<usize>, u64)> {
    (draw::dims(0..=4, 3), draw::seed())
}

/// Operand dims, one of its axes and a seed.
fn with_axis() -> impl Strategy<Value = (Vec<usize>, usize, u64)> {
    draw::dims(1..=4, 3).prop_flat_map(|dims| (Just(dims.clone()), draw::axis(&dims), draw::seed()))
}

/// Whatever has no operands has no gradients.
pub fn full() {
    check_constant(
        Just(Case::new(Full { dims: [2].as_slice().into(), value: 1.0, dtype: DType::F64 }, vec![])).boxed(),
    );
}

pub fn arange() {
    check_constant(
        Just(Case::new(Arange { start: 0.0, step: 1.0, len: 3, dtype: DType::F64 }, vec![])).boxed(),
    );
}

pub fn random() {
    let distribution = Distribution::Normal { mean: 0.0, std: 1.0 };
    let op = Random { dims: [2].as_slice().into(), dtype: DType::F64, distribution, key: Key::new(1, 2) };
    check_constant(Just(Case::new(op, vec![])).boxed());
}

pub fn reshape() {
    let cases = draw::dims(0..=4, 3)
        .prop_flat_map(|dims| (Just(dims.clone()).prop_shuffle(), Just(dims), any::<bool>(), draw::seed()))
        .prop_map(|(mut to, dims, flat, seed)| {
            if flat {
                to = vec![dims.iter().product()];
            }
            Case::new(Reshape { dims: to.into() }, vec![Values::new(seed).any(&dims)])
        });
    check(cases.boxed());
}

pub fn permute() {
    let cases = draw::dims(0..=4, 3)
        .prop_flat_map(|dims| {
            let axes = Just((0..dims.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(dims), axes, draw::seed())
        })
        .prop_map(|(dims, axes, seed)| {
            Case::new(Permute { axes: axes.into() }, vec![Values::new(seed).any(&dims)])
        });
    check(cases.boxed());
}

pub fn broadcast_to() {
    let cases = draw::dims(0..=4, 3)
        .prop_flat_map(|dims| (draw::narrower(&dims), Just(dims), draw::seed()))
        .prop_map(|(from, to, seed)| {
            Case::new(BroadcastTo { dims: to.into() }, vec![Values::new(seed).any(&from)])
        });
    check(cases.boxed());
}

/// For each axis a span and the size of the axis that it lies in.
fn spans() -> impl Strategy<Value = Vec<(Span, usize)>> {
    let span = (0..3_usize, 1..3_usize, 1..3_usize, 0..3_usize).prop_map(|(start, len, step, rest)| {
        (Span { start, len, step }, start + (len - 1) * step + 1 + rest)
    });
    prop::collection::vec(span, 0..=4)
}

pub fn slice() {
    let cases = (spans(), draw::seed()).prop_map(|(axes, seed)| {
        let (spans, dims): (Vec<Span>, Vec<usize>) = axes.into_iter().unzip();
        Case::new(Slice { spans: spans.into() }, vec![Values::new(seed).any(&dims)])
    });
    check(cases.boxed());
}

pub fn unslice() {
    let cases = (spans(), draw::seed()).prop_map(|(axes, seed)| {
        let (spans, dims): (Vec<Span>, Vec<usize>) = axes.into_iter().unzip();
        let from: Vec<usize> = spans.iter().map(|s| s.len).collect();
        Case::new(Unslice { dims: dims.into(), spans: spans.into() }, vec![Values::new(seed).any(&from)])
    });
    check(cases.boxed());
}

/// To the type that it has: other floats are too coarse for differences (`engine.rs` checks those), integers
/// take no gradient.
pub fn cast() {
    let to = |dtype| {
        any_dims().prop_map(move |(dims, seed)| Case::new(Cast { dtype }, vec![Values::new(seed).any(&dims)]))
    };
    check(to(DType::F64).boxed());
    check_constant(to(DType::I64).boxed());
}

pub fn copy() {
    for format in [Format::Contiguous, Format::ChannelsLast] {
        let cases = any_dims()
            .prop_map(move |(dims, seed)| Case::new(Copy { format }, vec![Values::new(seed).any(&dims)]));
        check(cases.boxed());
    }
}

pub fn reduce() {
    for kind in [Reduction::Sum, Reduction::Mean, Reduction::Max, Reduction::Min] {
        let cases = draw::dims(0..=4, 3)
            .prop_flat_map(|dims| (Just(dims.clone()), draw::axes(&dims), any::<bool>(), draw::seed()))
            .prop_map(move |(dims, axes, keep, seed)| {
                Case::new(
                    Reduce { kind, axes: axes.into(), keep },
                    vec![Values::new(seed).distinct(&dims, 0.0)],
                )
            });
        check(cases.boxed());
    }
}

pub fn arg_reduce() {
    let cases = with_axis().prop_map(|(dims, axis, seed)| {
        let op = ArgReduce { kind: Extremum::Max, axis, keep: seed % 2 == 0 };
        Case::new(op, vec![Values::new(seed).any(&dims)])
    });
    check_constant(cases.boxed());
}

pub fn bincount() {
    let cases = any_dims()
        .prop_map(|(dims, seed)| Case::new(Bincount { bins: 4 }, vec![Values::new(seed).indices(&dims, 4)]));
    check_constant(cases.boxed());
}

pub fn histogram() {
    let op = Histogram { bins: 4, low: -1.0, high: 1.0 };
    let cases =
        any_dims().prop_map(move |(dims, seed)| Case::new(op.clone(), vec![Values::new(seed).any(&dims)]));
    check_constant(cases.boxed());
}

pub fn update() {
    for rule in [
        UpdateRule::Sgd { momentum: false, nesterov: false },
        UpdateRule::Sgd { momentum: true, nesterov: true },
        UpdateRule::Adam,
        UpdateRule::Average,
    ] {
        let cases = (any_dims(), 1..=3_usize).prop_map(move |((dims, seed), params)| {
            let (op, mut values) = (Update { rule }, Values::new(seed));
            let numbers = values.uniform(&[params, rule.numbers()], 0.1, 1.0);
            let mut operands = vec![numbers, values.uniform(&[], 0.5, 2.0)];
            operands.extend((0..params * op.group()).map(|_| values.uniform(&dims, 0.1, 1.0)));
            Case::new(op, operands)
        });
        check_constant(cases.boxed());
    }
}

pub fn square_sum() {
    let cases = any_dims().prop_map(|(dims, seed)| {
        let mut values = Values::new(seed);
        Case::new(SquareSum {}, vec![values.any(&dims), values.any(&[3])])
    });
    check_constant(cases.boxed());
}

pub fn cat() {
    let cases =
        (with_axis(), prop::collection::vec(1..4_usize, 1..4)).prop_map(|((dims, axis, seed), lens)| {
            let mut draw = Values::new(seed);
            let part = |len| {
                let mut dims = dims.clone();
                dims[axis] = len;
                draw.any(&dims)
            };
            Case::new(Cat { axis }, lens.into_iter().map(part).collect())
        });
    check(cases.boxed());
}

pub fn gather() {
    let cases = (with_axis(), 1..5_usize).prop_map(|((dims, axis, seed), picks)| {
        let mut draw = Values::new(seed);
        let mut index = dims.clone();
        index[axis] = picks;
        Case::new(Gather { axis }, vec![draw.any(&dims), draw.indices(&index, dims[axis])])
    });
    check(cases.boxed());
}

pub fn scatter_add() {
    let cases = (with_axis(), 1..5_usize).prop_map(|((dims, axis, seed), len)| {
        let mut draw = Values::new(seed);
        Case::new(ScatterAdd { axis, len }, vec![draw.any(&dims), draw.indices(&dims, len)])
    });
    check(cases.boxed());
}

pub fn channel_shuffle() {
    let cases = (draw::dims(2..=4, 3), 1..4_usize, draw::seed()).prop_map(|(mut dims, groups, seed)| {
        dims[1] *= groups;
        Case::new(ChannelShuffle { groups }, vec![Values::new(seed).any(&dims)])
    });
    check(cases.boxed());
}

pub fn interleave() {
    let cases = (draw::dims(2..=4, 3), 1..4_usize, draw::seed()).prop_map(|(dims, parts, seed)| {
        let mut draw = Values::new(seed);
        Case::new(Interleave, (0..parts).map(|_| draw.any(&dims)).collect())
    });
    check(cases.boxed());
}

pub fn deinterleave() {
    let dims = (draw::dims(2..=4, 3), 1..4_usize, 0..4_usize);
    let cases = (dims, draw::seed()).prop_map(|((mut dims, parts, more), seed)| {
        let mut draw = Values::new(seed);
        let mut operand = |channels: usize| {
            dims[1] = channels;
            draw.any(&dims)
        };
        // Channels of all operands make up a multiple of the parts.
        let rest = (parts * 4 - more) % parts;
        let all = [parts + more, rest].into_iter().filter(|&channels| channels > 0);
        Case::new(Deinterleave { parts }, all.map(&mut operand).collect())
    });
    check(cases.boxed());
}

pub fn softmax() {
    let cases = with_axis()
        .prop_map(|(dims, axis, seed)| Case::new(Softmax { axis }, vec![Values::new(seed).any(&dims)]));
    check(cases.boxed());
}

pub fn log_softmax() {
    let cases = with_axis()
        .prop_map(|(dims, axis, seed)| Case::new(LogSoftmax { axis }, vec![Values::new(seed).any(&dims)]));
    check(cases.boxed());
}
