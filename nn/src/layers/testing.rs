//! What the layers' tests share: random inputs, and a gradient check over input and parameters.

use autograd::{Tape, Var};
use tensor::{DType, Ops, Tensor, ops::Distribution, rng::Key};

use crate::{Ctx, Module, parameters};

/// A standard normal input, on no tape.
pub(crate) fn input(dims: &[usize], dtype: DType) -> Var {
    Var::new(normal(dims, dtype, 0))
}

fn normal(dims: &[usize], dtype: DType, stream: u64) -> Tensor {
    Tensor::random(Distribution::Normal { mean: 0.0, std: 1.0 }, dims, dtype, Key::new(11, stream)).unwrap()
}

/// Gives every parameter other, non-trivial values.
pub(crate) fn randomize(module: &dyn Module) {
    for (i, (_, param)) in parameters(module).into_iter().enumerate() {
        let value = param.value();
        let noise = normal(value.dims(), value.dtype(), 100 + i as u64).mul_scalar(0.3).unwrap();
        param.set(value.add(&noise).unwrap());
    }
}

/// Compares the gradients of `Σ cotangent·module(x)` with central differences, in f64, for every element of the
/// input and of every parameter.
pub(crate) fn check_gradients(module: &dyn Module, dims: &[usize], training: bool) {
    let params = parameters(module);
    let mut values: Vec<Tensor> = vec![normal(dims, DType::F64, 0)];
    values.extend(params.iter().map(|(_, p)| p.value()));
    let run = |values: &[Tensor]| {
        let tape = Tape::new();
        let leaves: Vec<Var> = values.iter().map(|v| tape.leaf(v.clone())).collect();
        let ctx = Ctx::on(&tape, training, Key::new(1, 1));
        for ((_, param), leaf) in params.iter().zip(&leaves[1..]) {
            ctx.bind(param, leaf.clone());
        }
        let y = module.forward(&leaves[0], &ctx).unwrap();
        let cotangent = Var::new(normal(y.dims(), DType::F64, 1));
        (y.mul(&cotangent).unwrap().sum_all().unwrap(), leaves)
    };
    let (loss, leaves) = run(&values);
    let grads = loss.backward().unwrap();
    for (i, leaf) in leaves.iter().enumerate() {
        let name = if i == 0 { "input" } else { &params[i - 1].0 };
        let got =
            grads.get(leaf).unwrap_or_else(|| panic!("{name} has no gradient")).to_vec::<f64>().unwrap();
        let (flat, shape) = (values[i].to_vec::<f64>().unwrap(), values[i].dims().to_vec());
        for j in 0..flat.len() {
            let mut at = |step: f64| {
                let mut moved = flat.clone();
                moved[j] += step;
                values[i] = Tensor::from_vec(moved, &shape).unwrap();
                run(&values).0.tensor().item().unwrap()
            };
            let (h, up, down) = (1e-6, at(1e-6), at(-1e-6));
            let want = (up - down) / (2.0 * h);
            let off = (got[j] - want).abs() / (1.0 + want.abs());
            assert!(off < 1e-6, "{name}[{j}]: gradient {} but difference quotient {want}", got[j]);
        }
        values[i] = Tensor::from_vec(flat, &shape).unwrap();
    }
}
