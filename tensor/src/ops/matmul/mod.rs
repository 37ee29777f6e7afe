//! Matrix products over the last two axes.

mod cpu;

use smallvec::SmallVec;

use super::broadcast_dims;
use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands, same_float},
};

/// `[…, M, K] · […, K, N] → […, M, N]`; leading axes are broadcast.
#[derive(Debug, Clone, PartialEq)]
pub struct MatMul;

impl OpDef for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [a, b] = operands("matmul", ins)?;
        same_float("matmul", ins)?;
        if a.rank() < 2 || b.rank() < 2 {
            return Err(Error::shape("matmul", ins, "wants operands of at least 2 axes"));
        }
        let ([lead_a @ .., m, k], [lead_b @ .., k2, n]) = (&a.dims[..], &b.dims[..]) else {
            return Err(Error::shape("matmul", ins, "wants operands of at least 2 axes"));
        };
        if k != k2 {
            return Err(Error::shape("matmul", ins, format!("{k} columns against {k2} rows")));
        }
        let Some(mut dims) = broadcast_dims(lead_a, lead_b) else {
            return Err(Error::shape("matmul", ins, "leading axes do not broadcast"));
        };
        dims.extend([*m, *n]);
        one(Meta::new(dims, a.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::macs(ins, outs, (outs[0].len() * ins[0].dims[ins[0].rank() - 1]) as u64)
    }
}
