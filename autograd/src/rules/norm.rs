//! Batch normalisation. The first derivatives use the fused operations; those of the fused gradient operations
//! themselves, which only second derivatives need, come from the compositions that they stand for, taken in f32 where `x` is a
//! half.

use tensor::{
    Dims, Ops,
    ops::{BatchNorm, BatchNormApply, BatchNormInput, BatchNormReduce},
};

use super::{Gradients, wanted};
use crate::{Context, Result, Var, vjp};

/// With `dx` through the normalised values as usual; gradients of the two statistics, where any arrive (second
/// derivatives), are added to it.
pub(super) fn batch_norm(norm: &BatchNorm, cx: &Context<'_>) -> Gradients {
    let (x, gamma, beta) = (cx.input(0)?, cx.input(1)?, cx.input(2)?);
    let (mean, var) = (cx.output(1)?, cx.output(2)?);
    let mut dx = match (cx.grad_if_any(1), cx.grad_if_any(2)) {
        (None, None) => None,
        _ => wanted(cx, 0, || stats_input(&x, &mean, &cx.grad(1)?, &cx.grad(2)?))?,
    };
    let Some(g) = cx.grad_if_any(0) else { return Ok(vec![dx, None, None]) };
    let (eps, relu) = (norm.eps, norm.relu);
    let sums = sums(eps, relu, [&x, g, &mean, &var, &gamma, &beta])?;
    if cx.needs(0) {
        let count = per_channel(&x);
        let op = BatchNormInput { eps, relu, count };
        let through = Var::apply1(op.into(), &[&x, g, &mean, &var, &gamma, &beta, &sums.0, &sums.1])?;
        dx = Some(match dx {
            Some(dx) => dx.add(&through)?,
            None => through,
        });
    }
    Ok(vec![dx, Some(sums.1), Some(sums.0)])
}

/// Mean and variance of each channel.
pub(super) fn stats(cx: &Context<'_>) -> Gradients {
    Ok(vec![Some(stats_input(&cx.input(0)?, &cx.output(0)?, &cx.grad(0)?, &cx.grad(1)?)?)])
}

/// `(g_mean + 2·(x − mean)·g_var) / count`.
fn stats_input(x: &Var, mean: &Var, g_mean: &Var, g_var: &Var) -> Result<Var> {
    let channels = Channels::of(x);
    let slope = channels.centred(&widened(x)?, mean)?.mul(&channels.spread(g_var)?.mul_scalar(2.0)?)?;
    let dx = slope.add(&channels.spread(g_mean)?)?.mul_scalar(1.0 / per_channel(x) as f64)?;
    dx.cast(x.meta().dtype)
}

/// Normalisation by given statistics: `dx = γ·(var + eps)^−½·g'`, which is what `BatchNormInput` makes of zero sums.
pub(super) fn apply(norm: &BatchNormApply, cx: &Context<'_>) -> Gradients {
    let [x, mean, var, gamma, beta] = [cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.input(3)?, cx.input(4)?];
    let g = cx.grad(0)?;
    let (eps, relu) = (norm.eps, norm.relu);
    let dx = wanted(cx, 0, || {
        let zero = gamma.full_like(0.0, gamma.dims())?;
        let op = BatchNormInput { eps, relu, count: 1 };
        Var::apply1(op.into(), &[&x, &g, &mean, &var, &gamma, &beta, &zero, &zero])
    })?;
    if !(1..5).any(|i| cx.needs(i)) {
        return Ok(vec![dx, None, None, None, None]);
    }
    let (sum, product) = sums(eps, relu, [&x, &g, &mean, &var, &gamma, &beta])?;
    let dmean = wanted(cx, 1, || sum.mul(&gamma)?.mul(&inverse_std(&var, eps)?)?.neg())?;
    let dvar = wanted(cx, 2, || product.mul(&gamma)?.div(&var.add_scalar(eps)?)?.mul_scalar(-0.5))?;
    Ok(vec![dx, dmean, dvar, Some(product), Some(sum)])
}

/// The per-channel sums of the gradient.
pub(super) fn reduce(norm: &BatchNormReduce, cx: &Context<'_>) -> Gradients {
    let (eps, relu) = (norm.eps, norm.relu);
    compose(cx, |ins| {
        let channels = Channels::of(&ins[0]);
        let passed = channels.passed(ins, eps, relu)?;
        let normal = channels.normal(ins, eps)?;
        Ok(vec![channels.sum(&passed)?, channels.sum(&passed.mul(&normal)?)?])
    })
}

