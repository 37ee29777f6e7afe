//! A recorded piece of a stream's work, done again by one call.

use std::sync::Arc;

use cudarc::driver::sys;

use super::{Context, Stream};
use crate::error::{Error, Result};
use crate::ffi::abi::call;

/// Work that [`Stream::capture`] recorded. Addresses are part of it: the memory that it reads and writes must outlive it.
#[derive(Debug)]
pub struct CapturedGraph {
    context: Arc<Context>,
    graph: sys::CUgraph,
    exec: sys::CUgraphExec,
}

// SAFETY: the driver takes the handles from every thread; launches of one graph are ordered by its owner.
unsafe impl Send for CapturedGraph {}
// SAFETY: as above.
unsafe impl Sync for CapturedGraph {}

impl CapturedGraph {
    pub(super) fn from_recording(context: &Arc<Context>, graph: sys::CUgraph) -> Result<Self> {
        if graph.is_null() {
            return Err(Error::Unusable("recording a graph: the driver returned none".to_owned()));
        }
        let mut captured = Self { context: context.clone(), graph, exec: std::ptr::null_mut() };
        // SAFETY: writes one handle, destroyed on drop; the graph is alive.
        let status = unsafe {
            call!(context.libs.driver(), sys::cuGraphInstantiateWithFlags(&mut captured.exec, graph, 0))
        };
        context.check("cuGraphInstantiateWithFlags", status, "preparing a recorded graph")?;
        Ok(captured)
    }

    /// Does the recorded work on `stream`.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub fn launch(&self, stream: &Stream) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both handles are alive; the recording's owner keeps its memory.
        let status =
            unsafe { call!(self.context.libs.driver(), sys::cuGraphLaunch(self.exec, stream.raw())) };
        self.context.check("cuGraphLaunch", status, "running a recorded graph")
    }
}

impl Drop for CapturedGraph {
    fn drop(&mut self) {
        let _ = self.context.enter();
        let driver = self.context.libs.driver();
        if !self.exec.is_null() {
            // SAFETY: made in `from_recording`.
            unsafe { call!(driver, sys::cuGraphExecDestroy(self.exec)) };
        }
        // SAFETY: owned since `from_recording`.
        unsafe { call!(driver, sys::cuGraphDestroy(self.graph)) };
    }
}
