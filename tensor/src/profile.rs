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
    /// Types and dims of its operands; of many (an optimiser's step has four for each parameter) the first, and how many more.
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
    let sample = Sample { op: op.name(), operands: spelled(&metas), time, cost: op.cost(&metas, outs) };
    SAMPLES.with_borrow_mut(|samples| samples.as_mut().map(|all| all.push(sample)));
    result
}

/// Operands that fit on a line: all of those with a fixed number, the gradient of batch normalisation with its eight too.
const SPELLED: usize = 8;

fn spelled(operands: &[Meta]) -> String {
    let (first, rest) = operands.split_at(operands.len().min(SPELLED));
    let mut text = first.iter().map(Meta::to_string).collect::<Vec<_>>().join(" ");
    if !rest.is_empty() {
        text += &format!(" and {} more", rest.len());
    }
    text
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

    #[test]
    fn many_operands_are_counted() {
        let many = |n: usize| {
            let parts = vec![Tensor::zeros(&[1, 2], DType::F32).unwrap(); n];
            let (_, samples) = profile(|| Tensor::cat(&parts.iter().collect::<Vec<_>>(), 0).unwrap());
            samples[0].operands.clone()
        };
        assert_eq!(many(8), ["f32[1, 2]"; 8].join(" "));
        assert_eq!(many(11), format!("{} and 3 more", many(8)));
    }
}
