//! The weighted focal loss and its gradient against Eq. 4 and 5 as printed.

use proptest::prelude::*;
use tensor::{
    DType, Tensor,
    ops::{FocalLoss, FocalLossInput},
    rng::{Key, Stream},
};

use crate::support::*;

const IGNORE: i64 = 255;

struct Case {
    logits: Array,
    labels: Array,
    alpha: Array,
    gamma: Array,
}

impl Case {
    fn new(dims: &[usize], scale: f64, seed: u64, dtype: DType) -> Self {
        let k = dims[1];
        let mut stream = Stream::new(Key::new(seed, 77));
        let mut label_dims = dims.to_vec();
        label_dims.remove(1);
        let mut draw = |choices: &[f64]| choices[stream.below(choices.len())];
        let labels: Vec<f64> = (0..k).map(|i| i as f64).chain([IGNORE as f64]).collect();
        Self {
            logits: Array::random(dims, seed).map(|v| scale * v).rounded(dtype),
            labels: Array::zeros(&label_dims).map(|_| 0.0),
            alpha: Array::random(&[k], seed ^ 5).map(|v| v.abs() + 0.1).rounded(dtype),
            gamma: Array {
                dims: vec![k],
                values: (0..k).map(|_| draw(&[0.0, 1.0, 1.5, 2.0, 3.0])).collect(),
            },
        }
        .labelled(&labels, &mut stream)
    }

    fn labelled(mut self, choices: &[f64], stream: &mut Stream) -> Self {
        self.labels.values.iter_mut().for_each(|l| *l = choices[stream.below(choices.len())]);
        self
    }

    /// Calls `f(place of the label, class, softmax over the classes)` for labelled pixels.
    fn for_each_pixel(&self, mut f: impl FnMut(&[usize], usize, Vec<f64>, f64)) {
        for_each_index(&self.labels.dims, |at| {
            let label = self.labels.get(at);
            if label != IGNORE as f64 {
                let z: Vec<f64> =
                    (0..self.logits.dims[1]).map(|k| self.logits.get(&with_class(at, k))).collect();
                let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = z.iter().map(|z| (z - top).exp()).sum();
                let p = z.iter().map(|z| (z - top).exp() / sum).collect();
                f(at, label as usize, p, z[label as usize] - top - sum.ln());
            }
        });
    }

    fn loss(&self) -> (f64, f64) {
        let (mut sum, mut count) = (0.0, 0.0);
        self.for_each_pixel(|_, i, p, log_p| {
            let q: f64 = (0..p.len()).filter(|&j| j != i).map(|j| p[j]).sum();
            sum -= self.alpha.values[i] * q.powf(self.gamma.values[i]) * log_p;
            count += 1.0;
        });
        (sum, count)
    }

    /// Eq. 5 times dp/dz. Only for probabilities that f64 tells from 0 and 1.
    fn gradient(&self, weight: f64) -> Array {
        let mut gradient = Array::zeros(&self.logits.dims);
        self.for_each_pixel(|at, i, p, _| {
            let (alpha, gamma, pi) = (self.alpha.values[i], self.gamma.values[i], p[i]);
            let q: f64 = (0..p.len()).filter(|&j| j != i).map(|j| p[j]).sum();
            let first = if gamma == 0.0 { 0.0 } else { gamma * q.powf(gamma - 1.0) * pi.ln() };
            let slope = alpha * (first - q.powf(gamma) / pi);
            for (j, &pj) in p.iter().enumerate() {
                let delta = if i == j { q } else { -pj };
                gradient.set(&with_class(at, j), weight * slope * pi * delta);
            }
        });
        gradient
    }

    fn tensors(&self, dtype: DType, labels: DType, place: Place) -> [Tensor; 4] {
        // Labels have no channel axis: channels-last has no meaning for them.
        let label_place = if matches!(place, Place::Strided) { place } else { Place::RowMajor };
        [
            self.logits.tensor(dtype, place),
            self.labels.tensor(labels, label_place),
            self.alpha.tensor(dtype, Place::RowMajor),
            self.gamma.tensor(dtype, Place::RowMajor),
        ]
    }
}

