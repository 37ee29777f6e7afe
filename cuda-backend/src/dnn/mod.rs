//! Convolutions by cuDNN: its legacy interface, channels-last.
//!
//! A problem (sizes, type, direction) is prepared once: descriptors made, algorithm measured or read from the disk cache.
//! Only deterministic algorithms are taken, so that the same seed gives the same weights. One that cuDNN refuses when it is
//! called gives way to the next; a problem of which all are refused is done by our own kernels.
//!
//! | file | holds |
//! | --- | --- |
//! | `problem` | a convolution's sizes as a value: the key of both caches |
//! | `descriptor` | cuDNN's descriptors, owned |
//! | `algorithm` | cuDNN's algorithms, as values |
//! | `choose` | the algorithm of a problem |
//! | `run` | the three directions, and forward with bias and activation |

mod algorithm;
mod choose;
mod descriptor;
mod problem;
mod run;

use std::collections::{HashMap, HashSet};
use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::cudnn::sys;

use crate::cache;
use crate::catalog::Library;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ffi::{abi::call, table::CudnnTable};
use crate::runtime::Context;
pub(crate) use problem::{Direction, Problem};
pub(crate) use run::{Epilogue, Operands};

/// Whether a status says that cuDNN has no code for a problem: `CUDNN_STATUS_NOT_SUPPORTED` (3000), or one of its kinds (3001 for
/// a pattern, 3002 for a shape …), of which each release knows more.
fn refuses(status: c_int) -> bool {
    status / 1000 == 3
}

/// An error unless `status` is 0: [`Error::Unsupported`] where cuDNN does not take the problem, which callers have a way around.
fn check(context: &Context, call: &'static str, status: c_int, what: &str) -> Result<()> {
    let checked = context.libs.check(Library::Cudnn, call, status, what);
    checked.map_err(|e| match refuses(status) {
        true => Error::Unsupported { op: "convolution", what: e.to_string() },
        false => e,
    })
}

/// cuDNN on one device.
#[derive(Debug)]
pub(crate) struct Dnn {
    context: Arc<Context>,
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    handle: sys::cudnnHandle_t,
    prepared: HashMap<Problem, run::Prepared>,
    /// Problems that cuDNN does not take.
    refused: HashSet<Problem>,
}

// SAFETY: the handle is used by one thread at a time, which the lock around it sees to.
unsafe impl Send for State {}

impl Dnn {
    /// Opens cuDNN.
    pub fn new(context: &Arc<Context>, env: &Environment) -> Result<Self> {
        let table = context.libs.cudnn()?;
        context.enter()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: writes one handle, destroyed on drop.
        let status = unsafe { call!(table, sys::cudnnCreate(&mut handle)) };
        context.libs.check(Library::Cudnn, "cudnnCreate", status, "starting cuDNN")?;
        let state = Mutex::new(State { handle, prepared: HashMap::new(), refused: HashSet::new() });
        Ok(Self { context: context.clone(), folder: cache::folder(env, "convolutions"), state })
    }

    /// Whether cuDNN has refused the problem before: it is asked once.
    pub fn refuses(&self, problem: &Problem) -> bool {
        self.lock().refused.contains(problem)
    }

    /// Remembers that it has.
    pub fn refuse(&self, problem: &Problem) {
        self.lock().refused.insert(problem.clone());
    }

    fn table(&self) -> Result<&CudnnTable> {
        self.context.libs.cudnn()
    }

    fn check(&self, call: &'static str, status: c_int, what: &str) -> Result<()> {
        check(&self.context, call, status, what)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dnn {
    fn drop(&mut self) {
        let _ = self.context.enter();
        let handle = self.lock().handle;
        if let Ok(table) = self.table() {
            // SAFETY: made in `new`; descriptors do not hang on it.
            unsafe { call!(table, sys::cudnnDestroy(handle)) };
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_kind_of_not_supported_is_a_refusal() {
        assert!([3000, 3001, 3007, 3012, 3014].into_iter().all(super::refuses));
        assert!(![0, 1001, 2000, 2003, 4000, 5000].into_iter().any(super::refuses));
    }
}
