//! A graph made executable by a backend.

use std::{fmt, time::Duration};

use crate::{Result, Tensor};

/// An executable graph. Runs of one plan do not overlap: they share its memory.
pub trait Plan: fmt::Debug + Send + Sync {
    /// Runs the graph on its inputs; returns its outputs.
    ///
    /// # Errors
    /// Where inputs are not of the dims and type that the graph was made for, or the device fails.
    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.run_timed(inputs, &mut |_, _| {})
    }

    /// [`Plan::run`]; tells `tick` the time of each step (by its place in [`crate::graph::Graph::nodes`]).
    ///
    /// # Errors
    /// As [`Plan::run`].
    fn run_timed(&self, inputs: &[&Tensor], tick: &mut dyn FnMut(usize, Duration)) -> Result<Vec<Tensor>>;

    /// Memory for values.
    fn memory(&self) -> PlanMemory;
}

/// Memory for the values that the steps of a plan make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanMemory {
    /// Bytes of the arena in which values take turns.
    pub planned: usize,
    /// Bytes with memory of its own for each value.
    pub naive: usize,
}
