//! Max pools of bf16 images, and copies of runs of channels that round or widen.

use half::bf16;
use rayon::prelude::*;

use super::arena::Memory;
use crate::{
    DType, Element, Result,
    cpu::{dispatch::vectorized, math::select},
    graph::{Graph, PoolStep, Run, ValueId},
};

/// Elements worth a task of their own.
const TASK: usize = 1 << 14;

/// Some channels of an image in memory: elements per pixel, first channel, number of channels.
#[derive(Clone, Copy)]
struct Slab<'a, T> {
    data: &'a [T],
    pitch: usize,
    start: usize,
    len: usize,
}

impl<'a, T: Element> Slab<'a, T> {
    fn new(graph: &Graph, run: &Run, memory: &Memory<'a>) -> Result<Self> {
        // SAFETY: operands were made by earlier steps.
        let data = unsafe { memory.read::<T>(run.value)? };
        Ok(Self { data, pitch: graph.meta(run.value).dims[1], start: run.start, len: run.len })
    }
}

/// Maxima of 2×2 windows that cover the image and, where there is a second result, their places.
pub(super) fn pool(graph: &Graph, step: &PoolStep, memory: &Memory<'_>, outs: &[ValueId]) -> Result<()> {
    let slabs = step
        .sources
        .iter()
        .map(|run| Slab::new(graph, run, memory))
        .collect::<Result<Vec<Slab<'_, bf16>>>>()?;
    let (dims, from) = (&graph.meta(outs[0]).dims, &graph.meta(step.sources[0].value).dims);
    let (channels, width, wide) = (dims[1], dims[3], from[3]);
    let line = width * channels;
    if line == 0 {
        return Ok(());
    }
    let row = |row: usize, y: &mut [bf16], index: &mut [u8]| {
        let mut to = 0;
        for slab in &slabs {
            let two = &slab.data[2 * row * wide * slab.pitch..][..2 * wide * slab.pitch];
            windows::<bf16>(&two[slab.start..], y, index, [slab.pitch, wide, channels, to, slab.len]);
            to += slab.len;
        }
    };
    // SAFETY: the results are this step's own.
    let y = unsafe { memory.write::<bf16>(outs[0])? };
    let rows = y.par_chunks_mut(line).with_min_len(TASK.div_ceil(line)).enumerate();
    match outs.get(1) {
        Some(&places) => {
            // SAFETY: as above.
            let index = unsafe { memory.write::<u8>(places)? };
            rows.zip(index.par_chunks_mut(line)).for_each(|((i, y), index)| row(i, y, index));
        }
        None => rows.for_each(|(i, y)| row(i, y, &mut [])),
    }
    Ok(())
}

vectorized! {
    /// One row of windows for a run of channels. The first of equal values
    /// wins, and NaN wins over numbers. Shape: numbers between pixels of the operand, its columns, numbers between pixels of
    /// the result, first channel of the result, number of channels.
    fn windows<T: Number>(x: &[T], y: &mut [T], index: &mut [u8], shape: [usize; 5]) {
        let [pitch, wide, channels, to, len] = shape;
        let below = wide * pitch;
        let places = !index.is_empty();
        for (w, y) in y.chunks_exact_mut(channels).enumerate() {
            let at = 2 * w * pitch;
            let taps = [at, at + pitch, at + below, at + below + pitch].map(|at| &x[at..][..len]);
            let y = &mut y[to..to + len];
            let index = if places { &mut index[w * channels + to..][..len] } else { &mut index[..] };
            let mut done = 0;
            macro_rules! blocks {
                ($($b:literal)*) => {$(
                    while done + $b <= len {
                        best::<T, $b>(taps, done, y, index);
                        done += $b;
                    }
                )*};
            }
            blocks!(16 8 4 2);
            if done < len {
                best::<T, 1>(taps, done, y, index);
            }
        }
    }
}

/// `B` neighbouring channels, in local arrays, which stay in registers.
#[inline(always)]
fn best<T: Number, const B: usize>(taps: [&[T]; 4], at: usize, y: &mut [T], index: &mut [u8]) {
    let load = |tap: &[T]| -> [f32; B] {
        let tap = &tap[at..at + B];
        std::array::from_fn(|j| tap[j].wide())
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
        *to = T::rounded(best);
    }
    if !index.is_empty() {
        for (to, place) in index[at..at + B].iter_mut().zip(places) {
            *to = place as u8;
        }
    }
}

/// Whether [`collect`] can do it: f32 and bf16, at least one of them bf16.
pub(super) fn fits(graph: &Graph, runs: &[Run], out: ValueId) -> bool {
    let dtype = |id: ValueId| graph.meta(id).dtype;
    let known = |id: ValueId| matches!(dtype(id), DType::F32 | DType::BF16);
    runs.iter().all(|run| known(run.value)) && known(out)
}

/// Channels of some runs side by side, rounded or widened to the result's type.
pub(super) fn collect(graph: &Graph, runs: &[Run], memory: &Memory<'_>, out: ValueId) -> Result<()> {
    let channels = graph.meta(out).dims[1];
    let mut to = 0;
    for run in runs {
        let place = (to, channels);
        let half = graph.meta(run.value).dtype == DType::BF16;
        // SAFETY: the result is this step's own; one slice at a time.
        unsafe {
            match (half, graph.meta(out).dtype) {
                (true, DType::BF16) => {
                    copy(Slab::<bf16>::new(graph, run, memory)?, memory.write::<bf16>(out)?, place);
                }
                (true, _) => copy(Slab::<bf16>::new(graph, run, memory)?, memory.write::<f32>(out)?, place),
                (false, DType::BF16) => {
                    copy(Slab::<f32>::new(graph, run, memory)?, memory.write::<bf16>(out)?, place);
                }
                (false, _) => copy(Slab::<f32>::new(graph, run, memory)?, memory.write::<f32>(out)?, place),
            }
        }
        to += run.len;
    }
    Ok(())
}

/// One run to its place (first channel, channels of a pixel).
fn copy<A: Number, B: Number>(from: Slab<'_, A>, y: &mut [B], (to, channels): (usize, usize)) {
    if channels == 0 {
        return;
    }
    let pixels = TASK.div_ceil(channels);
    y.par_chunks_mut(pixels * channels).enumerate().for_each(|(task, y)| {
        let x = &from.data[task * pixels * from.pitch..];
        if from.pitch == from.len && channels == from.len {
            convert::<(A, B)>(&x[..y.len()], y);
        } else {
            for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
                let x = &x[pixel * from.pitch + from.start..][..from.len];
                convert::<(A, B)>(x, &mut y[to..to + from.len]);
            }
        }
    });
}

/// f32 or bf16.
pub(super) trait Number: Element {
    fn wide(self) -> f32;
    fn rounded(value: f32) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }
    #[inline(always)]
    fn rounded(value: f32) -> f32 {
        value
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    #[inline(always)]
    fn rounded(value: f32) -> bf16 {
        crate::cpu::conv::bf16::round(value)
    }
}

/// Two of them.
trait Numbers {
    type A: Number;
    type B: Number;
}

impl<A: Number, B: Number> Numbers for (A, B) {
    type A = A;
    type B = B;
}

vectorized! {
    /// Rounds or widens.
    fn convert<T: Numbers>(from: &[T::A], to: &mut [T::B]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = T::B::rounded(from.wide());
        }
    }
}
