//! What goes wrong with a GPU, said so that a person knows what to do.

use std::path::PathBuf;

use crate::catalog::Library;
use crate::locate::Missing;

/// A `Result` whose error is [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call into one of NVIDIA's libraries that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The C function.
    pub call: &'static str,
    /// The status that it returned.
    pub code: i32,
    /// The library's name for that status; may be empty.
    pub name: String,
    /// The library's text for it; may be empty.
    pub text: String,
    /// What the call was for.
    pub what: String,
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} failed with code {}", self.what, self.call, self.code)?;
        let words: Vec<&str> = [&self.name, &self.text].into_iter().map(String::as_str).collect();
        let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
        if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.join(": ")) }
    }
}

/// An error of the CUDA backend.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A library was not found.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A library lacks a function.
    #[error(
        "{} at {} has no function `{symbol}`: it is too old, or not the library that its name says; {}",
        .library.name(), .path.display(), .library.advice()
    )]
    Symbol {
        /// Which library.
        library: Library,
        /// Its file.
        path: PathBuf,
        /// The function.
        symbol: &'static str,
    },
    /// A call failed.
    #[error("{0}")]
    Call(Box<Code>),
    /// The driver, or the device asked for, can not be used.
    #[error("{0}")]
    Unusable(String),
    /// The device's memory is full.
    #[error("{0}")]
    OutOfMemory(Box<crate::memory::Full>),
    /// A kernel's code could not be had.
    #[error("{0}")]
    Kernel(String),
    /// A case for which there is no code.
    #[error("{op}: {what}")]
    Unsupported {
        /// Name of the operation.
        op: &'static str,
        /// The case, and what to do instead.
        what: String,
    },
    /// A value that an operation can not take (an index, a label).
    #[error("{op}: {what}")]
    Value {
        /// Name of the operation.
        op: &'static str,
        /// Which value, and what was allowed.
        what: String,
    },
    /// What `tensor` reports.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
}

impl Error {
    /// The status code, where a call failed.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Call(code) => Some(code.code),
            _ => None,
        }
    }

    /// As an error of `tensor`, with the name of the device.
    pub fn on(self, device: &str) -> tensor::Error {
        match self {
            Self::Tensor(e) => e,
            Self::Value { op, what } => tensor::Error::Value { op, what },
            Self::OutOfMemory(full) => {
                tensor::Error::Memory { device: device.to_owned(), what: full.to_string() }
            }
            other => tensor::Error::Device { device: device.to_owned(), what: other.to_string() },
        }
    }
}
