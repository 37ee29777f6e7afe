//! Pointwise functions: one line for each row of the table.

use tensor::{
    Ops,
    ops::{Binary, Unary},
};

use super::{Gradients, Saves, single, wanted};
use crate::{Context, Result, Var};

/// Whether the derivative of `f` is anything but zero.
pub(super) fn differentiable(f: Unary) -> bool {
    use Unary::*;
    match f {
        Sign | Step | Floor | Round => false,
        Neg | Abs | Exp | ExpM1 | Log | Log1p | Sqrt | Square | Recip | Sin | Cos | Tanh | Sigmoid => true,
        Softplus | Relu | LeakyRelu(_) | AddScalar(_) | MulScalar(_) | PowScalar(_) | Clamp(..) => true,
    }
}

/// Which of operand and result the derivative of `f` is written in.
pub(super) fn unary_saves(f: Unary) -> Saves {
    use Unary::*;
    match f {
        Sign | Step | Floor | Round | Neg | AddScalar(_) | MulScalar(_) => Saves::NOTHING,
        Abs | Log | Log1p | Square | Sin | Cos | Softplus => Saves::inputs(1),
        LeakyRelu(_) | PowScalar(_) | Clamp(..) => Saves::inputs(1),
        Exp | ExpM1 | Sqrt | Recip | Tanh | Sigmoid | Relu => Saves::outputs(1),
    }
}

pub(super) fn unary(f: Unary, cx: &Context<'_>) -> Gradients {
    use Unary::*;
    let g = cx.grad(0)?;
    let (x, y) = (|| cx.input(0), || cx.output(0));
    single(match f {
        Sign | Step | Floor | Round => return Ok(vec![None]),
        Neg => g.neg()?,
        Abs => g.mul(&x()?.sign()?)?,
        Exp => g.mul(&y()?)?,
        ExpM1 => g.mul(&y()?.add_scalar(1.0)?)?,
        Log => g.div(&x()?)?,
        Log1p => g.div(&x()?.add_scalar(1.0)?)?,
        Sqrt => g.div(&y()?)?.mul_scalar(0.5)?,
        Square => g.mul(&x()?)?.mul_scalar(2.0)?,
        Recip => g.mul(&y()?.square()?)?.neg()?,
        Sin => g.mul(&x()?.cos()?)?,
        Cos => g.mul(&x()?.sin()?)?.neg()?,
        Tanh => g.mul(&y()?.square()?.neg()?.add_scalar(1.0)?)?,
        Sigmoid => {
            let y = y()?;
            g.mul(&y.sub(&y.square()?)?)?
        }
        Softplus => g.mul(&x()?.sigmoid()?)?,
        Relu => y()?.relu_grad(&g)?,
        LeakyRelu(p) => positive(&x()?)?.select(&g, &g.mul_scalar(p)?)?,
        AddScalar(_) => g,
        MulScalar(p) => g.mul_scalar(p)?,
        PowScalar(0.0) => return Ok(vec![None]),
        PowScalar(p) => g.mul(&x()?.pow_scalar(p - 1.0)?)?.mul_scalar(p)?,
        // At the bounds themselves the slope is 0, as in PyTorch (whose ReLU6 and clamp agree on that).
        Clamp(low, high) => {
            let x = x()?;
            let above = x.greater(&x.full_like(low, &[])?)?;
            let inside = above.mul(&x.less(&x.full_like(high, &[])?)?)?;
            inside.select(&g, &g.full_like(0.0, &[])?)?
        }
    })
}

/// Which operands the derivatives are written in: each one's own gradient decides.
pub(super) fn binary_saves(f: Binary, needs: &[bool]) -> Saves {
    use Binary::*;
    match f {
        Add | Sub => Saves::NOTHING,
        Mul => Saves::other_factor(needs),
        Div => Saves { inputs: 0b10, outputs: needs[1] as u32 },
        Pow => Saves { inputs: 0b11, outputs: needs[1] as u32 },
        Maximum | Minimum => Saves::inputs(0b11),
        Prelu => Saves::inputs(if needs[0] { 0b11 } else { 0b01 }),
        ReluGrad => Saves::inputs(0b01),
    }
}

/// Where the operands of a maximum or minimum are equal, the first one gets the gradient.
pub(super) fn binary(f: Binary, cx: &Context<'_>) -> Gradients {
    use Binary::*;
    let g = cx.grad(0)?;
    let (x, y) = (|| cx.input(0), || cx.input(1));
    let first = || -> Result<Option<Var>> {
        Ok(Some(match f {
            Add | Sub => g.clone(),
            Mul => g.mul(&y()?)?,
            Div => g.div(&y()?)?,
            Pow => {
                let (x, y) = (x()?, y()?);
                // y = 0 has slope 0 everywhere, also at x = 0, where x⁻¹ is infinite.
                let slope = y.mul(&x.pow(&y.add_scalar(-1.0)?)?)?;
                let zero = y.full_like(0.0, &[])?;
                y.equal(&zero)?.select(&zero, &g.mul(&slope)?)?
            }
            Maximum => x()?.greater_equal(&y()?)?.select(&g, &g.full_like(0.0, &[])?)?,
            Minimum => x()?.less_equal(&y()?)?.select(&g, &g.full_like(0.0, &[])?)?,
            Prelu => positive(&x()?)?.select(&g, &g.mul(&y()?)?)?,
            ReluGrad => return Ok(None),
        }))
    };
    let first = if cx.needs(0) { first()? } else { None };
    let second = wanted(cx, 1, || match f {
        Add => Ok(g.clone()),
        Sub => g.neg(),
        Mul => g.mul(&x()?),
        Div => g.mul(&cx.output(0)?.div(&y()?)?)?.neg(),
        Pow => {
            // 0ʸ does not change with y > 0, though ln 0 is infinite.
            let x = x()?;
            let zero = x.full_like(0.0, &[])?;
            let slope = g.mul(&cx.output(0)?.mul(&x.log()?)?)?;
            x.equal(&zero)?.select(&zero, &slope)
        }
        Maximum => x()?.greater_equal(&y()?)?.select(&g.full_like(0.0, &[])?, &g),
        Minimum => x()?.less_equal(&y()?)?.select(&g.full_like(0.0, &[])?, &g),
        Prelu => g.mul(&x()?.clamp(f64::NEG_INFINITY, 0.0)?),
        ReluGrad => x()?.relu_grad(&g),
    });
    Ok(vec![first, second?])
}

/// `condition ? a : b`.
pub(super) fn select(cx: &Context<'_>) -> Gradients {
    let (g, condition) = (cx.grad(0)?, cx.input(0)?);
    let zero = g.full_like(0.0, &[])?;
    let a = wanted(cx, 1, || condition.select(&g, &zero))?;
    let b = wanted(cx, 2, || condition.select(&zero, &g))?;
    Ok(vec![None, a, b])
}

fn positive(x: &Var) -> Result<Var> {
    x.greater(&x.full_like(0.0, &[])?)
}
