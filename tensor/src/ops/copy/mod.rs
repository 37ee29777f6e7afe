//! Copies: to another element type, to another format, or back into the place a slice came from.

mod cpu;

use smallvec::SmallVec;

use super::view::{Span, check_spans};
use crate::{
    Cost, DType, Dims, Error, Format, Meta, OpDef, Result,
    op::{one, operands},
};

/// Another element type. Floats to integers truncate and saturate; i64 to floats rounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Cast {
    /// The wanted element type.
    pub dtype: DType,
}

/// A dense copy in a given format.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// Format of the result.
    pub format: Format,
}

/// The adjoint of `Slice`: the operand's elements put back at their places in zeros of `dims`.
#[derive(Debug, Clone, PartialEq)]
pub struct Unslice {
    /// Dims of the result.
    pub dims: Dims,
    /// Where the operand's elements go, one for each axis.
    pub spans: SmallVec<[Span; 4]>,
}

impl OpDef for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("cast", ins)?;
        one(Meta::new(x.dims.clone(), self.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("copy", ins)?;
        one(x.clone())
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for Unslice {
    fn name(&self) -> &'static str {
        "unslice"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("unslice", ins)?;
        check_spans("unslice", ins, &self.spans, &self.dims)?;
        if self.spans.iter().map(|s| s.len).ne(x.dims.iter().copied()) {
            return Err(Error::shape("unslice", ins, "the spans' lengths are not the operand's dims"));
        }
        one(Meta::new(self.dims.clone(), x.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}
