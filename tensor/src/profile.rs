//! Where time goes: every operation that one thread applies, with its cost, for a profiler to add up.
//!
//! Recording is a matter of one thread (kernels may use many), so that a profile never mixes two programs and costs nothing
//! where nobody asks.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use crate::{Cost, Meta, Op, Tensor};

/// One operation that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its name.
    pub op: &'static str,
    /// Types and dims of its operands.
    pub operands: String,
    /// Wall time, without that of copies and the like that it applied as operations of their own.
    pub time: Duration,
    /// What it costs by its own account.
    pub cost: Cost,
}

thread_local! {
    static SAMPLES: RefCell<Option<Vec<Sample>>> = const { RefCell::new(None) };
    /// Time of the operations that the running one applied itself.
    static WITHIN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Runs `f` and tells every operation that this thread applied meanwhile, in order; views are left out. A profile within
/// another keeps its samples to itself.
pub fn profile<R>(f: impl FnOnce() -> R) -> (R, Vec<Sample>) {
    let outer = SAMPLES.replace(Some(Vec::new()));
    let result = f();
    let samples = SAMPLES.replace(outer);
    (result, samples.unwrap_or_default())
}

/// Runs `op` by `run`, on the clock where a profile is being taken.
pub(crate) fn sampled<R>(op: &Op, ins: &[&Tensor], outs: &[Meta], run: impl FnOnce() -> R) -> R {
    if !SAMPLES.with_borrow(Option::is_some) {
        return run();
    }
    let before = WITHIN.take();
    let start = Instant::now();
    let result = run();
    let whole = start.elapsed();
    let time = whole - WITHIN.replace(before + whole);
    let metas: Vec<Meta> = ins.iter().map(|x| x.meta()).collect();
    let operands = metas.iter().map(Meta::to_string).collect::<Vec<_>>().join(" ");
    let sample = Sample { op: op.name(), operands, time, cost: op.cost(&metas, outs) };
    SAMPLES.with_borrow_mut(|samples| samples.as_mut().map(|all| all.push(sample)));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Ops};

    #[test]
    fn samples_are_those_of_the_innermost_profile() {
        let x = Tensor::zeros(&[2, 3], DType::F32).unwrap();
        let (inner, outer) = profile(|| {
            x.relu().unwrap();
            let (_, inner) = profile(|| x.add(&x).unwrap());
            x.permute(&[1, 0]).unwrap().exp().unwrap();
            inner
        });
        let names = |samples: &[Sample]| samples.iter().map(|s| s.op).collect::<Vec<_>>();
        assert_eq!(names(&outer), ["relu", "exp"]);
        assert_eq!(names(&inner), ["add"]);
        assert_eq!((outer[0].operands.as_str(), outer[0].cost.bytes), ("f32[2, 3]", 48));
        assert_eq!(profile(|| ()).1, []);
    }
}