fn with_class(at: &[usize], k: usize) -> Vec<usize> {
    let mut index = at.to_vec();
    index.insert(1, k);
    index
}

fn loss(ins: &[Tensor; 4]) -> Vec<Tensor> {
    apply(FocalLoss { ignore: IGNORE }, &ins.each_ref())
}

fn gradient(ins: &[Tensor; 4], weight: &Tensor) -> Tensor {
    let [a, b, c, d] = ins;
    apply(FocalLossInput { ignore: IGNORE }, &[a, b, c, d, weight]).remove(0)
}

fn weight(dtype: DType, value: f64) -> Tensor {
    if dtype == DType::F32 { Tensor::scalar(value as f32) } else { Tensor::scalar(value) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn formulas(n in 1usize..3, k in 1usize..23, rest in prop::collection::vec(1usize..12, 0..4), seed: u64,
                scale in prop_oneof![Just(1.0), Just(8.0)], dtype in float(), place in place(), wide: bool) {
        let dims: Vec<usize> = [n, k].into_iter().chain(rest).collect();
        let case = Case::new(&dims, scale, seed, dtype);
        let ins = case.tensors(dtype, if wide { DType::I64 } else { DType::U8 }, place);
        let (sum, count) = case.loss();
        let got = loss(&ins);
        let close = tolerance(dtype) * (1.0 + sum.abs());
        assert!((got[0].item().unwrap() - sum).abs() <= close, "{} for {sum}", got[0].item().unwrap());
        assert_eq!(got[1].item().unwrap(), count);
        let got = gradient(&ins, &weight(dtype, 0.5));
        assert_close(&got, &case.gradient(0.5), 2.0 * tolerance(dtype));
    }
}

#[test]
fn the_gradient_is_the_slope() {
    let case = Case::new(&[2, 5, 3, 4], 2.0, 3, DType::F64);
    let slopes =
        Array::of(&gradient(&case.tensors(DType::F64, DType::U8, Place::RowMajor), &weight(DType::F64, 1.0)));
    let at = |i: usize, d: f64| {
        let mut logits = case.logits.clone();
        logits.values[i] += d;
        let [_, labels, alpha, gamma] = case.tensors(DType::F64, DType::U8, Place::RowMajor);
        loss(&[logits.tensor(DType::F64, Place::RowMajor), labels, alpha, gamma])[0].item().unwrap()
    };
    for i in 0..case.logits.values.len() {
        let slope = (at(i, 1e-5) - at(i, -1e-5)) / 2e-5;
        assert!(
            (slope - slopes.values[i]).abs() < 1e-8 * (1.0 + slope.abs()),
            "{i}: {slope} {}",
            slopes.values[i]
        );
    }
}

#[test]
fn extreme_logits_stay_finite() {
    for gamma in [0.0, 1.0, 1.5, 2.0] {
        for z in [50.0, 90.0, 1e4, 1e30] {
            // True class far ahead, and far behind.
            let logits =
                Tensor::from_vec(vec![z as f32, 0.0, -z as f32, 0.0, z as f32, 0.0], &[2, 3]).unwrap();
            let labels = Tensor::from_vec(vec![0u8, 0], &[2]).unwrap();
            let alpha = Tensor::from_vec(vec![1.0f32; 3], &[3]).unwrap();
            let gamma = Tensor::from_vec(vec![gamma as f32; 3], &[3]).unwrap();
            let behind =
                Tensor::from_vec(vec![-z as f32, 0.0, 0.0, -z as f32, z as f32, 1.0], &[2, 3]).unwrap();
            for logits in [logits, behind] {
                let ins = [logits, labels.clone(), alpha.clone(), gamma.clone()];
                let sum = loss(&ins)[0].item().unwrap();
                assert!(sum.is_finite() && sum >= 0.0, "γ {gamma:?}, z {z}: {sum}");
                let g = gradient(&ins, &weight(DType::F32, 1.0)).to_f64_vec().unwrap();
                assert!(g.iter().all(|v| v.is_finite() && v.abs() <= 1.0), "γ {gamma:?}, z {z}: {g:?}");
            }
        }
    }
    // Far behind with γ = 0, the loss is the distance and the gradient that of cross entropy.
    let logits = Tensor::from_vec(vec![-200.0f32, 0.0], &[1, 2]).unwrap();
    let labels = Tensor::from_vec(vec![0i64], &[1]).unwrap();
    let [one, zero] = [1.0f32, 0.0].map(|v| Tensor::from_vec(vec![v; 2], &[2]).unwrap());
    let ins = [logits, labels, one, zero];
    assert_eq!(loss(&ins)[0].item().unwrap(), 200.0);
    assert_eq!(gradient(&ins, &weight(DType::F32, 1.0)).to_vec::<f32>().unwrap(), [-1.0, 1.0]);
}

#[test]
fn ignored_pixels_do_not_matter() {
    let mut case = Case::new(&[1, 4, 5, 6], 1.0, 8, DType::F32);
    case.labels.set(&[0, 2, 3], IGNORE as f64);
    (0..4).for_each(|k| case.logits.set(&[0, k, 2, 3], f64::NAN));
    let ins = case.tensors(DType::F32, DType::U8, Place::ChannelsLast);
    assert!(loss(&ins)[0].item().unwrap().is_finite());
    let g = Array::of(&gradient(&ins, &weight(DType::F32, 1.0)));
    assert!(g.values.iter().all(|v| v.is_finite()));
    assert!((0..4).all(|k| g.get(&[0, k, 2, 3]) == 0.0));

    case.labels = case.labels.map(|_| IGNORE as f64);
    let ins = case.tensors(DType::F32, DType::U8, Place::ChannelsLast);
    let got = loss(&ins);
    assert_eq!((got[0].item().unwrap(), got[1].item().unwrap()), (0.0, 0.0));
}

#[test]
fn strange_labels_and_exponents_are_named() {
    let mut case = Case::new(&[2, 4, 5, 6], 1.0, 8, DType::F32);
    case.labels.set(&[1, 2, 3], 4.0);
    case.labels.set(&[1, 4, 0], 77.0);
    let op = FocalLoss { ignore: IGNORE };
    let ins = case.tensors(DType::F32, DType::U8, Place::ChannelsLast);
    let error = tensor::execute(&op.into(), &ins.each_ref()).unwrap_err().to_string();
    assert!(error.contains("label 4 at [1, 2, 3] (image, row, column)"), "{error}");
    let [a, b, c, d] = &ins;
    let op = FocalLossInput { ignore: IGNORE };
    let error = tensor::execute(&op.into(), &[a, b, c, d, &weight(DType::F32, 1.0)]).unwrap_err().to_string();
    assert!(error.contains("label 4 at [1, 2, 3]") && error.contains("4 classes"), "{error}");
    case.labels = case.labels.map(|_| -1.0);
    let ins = case.tensors(DType::F32, DType::I64, Place::ChannelsLast);
    let op = FocalLoss { ignore: IGNORE };
    let error = tensor::execute(&op.into(), &ins.each_ref()).unwrap_err().to_string();
    assert!(error.contains("label -1 at [0, 0, 0]"), "{error}");

    case.labels = case.labels.map(|_| 0.0);
    case.gamma.values[2] = 0.5;
    let ins = case.tensors(DType::F32, DType::I64, Place::ChannelsLast);
    let op = FocalLoss { ignore: IGNORE };
    let error = tensor::execute(&op.into(), &ins.each_ref()).unwrap_err().to_string();
    assert!(error.contains("γ of class 2 is 0.5"), "{error}");
}

#[test]
fn threads_do_not_matter() {
    let case = Case::new(&[2, 19, 61, 67], 1.0, 8, DType::F32);
    let ins = case.tensors(DType::F32, DType::U8, Place::ChannelsLast);
    same_for_any_threads(|| {
        let mut all = loss(&ins);
        all.push(gradient(&ins, &weight(DType::F32, 1.0)));
        all
    });
}
