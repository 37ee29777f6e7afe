//! Copies of runs of channels, rounded or widened on the way where types differ.

use half::bf16;
use rayon::prelude::*;

use super::{
    arena::Memory,
    slab::{Slab, TASK},
};
use crate::{
    DType, Result,
    cpu::{dispatch::vectorized, stored::Stored},
    graph::{Graph, Run, ValueId},
};

/// What a run is read from.
enum Source<'a> {
    Float(Slab<'a, f32>),
    Half(Slab<'a, bf16>),
}

/// Whether [`collect`] can do it: f32 and bf16.
pub(super) fn fits(graph: &Graph, runs: &[Run], out: ValueId) -> bool {
    let known = |id: ValueId| matches!(graph.meta(id).dtype, DType::F32 | DType::BF16);
    runs.iter().all(|run| known(run.value)) && known(out)
}

/// Channels of some runs side by side, in the result's type.
pub(super) fn collect(graph: &Graph, runs: &[Run], memory: &Memory<'_>, out: ValueId) -> Result<()> {
    let source = |run: &Run| match graph.meta(run.value).dtype {
        DType::BF16 => Slab::new(graph, run, memory).map(Source::Half),
        _ => Slab::new(graph, run, memory).map(Source::Float),
    };
    let sources = runs.iter().map(source).collect::<Result<Vec<_>>>()?;
    let channels = graph.meta(out).dims[1];
    // SAFETY: the result is this step's own.
    unsafe {
        match graph.meta(out).dtype {
            DType::BF16 => fill(&sources, channels, memory.write::<bf16>(out)?),
            _ => fill(&sources, channels, memory.write::<f32>(out)?),
        }
    }
    Ok(())
}

fn fill<S: Stored<Real = f32>>(sources: &[Source<'_>], channels: usize, y: &mut [S]) {
    if channels == 0 {
        return;
    }
    let pixels = TASK.div_ceil(channels);
    y.par_chunks_mut(pixels * channels).enumerate().for_each(|(task, y)| {
        let mut to = 0;
        for source in sources {
            to += match source {
                Source::Float(slab) => copy(slab, task * pixels, y, (to, channels)),
                Source::Half(slab) => copy(slab, task * pixels, y, (to, channels)),
            };
        }
    });
}

/// A run from a pixel on to its place (first channel, channels of a pixel) in `y`; returns its number of channels.
fn copy<A, B>(from: &Slab<'_, A>, pixel: usize, y: &mut [B], (to, channels): (usize, usize)) -> usize
where
    A: Stored<Real = f32>,
    B: Stored<Real = f32>,
{
    let x = &from.data[pixel * from.pitch..];
    if from.pitch == from.len && channels == from.len {
        convert::<(A, B)>(&x[..y.len()], y);
    } else {
        for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
            let x = &x[pixel * from.pitch + from.start..][..from.len];
            convert::<(A, B)>(x, &mut y[to..to + from.len]);
        }
    }
    from.len
}

/// Two types, as one parameter.
trait Pair {
    type From: Stored<Real = f32>;
    type To: Stored<Real = f32>;
}

impl<A: Stored<Real = f32>, B: Stored<Real = f32>> Pair for (A, B) {
    type From = A;
    type To = B;
}

vectorized! {
    /// Rounds or widens.
    fn convert<P: Pair>(from: &[P::From], to: &mut [P::To]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = P::To::store(from.load());
        }
    }
}
