//! Channels of several operands taken in turn, and their undoing: concatenation and shuffle in one pass over memory.

mod cpu;

use smallvec::SmallVec;

use crate::{Cost, Error, Meta, OpDef, Result, op::one};

/// Channels (axis 1) of n operands of the same dims, in turn: channel `j·n + i` of the result is channel `j` of operand `i`.
/// It is [`Cat`](super::Cat) followed by [`ChannelShuffle`](super::ChannelShuffle) by n groups. Its adjoint is
/// [`Deinterleave`].
#[derive(Debug, Clone, PartialEq)]
pub struct Interleave;

/// The inverse of [`Interleave`]: `parts` results, of which number `i` has the channels `i`, `i + parts`, … of the operand. Of
/// several operands, which differ in their channels alone, those follow each other as if they were concatenated: what the
/// gradient of a split comes in need not be put together first.
#[derive(Debug, Clone, PartialEq)]
pub struct Deinterleave {
    /// Number of results; divides the channels.
    pub parts: usize,
}

impl OpDef for Interleave {
    fn name(&self) -> &'static str {
        "interleave"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let Some(first) = ins.first() else {
            return Err(Error::shape("interleave", ins, "wants at least one operand"));
        };
        if ins.iter().any(|m| m.dtype != first.dtype) {
            return Err(Error::dtype("interleave", ins, "wants operands of one type"));
        }
        if first.rank() < 2 || ins.iter().any(|m| m.dims != first.dims) {
            return Err(Error::shape("interleave", ins, "wants operands [N, C, …] of the same dims"));
        }
        let mut dims = first.dims.clone();
        dims[1] *= ins.len();
        one(Meta::new(dims, first.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for Deinterleave {
    fn name(&self) -> &'static str {
        "deinterleave"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let Some(first) = ins.first() else {
            return Err(Error::shape("deinterleave", ins, "wants at least one operand"));
        };
        if ins.iter().any(|m| m.dtype != first.dtype) {
            return Err(Error::dtype("deinterleave", ins, "wants operands of one type"));
        }
        if first.rank() < 2 {
            return Err(Error::shape("deinterleave", ins, "wants operands [N, C, …]"));
        }
        let mut dims = first.dims.clone();
        let alike =
            |m: &Meta| m.rank() == dims.len() && (0..dims.len()).all(|a| a == 1 || m.dims[a] == dims[a]);
        if !ins.iter().all(alike) {
            let rule = "wants operands that differ in their channels (axis 1) alone";
            return Err(Error::shape("deinterleave", ins, rule));
        }
        dims[1] = ins.iter().map(|m| m.dims[1]).sum();
        if self.parts == 0 || !dims[1].is_multiple_of(self.parts) {
            let rule = format!("wants channels on axis 1 in a multiple of {} parts", self.parts);
            return Err(Error::shape("deinterleave", ins, rule));
        }
        dims[1] /= self.parts;
        Ok(SmallVec::from_elem(Meta::new(dims, first.dtype), self.parts))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}
