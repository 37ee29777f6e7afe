//! Pointwise operations, casts, copies and creation.

use proptest::prelude::*;
use tensor::{
    DType, Format, Ops, Tensor, execute,
    ops::{Binary, Compare, Distribution, Unary, Unslice},
    rng::{Key, unit},
};

use super::layouts::*;

/// What each function should give, in f64.
type Reference1 = fn(f64) -> f64;
type Reference2 = fn(f64, f64) -> f64;
type Predicate = fn(f64, f64) -> bool;

/// Every function of one operand, with its reference.
fn unary() -> Vec<(Unary, Reference1)> {
    vec![
        (Unary::Neg, |x| -x),
        (Unary::Abs, f64::abs),
        (Unary::Sign, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }),
        (Unary::Step, |x| if x > 0.0 { 1.0 } else { 0.0 }),
        (Unary::Exp, f64::exp),
        (Unary::ExpM1, f64::exp_m1),
        (Unary::Log, f64::ln),
        (Unary::Log1p, f64::ln_1p),
        (Unary::Sqrt, f64::sqrt),
        (Unary::Square, |x| x * x),
        (Unary::Recip, f64::recip),
        (Unary::Sin, f64::sin),
        (Unary::Cos, f64::cos),
        (Unary::Tanh, f64::tanh),
        (Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Unary::Softplus, |x| x.exp().ln_1p()),
        (Unary::Relu, |x| x.max(0.0)),
        (Unary::LeakyRelu(0.25), |x| if x > 0.0 { x } else { 0.25 * x }),
        (Unary::Floor, f64::floor),
        (Unary::Round, f64::round),
        (Unary::AddScalar(2.0), |x| x + 2.0),
        (Unary::MulScalar(3.0), |x| x * 3.0),
        (Unary::PowScalar(3.0), |x| x.powf(3.0)),
        (Unary::Clamp(1.0, 3.0), |x| x.clamp(1.0, 3.0)),
    ]
}

fn binary() -> Vec<(Binary, Reference2)> {
    vec![
        (Binary::Add, |x, y| x + y),
        (Binary::Sub, |x, y| x - y),
        (Binary::Mul, |x, y| x * y),
        (Binary::Div, |x, y| x / y),
        (Binary::Pow, f64::powf),
        (Binary::Maximum, f64::max),
        (Binary::Minimum, f64::min),
        (Binary::Prelu, |x, y| if x > 0.0 { x } else { y * x }),
        (Binary::ReluGrad, |x, y| if x > 0.0 { y } else { 0.0 }),
    ]
}

fn compare() -> Vec<(Compare, Predicate)> {
    vec![
        (Compare::Equal, |x, y| x == y),
        (Compare::NotEqual, |x, y| x != y),
        (Compare::Less, |x, y| x < y),
        (Compare::LessEqual, |x, y| x <= y),
        (Compare::Greater, |x, y| x > y),
        (Compare::GreaterEqual, |x, y| x >= y),
    ]
}

/// Relative tolerance of one operation in a type.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2e-3,
        DType::BF16 => 1e-2,
        DType::F32 => 2e-6,
        DType::F64 => 1e-12,
        DType::I64 | DType::U8 => 0.0,
    }
}

/// What a type makes of a reference value: integers truncate, u8 wraps.
fn held(dtype: DType, v: f64) -> f64 {
    match dtype {
        DType::I64 => v.trunc(),
        DType::U8 => (v as i64 as u8).into(),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => v,
    }
}

fn check(got: &Tensor, want: &[f64], tolerance: f64) {
    let got = got.to_f64_vec().unwrap();
    assert_eq!(got.len(), want.len());
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let same = g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * (1.0 + w.abs());
        assert!(same, "element {i}: {g}, wanted {w}");
    }
}

/// A layout dense in one of the two formats.
fn dense(x: &Tensor) -> bool {
    x.layout().is_dense(Format::Contiguous) || x.layout().is_dense(Format::ChannelsLast)
}

fn one() -> impl Strategy<Value = (Sample, DType)> {
    (dims(), any_dtype()).prop_flat_map(|(dims, dtype)| (sample_of(dims, dtype), Just(dtype)))
}

/// Two operands that broadcast, and the dims they broadcast to.
fn two(dtype: impl Strategy<Value = DType>) -> impl Strategy<Value = (Vec<usize>, Sample, Sample)> {
    let masks = (any::<u8>(), any::<u8>(), 0usize..3);
    (dims(), dtype, masks).prop_flat_map(|(dims, dtype, (a, b, cut))| {
        // Axes of size 1 never in both; the second operand may lack leading axes.
        let thin = |mask: u8| -> Vec<usize> {
            dims.iter().enumerate().map(|(i, &d)| if mask >> i & 3 == 3 { 1 } else { d }).collect()
        };
        let first: Vec<usize> = thin(a & !b);
        let second = thin(b & !a)[cut.min(dims.len())..].to_vec();
        let first_full: Vec<usize> =
            first.iter().zip(&dims).enumerate().map(|(i, (&f, &d))| if i < cut { d } else { f }).collect();
        (Just(dims), sample_of(first_full, dtype), sample_of(second, dtype))
    })
}

