//! Derivative rules, written in `Var`s. One match over the operations says what each saves and which rule it has;
//! the rules themselves lie in one file for each family.

use tensor::Op;

use crate::{Context, Result, Var};

/// Which operands and results a rule wants to see, as bit masks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Saves {
    pub inputs: u32,
    pub outputs: u32,
}

impl Saves {
    pub const NOTHING: Self = Self { inputs: 0, outputs: 0 };
    pub const EVERYTHING: Self = Self { inputs: u32::MAX, outputs: u32::MAX };
}

/// What the rule of `op` wants to see.
pub(crate) fn saves(op: &Op) -> Saves {
    let _ = op;
    Saves::EVERYTHING
}

/// Whether gradients pass through `op` at all.
pub(crate) fn differentiable(op: &Op) -> bool {
    let _ = op;
    true
}

/// The gradients of the operands of `op`.
pub(crate) fn backward(_op: &Op, _cx: &Context<'_>) -> Result<Vec<Option<Var>>> {
    todo!()
}
