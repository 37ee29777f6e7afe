//! The code of our own kernels: from the program itself where it was built with nvcc, else from the disk cache, else
//! compiled by NVRTC for the device at hand (and cached).
//!
//! Sources are `kernels/<group>.cu`; a group is one module, loaded when its first kernel is asked for.

use std::collections::HashMap;
use std::ffi::{CString, c_int};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys;
use cudarc::nvrtc::sys as nvrtc;

use super::Context;
use crate::cache;
use crate::catalog::Library;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ffi::abi::call;

/// One `.cu` file.
#[derive(Debug)]
struct Source {
    group: &'static str,
    text: &'static str,
    /// Compiled by nvcc when the program was built.
    binary: Option<&'static [u8]>,
}

/// The folder `kernels`.
#[derive(Debug)]
struct Sources {
    /// Name and text of each `.cuh` file.
    headers: &'static [(&'static str, &'static str)],
    groups: &'static [Source],
}

const SOURCES: Sources = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// A kernel of a loaded module. Modules stay loaded as long as the [`Kernels`] that gave it, which its launches hold.
#[derive(Clone, Copy, Debug)]
pub struct Function(pub(super) sys::CUfunction);

// SAFETY: the driver takes a function handle from every thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// All kernels of one device.
#[derive(Debug)]
pub struct Kernels {
    context: Arc<Context>,
    folder: Option<PathBuf>,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    modules: HashMap<&'static str, Module>,
    functions: HashMap<String, Function>,
}

#[derive(Debug)]
struct Module(sys::CUmodule);

// SAFETY: the driver takes a module handle from every thread.
unsafe impl Send for Module {}

impl Kernels {
    /// Nothing loaded yet.
    pub fn new(context: &Arc<Context>, env: &Environment) -> Self {
        Self { context: context.clone(), folder: cache::folder(env, "kernels"), loaded: Mutex::default() }
    }

