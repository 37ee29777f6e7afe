//! The three directions of a convolution, and forward with bias, summand and ReLU in one call.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cudnn::sys;
use tensor::DType;

use super::algorithm::{Algorithm, Choice};
use super::descriptor::{self, Descriptors};
use super::{Dnn, Problem};
use crate::error::{Error, Result};
use crate::ffi::abi::call;
use crate::gpu::Exec;

/// Device addresses of the three tensors of a problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    pub x: u64,
    pub w: u64,
    pub y: u64,
}

/// What follows a forward convolution: `relu(conv + residual + bias)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue {
    /// Address of one value per channel.
    pub bias: u64,
    /// Address of a tensor like the result, where one is added.
    pub residual: Option<u64>,
    /// Clamp below at zero.
    pub relu: bool,
}

/// A problem with its descriptors and algorithms.
#[derive(Debug)]
pub(super) struct Prepared {
    descriptors: Arc<Descriptors>,
    /// The one that is used, then those for the case that cuDNN refuses it when it is called.
    choices: VecDeque<Choice>,
    /// Those that it has refused.
    refused: Vec<Choice>,
    /// Whether they are all that there are, and not the one that an earlier run used.
    measured: bool,
}

/// A factor in the type that cuDNN wants it: f64 for f64, else f32.
struct Factor(u64);

impl Factor {
    fn new(dtype: DType, value: f64) -> Self {
        Self(if dtype == DType::F64 { value.to_bits() } else { u64::from((value as f32).to_bits()) })
    }

    fn at(&self) -> *const c_void {
        (&raw const self.0).cast()
    }
}

impl Dnn {
    /// Computes the one of the three that `problem.direction` says from the other two.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where cuDNN has no deterministic algorithm for it or refuses all of them; where it fails.
    pub fn run(&self, exec: &Exec, problem: &Problem, operands: Operands) -> Result<()> {
        let mut state = self.lock();
        let handle = state.handle;
        self.use_stream(handle, exec)?;
        if !state.prepared.contains_key(problem) {
            let descriptors = Arc::new(Descriptors::new(&self.context, problem)?);
            let choices = self.known(handle, problem, &descriptors).into_iter().collect();
            let prepared = Prepared { descriptors, choices, refused: Vec::new(), measured: false };
            state.prepared.insert(problem.clone(), prepared);
        }
        let Some(prepared) = state.prepared.get_mut(problem) else {
            return Err(Error::Unusable(format!("{} was not prepared", problem.text())));
        };
        loop {
            let d = prepared.descriptors.clone();
            let Some(&choice) = prepared.choices.front() else {
                if prepared.measured {
                    let what = format!("cuDNN refuses every algorithm for {}", problem.text());
                    return Err(Error::Unsupported { op: "convolution", what });
                }
                if exec.recording().is_some() {
                    // Trials wait for the stream, which ends a recording.
                    let what = "its algorithms can not be measured while work is recorded: do it once before";
                    return Err(Error::Unusable(format!("{}: {what}", problem.text())));
                }
                let mut all = self.measure(handle, problem, &d, operands, &exec.pool)?;
                all.retain(|choice| !prepared.refused.iter().any(|refused| refused.is(choice)));
                (prepared.choices, prepared.measured) = (all.into(), true);
                if let Some(first) = prepared.choices.front() {
                    self.remember(problem, first);
                }
                continue;
            };
            match self.convolve(exec, handle, problem, &d, choice, operands) {
                Err(Error::Unsupported { .. }) => {
                    prepared.refused.extend(prepared.choices.pop_front());
                    if let Some(next) = prepared.choices.front() {
                        self.remember(problem, next);
                    }
                }
                other => return other,
            }
        }
    }

