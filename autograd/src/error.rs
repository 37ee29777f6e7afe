//! What can go wrong while recording or differentiating.

use std::sync::Arc;

/// A `Result` whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the autograd layer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation failed.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
    /// An operation failed in a named module.
    #[error("{path}: {source}")]
    At {
        /// Path of the module, as `up4.right.1`.
        path: String,
        /// What failed there.
        source: Box<Error>,
    },
    /// The tape was walked before, and freed what it had saved.
    #[error(
        "this tape is spent: backward has already walked it and freed its values; record a new one, or use `gradients` with create_graph"
    )]
    Spent,
    /// Operands were recorded on different tapes.
    #[error("{op}: operands are recorded on two tapes; detach one of them")]
    TwoTapes {
        /// Name of the operation.
        op: String,
    },
    /// Backward was called on a value that does not depend on any leaf.
    #[error("no gradient flows here: the value is not recorded on a tape, or depends on no leaf of it")]
    NotRecorded,
    /// Backward was called on a value that is not a scalar.
    #[error("backward wants a scalar, got dims {dims:?}; reduce it first, or use `gradients` with a seed")]
    NotScalar {
        /// Dims of the value.
        dims: Vec<usize>,
    },
    /// An operation has no derivative.
    #[error("{op} has no derivative with respect to operand {operand}")]
    NotDifferentiable {
        /// Name of the operation.
        op: String,
        /// Index of the operand.
        operand: usize,
    },
    /// A custom operation or a hook failed, in its own way.
    #[error(transparent)]
    Custom(Arc<dyn std::error::Error + Send + Sync>),
    /// Anything else, in words.
    #[error("{0}")]
    Message(String),
}

impl Error {
    /// The error of a custom operation or a hook.
    pub fn custom(e: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(e))
    }

    /// The error itself, without the module that it happened in.
    pub fn root(&self) -> &Self {
        match self {
            Error::At { source, .. } => source.root(),
            other => other,
        }
    }

    /// The same error, said to have happened in the module at `path`. The innermost module is kept.
    pub fn at(self, path: &str) -> Self {
        match self {
            Error::At { .. } => self,
            source if path.is_empty() => source,
            source => Error::At { path: path.into(), source: Box::new(source) },
        }
    }
}
