//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl BatchNorm {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl BatchNormApply {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl BatchNormInput {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl BatchNormReduce {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl BatchNormStats {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