    /// One call by one algorithm.
    fn convolve(
        &self,
        exec: &Exec,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
        choice: Choice,
        operands: Operands,
    ) -> Result<()> {
        d.set_math(problem, choice.math)?;
        let scratch = exec.pool.take(choice.workspace, "workspace of convolutions")?;
        let (at, len) = (scratch.address() as *mut c_void, choice.workspace);
        let (one, zero) = (Factor::new(problem.dtype, 1.0), Factor::new(problem.dtype, 0.0));
        let Operands { x, w, y } = operands;
        let table = self.table()?;
        // The three directions take the same arguments, in which their tensors have other places.
        macro_rules! convolve {
            ($function:ident, $a:ident, $b:ident, $algo:expr => $to:ident) => {{
                // SAFETY: descriptors are alive and say the sizes of the memory behind the addresses; the workspace is as large
                // as asked for and, as all memory of the stream's pool, is not reused before this work is done.
                let status = unsafe {
                    call!(
                        table,
                        sys::$function(
                            handle,
                            one.at(),
                            d.$a,
                            $a as *const c_void,
                            d.$b,
                            $b as *const c_void,
                            d.conv,
                            $algo,
                            at,
                            len,
                            zero.at(),
                            d.$to,
                            $to as *mut c_void
                        )
                    )
                };
                self.check(stringify!($function), status, &problem.text())
            }};
        }
        match choice.algorithm {
            Algorithm::Forward(algo) => convolve!(cudnnConvolutionForward, x, w, algo => y),
            Algorithm::Data(algo) => convolve!(cudnnConvolutionBackwardData, w, y, algo => x),
            Algorithm::Filter(algo) => convolve!(cudnnConvolutionBackwardFilter, x, y, algo => w),
        }
    }

    /// `y = relu(conv(x, w) + residual + bias)`, by the one algorithm that cuDNN promises for every activation.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where cuDNN does not take the problem so; where it fails.
    pub fn run_fused(
        &self,
        exec: &Exec,
        problem: &Problem,
        operands: Operands,
        epilogue: Epilogue,
    ) -> Result<()> {
        let mut state = self.lock();
        let handle = state.handle;
        self.use_stream(handle, exec)?;
        let key = Problem { fused: true, ..problem.clone() };
        let (d, choice) = match state.prepared.get(&key).map(|p| (&p.descriptors, p.choices.front())) {
            Some((descriptors, Some(choice))) => (descriptors.clone(), *choice),
            _ => {
                let d = Arc::new(Descriptors::new(&self.context, problem)?);
                let algo = sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
                let choice =
                    self.choice(handle, problem, &d, Algorithm::Forward(algo), descriptor::math(problem))?;
                let (descriptors, choices) = (d.clone(), VecDeque::from([choice]));
                state
                    .prepared
                    .insert(key, Prepared { descriptors, choices, refused: Vec::new(), measured: true });
                (d, choice)
            }
        };
        let Algorithm::Forward(algo) = choice.algorithm else {
            return Err(Error::Unsupported {
                op: "convolution",
                what: "only forward has an epilogue".to_owned(),
            });
        };
        let scratch = exec.pool.take(choice.workspace, "workspace of convolutions")?;
        let (at, len) = (scratch.address() as *mut c_void, choice.workspace);
        let one = Factor::new(problem.dtype, 1.0);
        let add = Factor::new(problem.dtype, if epilogue.residual.is_some() { 1.0 } else { 0.0 });
        let Operands { x, w, y } = operands;
        let z = epilogue.residual.unwrap_or(y);
        let activation = if epilogue.relu { d.relu } else { d.identity };
        let table = self.table()?;
        // SAFETY: as in `run`; the summand has the result's descriptor, the bias one value for each of its channels.
        let status = unsafe {
            call!(
                table,
                sys::cudnnConvolutionBiasActivationForward(
                    handle,
                    one.at(),
                    d.x,
                    x as *const c_void,
                    d.w,
                    w as *const c_void,
                    d.conv,
                    algo,
                    at,
                    len,
                    add.at(),
                    d.y,
                    z as *const c_void,
                    d.bias,
                    epilogue.bias as *const c_void,
                    activation,
                    d.y,
                    y as *mut c_void
                )
            )
        };
        self.check("cudnnConvolutionBiasActivationForward", status, &problem.text())
    }

    fn use_stream(&self, handle: sys::cudnnHandle_t, exec: &Exec) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both handles are alive; the stream type of cuDNN's header is the driver's under another name.
        let status = unsafe { call!(self.table()?, sys::cudnnSetStream(handle, exec.stream.raw().cast())) };
        self.check("cudnnSetStream", status, "handing the stream to cuDNN")
    }
}
