//! Numbers for bytes, by a table for each channel: decoded pictures become what a model reads.

use half::bf16;
use rayon::prelude::*;

use super::{arena::Memory, slab::TASK};
use crate::{
    DType, Error, Format, Result, Tensor,
    cpu::{dispatch::vectorized, slice, stored::Stored},
    graph::{Graph, ValueId},
};

/// The table of a step.
pub(super) struct PreparedTable(Tensor);

impl PreparedTable {
    pub fn new(graph: &Graph, table: ValueId) -> Result<Self> {
        let known = graph.constant_of(table).filter(|t| t.dtype() == DType::F32 && t.dims()[1..] == [256]);
        let known = known.ok_or_else(|| Error::value("plan", format!("{table} is no table of f32")))?;
        Ok(Self(known.to_format(Format::Contiguous)?))
    }

    /// `[C, 256]`.
    pub fn numbers(&self) -> Result<&[f32]> {
        slice::<f32>(&self.0)
    }

    /// All bytes of an image.
    pub fn run(&self, graph: &Graph, x: ValueId, memory: &Memory<'_>, out: ValueId) -> Result<()> {
        // SAFETY: the operand was made by an earlier step, and the result is this step's own.
        unsafe {
            let x = memory.read::<u8>(x)?;
            match graph.meta(out).dtype {
                DType::BF16 => self.all(x, memory.write::<bf16>(out)?),
                _ => self.all(x, memory.write::<f32>(out)?),
            }
        }
    }

    fn all<S: Stored<Real = f32>>(&self, x: &[u8], y: &mut [S]) -> Result<()> {
        let table = self.numbers()?;
        let chunk = TASK.next_multiple_of(table.len() / 256);
        let pieces = y.par_chunks_mut(chunk).zip(x.par_chunks(chunk));
        pieces.for_each(|(y, x)| look_up(x, table, y, S::store));
        Ok(())
    }

    /// The largest of each 2×2 bytes; the larger byte has the larger number.
    pub fn pool(&self, graph: &Graph, x: ValueId, memory: &Memory<'_>, outs: &[ValueId]) -> Result<()> {
        let dims = &graph.meta(outs[0]).dims;
        // SAFETY: as in `run`.
        unsafe {
            let x = memory.read::<u8>(x)?;
            let index = outs.get(1).map(|&id| memory.write::<u8>(id)).transpose()?;
            match graph.meta(outs[0]).dtype {
                DType::BF16 => self.maxima(x, dims, memory.write::<bf16>(outs[0])?, index),
                _ => self.maxima(x, dims, memory.write::<f32>(outs[0])?, index),
            }
        }
    }

    fn maxima<S: Stored<Real = f32>>(
        &self,
        x: &[u8],
        dims: &[usize],
        y: &mut [S],
        index: Option<&mut [u8]>,
    ) -> Result<()> {
        let table = self.numbers()?;
        let (channels, line) = (dims[1], dims[1] * dims[3]);
        if line == 0 {
            return Ok(());
        }
        let row = |(row, y): (usize, &mut [S]), index: &mut [u8]| {
            let (top, bottom) = x[4 * row * line..][..4 * line].split_at(2 * line);
            let mut best = vec![0; line];
            largest::<u8>(top, bottom, channels, &mut best, index);
            look_up(&best, table, y, S::store);
        };
        let lines = y.par_chunks_mut(line).with_min_len(TASK.div_ceil(line)).enumerate();
        match index {
            Some(index) => lines.zip(index.par_chunks_mut(line)).for_each(|(at, index)| row(at, index)),
            None => lines.for_each(|at| row(at, &mut [])),
        }
        Ok(())
    }
}

/// The numbers of pixels' bytes: `[C, 256]` for each channel.
#[inline]
pub(in crate::cpu) fn look_up<N: Copy, T>(x: &[u8], table: &[N], y: &mut [T], stored: impl Fn(N) -> T) {
    let (tables, _) = table.as_chunks::<256>();
    match tables {
        // Pictures: three channels at once.
        [r, g, b] => {
            let pixels = x.as_chunks::<3>().0.iter().zip(y.as_chunks_mut::<3>().0);
            for (x, y) in pixels {
                *y = [stored(r[x[0] as usize]), stored(g[x[1] as usize]), stored(b[x[2] as usize])];
            }
        }
        _ => {
            for (x, y) in x.chunks_exact(tables.len()).zip(y.chunks_exact_mut(tables.len())) {
                for ((y, &x), table) in y.iter_mut().zip(x).zip(tables) {
                    *y = stored(table[x as usize]);
                }
            }
        }
    }
}

/// u8: what the loop below is for.
trait Byte: Ord + Copy {}

impl Byte for u8 {}

vectorized! {
    /// The largest bytes of the windows of two rows and, if wanted, their places: the first of equal ones.
    fn largest<T: Byte>(top: &[T], bottom: &[T], channels: usize, best: &mut [T], index: &mut [u8]) {
        let pairs = top.chunks_exact(2 * channels).zip(bottom.chunks_exact(2 * channels));
        for (w, ((top, bottom), best)) in pairs.zip(best.chunks_exact_mut(channels)).enumerate() {
            let taps = [&top[..channels], &top[channels..], &bottom[..channels], &bottom[channels..]];
            for (c, best) in best.iter_mut().enumerate() {
                *best = taps[0][c].max(taps[1][c]).max(taps[2][c].max(taps[3][c]));
            }
            if !index.is_empty() {
                for (c, index) in index[w * channels..][..channels].iter_mut().enumerate() {
                    *index = taps.iter().position(|tap| tap[c] == best[c]).unwrap_or(0) as u8;
                }
            }
        }
    }
}
