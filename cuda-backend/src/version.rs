//! Asking an opened library for its version, with the one call each offers that needs no GPU.

use std::ffi::c_int;

use crate::catalog::Library;
use crate::locate::Found;

/// A library's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major release.
    pub major: u32,
    /// Minor release.
    pub minor: u32,
    /// Patch level, 0 where the library does not tell.
    pub patch: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

impl Version {
    /// From the driver's and NVRTC's way of counting: 13020 is 13.2.
    pub(crate) fn from_cuda(v: u32) -> Self {
        Self { major: v / 1000, minor: v % 1000 / 10, patch: 0 }
    }

    /// From one number in which a major release counts `major` and a minor one `minor`: 91900 with 10,000 and 100 is 9.19.0.
    fn from_packed(v: u64, major: u64, minor: u64) -> Self {
        Self { major: (v / major) as u32, minor: (v % major / minor) as u32, patch: (v % minor) as u32 }
    }
}

/// The library's version; `Ok(None)` for one that cannot be asked (NVRTC's built-ins; the driver, which
/// [`driver::probe`](crate::driver::probe) asks after initialising it).
///
/// # Errors
/// A sentence naming the call that is missing or failed: the file is then not the library that its name says, or a broken one.
pub fn version(found: &Found) -> Result<Option<Version>, String> {
    match found.library {
        Library::Driver | Library::NvrtcBuiltins => Ok(None),
        Library::Nvrtc => nvrtc(found).map(Some),
        Library::CublasLt => properties(found, "cublasLtGetProperty").map(Some),
        Library::Cublas => properties(found, "cublasGetProperty").map(Some),
        Library::Cudnn => {
            let f = call::<unsafe extern "C" fn() -> usize>(found, "cudnnGetVersion")?;
            // SAFETY: the function takes nothing and returns the packed version.
            let v = unsafe { f() } as u64;
            // cuDNN 9 counts 90100 for 9.1.0; before, 8905 for 8.9.5.
            let (major, minor) = if v >= 10_000 { (10_000, 100) } else { (1000, 100) };
            Ok(Some(Version::from_packed(v, major, minor)))
        }
        Library::Nccl => {
            let f = call::<unsafe extern "C" fn(*mut c_int) -> c_int>(found, "ncclGetVersion")?;
            let mut v = 0;
            // SAFETY: the function writes one int.
            status("ncclGetVersion", unsafe { f(&mut v) })?;
            // From 2.9 on 21805 for 2.18.5; before, 2708 for 2.7.8.
            let (major, minor) = if v >= 10_000 { (10_000, 100) } else { (1000, 100) };
            Ok(Some(Version::from_packed(v.max(0) as u64, major, minor)))
        }
    }
}

fn nvrtc(found: &Found) -> Result<Version, String> {
    let f = call::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>(found, "nvrtcVersion")?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the function writes two ints.
    status("nvrtcVersion", unsafe { f(&mut major, &mut minor) })?;
    Ok(Version { major: major.max(0) as u32, minor: minor.max(0) as u32, patch: 0 })
}

/// Major, minor and patch one by one, as the two cuBLAS libraries tell them.
fn properties(found: &Found, name: &str) -> Result<Version, String> {
    let f = call::<unsafe extern "C" fn(c_int, *mut c_int) -> c_int>(found, name)?;
    let mut parts = [0; 3];
    for (which, part) in parts.iter_mut().enumerate() {
        // SAFETY: the function writes one int; 0, 1 and 2 ask for major, minor and patch.
        status(name, unsafe { f(which as c_int, part) })?;
    }
    let [major, minor, patch] = parts.map(|p| p.max(0) as u32);
    Ok(Version { major, minor, patch })
}

fn call<F: Copy>(found: &Found, name: &str) -> Result<F, String> {
    // SAFETY: every use above names the function's C type as its header declares it.
    unsafe { found.function(name) }
        .ok_or_else(|| format!("it has no function `{name}`: not a usable {}", found.library.name()))
}

fn status(name: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("`{name}` failed with code {code}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers() {
        assert_eq!(Version::from_cuda(13020).to_string(), "13.2");
        assert_eq!(Version::from_packed(91_900, 10_000, 100).to_string(), "9.19");
        assert_eq!(Version::from_packed(22_803, 10_000, 100).to_string(), "2.28.3");
        assert_eq!(Version::from_packed(8905, 1000, 100).to_string(), "8.9.5");
    }
}
