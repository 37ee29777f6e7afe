//! CPU kernels (pending).

use super::*;
use crate::{Outputs, Tensor};

impl ChannelShuffle {
    pub(crate) fn cpu(&self, _ins: &[&Tensor]) -> Result<Outputs<Tensor>> {
        todo!()
    }
}
