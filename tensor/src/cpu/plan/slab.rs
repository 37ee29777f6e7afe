//! Runs of channels, where they lie in a plan's memory.

use super::arena::Memory;
use crate::{
    Element, Result,
    graph::{Graph, Run},
};

/// Elements worth a task of their own.
pub(super) const TASK: usize = 1 << 14;

/// Some channels of an image in memory.
#[derive(Clone, Copy)]
pub(super) struct Slab<'a, T> {
    /// The whole image.
    pub data: &'a [T],
    /// Elements between pixels.
    pub pitch: usize,
    /// First channel.
    pub start: usize,
    /// Number of channels.
    pub len: usize,
}

impl<'a, T: Element> Slab<'a, T> {
    /// The channels of a run.
    pub fn new(graph: &Graph, run: &Run, memory: &Memory<'a>) -> Result<Self> {
        // SAFETY: operands were made by earlier steps.
        let data = unsafe { memory.read::<T>(run.value)? };
        Ok(Self { data, pitch: graph.meta(run.value).dims[1], start: run.start, len: run.len })
    }
}
