//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl Binary {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Compare {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Select {
    pub(crate) fn cpu(&self, _ins: &[&Tensor], _outs: &[Meta]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Unary {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
