//! Which algorithm does a problem: the fastest deterministic one, measured by cuDNN, remembered on disk.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use cudarc::cudnn::sys::{
    self, cudnnConvolutionBwdDataAlgo_t as DataAlgo, cudnnConvolutionBwdFilterAlgo_t as FilterAlgo,
    cudnnConvolutionFwdAlgo_t as ForwardAlgo,
};

use super::descriptor::Descriptors;
use super::run::Operands;
use super::{Direction, Dnn, Problem};
use crate::cache;
use crate::error::{Error, Result};
use crate::ffi::abi::call;
use crate::memory::Pool;

/// How many answers are asked for.
const ANSWERS: usize = 8;
/// The most memory that trials may use, in bytes.
const TRIAL_MEMORY: usize = 256 << 20;
/// What that memory is for.
const TRIALS: &str = "trials of convolution algorithms";

/// An algorithm and the memory that it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub algorithm: Algorithm,
    pub workspace: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Algorithm {
    Forward(ForwardAlgo),
    Data(DataAlgo),
    Filter(FilterAlgo),
}

/// One answer of cuDNN, as integers: a newer library may name algorithms that the bindings lack.
#[derive(Debug, Clone, Copy)]
struct Answer {
    number: u32,
    status: u32,
    deterministic: bool,
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
    fn from_number(direction: Direction, number: u32) -> Option<Self> {
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
}

impl Dnn {
    /// The algorithm for `problem`, whose operands serve for trials: the result is overwritten.
    pub(super) fn choose(
        &self,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
        operands: Operands,
        pool: &std::sync::Arc<Pool>,
    ) -> Result<Choice> {
        let (major, minor) = self.context.arch();
        let key = format!(
            "{} on {} sm_{major}{minor} cudnn {}",
            problem.text(),
            self.context.name(),
            self.version()
        );
        let file = self.folder.as_ref().map(|f| f.join(format!("{:016x}.txt", cache::hash(&[&key]))));
        let known = file.as_ref().and_then(|f| std::fs::read_to_string(f).ok());
        let known = known.and_then(|text| {
            let (number, of) = text.split_once(' ')?;
            let number = number.parse().ok()?;
            (of.trim_end() == key).then_some(number)
        });
        if let Some(number) = known
            && let Some(algorithm) = Algorithm::from_number(problem.direction, number)
            && let Ok(workspace) = self.workspace(handle, problem, d, algorithm)
        {
            return Ok(Choice { algorithm, workspace });
        }
        for answer in self.find(handle, problem, d, operands, pool)? {
            if answer.status != 0 || !answer.deterministic {
                continue;
            }
            let Some(algorithm) = Algorithm::from_number(problem.direction, answer.number) else { continue };
            let Ok(workspace) = self.workspace(handle, problem, d, algorithm) else { continue };
            if let Some(file) = &file {
                // Where it can not be written, the next run measures again.
                let _ = cache::write(file, format!("{} {key}\n", answer.number).as_bytes());
            }
            return Ok(Choice { algorithm, workspace });
        }
        let what = format!("cuDNN {} has no deterministic algorithm for {}", self.version(), problem.text());
        Err(Error::Unsupported { op: "convolution", what })
    }

