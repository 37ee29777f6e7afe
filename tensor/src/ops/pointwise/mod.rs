//! Pointwise operations: one variant and one table row each. A row holds the name, the Rust expression that
//! the CPU kernels are made of and the CUDA expression of the same function.

mod cpu;
pub(crate) mod table;

use smallvec::SmallVec;

pub use table::{Binary, Compare, Unary};

use crate::{
    Cost, DType, Dims, Error, Meta, OpDef, Result,
    op::{one, operands},
};

/// `condition ? a : b`, broadcast. Operands: a u8 condition, `a`, `b` of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Select;

/// The dims that `a` and `b` broadcast to, by NumPy's rule, or `None`.
pub fn broadcast_dims(a: &[usize], b: &[usize]) -> Option<Dims> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], i: usize| (i + dims.len()).checked_sub(rank).map_or(1, |j| dims[j]);
    (0..rank)
        .map(|i| match (size(a, i), size(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

fn broadcast(op: &'static str, ins: &[Meta]) -> Result<Dims> {
    let dims = ins.iter().try_fold(Dims::new(), |dims, m| broadcast_dims(&dims, &m.dims));
    dims.ok_or_else(|| Error::shape(op, ins, "operands do not broadcast to common dims"))
}

impl OpDef for Unary {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands(self.name(), ins)?;
        if !x.dtype.is_float() && !self.takes_integers() {
            return Err(Error::dtype(self.name(), ins, "wants a float; cast first"));
        }
        one(x.clone())
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 1)
    }
}

impl OpDef for Binary {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [a, b] = operands(self.name(), ins)?;
        if a.dtype != b.dtype {
            return Err(Error::dtype(self.name(), ins, "wants operands of one type; cast one"));
        }
        if !a.dtype.is_float() && !self.takes_integers() {
            return Err(Error::dtype(self.name(), ins, "wants floats; cast first"));
        }
        one(Meta::new(broadcast(self.name(), ins)?, a.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 1)
    }
}

impl OpDef for Compare {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [a, b] = operands(self.name(), ins)?;
        if a.dtype != b.dtype {
            return Err(Error::dtype(self.name(), ins, "wants operands of one type; cast one"));
        }
        one(Meta::new(broadcast(self.name(), ins)?, DType::U8))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 1)
    }
}

impl OpDef for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [condition, a, b] = operands("select", ins)?;
        if condition.dtype != DType::U8 || a.dtype != b.dtype {
            return Err(Error::dtype("select", ins, "wants a u8 condition and two operands of one type"));
        }
        one(Meta::new(broadcast("select", ins)?, a.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 1)
    }
}
