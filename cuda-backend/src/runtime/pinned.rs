//! Page-locked host memory, which the device copies from and to while the host goes on.

use std::sync::Arc;

use cudarc::driver::sys;

use super::Context;
use crate::error::Result;
use crate::ffi::abi::call;

/// Host memory that the device can copy by itself.
#[derive(Debug)]
pub struct Pinned {
    context: Arc<Context>,
    address: *mut u8,
    len: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for Pinned {}
// SAFETY: shared references only read.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// `len` bytes of zeros.
    ///
    /// # Errors
    /// Where the host has no more memory to lock.
    pub fn new(context: &Arc<Context>, len: usize) -> Result<Self> {
        context.enter()?;
        let _free_to = context.unrestricted()?;
        let mut address = std::ptr::null_mut();
        // SAFETY: writes one address; a size of 0 is refused by the driver, so at least one byte is asked for.
        let status =
            unsafe { call!(context.libs.driver(), sys::cuMemHostAlloc(&mut address, len.max(1), 0)) };
        context.check("cuMemHostAlloc", status, &format!("locking {len} bytes of host memory"))?;
        let address = address.cast::<u8>();
        // SAFETY: `len` bytes were just allocated at `address`.
        unsafe { address.write_bytes(0, len) };
        Ok(Self { context: context.clone(), address, len })
    }

    /// Address of byte `i`, for the device.
    pub(super) fn at(&self, i: usize) -> *mut u8 {
        self.address.wrapping_add(i)
    }
}

impl std::ops::Deref for Pinned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: allocated and written in `new`, freed on drop.
        unsafe { std::slice::from_raw_parts(self.address, self.len) }
    }
}

impl std::ops::DerefMut for Pinned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.context.enter();
        let _free_to = self.context.unrestricted();
        // SAFETY: allocated in `new`.
        unsafe { call!(self.context.libs.driver(), sys::cuMemFreeHost(self.address.cast())) };
    }
}
