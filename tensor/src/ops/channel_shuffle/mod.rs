//! Channel shuffle (ShuffleNet, Zhang et al. 2018; DSNet's Down and Basic units).

mod cpu;

use smallvec::SmallVec;

use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands},
};

/// The channel axis (axis 1) seen as (groups, C/groups) and transposed: result channel `j·groups + i` is
/// operand channel `i·C/groups + j`. Its inverse, and so its adjoint, is the shuffle by `C/groups`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelShuffle {
    /// Number of groups; divides the channels.
    pub groups: usize,
}

impl OpDef for ChannelShuffle {
    fn name(&self) -> &'static str {
        "channel_shuffle"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("channel_shuffle", ins)?;
        if x.rank() < 2 || self.groups == 0 || x.dims[1] % self.groups != 0 {
            let rule = format!("wants channels on axis 1 in a multiple of {} groups", self.groups);
            return Err(Error::shape("channel_shuffle", ins, rule));
        }
        one(x.clone())
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}
