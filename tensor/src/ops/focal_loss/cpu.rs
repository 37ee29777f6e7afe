//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl FocalLoss {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl FocalLossInput {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
