//! Joining and regrouping.

use proptest::prelude::*;
use tensor::{DType, Format, Ops, Tensor, ops::Deinterleave};

use super::layouts::*;

/// One to four operands that agree but along an axis.
fn parts() -> impl Strategy<Value = (usize, Vec<Sample>)> {
    (dims(), any_dtype(), 0usize..5, 1usize..=4).prop_flat_map(|(mut dims, dtype, axis, count)| {
        if dims.is_empty() {
            dims.push(1);
        }
        let axis = axis % dims.len();
        let part = (0usize..5, 0usize..8).prop_flat_map(move |(size, whole)| {
            let mut own = dims.clone();
            own[axis] = if whole == 0 { dims[axis] } else { size };
            sample_of(own, dtype)
        });
        (Just(axis), proptest::collection::vec(part, count))
    })
}

fn check_cat(axis: usize, parts: &[Sample]) {
    let y = Tensor::cat(&parts.iter().map(|p| &p.tensor).collect::<Vec<_>>(), axis).unwrap();
    assert!(y.layout().is_dense(Format::Contiguous) || y.layout().is_dense(Format::ChannelsLast));
    let got = y.to_f64_vec().unwrap();
    let mut start = 0;
    for p in parts {
        for (mut i, &v) in indices(p.tensor.dims()).zip(&p.values) {
            i[axis] += start;
            assert_eq!(got[number(y.dims(), &i)], v);
        }
        start += p.tensor.dims()[axis];
    }
    assert_eq!(y.dims()[axis], start);
}

fn check_shuffle(x: &Sample, groups: usize) {
    let y = x.tensor.channel_shuffle(groups).unwrap();
    let (dims, got) = (x.tensor.dims(), y.to_f64_vec().unwrap());
    let each = dims[1] / groups;
    for (mut i, &v) in indices(dims).zip(&x.values) {
        i[1] = i[1] % each * groups + i[1] / each;
        assert_eq!(got[number(dims, &i)], v);
    }
    let back = y.channel_shuffle(each.max(1)).unwrap();
    if each > 0 {
        assert_eq!(back.to_f64_vec().unwrap(), x.values);
    }
}

/// One part of `x`, whose channels come in pieces: some dense, some where they lie.
fn pieced(x: &Tensor, parts: usize, part: usize) -> Vec<f64> {
    let channels = x.dims()[1];
    let cuts = [0, channels / 3, channels / 3 + channels / 4 * 2, channels];
    let piece = |ends: &[usize]| {
        let piece = x.narrow(1, ends[0], ends[1] - ends[0]).unwrap();
        if ends[0] == 0 { piece.copy(Format::Contiguous).unwrap() } else { piece }
    };
    let pieces: Vec<Tensor> = cuts.windows(2).map(piece).collect();
    let all = Tensor::apply(Deinterleave { parts }.into(), &pieces.iter().collect::<Vec<_>>()).unwrap();
    all[part].to_f64_vec().unwrap()
}

fn check_interleave(x: &Sample, parts: usize) {
    let cut = x.tensor.deinterleave(parts).unwrap();
    let each = x.tensor.dims()[1] / parts;
    for (part, y) in cut.iter().enumerate() {
        let (dims, got) = (y.dims(), y.to_f64_vec().unwrap());
        assert_eq!(dims[1], each);
        assert_eq!(pieced(&x.tensor, parts, part), got);
        for (mut i, &v) in indices(x.tensor.dims()).zip(&x.values) {
            if i[1] % parts == part {
                i[1] /= parts;
                assert_eq!(got[number(dims, &i)], v);
            }
        }
    }
    let back = Tensor::interleave(&cut.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(back.to_f64_vec().unwrap(), x.values);
    let joined = Tensor::cat(&cut.iter().collect::<Vec<_>>(), 1).unwrap().channel_shuffle(parts).unwrap();
    assert_eq!(joined.to_f64_vec().unwrap(), x.values);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn cat_joins((axis, parts) in parts()) {
        check_cat(axis, &parts);
    }

    #[test]
    fn shuffles_regroup(
        (x, groups) in (1usize..4, 1usize..7, 1usize..5, proptest::collection::vec(1usize..9, 0..3), any_dtype())
            .prop_flat_map(|(n, each, groups, rest, dtype)| {
                let dims = [vec![n, each * groups], rest].concat();
                (sample_of(dims, dtype), Just(groups))
            })
    ) {
        check_shuffle(&x, groups);
        check_interleave(&x, groups);
    }
}

#[test]
fn large_joins_and_shuffles() {
    let plan =
        |axes: [usize; 4], seed| Arrangement { axes: axes.to_vec(), spans: vec![(0, 1, false); 4], seed };
    let (last, planes) = ([0, 2, 3, 1], [0, 1, 2, 3]);
    for axes in [last, planes] {
        let x = plan(axes, 1).sample(&[2, 24, 50, 51], DType::F32);
        let y = plan(last, 2).sample(&[2, 8, 50, 51], DType::F32);
        let mut narrow = plan(axes, 3);
        narrow.spans[1] = (2, 1, false);
        let z = narrow.sample(&[2, 13, 50, 51], DType::F32);
        check_cat(1, &[x.clone(), y, z]);
        check_cat(0, &[x.clone(), plan(planes, 4).sample(&[1, 24, 50, 51], DType::F32)]);
        check_cat(3, &[x.clone(), plan(axes, 4).sample(&[2, 24, 50, 7], DType::F32)]);
        [1, 2, 3, 12, 24].into_iter().for_each(|groups| check_shuffle(&x, groups));
        [1, 2, 3, 12].into_iter().for_each(|parts| check_interleave(&x, parts));
    }
}
