//! What can go wrong in the program, told with what it was doing.

use std::path::{Path, PathBuf};

use nn::collective::Failure;

/// A `Result` whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer, loss, optimiser or checkpoint.
    #[error(transparent)]
    Nn(#[from] nn::Error),
    /// A dataset or a picture.
    #[error(transparent)]
    Data(#[from] datasets::Error),
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted: "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Options that can not work, alone or together.
    #[error("{0}")]
    Usage(String),
    /// Training met a number that is none; see [`crate::train`].
    #[error("{0}")]
    NotFinite(String),
    /// The process was asked to stop, and did in good order; see [`crate::stop`].
    #[error("{message}")]
    Stopped {
        /// Number of the signal.
        signal: i32,
        /// By what, where it stands, and how to go on.
        message: String,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Message(String),
    /// A cause, with what was being done.
    #[error("{doing}")]
    While {
        /// What was being done.
        doing: String,
        /// What failed.
        source: Box<Error>,
    },
}

impl Error {
    /// The system refused to `action` (read, write, …) `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.as_ref().into(), source }
    }

    /// Options that can not work.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::Usage(what.into())
    }

    /// Anything else, in words.
    pub fn message(what: impl Into<String>) -> Self {
        Self::Message(what.into())
    }

    /// What went wrong among ranks, where that is the cause.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Nn(e) => e.failure(),
            Error::While { source, .. } => source.failure(),
            _ => None,
        }
    }

    /// Whether a device's memory is full.
    pub fn out_of_memory(&self) -> bool {
        match self {
            Error::Nn(e) => e.out_of_memory(),
            Error::While { source, .. } => source.out_of_memory(),
            _ => false,
        }
    }

    /// Whether options can not work, alone, together or with this data: the same command would fail again.
    pub fn is_usage(&self) -> bool {
        match self {
            Error::Usage(_) => true,
            Error::Data(e) => matches!(e, datasets::Error::Options(_) | datasets::Error::BatchSizes { .. }),
            Error::While { source, .. } => source.is_usage(),
            _ => false,
        }
    }

    /// The same error, said to have happened while `doing`.
    pub fn during(self, doing: impl Into<String>) -> Self {
        Self::While { doing: doing.into(), source: Box::new(self) }
    }

    /// What a shell is told: 2 for options that can not work, 128 and its number for a signal, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            _ if self.is_usage() => 2,
            Error::Stopped { signal, .. } => 128_u8.saturating_add(u8::try_from(*signal).unwrap_or(u8::MAX)),
            Error::While { source, .. } => source.exit_code(),
            Error::Nn(_)
            | Error::Data(_)
            | Error::Io { .. }
            | Error::Usage(_)
            | Error::NotFinite(_)
            | Error::Message(_) => 1,
        }
    }

    /// The message, followed by each cause that says something new, on lines of their own.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let message = error.to_string();
            // Transparent and formatted-in causes repeat what their wrapper says.
            if !text.contains(&message) {
                text.push_str("\n  because: ");
                text.push_str(&message.replace('\n', "\n  "));
            }
            cause = error.source();
        }
        text
    }
}

impl From<tensor::Error> for Error {
    fn from(e: tensor::Error) -> Self {
        Self::Nn(e.into())
    }
}

impl From<autograd::Error> for Error {
    fn from(e: autograd::Error) -> Self {
        Self::Nn(e.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_once() {
        let io = std::io::Error::other("disk full");
        let error = Error::io("write", "runs/a", io).during("saving a checkpoint");
        assert_eq!(
            error.chain(),
            "saving a checkpoint\n  because: cannot write runs/a\n  because: disk full"
        );
        assert_eq!(error.exit_code(), 1);
        assert_eq!(Error::usage("no").during("checking options").exit_code(), 2);
        let data = |e: datasets::Error| Error::from(e).during("loading").exit_code();
        assert_eq!(data(datasets::Error::Options("no".into())), 2);
        let (first, other) = ("a".to_owned(), "b".to_owned());
        let sizes = datasets::Error::BatchSizes { first, first_size: (8, 8), other, other_size: (9, 8) };
        assert_eq!(data(sizes), 2);
        assert_eq!(data(datasets::Error::Tensor("no".into())), 1);
        assert_eq!(Error::Stopped { signal: 15, message: "stopped".into() }.exit_code(), 143);
        let shape = tensor::Error::value("bincount", "9 is too large");
        assert_eq!(Error::from(shape).chain(), "bincount: 9 is too large");
    }
}
