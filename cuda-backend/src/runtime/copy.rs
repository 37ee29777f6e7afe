//! Copies between host and device, in a stream's order.

use cudarc::driver::sys;

use super::{Pinned, Stream, mailbox};
use crate::error::Result;
use crate::ffi::abi::call;
use crate::memory::Memory;

impl Stream {
    /// Copies `bytes` to the start of `to`, when the stream comes to it. Returns when `bytes` may be used again: small ones are
    /// copied aside, of large ones the copy is waited for.
    ///
    /// # Errors
    /// Where the device fails; `bytes` must fit.
    pub fn upload(&self, bytes: &[u8], to: &Memory) -> Result<()> {
        assert!(bytes.len() <= to.bytes(), "upload of {} bytes into {}", bytes.len(), to.bytes());
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() <= mailbox::HALF {
            let mut mailbox = self.mailbox();
            let (memory, at) = mailbox.put(self, bytes)?;
            return self.upload_pinned(memory, at, to, bytes.len());
        }
        self.context().enter()?;
        let driver = self.context().libs.driver();
        // SAFETY: both sides hold that many bytes, and `bytes` stays until the stream was waited for.
        let status = unsafe {
            call!(
                driver,
                sys::cuMemcpyHtoDAsync_v2(to.address(), bytes.as_ptr().cast(), bytes.len(), self.raw())
            )
        };
        // Waited for even where the call failed, for it may have been begun.
        let waited = self.synchronize();
        self.context().check("cuMemcpyHtoDAsync_v2", status, "copying to the device")?;
        waited
    }

    /// Copies `len` bytes of `from`, starting at byte `at`, to the start of `to`, when the stream comes to it: the caller leaves
    /// `from` as it is until then.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub(crate) fn upload_pinned(&self, from: &Pinned, at: usize, to: &Memory, len: usize) -> Result<()> {
        assert!(at + len <= from.len() && len <= to.bytes(), "upload of {len} bytes");
        if len == 0 {
            return Ok(());
        }
        self.context().enter()?;
        let (driver, source) = (self.context().libs.driver(), from.at(at).cast_const().cast());
        // SAFETY: both sides hold that many bytes, and stay until the copy is done, as the caller promises.
        let status =
            unsafe { call!(driver, sys::cuMemcpyHtoDAsync_v2(to.address(), source, len, self.raw())) };
        self.context().check("cuMemcpyHtoDAsync_v2", status, "copying a batch to the device")
    }

    /// Waits for the stream, then copies bytes of `from`, starting at byte `start`, to the host.
    ///
    /// # Errors
    /// Where the device fails, now or in work before.
    pub fn download(&self, from: &Memory, start: usize, bytes: &mut [u8]) -> Result<()> {
        assert!(start + bytes.len() <= from.bytes(), "download of {} bytes from {start}", bytes.len());
        self.synchronize()?;
        if bytes.is_empty() {
            return Ok(());
        }
        let driver = self.context().libs.driver();
        let source = from.address() + start as u64;
        // SAFETY: both sides hold that many bytes. This copy is done when the call returns, whatever it returns: one put on
        // the stream could still write into `bytes` after an error let go of them.
        let status =
            unsafe { call!(driver, sys::cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), source, bytes.len())) };
        self.context().check("cuMemcpyDtoH_v2", status, "copying to the host")
    }

    /// Copies `len` bytes of `from`, starting at byte `start`, to byte `at` of `to`, when the stream comes to it.
    ///
    /// The caller keeps `to` until then, and reads it only after it has waited.
    ///
    /// # Errors
    /// Where the driver refuses.
    pub(crate) fn download_later(
        &self,
        from: &Memory,
        start: usize,
        to: &Pinned,
        at: usize,
        len: usize,
    ) -> Result<()> {
        assert!(start + len <= from.bytes() && at + len <= to.len(), "download of {len} bytes");
        if len == 0 {
            return Ok(());
        }
        self.context().enter()?;
        let (driver, source) = (self.context().libs.driver(), from.address() + start as u64);
        // SAFETY: both sides hold that many bytes; page-locked memory is written while no reference to it is used, as the
        // caller promises.
        let status =
            unsafe { call!(driver, sys::cuMemcpyDtoHAsync_v2(to.at(at).cast(), source, len, self.raw())) };
        self.context().check("cuMemcpyDtoHAsync_v2", status, "copying to the host")
    }

    /// Copies `len` bytes from address to address.
    ///
    /// # Errors
    /// Where the device fails.
    pub(crate) fn copy(&self, from: u64, to: u64, len: usize) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        self.context().enter()?;
        // SAFETY: callers take both addresses from live `Memory` and stay within its size.
        let status = unsafe {
            call!(self.context().libs.driver(), sys::cuMemcpyDtoDAsync_v2(to, from, len, self.raw()))
        };
        self.context().check("cuMemcpyDtoDAsync_v2", status, "copying on the device")
    }

    /// Sets every byte of `memory`.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn fill(&self, memory: &Memory, byte: u8) -> Result<()> {
        if memory.bytes() == 0 {
            return Ok(());
        }
        self.context().enter()?;
        let driver = self.context().libs.driver();
        // SAFETY: the memory holds that many bytes.
        let status = unsafe {
            call!(driver, sys::cuMemsetD8Async(memory.address(), byte, memory.bytes(), self.raw()))
        };
        self.context().check("cuMemsetD8Async", status, "filling memory")
    }
}
