//! One device, opened: the primary context of the driver, which all libraries of the process share.

use std::ffi::{c_char, c_int};
use std::sync::Arc;

use cudarc::driver::sys::{self, CUdevice_attribute, CUstreamCaptureMode};

use crate::catalog::Library;
use crate::driver::{OLDEST_CUDA, meaning};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ffi::{Libraries, abi::call};
use crate::version::Version;

/// An opened device.
#[derive(Debug)]
pub struct Context {
    pub(crate) libs: Libraries,
    raw: sys::CUcontext,
    device: sys::CUdevice,
    ordinal: usize,
    name: String,
    arch: (u32, u32),
    processors: u32,
    shared: u32,
    memory: u64,
}

// SAFETY: a context may be used from every thread on which it was made current, which `enter` does.
unsafe impl Send for Context {}
// SAFETY: as above; the driver locks its own state.
unsafe impl Sync for Context {}

impl Context {
    /// Opens device number `ordinal`, as the driver counts those that `CUDA_VISIBLE_DEVICES` leaves.
    ///
    /// # Errors
    /// No driver, one that is too old or does not start, no such device: each says what to do.
    pub fn open(env: &Environment, ordinal: usize) -> Result<Arc<Self>> {
        let libs = Libraries::open(env)?;
        let driver = libs.driver();
        let check = |call, status, what: &str| libs.check(Library::Driver, call, status, what);
        // SAFETY: the only flag that the driver takes is 0.
        let status = unsafe { call!(driver, sys::cuInit(0)) };
        if let Some(meaning) = meaning(status) {
            let path = driver.found().path.display();
            return Err(Error::Unusable(format!(
                "the driver {path} does not work: `cuInit` failed with code {status}: {meaning}"
            )));
        }
        check("cuInit", status, "starting the driver")?;
        let mut version = 0;
        // SAFETY: writes one int.
        let status = unsafe { call!(driver, sys::cuDriverGetVersion(&mut version)) };
        check("cuDriverGetVersion", status, "the driver's version")?;
        let served = Version::from_cuda(version.max(0) as u32);
        if served < OLDEST_CUDA {
            return Err(Error::Unusable(format!(
                "the driver {} is too old: it serves CUDA {served}, and CUDA {OLDEST_CUDA} is needed; update it",
                driver.found().path.display()
            )));
        }
        let mut count = 0;
        // SAFETY: writes one int.
        let status = unsafe { call!(driver, sys::cuDeviceGetCount(&mut count)) };
        check("cuDeviceGetCount", status, "counting devices")?;
        if ordinal as i64 >= i64::from(count) {
            return Err(Error::Unusable(match count {
                0 => no_device(),
                1 => format!("there is no cuda:{ordinal}: the driver shows one device, cuda:0"),
                n => format!(
                    "there is no cuda:{ordinal}: the driver shows {n} devices, cuda:0 to cuda:{}",
                    n - 1
                ),
            }));
        }
        let mut device = 0;
        // SAFETY: writes one handle; the ordinal is below the count.
        let status = unsafe { call!(driver, sys::cuDeviceGet(&mut device, ordinal as c_int)) };
        check("cuDeviceGet", status, "opening the device")?;

        let mut text = [0 as c_char; 256];
        // SAFETY: writes at most the length given, a final zero included.
        let status = unsafe { call!(driver, sys::cuDeviceGetName(text.as_mut_ptr(), 256, device)) };
        check("cuDeviceGetName", status, "the device's name")?;
        let name = text.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect();
        let attribute = |which: CUdevice_attribute| -> Result<u32> {
            let mut value = 0;
            // SAFETY: writes one int.
            let status = unsafe { call!(driver, sys::cuDeviceGetAttribute(&mut value, which, device)) };
            check("cuDeviceGetAttribute", status, "the device's properties")?;
            Ok(value.max(0) as u32)
        };
        let arch = (
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        let processors = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let shared = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let mut memory = 0;
        // SAFETY: writes one size.
        let status = unsafe { call!(driver, sys::cuDeviceTotalMem_v2(&mut memory, device)) };
        check("cuDeviceTotalMem_v2", status, "the device's memory")?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes one handle, given back on drop.
        let status = unsafe { call!(driver, sys::cuDevicePrimaryCtxRetain(&mut raw, device)) };
        check("cuDevicePrimaryCtxRetain", status, "opening the device's context")?;
        let memory = memory as u64;
        Ok(Arc::new(Self { libs, raw, device, ordinal, name, arch, processors, shared, memory }))
    }

    /// Makes the device the one that calls of this thread are for. Every call that needs it does this first.
    pub(crate) fn enter(&self) -> Result<()> {
        // SAFETY: the context is alive as long as `self`.
        let status = unsafe { call!(self.libs.driver(), sys::cuCtxSetCurrent(self.raw)) };
        self.check("cuCtxSetCurrent", status, "switching to the device")
    }

    /// An error unless a driver call's status is 0.
    pub(crate) fn check(&self, call: &'static str, status: c_int, what: &str) -> Result<()> {
        self.libs.check(Library::Driver, call, status, what)
    }

    /// Lets this thread take memory and load code although it records a graph, until the result is dropped.
    pub(crate) fn unrestricted(&self) -> Result<Unrestricted<'_>> {
        let mut mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: reads and writes one enum.
        let status = unsafe { call!(self.libs.driver(), sys::cuThreadExchangeStreamCaptureMode(&mut mode)) };
        self.check(
            "cuThreadExchangeStreamCaptureMode",
            status,
            "taking memory or loading code while a graph is recorded",
        )?;
        Ok(Unrestricted { context: self, before: mode })
    }

