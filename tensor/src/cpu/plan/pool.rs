//! Max pools, straight from runs of channels.

use half::bf16;
use num_traits::Float;
use rayon::prelude::*;

use super::{
    arena::Memory,
    slab::{Slab, TASK},
};
use crate::{
    DType, Element, Meta, Result,
    cpu::{dispatch::vectorized, math::select, stored::Stored},
    graph::{Graph, PoolStep, ValueId},
    ops::Window,
};

/// Windows of a picture that are done at once: their rows fit the first-level cache.
const WINDOWS: usize = 128;

/// Whether [`run`] can do the step: 2×2 windows that cover an image of f32 or of bf16.
pub(super) fn fits(graph: &Graph, step: &PoolStep) -> bool {
    let Meta { dims, dtype } = graph.meta(step.sources[0].value);
    let alike = step.sources.iter().all(|run| graph.meta(run.value).dtype == *dtype);
    alike
        && matches!(dtype, DType::F32 | DType::BF16)
        && step.window == Window::square(2)
        && dims[2].is_multiple_of(2)
        && dims[3].is_multiple_of(2)
}

/// Maxima of 2×2 windows and, where there is a second result, their places.
pub(super) fn run(graph: &Graph, step: &PoolStep, memory: &Memory<'_>, outs: &[ValueId]) -> Result<()> {
    match graph.meta(outs[0]).dtype {
        DType::BF16 => run_of::<bf16>(graph, step, memory, outs),
        _ => run_of::<f32>(graph, step, memory, outs),
    }
}

fn run_of<S: Stored>(graph: &Graph, step: &PoolStep, memory: &Memory<'_>, outs: &[ValueId]) -> Result<()> {
    let slabs = step.sources.iter().map(|run| Slab::new(graph, run, memory));
    let slabs = slabs.collect::<Result<Vec<Slab<'_, S>>>>()?;
    let (dims, from) = (&graph.meta(outs[0]).dims, &graph.meta(step.sources[0].value).dims);
    let (channels, width, wide) = (dims[1], dims[3], from[3]);
    let line = width * channels;
    if line == 0 {
        return Ok(());
    }
    let row = |row: usize, y: &mut [S], mut index: Option<&mut [u8]>| {
        let mut to = 0;
        for slab in &slabs {
            let two = &slab.data[2 * row * wide * slab.pitch..][..2 * wide * slab.pitch];
            let shape = Shape { pitch: slab.pitch, wide, channels, to, len: slab.len };
            match &mut index {
                Some(index) => index_row::<S>(&two[slab.start..], y, index, &shape),
                None => max_row::<S>(&two[slab.start..], y, &shape),
            }
            to += slab.len;
        }
    };
    // SAFETY: the results are this step's own.
    let y = unsafe { memory.write::<S>(outs[0])? };
    let rows = y.par_chunks_mut(line).with_min_len(TASK.div_ceil(line)).enumerate();
    match outs.get(1) {
        Some(&places) => {
            // SAFETY: as above.
            let index = unsafe { memory.write::<u8>(places)? };
            rows.zip(index.par_chunks_mut(line)).for_each(|((i, y), index)| row(i, y, Some(index)));
        }
        None => rows.for_each(|(i, y)| row(i, y, None)),
    }
    Ok(())
}

/// Where the channels of a run come from and go to.
struct Shape {
    /// Elements between pixels of the operand.
    pitch: usize,
    /// Its columns.
    wide: usize,
    /// Elements between pixels of the result.
    channels: usize,
    /// First channel of the result.
    to: usize,
    /// Number of channels.
    len: usize,
}

vectorized! {
    /// One row of windows for a run of channels: maxima and places.
    fn index_row<S: Stored>(x: &[S], y: &mut [S], index: &mut [u8], s: &Shape) {
        let below = s.wide * s.pitch;
        for (w, (y, index)) in y.chunks_exact_mut(s.channels).zip(index.chunks_exact_mut(s.channels)).enumerate() {
            let at = 2 * w * s.pitch;
            let taps = [at, at + s.pitch, at + below, at + below + s.pitch].map(|at| &x[at..][..s.len]);
            let (y, index) = (&mut y[s.to..s.to + s.len], &mut index[s.to..s.to + s.len]);
            let mut done = 0;
            macro_rules! blocks {
                ($($b:literal)*) => {$(
                    while done + $b <= s.len {
                        best::<S, $b>(taps, done, y, index);
                        done += $b;
                    }
                )*};
            }
            blocks!(16 8 4 2);
            if done < s.len {
                best::<S, 1>(taps, done, y, index);
            }
        }
    }

    /// One row of windows for a run of channels: maxima alone.
    fn max_row<S: Stored>(x: &[S], y: &mut [S], s: &Shape) {
        let below = s.wide * s.pitch;
        // Pictures: two rows as one long vector first, since three channels fill none.
        if (s.len, s.pitch) == (3, 3) {
            let mut column = [S::Real::ZERO; 6 * WINDOWS];
            for (i, y) in y.chunks_mut(WINDOWS * s.channels).enumerate() {
                let windows = y.len() / s.channels;
                let column = &mut column[..6 * windows];
                let (top, bottom) = x[6 * WINDOWS * i..].split_at(below);
                for ((to, &a), &b) in column.iter_mut().zip(top).zip(bottom) {
                    *to = larger(a.load(), b.load());
                }
                let pairs = column.as_chunks::<6>().0.iter();
                for (&[a, b, c, d, e, f], y) in pairs.zip(y.chunks_exact_mut(s.channels)) {
                    y[s.to..s.to + 3].copy_from_slice(&[larger(a, d), larger(b, e), larger(c, f)].map(S::store));
                }
            }
            return;
        }
        for (w, y) in y.chunks_exact_mut(s.channels).enumerate() {
            let at = 2 * w * s.pitch;
            let taps = [at, at + s.pitch, at + below, at + below + s.pitch].map(|at| &x[at..][..s.len]);
            for (j, y) in y[s.to..s.to + s.len].iter_mut().enumerate() {
                let [a, b, c, d] = taps.map(|tap| tap[j].load());
                *y = S::store(larger(larger(a, b), larger(c, d)));
            }
        }
    }
}

/// The larger of two, NaN over numbers, the first of equal ones.
#[inline(always)]
fn larger<T: Float>(a: T, b: T) -> T {
    select((b > a) | b.is_nan(), b, a)
}

/// The largest of four values and its place for `B` neighbouring channels, in local arrays, which stay in registers. The first
/// of equal ones wins, and NaN wins over numbers.
#[inline(always)]
fn best<S: Stored, const B: usize>(taps: [&[S]; 4], at: usize, y: &mut [S], index: &mut [u8]) {
    let load = |tap: &[S]| -> [S::Real; B] {
        let tap = &tap[at..at + B];
        std::array::from_fn(|j| tap[j].load())
    };
    let (mut best, mut places) = (load(taps[0]), [0u32; B]);
    for (place, tap) in taps.iter().enumerate().skip(1) {
        let x = load(tap);
        for j in 0..B {
            let better = (x[j] > best[j]) | (x[j].is_nan() & !best[j].is_nan());
            best[j] = select(better, x[j], best[j]);
            places[j] = select(better, place as u32, places[j]);
        }
    }
    for (to, best) in y[at..at + B].iter_mut().zip(best) {
        *to = S::store(best);
    }
    for (to, place) in index[at..at + B].iter_mut().zip(places) {
        *to = place as u8;
    }
}
