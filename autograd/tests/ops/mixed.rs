//! Batch normalisation and the focal loss of halves, with statistics and parameters in f32, against the same in f64.

use autograd::{Ops, Tape, Var, gradients};
use tensor::{
    DType, Op, Tensor,
    ops::{
        BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce, BatchNormStats, FocalLoss, FocalLossInput,
    },
};

use crate::{draw::Values, placed};

const EPS: f64 = 1e-3;

/// Results of `op` and the gradients of all operands, with maps in `map` and per-channel vectors in `vector`.
fn run(op: &Op, ins: &[Tensor], seeds: &[Tensor], map: DType, vector: DType) -> Vec<Tensor> {
    let typed = |t: &Tensor| t.cast(if t.dims().len() == 1 { vector } else { map }).unwrap();
    let tape = Tape::new();
    let ins: Vec<Var> = ins.iter().map(|t| tape.leaf(placed(&typed(t)))).collect();
    let ins: Vec<&Var> = ins.iter().collect();
    let outs = Var::apply(op.clone(), &ins).unwrap();
    let seeds: Vec<Var> = seeds.iter().map(|t| Var::new(placed(&typed(t)))).collect();
    let grads = gradients(&outs.iter().collect::<Vec<_>>(), &seeds, &ins, false).unwrap();
    // What only decides a mask is no dependence, and has no gradient.
    outs.into_iter().chain(grads.into_iter().flatten()).map(Var::into_tensor).collect()
}

/// Maps are drawn so that halves hold them exactly: what differs is the arithmetic alone.
fn check(op: impl Into<Op>, ins: &[Tensor], half: DType) {
    let op = op.into();
    let (map, vector) = (ins[0].clone(), ins[ins.len() - 1].clone());
    let outs = op.infer(&ins.iter().map(|t| t.meta()).collect::<Vec<_>>()).unwrap();
    let seeds: Vec<Tensor> =
        outs.iter().map(|m| if m.rank() == 1 { vector.clone() } else { map.clone() }).collect();
    let want = run(&op, ins, &seeds, DType::F64, DType::F64);
    let got = run(&op, ins, &seeds, half, DType::F32);
    // Half a unit in the last place, and again where the gradient of the statistics is added.
    let rounding = if half == DType::F16 { 2.0_f64.powi(-10) } else { 2.0_f64.powi(-7) };
    assert_eq!(got.len(), want.len(), "{op:?}");
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let vector = got.dims().len() == 1;
        assert_eq!(got.dtype(), if vector { DType::F32 } else { half }, "{op:?}: result {i}");
        let (got, want) = (got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap());
        let largest = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let bound = largest * if vector { 1e-5 } else { rounding };
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() <= bound, "{op:?} in {half}, result {i}: {got}, in f64 {want}");
        }
    }
}

/// `x, g, mean, var, γ, β, Σ, Σ`; no normalised value near zero, where the ReLU has its kink.
fn operands(dims: &[usize], half: DType) -> [Tensor; 8] {
    let c = [dims[1]];
    let (mut draw, map) = (Values::new(7), |t: Tensor| t.cast(half).unwrap().cast(DType::F64).unwrap());
    let vector = |t: Tensor| t.cast(DType::F32).unwrap().cast(DType::F64).unwrap();
    loop {
        let (x, g) = (map(draw.any(dims)), map(draw.any(dims)));
        let stats = Tensor::apply(BatchNormStats.into(), &[&x]).unwrap();
        let (mean, var) = (vector(stats[0].clone()), vector(stats[1].clone()));
        let (gamma, beta) = (vector(draw.uniform(&c, 0.3, 1.5)), vector(draw.any(&c)));
        let op = BatchNormApply { eps: EPS, relu: false };
        let y = Tensor::apply1(op.into(), &[&x, &mean, &var, &gamma, &beta]).unwrap();
        if y.to_vec::<f64>().unwrap().iter().all(|y| y.abs() > 1e-4) {
            let sums = [vector(draw.any(&c)), vector(draw.any(&c))];
            let [sum, product] = sums;
            return [x, g, mean, var, gamma, beta, sum, product];
        }
    }
}

