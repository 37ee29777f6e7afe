//! Reductions over axes.

mod arg;
mod cpu;
mod fold;

use smallvec::SmallVec;

use crate::{
    Cost, DType, Dims, Error, Meta, OpDef, Result,
    op::{one, operands},
};

/// How the elements are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Sum; of no elements, 0.
    Sum,
    /// Arithmetic mean (floats only).
    Mean,
    /// Largest; NaN where there is one.
    Max,
    /// Smallest; NaN where there is one.
    Min,
}

/// Sum, mean, maximum or minimum over `axes` (each once; none reduces nothing). u8 sums are i64.
/// Sums run in a fixed order that does not depend on the thread count; halves accumulate in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// How the elements are combined.
    pub kind: Reduction,
    /// The axes reduced, ascending.
    pub axes: Dims,
    /// Whether reduced axes stay, with size 1.
    pub keep: bool,
}

/// Largest or smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extremum {
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

/// Index (i64) of the first largest or smallest element along an axis; the first NaN wins where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct ArgReduce {
    /// Largest or smallest.
    pub kind: Extremum,
    /// The axis reduced.
    pub axis: usize,
    /// Whether the axis stays, with size 1.
    pub keep: bool,
}

/// `dims` without `axes`, or with size 1 there.
fn reduced(dims: &[usize], axes: &[usize], keep: bool) -> Dims {
    let out = dims.iter().enumerate();
    out.filter_map(|(a, &d)| if !axes.contains(&a) { Some(d) } else { keep.then_some(1) }).collect()
}

impl OpDef for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Reduction::Sum => "sum",
            Reduction::Mean => "mean",
            Reduction::Max => "max",
            Reduction::Min => "min",
        }
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands(self.name(), ins)?;
        if !self.axes.is_sorted_by(|a, b| a < b) || self.axes.last().is_some_and(|&a| a >= x.rank()) {
            let rule = format!("axes {:?} are not ascending axes of the operand", &self.axes[..]);
            return Err(Error::shape(self.name(), ins, rule));
        }
        if self.kind == Reduction::Mean && !x.dtype.is_float() {
            return Err(Error::dtype("mean", ins, "wants floats; cast first"));
        }
        let empty = self.axes.iter().any(|&a| x.dims[a] == 0);
        if empty && self.kind != Reduction::Sum {
            return Err(Error::shape(self.name(), ins, "has no value over an empty axis"));
        }
        let dtype = match (self.kind, x.dtype) {
            (Reduction::Sum, DType::U8) => DType::I64,
            (_, dtype) => dtype,
        };
        one(Meta::new(reduced(&x.dims, &self.axes, self.keep), dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost { flops: ins[0].len() as u64, ..Cost::movement(ins, outs) }
    }
}

impl OpDef for ArgReduce {
    fn name(&self) -> &'static str {
        match self.kind {
            Extremum::Max => "argmax",
            Extremum::Min => "argmin",
        }
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands(self.name(), ins)?;
        if self.axis >= x.rank() || x.dims[self.axis] == 0 {
            let rule = format!("there is no axis {}, or it is empty", self.axis);
            return Err(Error::shape(self.name(), ins, rule));
        }
        one(Meta::new(reduced(&x.dims, &[self.axis], self.keep), DType::I64))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost { flops: ins[0].len() as u64, ..Cost::movement(ins, outs) }
    }
}
