//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl MatMul {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
