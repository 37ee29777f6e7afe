//! Convolutions by cuDNN: its legacy interface, channels-last.
//!
//! A problem (sizes, type, direction) is prepared once: descriptors made, algorithm measured or read from the disk cache.
//! Only deterministic algorithms are taken, so that the same seed gives the same weights.
//!
//! | file | holds |
//! | --- | --- |
//! | `problem` | a convolution's sizes as a value: the key of both caches |
//! | `descriptor` | cuDNN's descriptors, owned |
//! | `choose` | the algorithm of a problem |
//! | `run` | the three directions, and forward with bias and activation |

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
use crate::error::Result;
use crate::ffi::{abi::call, table::CudnnTable};
use crate::runtime::Context;
pub(crate) use problem::{Direction, Problem};
pub(crate) use run::{Epilogue, Operands};

/// Status of a problem that cuDNN has no code for (`CUDNN_STATUS_NOT_SUPPORTED`).
pub(crate) const NOT_SUPPORTED: i32 = 3000;

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
    prepared: HashMap<Problem, Arc<run::Prepared>>,
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
        self.context.libs.check(Library::Cudnn, call, status, what)
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
