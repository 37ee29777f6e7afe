//! The NVIDIA libraries in the order they must be opened: each after those it resolves by name.

/// A library that the CUDA backend opens at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Library {
    /// The driver (`libcuda`), which comes with the graphics driver and never from a package of libraries.
    Driver,
    /// Built-in headers of the run-time compiler.
    NvrtcBuiltins,
    /// The run-time compiler.
    Nvrtc,
    /// Matrix products with fused epilogues; cuBLAS stands on it.
    CublasLt,
    /// Matrix products.
    Cublas,
    /// Convolutions.
    Cudnn,
    /// Collectives between GPUs.
    Nccl,
}

impl Library {
    /// Every library but the driver, in loading order.
    pub const LIBRARIES: [Library; 6] = [
        Library::NvrtcBuiltins,
        Library::Nvrtc,
        Library::CublasLt,
        Library::Cublas,
        Library::Cudnn,
        Library::Nccl,
    ];

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Library::Driver => "NVIDIA driver",
            Library::NvrtcBuiltins => "NVRTC built-ins",
            Library::Nvrtc => "NVRTC",
            Library::CublasLt => "cuBLASLt",
            Library::Cublas => "cuBLAS",
            Library::Cudnn => "cuDNN",
            Library::Nccl => "NCCL",
        }
    }

    /// File name without its version; installed files are called this, or this followed by `.13`, `.13.0.2` and the like.
    pub fn stem(self) -> &'static str {
        match self {
            Library::Driver => "libcuda.so",
            Library::NvrtcBuiltins => "libnvrtc-builtins.so",
            Library::Nvrtc => "libnvrtc.so",
            Library::CublasLt => "libcublasLt.so",
            Library::Cublas => "libcublas.so",
            Library::Cudnn => "libcudnn.so",
            Library::Nccl => "libnccl.so",
        }
    }

    /// Names given to the dynamic loader, newest release first. The plain stem is left out: it belongs to development
    /// packages and may be of any release.
    pub fn sonames(self) -> &'static [&'static str] {
        match self {
            Library::Driver => &["libcuda.so.1"],
            Library::NvrtcBuiltins => &[
                "libnvrtc-builtins.so.13.2",
                "libnvrtc-builtins.so.13.1",
                "libnvrtc-builtins.so.13.0",
                "libnvrtc-builtins.so.12.9",
                "libnvrtc-builtins.so.12.8",
            ],
            Library::Nvrtc => &["libnvrtc.so.13", "libnvrtc.so.12"],
            Library::CublasLt => &["libcublasLt.so.13", "libcublasLt.so.12"],
            Library::Cublas => &["libcublas.so.13", "libcublas.so.12"],
            Library::Cudnn => &["libcudnn.so.9"],
            Library::Nccl => &["libnccl.so.2"],
        }
    }

    /// What to install when the library is missing.
    pub fn advice(self) -> &'static str {
        match self {
            Library::Driver => {
                "install NVIDIA's driver for this system (580 or newer for CUDA 13) and check that `nvidia-smi` lists the \
                 GPU; in a container, start it with the NVIDIA container toolkit (`--gpus all`)"
            }
            Library::NvrtcBuiltins | Library::Nvrtc => {
                "install the CUDA toolkit's NVRTC, for example `pip install nvidia-cuda-nvrtc` into a virtual environment"
            }
            Library::CublasLt | Library::Cublas => {
                "install the CUDA toolkit's cuBLAS, for example `pip install nvidia-cublas` into a virtual environment"
            }
            Library::Cudnn => {
                "install cuDNN 9, for example `pip install nvidia-cudnn-cu13` into a virtual environment"
            }
            Library::Nccl => {
                "install NCCL 2 (needed for several GPUs only), for example `pip install nvidia-nccl-cu13` into a virtual \
                 environment"
            }
        }
    }

    /// Whether one GPU can be used without it.
    pub fn optional(self) -> bool {
        match self {
            Library::Nccl => true,
            Library::Driver
            | Library::NvrtcBuiltins
            | Library::Nvrtc
            | Library::CublasLt
            | Library::Cublas
            | Library::Cudnn => false,
        }
    }
}