    /// Waits until everything that was started on the device is done.
    ///
    /// # Errors
    /// Whatever failed on the device since the last call.
    pub fn synchronize(&self) -> Result<()> {
        self.enter()?;
        // SAFETY: takes nothing.
        let status = unsafe { call!(self.libs.driver(), sys::cuCtxSynchronize()) };
        self.check("cuCtxSynchronize", status, "waiting for the device")
    }

    /// Free and total memory of the device in bytes, by the driver's account.
    ///
    /// # Errors
    /// Where the device does not answer.
    pub fn memory_info(&self) -> Result<(u64, u64)> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two sizes.
        let status = unsafe { call!(self.libs.driver(), sys::cuMemGetInfo_v2(&mut free, &mut total)) };
        self.check("cuMemGetInfo_v2", status, "asking for free memory")?;
        Ok((free as u64, total as u64))
    }

    /// Its number.
    pub fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// Its name, as the driver says it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Compute capability: major, minor.
    pub fn arch(&self) -> (u32, u32) {
        self.arch
    }

    /// Number of multiprocessors.
    pub fn processors(&self) -> u32 {
        self.processors
    }

    /// Shared memory that one block may use, in bytes.
    pub fn shared_memory(&self) -> u32 {
        self.shared
    }

    /// Memory in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }
}

/// See [`Context::unrestricted`].
#[derive(Debug)]
pub(crate) struct Unrestricted<'a> {
    context: &'a Context,
    before: CUstreamCaptureMode,
}

impl Drop for Unrestricted<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `unrestricted`.
        unsafe {
            call!(self.context.libs.driver(), sys::cuThreadExchangeStreamCaptureMode(&mut self.before))
        };
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once in `open`. At the end of the process the driver may be gone already, which it says by a
        // status that nobody can act on.
        unsafe { call!(self.libs.driver(), sys::cuDevicePrimaryCtxRelease_v2(self.device)) };
    }
}

fn no_device() -> String {
    "the driver works but shows no GPU: check `nvidia-smi` and CUDA_VISIBLE_DEVICES".to_owned()
}
