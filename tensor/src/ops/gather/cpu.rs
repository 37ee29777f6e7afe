//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl Gather {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl ScatterAdd {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
