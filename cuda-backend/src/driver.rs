//! The driver: whether it starts, which CUDA it serves, and the devices it shows.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::PathBuf;

use crate::catalog::Library;
use crate::environment::Environment;
use crate::locate::{Missing, locate};
use crate::version::Version;

/// The oldest CUDA release a driver must serve.
pub const OLDEST_CUDA: Version = Version { major: 12, minor: 0, patch: 0 };

/// What was found of the driver.
#[derive(Debug)]
pub enum Driver {
    /// No `libcuda` anywhere.
    Missing {
        /// Where it was sought.
        missing: Missing,
        /// The kernel module's version line, if one is loaded all the same.
        kernel_module: Option<String>,
    },
    /// The library is there, but a call fails.
    Failed {
        /// The library.
        path: PathBuf,
        /// The call that failed.
        call: &'static str,
        /// The driver's code; `None` where the library lacks the function.
        code: Option<i32>,
        /// What that means and what to do.
        meaning: String,
    },
    /// It works.
    Present {
        /// The library.
        path: PathBuf,
        /// The newest CUDA release it serves.
        cuda: Version,
        /// Its devices, in its order. May be empty.
        devices: Vec<Device>,
    },
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Compute capability.
    pub capability: (u32, u32),
    /// Memory in bytes.
    pub memory: u64,
}

const MAJOR: c_int = 75;
const MINOR: c_int = 76;

/// Opens the driver, starts it and asks for its devices.
pub fn probe(env: &Environment) -> Driver {
    let found = match locate(Library::Driver, env) {
        Ok(found) => found,
        Err(missing) => return Driver::Missing { missing, kernel_module: env.kernel_module() },
    };
    let calls = Calls { found: &found };
    match calls.ask() {
        Ok((cuda, devices)) => Driver::Present { path: found.path, cuda, devices },
        // No device is an answer, not a fault of the driver.
        Err(Failure { code: Some(100), .. }) => match calls.cuda() {
            Ok(cuda) => Driver::Present { path: found.path, cuda, devices: Vec::new() },
            Err(f) => f.into_driver(found.path),
        },
        Err(f) => f.into_driver(found.path),
    }
}

struct Failure {
    call: &'static str,
    code: Option<i32>,
    text: String,
}

impl Failure {
    fn into_driver(self, path: PathBuf) -> Driver {
        let meaning = match self.code {
            None => "the file has no such function, so it is not NVIDIA's driver library".to_owned(),
            Some(code) => meaning(code).map_or(self.text, str::to_owned),
        };
        Driver::Failed { path, call: self.call, code: self.code, meaning }
    }
}

/// What a code of `cuInit` means that its own text leaves unsaid, and what to do.
pub(crate) fn meaning(code: c_int) -> Option<&'static str> {
    Some(match code {
        34 => {
            "this is the toolkit's stub for linking, not the driver: take `stubs` folders out of the search path and install \
             the driver"
        }
        100 => "the driver works but shows no GPU: check `nvidia-smi` and CUDA_VISIBLE_DEVICES",
        802 => "the system is not ready: on machines with NVSwitch, start nvidia-fabricmanager",
        803 => {
            "library and kernel module of the driver are of different versions: reboot after the update, or in a container \
             use the host's library"
        }
        804 => "forward compatibility is not supported on this GPU: use the driver's own libcuda",
        999 => {
            "the driver cannot reach its kernel module: check that `nvidia-smi` works; after a suspend, reload nvidia_uvm"
        }
        _ => return None,
    })
}

struct Calls<'a> {
    found: &'a crate::locate::Found,
}

impl Calls<'_> {
    fn ask(&self) -> Result<(Version, Vec<Device>), Failure> {
        let init: unsafe extern "C" fn(c_uint) -> c_int = self.get("cuInit")?;
        // SAFETY: the only flag the driver accepts is 0.
        self.check("cuInit", unsafe { init(0) })?;
        let cuda = self.cuda()?;
        let count: unsafe extern "C" fn(*mut c_int) -> c_int = self.get("cuDeviceGetCount")?;
        let mut n = 0;
        // SAFETY: writes one int.
        self.check("cuDeviceGetCount", unsafe { count(&mut n) })?;
        Ok((cuda, (0..n).map(|i| self.device(i)).collect::<Result<_, _>>()?))
    }

    fn cuda(&self) -> Result<Version, Failure> {
        let version: unsafe extern "C" fn(*mut c_int) -> c_int = self.get("cuDriverGetVersion")?;
        let mut v = 0;
        // SAFETY: writes one int.
        self.check("cuDriverGetVersion", unsafe { version(&mut v) })?;
        Ok(Version::from_cuda(v.max(0) as u32))
    }

    fn device(&self, ordinal: c_int) -> Result<Device, Failure> {
        let get: unsafe extern "C" fn(*mut c_int, c_int) -> c_int = self.get("cuDeviceGet")?;
        let mut handle = 0;
        // SAFETY: writes one handle, which is an int.
        self.check("cuDeviceGet", unsafe { get(&mut handle, ordinal) })?;

        let name: unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int = self.get("cuDeviceGetName")?;
        let mut text = [0 as c_char; 256];
        // SAFETY: writes at most the length given; the last byte is kept back, so the text ends with a zero in any case.
        self.check("cuDeviceGetName", unsafe { name(text.as_mut_ptr(), 255, handle) })?;
        // SAFETY: `text` is zero-terminated and outlives the borrow.
        let name = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();

        let attribute: unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int =
            self.get("cuDeviceGetAttribute")?;
        let mut capability = [0; 2];
        for (slot, which) in capability.iter_mut().zip([MAJOR, MINOR]) {
            // SAFETY: writes one int.
            self.check("cuDeviceGetAttribute", unsafe { attribute(slot, which, handle) })?;
        }

        let memory: unsafe extern "C" fn(*mut usize, c_int) -> c_int = self.get("cuDeviceTotalMem_v2")?;
        let mut bytes = 0usize;
        // SAFETY: writes one size_t.
        self.check("cuDeviceTotalMem_v2", unsafe { memory(&mut bytes, handle) })?;
        let [major, minor] = capability.map(|v| v.max(0) as u32);
        Ok(Device { name, capability: (major, minor), memory: bytes as u64 })
    }

    fn get<F: Copy>(&self, call: &'static str) -> Result<F, Failure> {
        // SAFETY: each use above gives the type that the driver's header declares.
        unsafe { self.found.function(call) }.ok_or(Failure { call, code: None, text: String::new() })
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<(), Failure> {
        if code == 0 { Ok(()) } else { Err(Failure { call, code: Some(code), text: self.words(code) }) }
    }

    /// The driver's own text for a code.
    fn words(&self, code: c_int) -> String {
        type Text = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
        let Ok(text) = self.get::<Text>("cuGetErrorString") else { return format!("code {code}") };
        let mut words = std::ptr::null();
        // SAFETY: writes one pointer to a constant text, or null for an unknown code.
        let known = unsafe { text(code, &mut words) } == 0 && !words.is_null();
        if !known {
            return format!("code {code}");
        }
        // SAFETY: not null, and the driver's texts live as long as the driver, which is never closed.
        unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
    }
}
