//! What can go wrong with a tensor, told with the operation, its operands and the rule they break.

use crate::{DType, Meta, meta::count};

/// A `Result` whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the tensor layer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operands of an operation do not fit its shape rule.
    #[error("{op}: {rule} (operands: {operands})")]
    Shape {
        /// Name of the operation.
        op: &'static str,
        /// Dims and dtypes of the operands.
        operands: String,
        /// The rule that is broken, in words.
        rule: String,
    },
    /// An operation does not take an operand of this element type.
    #[error("{op}: {rule} (operands: {operands})")]
    DType {
        /// Name of the operation.
        op: &'static str,
        /// Dims and dtypes of the operands.
        operands: String,
        /// What the operation wants.
        rule: String,
    },
    /// A tensor was read as another element type than it holds.
    #[error("the tensor holds {held} but was read as {wanted}; cast it first")]
    Read {
        /// The element type that the tensor holds.
        held: DType,
        /// The element type asked for.
        wanted: DType,
    },
    /// Data of the wrong length was given for some dims.
    #[error("{len} values were given for a tensor of dims {dims:?}, which wants {want}", want = count(dims))]
    Length {
        /// Number of values given.
        len: usize,
        /// Dims asked for.
        dims: Vec<usize>,
    },
    /// Operands live on different devices.
    #[error("{op}: operands live on different devices ({first} and {second}); move them to one first")]
    Devices {
        /// Name of the operation.
        op: &'static str,
        /// Device of the first operand.
        first: String,
        /// Device of the operand that differs.
        second: String,
    },
    /// A value lies outside what an operation can take (an index, a label, a bin).
    #[error("{op}: {what}")]
    Value {
        /// Name of the operation.
        op: &'static str,
        /// Which value, where, and what was allowed.
        what: String,
    },
    /// The memory of a device is full.
    #[error("{device}: {what}")]
    Memory {
        /// Name of the device.
        device: String,
        /// What was asked for, and who holds how much.
        what: String,
    },
    /// A device failed.
    #[error("{device}: {what}")]
    Device {
        /// Name of the device.
        device: String,
        /// What it said.
        what: String,
    },
}

impl Error {
    /// A broken shape rule of `op` on operands `ins`.
    pub fn shape(op: &'static str, ins: &[Meta], rule: impl Into<String>) -> Self {
        Self::Shape { op, operands: describe(ins), rule: rule.into() }
    }

    /// An element type that `op` does not take.
    pub fn dtype(op: &'static str, ins: &[Meta], rule: impl Into<String>) -> Self {
        Self::DType { op, operands: describe(ins), rule: rule.into() }
    }

    /// A value that `op` can not take.
    pub fn value(op: &'static str, what: impl Into<String>) -> Self {
        Self::Value { op, what: what.into() }
    }
}

fn describe(ins: &[Meta]) -> String {
    if ins.is_empty() {
        return "none".into();
    }
    ins.iter().map(Meta::to_string).collect::<Vec<_>>().join(", ")
}
