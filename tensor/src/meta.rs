//! What an operation needs to know of a value before it runs: dims and dtype, and what running costs.

use std::fmt;

use crate::{DType, Dims};

/// Dims and element type of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Size along each axis.
    pub dims: Dims,
    /// Element type.
    pub dtype: DType,
}

impl Meta {
    /// A value of `dims` and `dtype`.
    pub fn new(dims: impl Into<Dims>, dtype: DType) -> Self {
        Self { dims: dims.into(), dtype }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements; `usize::MAX` where it is larger.
    pub fn len(&self) -> usize {
        count(&self.dims)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size in bytes when stored densely; `usize::MAX` where it is larger.
    pub fn bytes(&self) -> usize {
        self.len().saturating_mul(self.dtype.size())
    }

    /// Whether every element, and every step along an axis, has an address. Empty values are judged by their other axes.
    pub(crate) fn addressable(&self) -> bool {
        let bytes = self.dims.iter().try_fold(self.dtype.size(), |n, &d| n.checked_mul(d.max(1)));
        bytes.is_some_and(|n| isize::try_from(n).is_ok())
    }
}

/// The product of dims; `usize::MAX` where it is larger: a size never wraps to one that memory is found for.
pub(crate) fn count(dims: &[usize]) -> usize {
    if dims.contains(&0) { 0 } else { dims.iter().fold(1, |n, &d| n.saturating_mul(d)) }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, &self.dims[..])
    }
}

/// What running an operation costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations; a multiply-add counts as two.
    pub flops: u64,
    /// Multiply-accumulates of convolutions and matrix products.
    pub macs: u64,
    /// Bytes that have to be read and written at least.
    pub bytes: u64,
}

impl Cost {
    /// `per_element` operations for every element of every output, operands read and results written once.
    pub fn pointwise(ins: &[Meta], outs: &[Meta], per_element: u64) -> Self {
        let elements: usize = outs.iter().map(Meta::len).sum();
        Self { flops: per_element * elements as u64, macs: 0, bytes: traffic(ins, outs) }
    }

    /// No arithmetic; operands read and results written once.
    pub fn movement(ins: &[Meta], outs: &[Meta]) -> Self {
        Self { flops: 0, macs: 0, bytes: traffic(ins, outs) }
    }

    /// `macs` multiply-accumulates, operands read and results written once.
    pub fn macs(ins: &[Meta], outs: &[Meta], macs: u64) -> Self {
        Self { flops: 2 * macs, macs, bytes: traffic(ins, outs) }
    }
}

fn traffic(ins: &[Meta], outs: &[Meta]) -> u64 {
    ins.iter().chain(outs).map(|m| m.bytes() as u64).sum()
}