/// The gradient of the normalised operand.
pub(super) fn input(norm: &BatchNormInput, cx: &Context<'_>) -> Gradients {
    let (eps, relu, count) = (norm.eps, norm.relu, norm.count as f64);
    compose(cx, |ins| {
        let channels = Channels::of(&ins[0]);
        let passed = channels.passed(ins, eps, relu)?;
        let mean = channels.spread(&ins[6])?.mul_scalar(1.0 / count)?;
        let slope = channels.normal(ins, eps)?.mul(&channels.spread(&ins[7])?.mul_scalar(1.0 / count)?)?;
        let scale = channels.spread(&ins[4].mul(&inverse_std(&ins[3], eps)?)?)?;
        Ok(vec![passed.sub(&mean)?.sub(&slope)?.mul(&scale)?])
    })
}

/// Derivatives of an operation from the composition that it stands for, written in the operation's operands.
fn compose(cx: &Context<'_>, composition: impl FnOnce(&[Var]) -> Result<Vec<Var>>) -> Gradients {
    let ins = (0..cx.inputs()).map(|i| cx.input(i)).collect::<Result<Vec<_>>>()?;
    vjp(&ins, cx.grads(), |ins| {
        let ins = ins.iter().map(widened).collect::<Result<Vec<_>>>()?;
        let outs = composition(&ins)?.into_iter().enumerate();
        outs.map(|(i, out)| out.cast(cx.output_meta(i).dtype)).collect()
    })
}

/// In the type that is computed in.
fn widened(x: &Var) -> Result<Var> {
    x.cast(x.meta().dtype.wide())
}

/// `Σ g'` and `Σ g'·x̂` of `x, g, mean, var, γ, β`.
fn sums(eps: f64, relu: bool, ins: [&Var; 6]) -> Result<(Var, Var)> {
    let sums = Var::apply(BatchNormReduce { eps, relu }.into(), &ins)?;
    Ok((sums[0].clone(), sums[1].clone()))
}

/// Number of values in each channel.
fn per_channel(x: &Var) -> usize {
    x.dims().iter().enumerate().filter(|&(a, _)| a != 1).map(|(_, d)| d).product()
}

fn inverse_std(var: &Var, eps: f64) -> Result<Var> {
    var.add_scalar(eps)?.sqrt()?.recip()
}

/// How per-channel vectors meet `[N, C, …]`.
struct Channels {
    dims: Dims,
    others: Dims,
}

impl Channels {
    fn of(x: &Var) -> Self {
        let rank = x.dims().len();
        let dims = (0..rank).map(|a| if a == 1 { x.dims()[1] } else { 1 }).collect();
        Self { dims, others: (0..rank).filter(|&a| a != 1).collect() }
    }

    /// `[C]` as `[1, C, 1, …]`.
    fn spread(&self, vector: &Var) -> Result<Var> {
        vector.reshape(&self.dims)
    }

    /// `[N, C, …]` summed to `[C]`.
    fn sum(&self, x: &Var) -> Result<Var> {
        x.sum(&self.others, false)
    }

    fn centred(&self, x: &Var, mean: &Var) -> Result<Var> {
        x.sub(&self.spread(mean)?)
    }

    /// `x̂` of operands `x, g, mean, var, …`.
    fn normal(&self, ins: &[Var], eps: f64) -> Result<Var> {
        self.centred(&ins[0], &ins[2])?.mul(&self.spread(&inverse_std(&ins[3], eps)?)?)
    }

    /// The gradient where the ReLU passed: `g'` of operands `x, g, mean, var, γ, β, …`. The mask is a constant.
    fn passed(&self, ins: &[Var], eps: f64, relu: bool) -> Result<Var> {
        if !relu {
            return Ok(ins[1].clone());
        }
        let plain: Vec<Var> = ins.iter().map(Var::detach).collect();
        let scaled = self.normal(&plain, eps)?.mul(&self.spread(&plain[4])?)?;
        scaled.add(&self.spread(&plain[5])?)?.relu_grad(&ins[1])
    }
}
