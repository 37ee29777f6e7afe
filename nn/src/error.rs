//! What can go wrong in layers, losses, optimisers and checkpoints.

use std::path::PathBuf;

use crate::collective::Failure;

/// A `Result` whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the nn layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Recording, differentiating or computing failed; says in which layer.
    #[error(transparent)]
    Autograd(#[from] autograd::Error),
    /// A layer, loss or optimiser was configured in a way that can not work.
    #[error("{what}: {why}")]
    Config {
        /// Which part.
        what: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A gradient is NaN or infinite.
    #[error("the gradient of {name} (dims {dims:?}) holds {bad} values that are NaN or infinite")]
    NonFinite {
        /// Name of the parameter.
        name: String,
        /// Its dims.
        dims: Vec<usize>,
        /// Number of bad values.
        bad: usize,
    },
    /// A checkpoint does not fit the model or can not be read.
    #[error("checkpoint {}: {why}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A rank is lost or hangs, or ranks disagree.
    #[error(transparent)]
    Collective(#[from] Failure),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<tensor::Error> for Error {
    fn from(e: tensor::Error) -> Self {
        Error::Autograd(e.into())
    }
}

impl Error {
    /// A configuration error.
    pub fn config(what: impl Into<String>, why: impl Into<String>) -> Self {
        Error::Config { what: what.into(), why: why.into() }
    }

    /// What went wrong among ranks, where that is the cause: also from within a backward pass.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Collective(failure) => Some(failure),
            Error::Autograd(e) => match e.root() {
                autograd::Error::Custom(e) => e.downcast_ref::<Error>()?.failure(),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a device's memory is full: also within a backward pass.
    pub fn out_of_memory(&self) -> bool {
        let Error::Autograd(e) = self else { return false };
        match e.root() {
            autograd::Error::Tensor(tensor::Error::Memory { .. }) => true,
            autograd::Error::Custom(e) => e.downcast_ref::<Error>().is_some_and(Error::out_of_memory),
            _ => false,
        }
    }

    /// The same error, said to have happened in the module at `path`. The innermost module is kept.
    pub(crate) fn at(self, path: &str) -> Self {
        match self {
            Error::Autograd(e) => Error::Autograd(e.at(path)),
            Error::Config { what, why } if !path.is_empty() && !what.starts_with(path) => {
                Error::Config { what: format!("{path}: {what}"), why }
            }
            other => other,
        }
    }
}
