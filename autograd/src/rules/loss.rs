//! The focal loss. Its gradient is an operation of its own; the derivative of that one, which only second
//! derivatives need, comes from the composition that it stands for.

use tensor::{
    DType, Dims, Ops, Tensor,
    ops::{FocalLoss, FocalLossInput},
};

use super::{Gradients, wanted};
use crate::{Context, Error, Result, Var, vjp};

/// The number of labelled pixels, the second result, is a constant.
pub(super) fn focal_loss(loss: &FocalLoss, cx: &Context<'_>) -> Gradients {
    constants(cx)?;
    let op = FocalLossInput { ignore: loss.ignore };
    let dx = wanted(cx, 0, || {
        let [logits, labels, alpha, gamma] = [cx.input(0)?, cx.input(1)?, cx.input(2)?, cx.input(3)?];
        Var::apply1(op.into(), &[&logits, &labels, &alpha, &gamma, &cx.grad(0)?])
    })?;
    Ok(vec![dx, None, None, None])
}

/// With `c = α·[γ·(1 − p)^(γ−1)·p·ln p − (1 − p)^γ]` of the true class, the operation is `g·c·(δ − softmax)`.
pub(super) fn focal_loss_input(loss: &FocalLossInput, cx: &Context<'_>) -> Gradients {
    constants(cx)?;
    let [labels, alpha, gamma] = [1, 2, 3].map(|i| cx.input(i).map(|v| v.detach()));
    let truth = Truth::new(loss.ignore, &labels?, alpha?, gamma?)?;
    let grads = vjp(&[cx.input(0)?, cx.input(4)?], cx.grads(), |ins| {
        // In the type of the other operands: logits may be halves.
        let (stored, logits) = (ins[0].meta().dtype, ins[0].cast(ins[1].meta().dtype)?);
        let factor = truth.factor(&logits)?.mul(&ins[1])?;
        Ok(vec![factor.mul(&truth.chosen.sub(&logits.softmax(1)?)?)?.cast(stored)?])
    })?;
    let [logits, scalar]: [Option<Var>; 2] =
        grads.try_into().map_err(|_| Error::Message("focal_loss_input: two gradients expected".into()))?;
    Ok(vec![logits, None, None, None, scalar])
}

/// Weights and exponents come from class statistics and are no parameters.
fn constants(cx: &Context<'_>) -> Result<()> {
    match [2, 3].into_iter().find(|&i| cx.needs(i)) {
        Some(operand) => Err(Error::NotDifferentiable { op: "focal_loss".into(), operand }),
        None => Ok(()),
    }
}

/// What the labels say, spread over `[N, K, …]` or `[N, 1, …]`; zero at ignored pixels.
struct Truth {
    /// 1 at the true class.
    chosen: Var,
    /// α and γ of the true class.
    alpha: Var,
    gamma: Var,
}

impl Truth {
    fn new(ignore: i64, labels: &Var, alpha: Var, gamma: Var) -> Result<Self> {
        let classes = alpha.dims()[0];
        let mut dims = Dims::from_slice(labels.dims());
        dims.insert(1, 1);
        let labels = labels.cast(DType::I64)?.reshape(&dims)?;
        let along: Dims = (0..dims.len()).map(|a| if a == 1 { classes } else { 1 }).collect();
        let numbers = Var::new(Tensor::arange(classes, DType::I64)?.to_device(&labels.device())?);
        let labelled = labels.not_equal(&labels.full_like(ignore as f64, &[])?)?;
        let chosen = labels.equal(&numbers.reshape(&along)?)?.mul(&labelled)?.cast(alpha.meta().dtype)?;
        let pick = |vector: Var| chosen.mul(&vector.reshape(&along)?)?.sum(&[1], true);
        Ok(Self { alpha: pick(alpha)?, gamma: pick(gamma)?, chosen })
    }

    fn factor(&self, logits: &Var) -> Result<Var> {
        let log_p = self.chosen.mul(&logits.log_softmax(1)?)?.sum(&[1], true)?;
        let p = log_p.exp()?;
        // Kept off zero, where powers have no slope.
        let rest = p.neg()?.add_scalar(1.0)?.clamp(1e-12, 1.0)?;
        // γ·(1 − p)^(γ−1) is zero for γ = 0 whatever the power.
        let power = rest.pow(&self.gamma.add_scalar(-1.0)?.relu()?)?;
        let rising = self.gamma.mul(&power)?.mul(&p)?.mul(&log_p)?;
        rising.sub(&rest.pow(&self.gamma)?)?.mul(&self.alpha)
    }
}
