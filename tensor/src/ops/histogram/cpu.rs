//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl Bincount {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Histogram {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
