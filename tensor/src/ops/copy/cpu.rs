//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl Cast {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Copy {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Unslice {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
