//! Operations from user code.

use std::{fmt::Debug, rc::Rc};

use tensor::Tensor;

use crate::{Context, Result, Var, rules::Saves, tape::Kind, var::common_tape};

/// An operation that the library does not have: its values, and its derivative in `Var`s.
///
/// ```
/// use std::rc::Rc;
/// use autograd::{Context, CustomOp, Ops, Result, Tape, Var, apply_custom};
/// use autograd::gradcheck::{Options, gradcheck, gradgradcheck};
/// use tensor::Tensor;
///
/// /// Swish: x·σ(x).
/// #[derive(Debug)]
/// struct Swish;
///
/// impl CustomOp for Swish {
///     fn name(&self) -> &str {
///         "swish"
///     }
///
///     fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>> {
///         Ok(vec![ins[0].mul(&ins[0].sigmoid()?)?])
///     }
///
///     // σ + y·(1 − σ)
///     fn backward(&self, cx: &Context<'_>) -> Result<Vec<Option<Var>>> {
///         let (y, s) = (cx.output(0)?, cx.input(0)?.sigmoid()?);
///         let slope = s.add(&y.sub(&y.mul(&s)?)?)?;
///         Ok(vec![Some(cx.grad(0)?.mul(&slope)?)])
///     }
/// }
///
/// let swish = |x: &[Var]| apply_custom(Rc::new(Swish), &[&x[0]]);
/// let x = Tensor::from_vec(vec![-1.0, 0.5, 2.0], &[3])?;
/// let tape = Tape::new();
/// let leaf = tape.leaf(x.clone());
/// let loss = swish(std::slice::from_ref(&leaf))?[0].sum_all()?;
/// assert!(loss.backward()?.get(&leaf).is_some());
///
/// // The derivative is written in `Var`s, so that it has a derivative itself.
/// gradcheck(std::slice::from_ref(&x), swish, &Options::default())?;
/// gradgradcheck(&[x], swish, &Options::default())?;
/// # Ok::<(), autograd::gradcheck::Error>(())
/// ```
pub trait CustomOp: Debug {
    /// Its name in messages.
    fn name(&self) -> &str;

    /// The results.
    ///
    /// # Errors
    /// Whatever the operands break.
    fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// Whether `backward` looks at results. Those that it does not look at need not stay in memory until then.
    fn saves_results(&self) -> bool {
        true
    }

    /// The gradients of the operands, `None` where there is none, given those of the results. All operands are saved
    /// and can be read from `cx`, and results where [`CustomOp::saves_results`] says so.
    ///
    /// # Errors
    /// Whatever fails.
    fn backward(&self, cx: &Context<'_>) -> Result<Vec<Option<Var>>>;
}

/// Applies a custom operation.
///
/// # Errors
/// What its forward reports, or operands on two tapes.
pub fn apply_custom(op: Rc<dyn CustomOp>, ins: &[&Var]) -> Result<Vec<Var>> {
    let tape = common_tape(|| op.name().into(), ins)?;
    let values: Vec<&Tensor> = ins.iter().map(|v| v.tensor()).collect();
    let outs = op.forward(&values)?;
    let Some(tape) = tape else { return Ok(outs.into_iter().map(Var::new).collect()) };
    let needs = ins.iter().any(|v| v.needs_gradient());
    let saves =
        if op.saves_results() { Saves::EVERYTHING } else { Saves { outputs: 0, ..Saves::EVERYTHING } };
    Ok(tape.push(Kind::Custom(op), ins, &outs, saves, needs))
}