    /// The kernel `name` of `kernels/<group>.cu`.
    ///
    /// # Errors
    /// Where the code can not be had, naming the three ways tried, or the file has no such kernel.
    pub fn get(&self, group: &'static str, name: &str) -> Result<Function> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&function) = loaded.functions.get(name) {
            return Ok(function);
        }
        if !loaded.modules.contains_key(group) {
            let module = self.load(group)?;
            loaded.modules.insert(group, module);
        }
        let module = loaded.modules[group].0;
        let wanted =
            CString::new(name).map_err(|_| Error::Kernel(format!("{name:?} is no name of a kernel")))?;
        let mut raw = std::ptr::null_mut();
        self.context.enter()?;
        // Drivers that load lazily do it here.
        let _free_to = self.context.unrestricted()?;
        // SAFETY: writes one handle; module and name are alive.
        let status = unsafe {
            call!(self.context.libs.driver(), sys::cuModuleGetFunction(&mut raw, module, wanted.as_ptr()))
        };
        self.context.check(
            "cuModuleGetFunction",
            status,
            &format!("the kernel {name} of kernels/{group}.cu"),
        )?;
        loaded.functions.insert(name.to_owned(), Function(raw));
        Ok(Function(raw))
    }

    fn load(&self, group: &'static str) -> Result<Module> {
        let source = SOURCES.groups.iter().find(|s| s.group == group);
        let source = source.ok_or_else(|| Error::Kernel(format!("there is no file kernels/{group}.cu")))?;
        let mut tried = Vec::new();
        match source.binary.map(|binary| self.open(binary, group)) {
            Some(Ok(module)) => return Ok(module),
            Some(Err(e)) => tried.push(format!("the code built into the program: {e}")),
            None => tried.push("the program was built without nvcc, so no code is built in".to_owned()),
        }
        let (major, minor) = self.context.arch();
        let version = self.nvrtc_version();
        let release = version.as_ref().map_or("none".to_owned(), |(major, minor)| format!("{major}.{minor}"));
        let target = format!("sm_{major}{minor} nvrtc {release}");
        let texts = SOURCES.headers.iter().map(|(_, text)| *text).chain([source.text, &target]);
        let key = cache::hash(&texts.collect::<Vec<_>>());
        let file = self.folder.as_ref().map(|f| f.join(format!("{group}-{key:016x}.cubin")));
        match file.as_ref().map(std::fs::read) {
            Some(Ok(cubin)) => match self.open(&cubin, group) {
                Ok(module) => return Ok(module),
                Err(e) => tried.push(format!("the disk cache: {e}")),
            },
            Some(Err(_)) => tried.push(format!(
                "the disk cache: no {} yet",
                file.as_ref().map_or(String::new(), |f| f.display().to_string())
            )),
            None => {
                tried.push("the disk cache: no home folder to keep it in (DSNET_CACHE names one)".to_owned())
            }
        }
        match version.and_then(|_| self.compile(source)) {
            Ok(cubin) => {
                if let Some(file) = &file {
                    // A cache that can not be written costs time at the next start, nothing else.
                    let _ = cache::write(file, &cubin);
                }
                self.open(&cubin, group)
            }
            Err(e) => {
                tried.push(format!("NVRTC: {e}"));
                Err(Error::Kernel(format!(
                    "no code for the kernels of {group} on {} (sm_{major}{minor}). Tried:\n  - {}",
                    self.context.name(),
                    tried.join("\n  - ")
                )))
            }
        }
    }

    fn open(&self, image: &[u8], group: &str) -> Result<Module> {
        // The driver reads texts to a final zero; binaries know their length.
        let image = [image, &[0]].concat();
        let mut raw = std::ptr::null_mut();
        self.context.enter()?;
        // A kernel may be used first by work that is recorded; older drivers load no code then unless they are told to.
        let _free_to = self.context.unrestricted()?;
        // SAFETY: writes one handle, unloaded on drop; the image is read before the call returns.
        let status = unsafe {
            call!(self.context.libs.driver(), sys::cuModuleLoadData(&mut raw, image.as_ptr().cast()))
        };
        self.context.check("cuModuleLoadData", status, &format!("loading the kernels of {group}"))?;
        Ok(Module(raw))
    }

    fn nvrtc_version(&self) -> Result<(c_int, c_int)> {
        let table = self.context.libs.nvrtc()?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: writes two ints.
        let status = unsafe { call!(table, nvrtc::nvrtcVersion(&mut major, &mut minor)) };
        self.check("nvrtcVersion", status, "NVRTC's version")?;
        Ok((major, minor))
    }

    fn compile(&self, source: &Source) -> Result<Vec<u8>> {
        let table = self.context.libs.nvrtc()?;
        let c =
            |text: &str| CString::new(text).map_err(|_| Error::Kernel("a source has a zero byte".to_owned()));
        let (text, name) = (c(source.text)?, c(&format!("{}.cu", source.group))?);
        let headers = SOURCES.headers.iter().map(|(_, text)| c(text)).collect::<Result<Vec<_>>>()?;
        let names = SOURCES.headers.iter().map(|(name, _)| c(name)).collect::<Result<Vec<_>>>()?;
        let pointers = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).collect::<Vec<_>>();
        let (headers_at, names_at) = (pointers(&headers), pointers(&names));
        let what = format!("compiling kernels/{}.cu", source.group);
        let mut program = std::ptr::null_mut();
        // SAFETY: all texts end with a zero and outlive the call; writes one handle, destroyed below.
        let status = unsafe {
            call!(
                table,
                nvrtc::nvrtcCreateProgram(
                    &mut program,
                    text.as_ptr(),
                    name.as_ptr(),
                    headers.len() as c_int,
                    headers_at.as_ptr(),
                    names_at.as_ptr()
                )
            )
        };
        self.check("nvrtcCreateProgram", status, &what)?;
        let program = Program { kernels: self, raw: program };
        let (major, minor) = self.context.arch();
        let options =
            [c(&format!("--gpu-architecture=sm_{major}{minor}"))?, c("--std=c++17")?, c("--fmad=false")?];
        let options_at = pointers(&options);
        // SAFETY: the program is alive, and as many options are given as counted.
        let status = unsafe {
            call!(table, nvrtc::nvrtcCompileProgram(program.raw, options.len() as c_int, options_at.as_ptr()))
        };
        if let Err(e) = self.check("nvrtcCompileProgram", status, &what) {
            return Err(Error::Kernel(format!("{e}\n{}", program.log()?)));
        }
        let mut len = 0;
        // SAFETY: writes one size.
        let status = unsafe { call!(table, nvrtc::nvrtcGetCUBINSize(program.raw, &mut len)) };
        self.check("nvrtcGetCUBINSize", status, &what)?;
        let mut cubin = vec![0_u8; len];
        // SAFETY: writes as many bytes as it said.
        let status = unsafe { call!(table, nvrtc::nvrtcGetCUBIN(program.raw, cubin.as_mut_ptr().cast())) };
        self.check("nvrtcGetCUBIN", status, &what)?;
        Ok(cubin)
    }

    fn check(&self, call: &'static str, status: c_int, what: &str) -> Result<()> {
        self.context.libs.check(Library::Nvrtc, call, status, what)
    }

    /// The groups that there are: the names of the files in `kernels/`.
    pub fn groups() -> impl Iterator<Item = &'static str> {
        SOURCES.groups.iter().map(|s| s.group)
    }
}

struct Program<'a> {
    kernels: &'a Kernels,
    raw: nvrtc::nvrtcProgram,
}

impl Program<'_> {
    /// What the compiler said.
    fn log(&self) -> Result<String> {
        let table = self.kernels.context.libs.nvrtc()?;
        let mut len = 0;
        // SAFETY: writes one size.
        let status = unsafe { call!(table, nvrtc::nvrtcGetProgramLogSize(self.raw, &mut len)) };
        self.kernels.check("nvrtcGetProgramLogSize", status, "reading the compiler's messages")?;
        let mut log = vec![0_u8; len];
        // SAFETY: writes as many bytes as it said, a final zero included.
        let status = unsafe { call!(table, nvrtc::nvrtcGetProgramLog(self.raw, log.as_mut_ptr().cast())) };
        self.kernels.check("nvrtcGetProgramLog", status, "reading the compiler's messages")?;
        Ok(String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned())
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        if let Ok(table) = self.kernels.context.libs.nvrtc() {
            // SAFETY: made in `compile`.
            unsafe { call!(table, nvrtc::nvrtcDestroyProgram(&mut self.raw)) };
        }
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        let _ = self.context.enter();
        let loaded = self.loaded.get_mut().unwrap_or_else(PoisonError::into_inner);
        for module in loaded.modules.values() {
            // SAFETY: loaded in `open`; every launch that used it holds this value.
            unsafe { call!(self.context.libs.driver(), sys::cuModuleUnload(module.0)) };
        }
    }
}
