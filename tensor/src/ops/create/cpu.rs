//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl Arange {
    pub(crate) fn cpu(&self) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Full {
    pub(crate) fn cpu(&self) -> Result<Outputs<Tensor>> {
        todo!()
    }
}

impl Random {
    pub(crate) fn cpu(&self) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
