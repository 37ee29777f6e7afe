//! How one parameter moves.

use std::fmt::Debug;

use tensor::Tensor;

use crate::Result;

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

/// How one parameter moves. Computed in the parameter's own type, f32 or f64.
pub trait Rule: Debug + Send {
    /// Its name in messages and checkpoints.
    fn name(&self) -> &'static str;

    /// Names of the tensors that it keeps for each parameter. They start as zeros of the parameter's dims.
    fn slots(&self) -> &'static [&'static str];

    /// The new parameter, and the new slots, from parameter, gradient and slots.
    ///
    /// # Errors
    /// Where they do not fit together.
    fn update(
        &self,
        hyper: Hyper,
        param: &Tensor,
        grad: &Tensor,
        slots: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)>;
}

/// Runs `$body` with `$t` bound to f32 or f64, as `$tensor` holds.
macro_rules! dispatch {
    ($rule:expr, $tensor:expr, $t:ident => $body:expr) => {
        match $tensor.dtype() {
            ::tensor::DType::F32 => {
                type $t = f32;
                $body
            }
            ::tensor::DType::F64 => {
                type $t = f64;
                $body
            }
            other => {
                let why = format!("updates f32 and f64 parameters, not {other}; keep master weights in f32");
                Err($crate::Error::config($rule, why))
            }
        }
    };
}
pub(super) use dispatch;
