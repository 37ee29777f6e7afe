//! Which algorithms do a problem: the deterministic ones, the fastest first, measured by cuDNN; the one that is used is
//! remembered on disk.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use cudarc::cudnn::sys::{self, cudnnMathType_t};

use super::algorithm::{Algorithm, Answer, Choice, math_from};
use super::descriptor::{self, Descriptors};
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

impl Dnn {
    /// The algorithm that did `problem` in an earlier run.
    pub(super) fn known(
        &self,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
    ) -> Option<Choice> {
        let (file, key) = self.entry(problem);
        let text = std::fs::read_to_string(file?).ok()?;
        let mut words = text.splitn(3, ' ');
        let (number, math) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        if words.next()?.trim_end() != key {
            return None;
        }
        let (algorithm, math) = (Algorithm::from_number(problem.direction, number)?, math_from(math)?);
        if !descriptor::allows(problem, math) {
            return None;
        }
        self.choice(handle, problem, d, algorithm, math).ok()
    }

    /// The deterministic algorithms for `problem`, the fastest first. Its operands serve for trials: the result is overwritten.
    ///
    /// # Errors
    /// Where there is none, or cuDNN fails.
    pub(super) fn measure(
        &self,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
        operands: Operands,
        pool: &std::sync::Arc<Pool>,
    ) -> Result<Vec<Choice>> {
        d.set_math(problem, descriptor::math(problem))?;
        let answers = self.find(handle, problem, d, operands, pool)?;
        let sound = answers.iter().filter(|answer| answer.status == 0 && answer.deterministic);
        let ways = sound.filter_map(|answer| {
            let algorithm = Algorithm::from_number(problem.direction, answer.number)?;
            Some((algorithm, math_from(answer.math)?))
        });
        // cuDNN tries the default arithmetic too, whatever was asked for; that is left out where the problem may not be done so.
        // Where nothing is left, an older library may have named the default and meant what was asked for.
        let (allowed, other): (Vec<_>, Vec<_>) =
            ways.partition(|(_, math)| descriptor::allows(problem, *math));
        let ways = match allowed.is_empty() {
            true => other.into_iter().map(|(algorithm, _)| (algorithm, descriptor::math(problem))).collect(),
            false => allowed,
        };
        let mut choices: Vec<Choice> = Vec::new();
        for (algorithm, math) in ways {
            match self.choice(handle, problem, d, algorithm, math) {
                Ok(choice) if choices.iter().any(|known| known.is(&choice)) => {}
                Ok(choice) => choices.push(choice),
                Err(Error::Unsupported { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        if choices.is_empty() {
            let what =
                format!("cuDNN {} has no deterministic algorithm for {}", self.version(), problem.text());
            return Err(Error::Unsupported { op: "convolution", what });
        }
        Ok(choices)
    }

    /// Writes down which algorithm does `problem`, for later runs.
    pub(super) fn remember(&self, problem: &Problem, choice: &Choice) {
        if let (Some(file), key) = self.entry(problem) {
            let text = format!("{} {} {key}\n", choice.algorithm.number(), choice.math as u32);
            // Where it can not be written, the next run measures again.
            let _ = cache::write(&file, text.as_bytes());
        }
    }

    /// Where the algorithm of a problem is written down, and under which key. The key begins with the number of the file's form.
    fn entry(&self, problem: &Problem) -> (Option<std::path::PathBuf>, String) {
        let (major, minor) = self.context.arch();
        let (name, version) = (self.context.name(), self.version());
        let key = format!("2: {} on {name} sm_{major}{minor} cudnn {version}", problem.text());
        let file = self.folder.as_ref().map(|f| f.join(format!("{:016x}.txt", cache::hash(&[&key]))));
        (file, key)
    }

    /// An algorithm with the memory that it needs in this arithmetic; an error where it does not take the problem so.
    pub(super) fn choice(
        &self,
        handle: sys::cudnnHandle_t,
        problem: &Problem,
        d: &Descriptors,
        algorithm: Algorithm,
        math: cudnnMathType_t,
    ) -> Result<Choice> {
        d.set_math(problem, math)?;
        Ok(Choice { algorithm, math, workspace: self.workspace(handle, problem, d, algorithm)? })
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
    fn workspace(
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
