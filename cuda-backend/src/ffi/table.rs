//! The functions that the backend uses of each library, looked up once.

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use super::abi::Symbol;
use crate::catalog::Library;
use crate::environment::Environment;
use crate::error::{Code, Error, Result};
use crate::locate::{Found, locate};

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident of $library:ident { $($function:ident)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[allow(non_snake_case)]
        pub(crate) struct $table { found: Found, $(pub $function: Symbol,)* }

        #[allow(non_snake_case)]
        impl $table {
            /// Every function of the list, or an error that names the first one missing.
            fn open(env: &Environment) -> Result<Self> {
                let found = locate(Library::$library, env)?;
                $(let $function = symbol(&found, stringify!($function))?;)*
                Ok(Self { found, $($function,)* })
            }

            /// The opened library.
            pub fn found(&self) -> &Found {
                &self.found
            }
        }
    )*};
}

tables! {
    /// The driver.
    DriverTable of Driver {
        cuInit cuDriverGetVersion cuDeviceGetCount cuDeviceGet cuDeviceGetName cuDeviceGetAttribute cuDeviceTotalMem_v2
        cuDevicePrimaryCtxRetain cuDevicePrimaryCtxRelease_v2 cuCtxSetCurrent cuCtxSynchronize
        cuStreamCreateWithPriority cuStreamDestroy_v2 cuStreamSynchronize cuStreamWaitEvent
        cuStreamBeginCapture_v2 cuStreamEndCapture cuThreadExchangeStreamCaptureMode
        cuGraphInstantiateWithFlags cuGraphLaunch cuGraphDestroy cuGraphExecDestroy
        cuEventCreate cuEventDestroy_v2 cuEventRecord cuEventQuery cuEventSynchronize cuEventElapsedTime
        cuMemAlloc_v2 cuMemFree_v2 cuMemGetInfo_v2 cuMemHostAlloc cuMemFreeHost
        cuMemcpyHtoDAsync_v2 cuMemcpyDtoH_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoDAsync_v2 cuMemsetD8Async
        cuModuleLoadData cuModuleUnload cuModuleGetFunction cuLaunchKernel
    }
    /// The run-time compiler.
    NvrtcTable of Nvrtc {
        nvrtcVersion nvrtcCreateProgram nvrtcDestroyProgram nvrtcCompileProgram nvrtcGetCUBINSize nvrtcGetCUBIN
        nvrtcGetProgramLogSize nvrtcGetProgramLog
    }
    /// Matrix products.
    CublasLtTable of CublasLt {
        cublasLtCreate cublasLtDestroy cublasLtMatmul cublasLtMatmulDescCreate cublasLtMatmulDescDestroy
        cublasLtMatmulDescSetAttribute cublasLtMatrixLayoutCreate cublasLtMatrixLayoutDestroy
        cublasLtMatrixLayoutSetAttribute cublasLtMatmulPreferenceCreate cublasLtMatmulPreferenceDestroy
        cublasLtMatmulPreferenceSetAttribute cublasLtMatmulAlgoGetHeuristic
    }
    /// Convolutions.
    CudnnTable of Cudnn {
        cudnnCreate cudnnDestroy cudnnSetStream
        cudnnCreateTensorDescriptor cudnnDestroyTensorDescriptor cudnnSetTensor4dDescriptorEx
        cudnnCreateFilterDescriptor cudnnDestroyFilterDescriptor cudnnSetFilter4dDescriptor
        cudnnCreateConvolutionDescriptor cudnnDestroyConvolutionDescriptor cudnnSetConvolution2dDescriptor
        cudnnSetConvolutionGroupCount cudnnSetConvolutionMathType
        cudnnCreateActivationDescriptor cudnnDestroyActivationDescriptor cudnnSetActivationDescriptor
        cudnnFindConvolutionForwardAlgorithmEx cudnnFindConvolutionBackwardDataAlgorithmEx
        cudnnFindConvolutionBackwardFilterAlgorithmEx
        cudnnGetConvolutionForwardWorkspaceSize cudnnGetConvolutionBackwardDataWorkspaceSize
        cudnnGetConvolutionBackwardFilterWorkspaceSize
        cudnnConvolutionForward cudnnConvolutionBackwardData cudnnConvolutionBackwardFilter
        cudnnConvolutionBiasActivationForward
    }
    /// Collectives.
    NcclTable of Nccl {
        ncclGetVersion ncclGetUniqueId ncclCommInitRank ncclCommDestroy ncclCommAbort ncclCommGetAsyncError
        ncclAllReduce ncclBroadcast
    }
}

fn symbol(found: &Found, name: &'static str) -> Result<Symbol> {
    // SAFETY: only the address is taken here; `Signature::at` gives it the type of the binding of the same name.
    let address = unsafe { found.function::<*const std::ffi::c_void>(name) };
    address.map(Symbol).ok_or_else(|| Error::Symbol {
        library: found.library,
        path: found.path.clone(),
        symbol: name,
    })
}

