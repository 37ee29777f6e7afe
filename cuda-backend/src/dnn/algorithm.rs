//! cuDNN's algorithms, and its answers when it is asked for them.

use std::mem::MaybeUninit;

use cudarc::cudnn::sys::{
    self, cudnnConvolutionBwdDataAlgo_t as DataAlgo, cudnnConvolutionBwdFilterAlgo_t as FilterAlgo,
    cudnnConvolutionFwdAlgo_t as ForwardAlgo, cudnnMathType_t,
};

use super::Direction;

/// An algorithm, the arithmetic that it was measured in, and the memory that it needs so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub algorithm: Algorithm,
    pub math: cudnnMathType_t,
    pub workspace: usize,
}

impl Choice {
    /// Whether it is the same way of doing a problem.
    pub fn is(&self, other: &Self) -> bool {
        (self.algorithm, self.math) == (other.algorithm, other.math)
    }
}

/// One way of doing one of the directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Forward(ForwardAlgo),
    Data(DataAlgo),
    Filter(FilterAlgo),
}

/// One answer of cuDNN, as integers: a newer library may name algorithms that the bindings lack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub number: u32,
    pub status: u32,
    pub math: u32,
    pub deterministic: bool,
}

macro_rules! answers {
    ($perf:ident) => {
        impl From<&MaybeUninit<sys::$perf>> for Answer {
            fn from(perf: &MaybeUninit<sys::$perf>) -> Self {
                let at = perf.as_ptr();
                // SAFETY: zeroed before cuDNN wrote it; its enums have four bytes and are read as integers.
                unsafe {
                    Self {
                        number: (&raw const (*at).algo).cast::<u32>().read(),
                        status: (&raw const (*at).status).cast::<u32>().read(),
                        math: (&raw const (*at).mathType).cast::<u32>().read(),
                        deterministic: (&raw const (*at).determinism).cast::<u32>().read()
                            == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC as u32,
                    }
                }
            }
        }
    };
}
answers!(cudnnConvolutionFwdAlgoPerf_t);
answers!(cudnnConvolutionBwdDataAlgoPerf_t);
answers!(cudnnConvolutionBwdFilterAlgoPerf_t);

impl Algorithm {
    /// The algorithm of a number; none for one that these bindings lack.
    pub fn from_number(direction: Direction, number: u32) -> Option<Self> {
        Some(match direction {
            Direction::Forward => Self::Forward(match number {
                0 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
                1 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                2 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
                3 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
                4 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_FFT,
                5 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
                6 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
                7 => ForwardAlgo::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
                _ => return None,
            }),
            Direction::Data => Self::Data(match number {
                0 => DataAlgo::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
                1 => DataAlgo::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
                2 => DataAlgo::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
                3 => DataAlgo::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
                4 => DataAlgo::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
                5 => DataAlgo::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
                _ => return None,
            }),
            Direction::Filter => Self::Filter(match number {
                0 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
                1 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
                2 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
                3 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
                4 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
                5 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
                6 => FilterAlgo::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
                _ => return None,
            }),
        })
    }

    /// cuDNN's number of it.
    pub fn number(self) -> u32 {
        match self {
            Self::Forward(algo) => algo as u32,
            Self::Data(algo) => algo as u32,
            Self::Filter(algo) => algo as u32,
        }
    }
}

/// The arithmetic of a number.
pub(super) fn math_from(number: u32) -> Option<cudnnMathType_t> {
    use cudnnMathType_t::{
        CUDNN_DEFAULT_MATH, CUDNN_FMA_MATH, CUDNN_TENSOR_OP_MATH, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
    };
    let all =
        [CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, CUDNN_FMA_MATH];
    all.into_iter().find(|math| *math as u32 == number)
}
