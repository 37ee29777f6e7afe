//! How parameters move.

use std::fmt::Debug;

use tensor::ops::UpdateRule;

/// What a rule is told besides gradient and state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// Learning rate of this step and parameter.
    pub rate: f64,
    /// Weight decay of this parameter.
    pub weight_decay: f64,
    /// Which update of this parameter it is, from 1.
    pub step: u64,
}

/// How parameters move: a form of [`tensor::ops::Update`], and the numbers in it, which change from step to step. Computed in
/// the parameters' own type, f32 or f64.
pub trait Rule: Debug + Send {
    /// Its name in messages and checkpoints.
    fn name(&self) -> &'static str;

    /// Names of the tensors that it keeps for each parameter, in the order of the operation. They start as zeros of the
    /// parameter's dims.
    fn slots(&self) -> &'static [&'static str];

    /// What is computed.
    fn update(&self) -> UpdateRule;

    /// The numbers of one parameter's update, as [`UpdateRule`] lists them: computed in f64, rounded once by the operation.
    fn numbers(&self, hyper: Hyper) -> Vec<f64>;
}
