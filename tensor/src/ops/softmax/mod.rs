//! Softmax and its logarithm along an axis, stable for any finite logits.

mod cpu;

use smallvec::SmallVec;

use crate::{
    Cost, Error, Meta, OpDef, Result,
    op::{one, operands, same_float},
};

/// `exp(xᵢ) / Σⱼ exp(xⱼ)` along `axis`.
#[derive(Debug, Clone, PartialEq)]
pub struct Softmax {
    /// The axis that sums to one.
    pub axis: usize,
}

/// `xᵢ − ln Σⱼ exp(xⱼ)` along `axis`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSoftmax {
    /// The axis whose exponentials sum to one.
    pub axis: usize,
}

fn infer(op: &'static str, ins: &[Meta], axis: usize) -> Result<SmallVec<[Meta; 2]>> {
    let [x] = operands(op, ins)?;
    same_float(op, ins)?;
    if axis >= x.rank() || x.dims[axis] == 0 {
        return Err(Error::shape(op, ins, format!("there is no axis {axis}, or it is empty")));
    }
    one(x.clone())
}

impl OpDef for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        infer("softmax", ins, self.axis)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 14)
    }
}

impl OpDef for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        infer("log_softmax", ins, self.axis)
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 14)
    }
}
