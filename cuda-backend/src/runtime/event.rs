//! A mark in a stream: other streams and the host can wait for it, and two of them tell the time between.

use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys;

use super::{Context, Stream};
use crate::error::Result;
use crate::ffi::abi::call;

/// A mark in a stream's work.
#[derive(Debug)]
pub struct Event {
    context: Arc<Context>,
    raw: sys::CUevent,
}

// SAFETY: the driver takes an event from every thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// A mark after everything that `stream` was given so far.
    ///
    /// # Errors
    /// Where the driver has no more events.
    pub fn record(stream: &Stream) -> Result<Self> {
        let context = stream.context().clone();
        context.enter()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes one handle, destroyed on drop.
        let status = unsafe { call!(context.libs.driver(), sys::cuEventCreate(&mut raw, 0)) };
        context.check("cuEventCreate", status, "making an event")?;
        let event = Self { context, raw };
        // SAFETY: both handles are alive.
        let status = unsafe { call!(event.context.libs.driver(), sys::cuEventRecord(raw, stream.raw())) };
        event.context.check("cuEventRecord", status, "recording an event")?;
        Ok(event)
    }

    pub(crate) fn raw(&self) -> sys::CUevent {
        self.raw
    }

    /// Whether everything before the mark is done.
    ///
    /// # Errors
    /// Whatever failed on the device.
    pub fn is_done(&self) -> Result<bool> {
        self.context.enter()?;
        // SAFETY: the event is alive.
        let status = unsafe { call!(self.context.libs.driver(), sys::cuEventQuery(self.raw)) };
        if status == sys::CUresult::CUDA_ERROR_NOT_READY as i32 {
            return Ok(false);
        }
        self.context.check("cuEventQuery", status, "asking an event")?;
        Ok(true)
    }

    /// Waits until everything before the mark is done.
    ///
    /// # Errors
    /// Whatever failed on the device.
    pub fn synchronize(&self) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the event is alive.
        let status = unsafe { call!(self.context.libs.driver(), sys::cuEventSynchronize(self.raw)) };
        self.context.check("cuEventSynchronize", status, "waiting for an event")
    }

    /// The device's time from `start` to this mark; both must be done.
    ///
    /// # Errors
    /// Where one of them is not.
    pub fn since(&self, start: &Event) -> Result<Duration> {
        self.context.enter()?;
        let mut milliseconds = 0.0_f32;
        // SAFETY: writes one float.
        let status = unsafe {
            call!(self.context.libs.driver(), sys::cuEventElapsedTime(&mut milliseconds, start.raw, self.raw))
        };
        self.context.check("cuEventElapsedTime", status, "reading a time")?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: made in `record`.
        unsafe { call!(self.context.libs.driver(), sys::cuEventDestroy_v2(self.raw)) };
    }
}
