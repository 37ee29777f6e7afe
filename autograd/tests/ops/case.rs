//! A check: an operation and operands for it. Since operations are values, one function checks them all.

use autograd::{
    Ops, Result, Var,
    gradcheck::{Options, gradcheck, gradgradcheck},
};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use proptest::{prelude::*, strategy::BoxedStrategy};
use tensor::{Op, Tensor};

use crate::{DRAWS, placed};

/// An operation, operands, and what to look at.
#[derive(Debug, Clone)]
pub struct Case {
    pub op: Op,
    pub inputs: Vec<Tensor>,
    /// Operands that the operation takes no gradient of by design.
    pub constant: Vec<usize>,
    /// Results that the checked function returns; all where empty.
    pub outputs: Vec<usize>,
}

impl Case {
    pub fn new(op: impl Into<Op>, inputs: Vec<Tensor>) -> Self {
        Self { op: op.into(), inputs, constant: vec![], outputs: vec![] }
    }

    fn apply(&self, xs: &[Var]) -> Result<Vec<Var>> {
        let mut xs = xs.iter();
        let operand = |(i, value): (usize, &Tensor)| match self.constant.contains(&i) {
            true => Some(Var::new(placed(value))),
            false => xs.next().cloned(),
        };
        let operands: Vec<Var> = self.inputs.iter().enumerate().filter_map(operand).collect();
        let outs = Var::apply(self.op.clone(), &operands.iter().collect::<Vec<_>>())?;
        let keep = |i: &usize| self.outputs.is_empty() || self.outputs.contains(i);
        Ok(outs.into_iter().enumerate().filter(|(i, _)| keep(i)).map(|(_, v)| v).collect())
    }

    fn variables(&self) -> Vec<Tensor> {
        let inputs = self.inputs.iter().enumerate();
        inputs.filter(|(i, _)| !self.constant.contains(i)).map(|(_, x)| placed(x)).collect()
    }
}

pub type Cases = BoxedStrategy<Case>;

/// Checks first derivatives on many draws and second derivatives on some. The same draws every time.
pub fn check(cases: Cases) {
    let fail = |e: autograd::gradcheck::Error| TestCaseError::fail(e.to_string());
    runner(DRAWS[0], 1)
        .run(&cases, |case| {
            gradcheck(&case.variables(), |xs| case.apply(xs), &Options::default()).map_err(fail)
        })
        .unwrap_or_else(|e| panic!("first derivatives: {e}"));
    runner(DRAWS[1], 2)
        .run(&cases, |case| {
            let options = Options { rtol: 1e-4, atol: 1e-6, ..Options::default() };
            gradgradcheck(&case.variables(), |xs| case.apply(xs), &options).map_err(fail)
        })
        .unwrap_or_else(|e| panic!("second derivatives: {e}"));
}

/// Checks that nothing is recorded as wanting a gradient.
pub fn check_constant(cases: Cases) {
    runner(8, 3)
        .run(&cases, |case| {
            let tape = autograd::Tape::new();
            let leaves: Vec<Var> = case.inputs.iter().map(|x| tape.leaf(placed(x))).collect();
            let outs = case.apply(&leaves).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert!(!outs.is_empty() && outs.iter().all(|y| !y.needs_gradient()));
            prop_assert_eq!(tape.saved_bytes(), 0);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}

fn runner(cases: u32, seed: u64) -> TestRunner {
    let config =
        Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
}
