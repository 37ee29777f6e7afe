//! Operands joined along an axis.

mod cpu;

use smallvec::SmallVec;

use crate::{Cost, Error, Meta, OpDef, Result, op::one};

/// Operands joined along `axis`; their other dims must agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Cat {
    /// The axis along which they are joined.
    pub axis: usize,
}

impl OpDef for Cat {
    fn name(&self) -> &'static str {
        "cat"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let Some(first) = ins.first() else {
            return Err(Error::shape("cat", ins, "wants at least one operand"));
        };
        if self.axis >= first.rank() {
            return Err(Error::shape("cat", ins, format!("there is no axis {}", self.axis)));
        }
        let mut dims = first.dims.clone();
        for other in &ins[1..] {
            if other.dtype != first.dtype {
                return Err(Error::dtype("cat", ins, "wants operands of one type"));
            }
            let agree = other.rank() == first.rank()
                && (0..first.rank()).all(|a| a == self.axis || other.dims[a] == first.dims[a]);
            if !agree {
                let rule = format!("dims must agree on every axis but {}", self.axis);
                return Err(Error::shape("cat", ins, rule));
            }
            dims[self.axis] += other.dims[self.axis];
        }
        one(Meta::new(dims, first.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}