    /// What cuDNN measured, the fastest first.
    fn find(
        &self,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
        Operands { x, w, y }: Operands,
        pool: &std::sync::Arc<Pool>,
    ) -> Result<Vec<Answer>> {
        // Memory of its own, given back to the driver after it. Less memory means fewer algorithms, down to those that need none.
        let mut room = TRIAL_MEMORY;
        let trials = Pool::new(pool.stream());
        let scratch = loop {
            match trials.take(room, TRIALS) {
                Ok(memory) => break memory,
                Err(Error::OutOfMemory(_)) if room > 1 << 20 => room /= 4,
                // Among what tensors gave back there may be as much; where not, their pool knows who holds the rest.
                Err(Error::OutOfMemory(_)) => break pool.take(room, TRIALS)?,
                Err(e) => return Err(e),
            }
        };
        let (table, what) = (self.table()?, format!("measuring algorithms for {}", problem.text()));
        let (at, len) = (scratch.address() as *mut c_void, scratch.bytes());
        let (asked, mut count) = (ANSWERS as c_int, 0);
        let taken = |count: c_int| (count.max(0) as usize).min(ANSWERS);
        Ok(match problem.direction {
            Direction::Forward => {
                let mut perf = [MaybeUninit::<sys::cudnnConvolutionFwdAlgoPerf_t>::zeroed(); ANSWERS];
                // SAFETY: descriptors and memory are alive and of the sizes described; as many answers fit as are asked for.
                let status = unsafe {
                    call!(
                        table,
                        sys::cudnnFindConvolutionForwardAlgorithmEx(
                            handle,
                            d.x,
                            x as *const c_void,
                            d.w,
                            w as *const c_void,
                            d.conv,
                            d.y,
                            y as *mut c_void,
                            asked,
                            &mut count,
                            perf.as_mut_ptr().cast(),
                            at,
                            len
                        )
                    )
                };
                self.check("cudnnFindConvolutionForwardAlgorithmEx", status, &what)?;
                perf[..taken(count)].iter().map(Answer::from).collect()
            }
            Direction::Data => {
                let mut perf = [MaybeUninit::<sys::cudnnConvolutionBwdDataAlgoPerf_t>::zeroed(); ANSWERS];
                // SAFETY: as above.
                let status = unsafe {
                    call!(
                        table,
                        sys::cudnnFindConvolutionBackwardDataAlgorithmEx(
                            handle,
                            d.w,
                            w as *const c_void,
                            d.y,
                            y as *const c_void,
                            d.conv,
                            d.x,
                            x as *mut c_void,
                            asked,
                            &mut count,
                            perf.as_mut_ptr().cast(),
                            at,
                            len
                        )
                    )
                };
                self.check("cudnnFindConvolutionBackwardDataAlgorithmEx", status, &what)?;
                perf[..taken(count)].iter().map(Answer::from).collect()
            }
            Direction::Filter => {
                let mut perf = [MaybeUninit::<sys::cudnnConvolutionBwdFilterAlgoPerf_t>::zeroed(); ANSWERS];
                // SAFETY: as above.
                let status = unsafe {
                    call!(
                        table,
                        sys::cudnnFindConvolutionBackwardFilterAlgorithmEx(
                            handle,
                            d.x,
                            x as *const c_void,
                            d.y,
                            y as *const c_void,
                            d.conv,
                            d.w,
                            w as *mut c_void,
                            asked,
                            &mut count,
                            perf.as_mut_ptr().cast(),
                            at,
                            len
                        )
                    )
                };
                self.check("cudnnFindConvolutionBackwardFilterAlgorithmEx", status, &what)?;
                perf[..taken(count)].iter().map(Answer::from).collect()
            }
        })
    }

    /// Memory that an algorithm needs; an error where it does not take the problem.
    pub(super) fn workspace(
        &self,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
        algorithm: Algorithm,
    ) -> Result<usize> {
        let (table, what, mut bytes) = (self.table()?, problem.text(), 0);
        match algorithm {
            Algorithm::Forward(algo) => {
                // SAFETY: all handles are alive; writes one size.
                let status = unsafe {
                    call!(
                        table,
                        sys::cudnnGetConvolutionForwardWorkspaceSize(
                            handle, d.x, d.w, d.conv, d.y, algo, &mut bytes
                        )
                    )
                };
                self.check("cudnnGetConvolutionForwardWorkspaceSize", status, &what)?;
            }
            Algorithm::Data(algo) => {
                // SAFETY: as above.
                let status = unsafe {
                    call!(
                        table,
                        sys::cudnnGetConvolutionBackwardDataWorkspaceSize(
                            handle, d.w, d.y, d.conv, d.x, algo, &mut bytes
                        )
                    )
                };
                self.check("cudnnGetConvolutionBackwardDataWorkspaceSize", status, &what)?;
            }
            Algorithm::Filter(algo) => {
                // SAFETY: as above.
                let status = unsafe {
                    call!(
                        table,
                        sys::cudnnGetConvolutionBackwardFilterWorkspaceSize(
                            handle, d.x, d.y, d.conv, d.w, algo, &mut bytes
                        )
                    )
                };
                self.check("cudnnGetConvolutionBackwardFilterWorkspaceSize", status, &what)?;
            }
        }
        Ok(bytes)
    }

    fn version(&self) -> String {
        let version = self.table().ok().and_then(|t| crate::version::version(t.found()).ok().flatten());
        version.map_or("?".to_owned(), |v| v.to_string())
    }
}