/// The element of a broadcast operand for an index of the result.
fn element(s: &Sample, index: &[usize]) -> f64 {
    let dims = s.tensor.dims();
    let own: Vec<usize> = dims
        .iter()
        .zip(&index[index.len() - dims.len()..])
        .map(|(&d, &i)| if d == 1 { 0 } else { i })
        .collect();
    s.values[number(dims, &own)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn copies_keep_elements((x, _) in one()) {
        let copy = x.tensor.copy(Format::Contiguous).unwrap();
        prop_assert!(copy.layout().is_dense(Format::Contiguous));
        check(&copy, &x.values, 0.0);
        let copy = x.tensor.copy(Format::ChannelsLast).unwrap();
        prop_assert!(copy.layout().is_dense(Format::ChannelsLast));
        check(&copy, &x.values, 0.0);
    }

    #[test]
    fn casts_convert((x, _) in one(), to in any_dtype()) {
        let y = x.tensor.cast(to).unwrap();
        prop_assert_eq!(y.dtype(), to);
        let saturated = |v: f64| match to {
            DType::U8 => v.trunc().clamp(0.0, 255.0),
            DType::I64 => v.trunc(),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => v,
        };
        check(&y, &x.values.iter().map(|&v| saturated(v)).collect::<Vec<_>>(), 0.0);
    }

    #[test]
    fn unary_functions((x, dtype) in one(), (op, f) in proptest::sample::select(unary())) {
        prop_assume!(dtype.is_float() || op.takes_integers());
        let y = Tensor::apply1(op.into(), &[&x.tensor]).unwrap();
        prop_assert!(dense(&y) && y.dtype() == dtype);
        let want: Vec<f64> = x.values.iter().map(|&v| held(dtype, f(v))).collect();
        // Powers and exponentials of negative numbers in halves overflow their range: both sides do.
        check(&y, &want, tolerance(dtype));
    }

    #[test]
    fn binary_functions((dims, x, y) in two(any_dtype()), (op, f) in proptest::sample::select(binary())) {
        let dtype = x.tensor.dtype();
        prop_assume!(dtype.is_float() || op.takes_integers());
        let z = Tensor::apply1(op.into(), &[&x.tensor, &y.tensor]).unwrap();
        prop_assert!(dense(&z) && z.dtype() == dtype && z.dims() == &dims[..]);
        let want: Vec<f64> = indices(&dims).map(|i| f(element(&x, &i), element(&y, &i))).collect();
        let range = match dtype { DType::F16 => 65504.0, _ => f64::MAX };
        let want: Vec<f64> = want.iter().map(|&v| held(dtype, v)).collect();
        let want: Vec<f64> = want.iter().map(|&v| if v.abs() > range { v * f64::INFINITY } else { v }).collect();
        check(&z, &want, 4.0 * tolerance(dtype));
    }

    #[test]
    fn comparisons((dims, x, y) in two(any_dtype()), (op, f) in proptest::sample::select(compare())) {
        let z = Tensor::apply1(op.into(), &[&x.tensor, &y.tensor]).unwrap();
        prop_assert!(dense(&z) && z.dtype() == DType::U8);
        let want: Vec<f64> =
            indices(&dims).map(|i| f(element(&x, &i), element(&y, &i)) as u8 as f64).collect();
        check(&z, &want, 0.0);
    }

    #[test]
    fn selections((dims, x, y) in two(any_dtype()), a in any::<u64>()) {
        let plan = Arrangement { axes: (0..dims.len()).rev().collect(), spans: vec![(0, 1, false); dims.len()], seed: a };
        let condition = plan.sample(&dims, DType::U8);
        let z = condition.tensor.select(&x.tensor, &y.tensor).unwrap();
        let pick = |(i, c): (Vec<usize>, &f64)| if *c != 0.0 { element(&x, &i) } else { element(&y, &i) };
        let want: Vec<f64> = indices(&dims).zip(&condition.values).map(pick).collect();
        prop_assert!(dense(&z));
        check(&z, &want, 0.0);
    }

    #[test]
    fn unslice_puts_back((x, _) in one(), gaps in proptest::collection::vec((0usize..3, 0usize..3, 1usize..4), 5)) {
        let dims = x.tensor.dims().to_vec();
        let spans: Vec<_> = dims.iter().zip(&gaps)
            .map(|(&len, &(start, _, step))| tensor::ops::Span { start, len, step }).collect();
        let size: Vec<usize> = dims.iter().zip(&gaps).map(|(&d, &(s, e, step))| s + d * step + e).collect();
        let op = Unslice { dims: size[..].into(), spans: spans[..].into() };
        let y = Tensor::apply1(op.into(), &[&x.tensor]).unwrap();
        let mut want = vec![0.0; size.iter().product()];
        for (i, &v) in indices(&dims).zip(&x.values) {
            let at: Vec<usize> = i.iter().zip(&spans).map(|(i, s)| s.start + i * s.step).collect();
            want[number(&size, &at)] = v;
        }
        prop_assert!(dense(&y));
        check(&y, &want, 0.0);
    }
}

#[test]
fn large_mixed_formats_meet() {
    let plan = |axes: Vec<usize>, seed| Arrangement { axes, spans: vec![(0, 1, false); 4], seed };
    let dims = [2, 19, 50, 61];
    let x = plan(vec![0, 1, 2, 3], 1).sample(&dims, DType::F32);
    let y = plan(vec![0, 2, 3, 1], 2).sample(&dims, DType::F32);
    let z = x.tensor.sub(&y.tensor).unwrap();
    assert!(z.layout().is_dense(Format::ChannelsLast));
    check(&z, &x.values.iter().zip(&y.values).map(|(a, b)| a - b).collect::<Vec<_>>(), 0.0);
}

#[test]
fn nan_stays() {
    let x = Tensor::from_vec(vec![f32::NAN, 1.0, f32::NAN], &[3]).unwrap();
    let y = Tensor::from_vec(vec![1.0, f32::NAN, f32::NAN], &[3]).unwrap();
    for z in [x.maximum(&y), x.minimum(&y), x.relu().and_then(|r| r.add(&y)), x.add(&y)] {
        assert!(z.unwrap().to_vec::<f32>().unwrap().iter().all(|v| v.is_nan()));
    }
    assert!(x.clamp(0.0, 1.0).unwrap().to_vec::<f32>().unwrap()[0].is_nan());
}

#[test]
fn whole_numbers_survive() {
    let big = (1i64 << 60) + 1;
    let x = Tensor::from_vec(vec![big, -big], &[2]).unwrap();
    assert_eq!(x.copy(Format::Contiguous).unwrap().to_vec::<i64>().unwrap(), [big, -big]);
    assert_eq!(x.add_scalar(1.0).unwrap().to_vec::<i64>().unwrap(), [big + 1, 1 - big]);
    let bytes = Tensor::from_vec(vec![250u8, 3], &[2]).unwrap();
    assert_eq!(bytes.add(&bytes).unwrap().to_vec::<u8>().unwrap(), [244, 6]);
    assert_eq!(bytes.cast(DType::I64).unwrap().to_vec::<i64>().unwrap(), [250, 3]);
}

#[test]
fn made_values() {
    let x = Tensor::full(2.5, &[3, 20_000], DType::BF16).unwrap();
    assert!(x.to_f64_vec().unwrap().iter().all(|&v| v == 2.5));
    assert_eq!(Tensor::zeros(&[], DType::I64).unwrap().item().unwrap(), 0.0);
    let op = tensor::ops::Arange { start: -1.0, step: 0.5, len: 70_000, dtype: DType::F64 };
    let x = execute(&op.into(), &[]).unwrap()[0].to_f64_vec().unwrap();
    assert!(x.iter().enumerate().all(|(i, &v)| v == i as f64 * 0.5 - 1.0));
}

#[test]
fn random_elements_depend_on_key_and_place() {
    let key = Key::new(3, 9);
    let uniform = Distribution::Uniform { low: -2.0, high: 2.0 };
    let x = Tensor::random(uniform, &[7, 11_003], DType::F32, key).unwrap().to_vec::<f32>().unwrap();
    let word = |i: usize| key.word(i as u64);
    assert!(x.iter().enumerate().all(|(i, &v)| v == -2.0 + 4.0 * unit(word(i))));
    let one = on_threads(1, || Tensor::random(uniform, &[77_021], DType::F32, key).unwrap());
    assert_eq!(one.to_vec::<f32>().unwrap(), x);

    let coin = Tensor::random(Distribution::Bernoulli { p: 0.3 }, &[50_001], DType::F64, key).unwrap();
    let coin = coin.to_vec::<f64>().unwrap();
    assert!(coin.iter().enumerate().all(|(i, &v)| (v == 1.0) == ((unit(word(i)) as f64) < 0.3)));

    let normal = Distribution::Normal { mean: 1.0, std: 2.0 };
    let z = Tensor::random(normal, &[100_000], DType::F32, key).unwrap().to_f64_vec().unwrap();
    let mean = z.iter().sum::<f64>() / z.len() as f64;
    let variance = z.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / z.len() as f64;
    assert!((mean - 1.0).abs() < 0.03 && (variance - 4.0).abs() < 0.08, "{mean} {variance}");
    let wide = Tensor::random(normal, &[100_000], DType::F64, key).unwrap().to_f64_vec().unwrap();
    assert!(z.iter().zip(&wide).all(|(a, b)| (a - b).abs() < 1e-4));
    let low = Tensor::random(normal, &[100_000], DType::F16, key).unwrap().to_f64_vec().unwrap();
    assert!(z.iter().zip(&low).all(|(a, b)| (a - b).abs() < 1e-2));
}
