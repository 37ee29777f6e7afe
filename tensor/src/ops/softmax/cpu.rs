//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl LogSoftmax {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Softmax {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
