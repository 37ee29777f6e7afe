//! Counting: how often each integer occurs, how many values fall into each bin.

mod cpu;

use smallvec::SmallVec;

use crate::{
    Cost, DType, Error, Meta, OpDef, Result,
    op::{one, operands},
};

/// How often each of `0..bins` occurs in a u8 or i64 operand, as i64 `[bins]`. A value outside is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Bincount {
    /// Number of bins.
    pub bins: usize,
}

/// How many values fall into each of `bins` equally wide bins over `[low, high]`, as i64 `[bins]`. The last
/// bin includes `high`; values outside, and NaN, are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Number of bins.
    pub bins: usize,
    /// Lower edge of the first bin.
    pub low: f64,
    /// Upper edge of the last bin.
    pub high: f64,
}

impl OpDef for Bincount {
    fn name(&self) -> &'static str {
        "bincount"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("bincount", ins)?;
        if x.dtype.is_float() {
            return Err(Error::dtype("bincount", ins, "counts integers (u8 or i64)"));
        }
        one(Meta::new(&[self.bins][..], DType::I64))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for Histogram {
    fn name(&self) -> &'static str {
        "histogram"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [x] = operands("histogram", ins)?;
        if !x.dtype.is_float() {
            return Err(Error::dtype("histogram", ins, "wants floats; use bincount for integers"));
        }
        if self.bins == 0 || self.low.partial_cmp(&self.high) != Some(std::cmp::Ordering::Less) {
            let rule =
                format!("wants bins > 0 and low < high, got {} in {}..{}", self.bins, self.low, self.high);
            return Err(Error::shape("histogram", ins, rule));
        }
        one(Meta::new(&[self.bins][..], DType::I64))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}
