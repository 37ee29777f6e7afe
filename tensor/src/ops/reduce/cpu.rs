//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl ArgReduce {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Reduce {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
