//! Picking elements by index, and its adjoint.

mod cpu;

use smallvec::SmallVec;

use crate::{
    Cost, DType, Error, Meta, OpDef, Result,
    op::{one, operands},
};

/// `out[.., i, ..] = x[.., index[.., i, ..], ..]` along `axis`; `x` and the i64 index agree on every other axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Gather {
    /// The indexed axis.
    pub axis: usize,
}

/// The adjoint of [`Gather`]: operands `g` and `index` of one shape are added into zeros whose `axis` has
/// `len` elements. Sums run in index order: the result does not depend on the thread count.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterAdd {
    /// The indexed axis.
    pub axis: usize,
    /// Size of that axis in the result.
    pub len: usize,
}

fn check(op: &'static str, ins: &[Meta], axis: usize, same_axis: bool) -> Result<()> {
    let [x, index] = operands(op, ins)?;
    if index.dtype != DType::I64 {
        return Err(Error::dtype(op, ins, "wants an i64 index"));
    }
    let agree = axis < x.rank()
        && x.rank() == index.rank()
        && (0..x.rank()).all(|a| (a == axis && !same_axis) || x.dims[a] == index.dims[a]);
    if !agree {
        let besides = if same_axis { String::new() } else { format!(" but {axis}") };
        return Err(Error::shape(op, ins, format!("operand and index must agree on every axis{besides}")));
    }
    Ok(())
}

impl OpDef for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        check("gather", ins, self.axis, false)?;
        one(Meta::new(ins[1].dims.clone(), ins[0].dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(&ins[1..], &[outs[0].clone(), outs[0].clone()])
    }
}

impl OpDef for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        check("scatter_add", ins, self.axis, true)?;
        let mut dims = ins[0].dims.clone();
        dims[self.axis] = self.len;
        one(Meta::new(dims, ins[0].dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}
