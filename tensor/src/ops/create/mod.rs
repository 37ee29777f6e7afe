//! Values from nothing: constants, ranges and random numbers.

mod cpu;

use smallvec::SmallVec;

use crate::{
    Cost, DType, Dims, Error, Meta, OpDef, Result,
    op::{one, operands},
    rng::Key,
};

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// Dims of the result.
    pub dims: Dims,
    /// The value of every element.
    pub value: f64,
    /// Element type.
    pub dtype: DType,
}

/// `start + i·step` for `i` in `0..len`.
#[derive(Debug, Clone, PartialEq)]
pub struct Arange {
    /// First value.
    pub start: f64,
    /// Difference between neighbours.
    pub step: f64,
    /// Number of values.
    pub len: usize,
    /// Element type.
    pub dtype: DType,
}

/// From which distribution random values are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// Uniform in `[low, high)`.
    Uniform {
        /// Lower bound, included.
        low: f64,
        /// Upper bound, excluded.
        high: f64,
    },
    /// Normal, by the Box–Muller transform.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// 1 with probability `p`, else 0.
    Bernoulli {
        /// Probability of a 1.
        p: f64,
    },
}

/// Random values: element `i` (in row-major order) depends on the key and `i` alone, so a stream is the
/// same on every device and for every thread count.
#[derive(Debug, Clone, PartialEq)]
pub struct Random {
    /// Dims of the result.
    pub dims: Dims,
    /// Element type, a float.
    pub dtype: DType,
    /// What to draw.
    pub distribution: Distribution,
    /// Names the stream.
    pub key: Key,
}

impl OpDef for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [] = operands("full", ins)?;
        one(Meta::new(self.dims.clone(), self.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for Arange {
    fn name(&self) -> &'static str {
        "arange"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [] = operands("arange", ins)?;
        one(Meta::new(&[self.len][..], self.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::movement(ins, outs)
    }
}

impl OpDef for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn infer(&self, ins: &[Meta]) -> Result<SmallVec<[Meta; 2]>> {
        let [] = operands("random", ins)?;
        if !self.dtype.is_float() {
            return Err(Error::dtype("random", ins, format!("makes floats, not {}", self.dtype)));
        }
        one(Meta::new(self.dims.clone(), self.dtype))
    }

    fn cost(&self, ins: &[Meta], outs: &[Meta]) -> Cost {
        Cost::pointwise(ins, outs, 20)
    }
}