#[test]
fn batch_norm_of_halves() {
    for half in [DType::BF16, DType::F16] {
        for (dims, relu) in [(&[3, 4, 5, 6][..], true), (&[3, 4, 5, 6], false), (&[40, 3], true)] {
            let all = operands(dims, half);
            let [x, g, mean, var, gamma, beta, sum, product] = &all;
            let pick = |ins: &[&Tensor]| ins.iter().map(|&t| t.clone()).collect::<Vec<_>>();
            let eps = EPS;
            check(BatchNorm { eps, relu }, &pick(&[x, gamma, beta]), half);
            check(BatchNormApply { eps, relu }, &pick(&[x, mean, var, gamma, beta]), half);
            check(BatchNormReduce { eps, relu }, &pick(&[x, g, mean, var, gamma, beta]), half);
            let op = BatchNormInput { eps, relu, count: x.len() / dims[1] };
            check(op, &pick(&[x, g, mean, var, gamma, beta, sum, product]), half);
        }
    }
}

#[test]
fn vectors_of_halves_are_refused() {
    let x = Tensor::zeros(&[2, 3], DType::BF16).unwrap();
    let gamma = Tensor::ones(&[3], DType::BF16).unwrap();
    let error = Tensor::apply(BatchNorm { eps: EPS, relu: false }.into(), &[&x, &gamma, &gamma]).unwrap_err();
    assert!(error.to_string().contains("per-channel operands in f32 for bf16"), "{error}");
}

/// First and second derivatives, in the logits' type; all else is in f32.
#[test]
fn focal_loss_of_halves() {
    for half in [DType::BF16, DType::F16] {
        let mut draw = Values::new(11);
        let x = draw.uniform(&[2, 4, 3, 5], -3.0, 3.0).cast(half).unwrap();
        let seed = draw.any(&[2, 4, 3, 5]).cast(half).unwrap();
        let labels = draw.indices(&[2, 3, 5], 5);
        let [alpha, gamma] = [[0.5_f32, 1.0, 2.0, 0.25], [0.0, 1.0, 2.0, 1.5]];
        let derivatives = |map: DType| {
            let of = |t: &Tensor, dtype: DType| placed(&t.cast(dtype).unwrap());
            let vector = |v: &[f32; 4]| of(&Tensor::from_slice(v, &[4]).unwrap(), map.wide());
            let constants = [placed(&labels), vector(&alpha), vector(&gamma)].map(Var::new);
            let [l, a, g] = constants.each_ref();
            let leaf = || Tape::new().leaf(of(&x, map));
            let x = leaf();
            let losses = Var::apply(FocalLoss { ignore: 4 }.into(), &[&x, l, a, g]).unwrap();
            let first = losses[0].backward().unwrap().get(&x).unwrap().clone();
            let x = leaf();
            let scale = Var::new(of(&Tensor::scalar(0.7), map.wide()));
            let gradient = Var::apply(FocalLossInput { ignore: 4 }.into(), &[&x, l, a, g, &scale]).unwrap();
            let second = gradients(&[&gradient[0]], &[Var::new(of(&seed, map))], &[&x], false).unwrap();
            let second = second.into_iter().map(|v| v.unwrap().into_tensor());
            [first].into_iter().chain(second).collect::<Vec<_>>()
        };
        let rounding = if half == DType::F16 { 2.0_f64.powi(-10) } else { 2.0_f64.powi(-7) };
        let (got, want) = (derivatives(half), derivatives(DType::F64));
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_eq!(got.dtype(), half, "derivative {i}");
            let (got, want) = (got.to_f64_vec().unwrap(), want.to_f64_vec().unwrap());
            let largest = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() <= largest * rounding, "{half}, {i}: {got}, in f64 {want}");
            }
        }
    }
}
