//! Running one case: inputs from the fixture, a function of them, its value and its gradients compared.

use std::collections::BTreeMap;

use autograd::{Tape, Var};
use nn::{Ctx, Module, parameters};
use tensor::{DType, Format, Ops, Tensor, rng::Key};

use crate::fixture::{Case, Failures, usual};

/// A value or why there is none; both tensor and layer errors fit.
pub type Outcome<T = Var> = Result<T, Box<dyn std::error::Error>>;

/// The dtypes every case runs in.
pub const DTYPES: [DType; 2] = [DType::F64, DType::F32];

/// Runs `f` on the stored inputs `names` in both dtypes, images row-major and channels-last; compares its value with `y` and,
/// for the stored cotangent `gy`, the gradient of every input with `g<name>`.
pub fn check(failures: &mut Failures, case: &Case, names: &[&str], f: impl Fn(&[Var]) -> Outcome) {
    for dtype in DTYPES {
        for format in [Format::Contiguous, Format::ChannelsLast] {
            if let Err(e) = check_in(failures, case, names, dtype, format, &f) {
                failures.add(format!("{} ({dtype}, {format:?}): {e}", case.path()));
            }
        }
    }
}

fn check_in(
    failures: &mut Failures,
    case: &Case,
    names: &[&str],
    dtype: DType,
    format: Format,
    f: impl Fn(&[Var]) -> Outcome,
) -> Outcome<()> {
    // Only maps have the other format; weights and vectors stay as they are.
    let stored = |name: &str| -> Outcome<Tensor> {
        let t = case.float(name, dtype);
        Ok(if t.dims().len() == 4 && name != "w" { t.to_format(format)? } else { t })
    };
    let ins = names.iter().map(|n| stored(n)).collect::<Outcome<Vec<_>>>()?;
    let (y, gradients) = value_and_gradients(&ins, Some(&stored("gy")?), f)?;
    failures.compare(case, "y", &y, usual(dtype));
    for (name, g) in names.iter().zip(&gradients) {
        failures.compare(case, &format!("g{name}"), g, usual(dtype));
    }
    Ok(())
}

/// `f`'s value on leaves of a fresh tape, and the gradient of every leaf for a cotangent (1 if `None`, for a scalar).
///
/// # Errors
/// What `f` or going backward reports, or a leaf without gradient.
pub fn value_and_gradients(
    ins: &[Tensor],
    cotangent: Option<&Tensor>,
    f: impl Fn(&[Var]) -> Outcome,
) -> Outcome<(Tensor, Vec<Tensor>)> {
    let tape = Tape::new();
    let leaves: Vec<Var> = ins.iter().map(|t| tape.leaf(t.clone())).collect();
    let y = f(&leaves)?;
    let scalar = match cotangent {
        Some(g) => y.mul(&Var::new(g.clone()))?.sum_all()?,
        None => y.clone(),
    };
    let grads = scalar.backward()?;
    let gradients = leaves
        .iter()
        .enumerate()
        .map(|(i, leaf)| grads.get(leaf).cloned().ok_or_else(|| format!("input {i} got no gradient").into()));
    Ok((y.into_tensor(), gradients.collect::<Outcome<_>>()?))
}

/// What a layer gave: its value, the gradient of its input, and that of every parameter by name.
pub struct Pass {
    pub y: Tensor,
    pub gx: Tensor,
    pub gradients: BTreeMap<String, Tensor>,
}

/// One forward and backward pass of a layer with a stored cotangent.
///
/// # Errors
/// What the layer or going backward reports, or a missing gradient.
pub fn pass(layer: &dyn Module, training: bool, x: Tensor, gy: &Tensor) -> Outcome<Pass> {
    let tape = Tape::new();
    let ctx = if training { Ctx::train(Key::default()) } else { Ctx::trace(&tape) };
    let x = ctx.tape().unwrap_or(&tape).leaf(x);
    let y = layer.forward(&x, &ctx)?;
    let grads = y.mul(&Var::new(gy.clone()))?.sum_all()?.backward()?;
    let mut gradients = BTreeMap::new();
    for (name, param) in parameters(layer) {
        let g = ctx.grad(&grads, &param).ok_or_else(|| format!("{name} got no gradient"))?;
        gradients.insert(name, g.clone());
    }
    let gx = grads.get(&x).ok_or("the input got no gradient")?.clone();
    Ok(Pass { y: y.into_tensor(), gx, gradients })
}
