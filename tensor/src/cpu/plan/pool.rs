//! Max pools and copies of runs of channels.

use rayon::prelude::*;

use super::arena::Memory;
use crate::{
    Result,
    cpu::{dispatch::vectorized, math::select},
    graph::{Graph, PoolStep, Run, ValueId},
    ops::Window,
};

/// Elements worth a task of their own.
const TASK: usize = 1 << 14;

/// Windows of a picture that are done at once: their rows fit the first-level cache.
const WINDOWS: usize = 128;

/// Some channels of an image in memory: elements per pixel, first channel, number of channels.
#[derive(Clone, Copy)]
struct Slab<'a> {
    data: &'a [f32],
    pitch: usize,
    start: usize,
    len: usize,
}

fn slabs<'a>(graph: &Graph, runs: &[Run], memory: &Memory<'a>) -> Result<Vec<Slab<'a>>> {
    let slab = |run: &Run| {
        // SAFETY: operands were made by earlier steps.
        let data = unsafe { memory.read::<f32>(run.value)? };
        Ok(Slab { data, pitch: graph.meta(run.value).dims[1], start: run.start, len: run.len })
    };
    runs.iter().map(slab).collect()
}

/// Whether [`run`] can do the step: 2×2 windows that cover the image.
pub(super) fn fits(graph: &Graph, step: &PoolStep) -> bool {
    let dims = &graph.meta(step.sources[0].value).dims;
    step.window == Window::square(2) && dims[2].is_multiple_of(2) && dims[3].is_multiple_of(2)
}

/// Maxima of 2×2 windows and, where there is a second result, their places.
pub(super) fn run(graph: &Graph, step: &PoolStep, memory: &Memory<'_>, outs: &[ValueId]) -> Result<()> {
    let slabs = slabs(graph, &step.sources, memory)?;
    let (dims, from) = (&graph.meta(outs[0]).dims, &graph.meta(step.sources[0].value).dims);
    let (channels, width, wide) = (dims[1], dims[3], from[3]);
    let line = width * channels;
    if line == 0 {
        return Ok(());
    }
    let row = |row: usize, y: &mut [f32], mut index: Option<&mut [u8]>| {
        let mut to = 0;
        for slab in &slabs {
            let two = &slab.data[2 * row * wide * slab.pitch..][..2 * wide * slab.pitch];
            let shape = Shape { pitch: slab.pitch, wide, channels, to, len: slab.len };
            match &mut index {
                Some(index) => index_row::<f32>(&two[slab.start..], y, index, &shape),
                None => max_row::<f32>(&two[slab.start..], y, &shape),
            }
            to += slab.len;
        }
    };
    // SAFETY: the results are this step's own.
    let y = unsafe { memory.write::<f32>(outs[0])? };
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

/// Channels of some runs side by side.
pub(super) fn collect(graph: &Graph, runs: &[Run], memory: &Memory<'_>, out: ValueId) -> Result<()> {
    let slabs = slabs(graph, runs, memory)?;
    let channels = graph.meta(out).dims[1];
    // SAFETY: the result is this step's own.
    let y = unsafe { memory.write::<f32>(out)? };
    if channels == 0 {
        return Ok(());
    }
    let pixels = y.par_chunks_mut(channels).with_min_len(TASK.div_ceil(channels));
    pixels.enumerate().for_each(|(pixel, y)| {
        let mut to = 0;
        for slab in &slabs {
            let from = &slab.data[pixel * slab.pitch + slab.start..][..slab.len];
            y[to..to + slab.len].copy_from_slice(from);
            to += slab.len;
        }
    });
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
    fn index_row<T: num_traits::Float>(x: &[T], y: &mut [T], index: &mut [u8], s: &Shape) {
        let below = s.wide * s.pitch;
        for (w, (y, index)) in y.chunks_exact_mut(s.channels).zip(index.chunks_exact_mut(s.channels)).enumerate() {
            let at = 2 * w * s.pitch;
            let taps = [at, at + s.pitch, at + below, at + below + s.pitch].map(|at| &x[at..][..s.len]);
            let (y, index) = (&mut y[s.to..s.to + s.len], &mut index[s.to..s.to + s.len]);
            let mut done = 0;
            macro_rules! blocks {
                ($($b:literal)*) => {$(
                    while done + $b <= s.len {
                        best::<T, $b>(taps, done, y, index);
                        done += $b;
                    }
                )*};
            }
            blocks!(16 8 4 2);
            if done < s.len {
                best::<T, 1>(taps, done, y, index);
            }
        }
    }

    /// One row of windows for a run of channels: maxima alone.
    fn max_row<T: num_traits::Float>(x: &[T], y: &mut [T], s: &Shape) {
        let below = s.wide * s.pitch;
        // Pictures: two rows as one long vector first, since three channels fill none.
        if (s.len, s.pitch) == (3, 3) {
            let mut column = [T::zero(); 6 * WINDOWS];
            for (i, y) in y.chunks_mut(WINDOWS * s.channels).enumerate() {
                let windows = y.len() / s.channels;
                let column = &mut column[..6 * windows];
                let (top, bottom) = x[6 * WINDOWS * i..].split_at(below);
                for ((to, &a), &b) in column.iter_mut().zip(top).zip(bottom) {
                    *to = larger(a, b);
                }
                let pairs = column.as_chunks::<6>().0.iter();
                for (&[a, b, c, d, e, f], y) in pairs.zip(y.chunks_exact_mut(s.channels)) {
                    y[s.to..s.to + 3].copy_from_slice(&[larger(a, d), larger(b, e), larger(c, f)]);
                }
            }
            return;
        }
        for (w, y) in y.chunks_exact_mut(s.channels).enumerate() {
            let at = 2 * w * s.pitch;
            let taps = [at, at + s.pitch, at + below, at + below + s.pitch].map(|at| &x[at..][..s.len]);
            for (j, y) in y[s.to..s.to + s.len].iter_mut().enumerate() {
                *y = larger(larger(taps[0][j], taps[1][j]), larger(taps[2][j], taps[3][j]));
            }
        }
    }
}

/// The larger of two, NaN over numbers, the first of equal ones.
#[inline(always)]
fn larger<T: num_traits::Float>(a: T, b: T) -> T {
    select((b > a) | b.is_nan(), b, a)
}

/// The largest of four values and its place for `B` neighbouring channels, in local arrays, which stay in registers. The first
/// of equal ones wins, and NaN wins over numbers.
#[inline(always)]
fn best<T: num_traits::Float, const B: usize>(taps: [&[T]; 4], at: usize, y: &mut [T], index: &mut [u8]) {
    let (mut best, mut places) = ([T::zero(); B], [0u32; B]);
    best.copy_from_slice(&taps[0][at..at + B]);
    for (place, tap) in taps.iter().enumerate().skip(1) {
        let x = &tap[at..at + B];
        for j in 0..B {
            let better = (x[j] > best[j]) | (x[j].is_nan() & !best[j].is_nan());
            best[j] = select(better, x[j], best[j]);
            places[j] = select(better, place as u32, places[j]);
        }
    }
    y[at..at + B].copy_from_slice(&best);
    for (to, place) in index[at..at + B].iter_mut().zip(places) {
        *to = place as u8;
    }
}
