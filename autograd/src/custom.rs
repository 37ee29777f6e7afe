//! Operations from user code.

use std::{fmt::Debug, rc::Rc};

use tensor::Tensor;

use crate::{Context, Result, Var, rules::Saves, tape::Kind, var::common_tape};

/// An operation that the library does not have: its values, and its derivative in `Var`s.
///
/// Check it with [`crate::gradcheck`].
pub trait CustomOp: Debug {
    /// Its name in messages.
    fn name(&self) -> &str;

    /// The results.
    ///
    /// # Errors
    /// Whatever the operands break.
    fn forward(&self, ins: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// The gradients of the operands, `None` where there is none, given those of the results. All operands and
    /// results are saved and can be read from `cx`.
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
    Ok(tape.push(Kind::Custom(op), ins, &outs, Saves::EVERYTHING, needs))
}