/// The libraries, each opened when first asked for. The driver comes first: without it there is nothing to do.
#[derive(Debug)]
pub(crate) struct Libraries {
    env: Environment,
    driver: DriverTable,
    nvrtc: OnceLock<Result<NvrtcTable>>,
    cublas_lt: OnceLock<Result<CublasLtTable>>,
    cudnn: OnceLock<Result<CudnnTable>>,
    nccl: OnceLock<Result<NcclTable>>,
}

impl Libraries {
    /// Opens the driver.
    pub fn open(env: &Environment) -> Result<Self> {
        Ok(Self {
            driver: DriverTable::open(env)?,
            env: env.clone(),
            nvrtc: OnceLock::new(),
            cublas_lt: OnceLock::new(),
            cudnn: OnceLock::new(),
            nccl: OnceLock::new(),
        })
    }

    /// The driver.
    pub fn driver(&self) -> &DriverTable {
        &self.driver
    }

    /// The run-time compiler. Its built-ins are opened before it, where they are found: it asks for them by name.
    pub fn nvrtc(&self) -> Result<&NvrtcTable> {
        let open = || {
            // NVRTC's own folder serves where ours finds nothing, so a failure here is no error yet.
            let _ = locate(Library::NvrtcBuiltins, &self.env);
            NvrtcTable::open(&self.env)
        };
        self.nvrtc.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// Matrix products.
    pub fn cublas_lt(&self) -> Result<&CublasLtTable> {
        self.cublas_lt.get_or_init(|| CublasLtTable::open(&self.env)).as_ref().map_err(Clone::clone)
    }

    /// Convolutions. cuBLAS and NVRTC, which it resolves by name, are opened before it.
    pub fn cudnn(&self) -> Result<&CudnnTable> {
        let open = || {
            for first in [Library::NvrtcBuiltins, Library::Nvrtc, Library::CublasLt, Library::Cublas] {
                // Where one is needed and missing, opening cuDNN fails in the loader's own words.
                let _ = locate(first, &self.env);
            }
            CudnnTable::open(&self.env)
        };
        self.cudnn.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// Collectives.
    pub fn nccl(&self) -> Result<&NcclTable> {
        self.nccl.get_or_init(|| NcclTable::open(&self.env)).as_ref().map_err(Clone::clone)
    }

    /// An error unless `status` is 0; `what` tells what the call was for.
    pub fn check(&self, library: Library, call: &'static str, status: c_int, what: &str) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let (name, text) = self.words(library, status);
        Err(Error::Call(Box::new(Code { call, code: status, name, text, what: what.to_owned() })))
    }

    /// The library's own name and text for a status code; empty where it has none.
    fn words(&self, library: Library, status: c_int) -> (String, String) {
        type Returns = unsafe extern "C" fn(c_int) -> *const c_char;
        type Writes = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
        let returned = |found: &Found, name: &str| {
            // SAFETY: cuDNN, cuBLASLt, NVRTC and NCCL declare these as `const char *(status)`.
            let f = unsafe { found.function::<Returns>(name) };
            // SAFETY: takes any status and returns a constant text or null.
            f.map_or(String::new(), |f| text(unsafe { f(status) }))
        };
        let written = |name: &str| {
            // SAFETY: the driver declares both as `CUresult (CUresult, const char **)`.
            let Some(f) = (unsafe { self.driver.found.function::<Writes>(name) }) else {
                return String::new();
            };
            let mut words = std::ptr::null();
            // SAFETY: writes one pointer, null for an unknown code.
            unsafe { f(status, &mut words) };
            text(words)
        };
        let table = |found: Option<&Found>, name: &str| found.map_or(String::new(), |f| returned(f, name));
        match library {
            Library::Driver => (written("cuGetErrorName"), written("cuGetErrorString")),
            Library::Nvrtc | Library::NvrtcBuiltins => {
                (String::new(), table(self.nvrtc().ok().map(NvrtcTable::found), "nvrtcGetErrorString"))
            }
            Library::CublasLt | Library::Cublas => {
                let found = self.cublas_lt().ok().map(CublasLtTable::found);
                (table(found, "cublasLtGetStatusName"), table(found, "cublasLtGetStatusString"))
            }
            Library::Cudnn => {
                (String::new(), table(self.cudnn().ok().map(CudnnTable::found), "cudnnGetErrorString"))
            }
            Library::Nccl => {
                (String::new(), table(self.nccl().ok().map(NcclTable::found), "ncclGetErrorString"))
            }
        }
    }
}

fn text(words: *const c_char) -> String {
    if words.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the libraries' texts are constants of libraries that are never closed.
    unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
}
