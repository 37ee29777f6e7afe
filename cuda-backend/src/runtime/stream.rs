//! A stream: work that the device does in order.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::sys::{self, CUstreamCaptureMode};

use super::mailbox::Mailbox;
use super::{CapturedGraph, Context, Event};
use crate::error::Result;
use crate::ffi::abi::call;

/// Which stream goes first where several have work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Computation and copies.
    Normal,
    /// Communication, which others wait for.
    High,
}

thread_local! {
    /// How many streams this thread records.
    static RECORDING: Cell<usize> = const { Cell::new(0) };
}

/// Work in order. Streams of one device run side by side unless events order them.
#[derive(Debug)]
pub struct Stream {
    context: Arc<Context>,
    raw: sys::CUstream,
    mailbox: Mutex<Mailbox>,
}

// SAFETY: the driver takes a stream from every thread; it locks its own state.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    /// A new stream, independent of the legacy default stream.
    ///
    /// # Errors
    /// Where the driver has no more.
    pub fn new(context: &Arc<Context>, priority: Priority) -> Result<Arc<Self>> {
        context.enter()?;
        let level = match priority {
            Priority::Normal => 0,
            Priority::High => -1,
        };
        let mut raw = std::ptr::null_mut();
        let flags = sys::CUstream_flags_enum::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: writes one handle, destroyed on drop.
        let status =
            unsafe { call!(context.libs.driver(), sys::cuStreamCreateWithPriority(&mut raw, flags, level)) };
        context.check("cuStreamCreateWithPriority", status, "making a stream")?;
        Ok(Arc::new(Self { context: context.clone(), raw, mailbox: Mutex::default() }))
    }

    /// The device.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// The handle, for calls into other libraries.
    pub(crate) fn raw(&self) -> sys::CUstream {
        self.raw
    }

    /// Small values on their way.
    pub(super) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all its work is done.
    ///
    /// # Errors
    /// Whatever failed on the device since the last call.
    pub fn synchronize(&self) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the stream is alive.
        let status = unsafe { call!(self.context.libs.driver(), sys::cuStreamSynchronize(self.raw)) };
        self.context.check("cuStreamSynchronize", status, "waiting for the device")
    }

    /// Lets later work of this stream wait for `event`.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub fn wait(&self, event: &Event) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both handles are alive; flags must be 0.
        let status =
            unsafe { call!(self.context.libs.driver(), sys::cuStreamWaitEvent(self.raw, event.raw(), 0)) };
        self.context.check("cuStreamWaitEvent", status, "ordering streams")
    }

    /// Whether this thread records work, of whatever stream.
    pub(crate) fn recording_here() -> bool {
        RECORDING.get() > 0
    }

    /// Records the work that `work` puts on this stream instead of doing it.
    ///
    /// # Errors
    /// What `work` returns, or the driver where something that can not be recorded was asked for.
    pub fn capture(&self, work: impl FnOnce() -> Result<()>) -> Result<CapturedGraph> {
        self.context.enter()?;
        let driver = self.context.libs.driver();
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive and no capture is under way on it: captures end below in every case.
        let status = unsafe { call!(driver, sys::cuStreamBeginCapture_v2(self.raw, mode)) };
        self.context.check("cuStreamBeginCapture_v2", status, "beginning to record a graph")?;
        RECORDING.set(RECORDING.get() + 1);
        let done = work();
        RECORDING.set(RECORDING.get() - 1);
        let mut graph = std::ptr::null_mut();
        // SAFETY: writes one handle, which `CapturedGraph` owns; null where the recording is void.
        let status = unsafe { call!(driver, sys::cuStreamEndCapture(self.raw, &mut graph)) };
        let recorded = self.context.check("cuStreamEndCapture", status, "ending the recording of a graph");
        let graph = CapturedGraph::from_recording(&self.context, graph);
        done?;
        recorded?;
        graph
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.mailbox().is_used() {
            // The device may still copy from it. A stream that failed has nothing under way.
            let _ = self.synchronize();
        }
        let _ = self.context.enter();
        // SAFETY: made in `new`; work still under way is finished by the driver first.
        unsafe { call!(self.context.libs.driver(), sys::cuStreamDestroy_v2(self.raw)) };
    }
}
