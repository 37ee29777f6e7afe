//! Weights for the inner loops: `[block of output channels][tap][row][lanes of the block]`.
//!
//! Where pairs of channels are multiplied a row holds two, a 32-bit word for each output channel (what Intel calls the VNNI
//! layout), and every run of input channels starts a new row: an odd run's last word is half zero. The rows of a tap are
//! padded so that they can be cut into equal chunks of at most 16: AMX multiplies one chunk at a time. Elsewhere a row is one
//! channel and holds f32 values (which bf16 can hold).

use half::bf16;
use rayon::prelude::*;

use super::super::{ConvGeometry, Direction};
use super::Engine;
use crate::cpu::simd::buffer::AlignedVec;
use crate::cpu::stored::Stored;

/// Most rows of a chunk.
const CHUNK: usize = 16;

/// Some vectors of output channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// First channel.
    pub start: usize,
    /// Vectors: one or two.
    pub nv: usize,
}

/// Packed weights.
pub(crate) struct Weights {
    pub(super) engine: Engine,
    pub(super) direction: Direction,
    /// Output channels.
    pub(super) channels: usize,
    /// Input channels of each run.
    pub(super) runs: Vec<usize>,
    /// Channels of a row.
    unit: usize,
    /// Rows of a tap.
    rows: usize,
    /// Rows multiplied at once.
    pub(super) chunk: usize,
    pub(super) taps: usize,
    pub(super) lanes: usize,
    data: AlignedVec<f32>,
}

impl Weights {
    /// Packs weights (`[c_out, c_in, kernel_h, kernel_w]`, values that bf16 can hold) for inputs that lie in runs of these
    /// lengths.
    pub fn new(geometry: &ConvGeometry, direction: Direction, runs: &[usize], weights: &[f32]) -> Self {
        Self::packed(geometry, direction, runs, weights, AlignedVec::zeros)
    }

    /// Weights for one convolution: packed into memory that this thread keeps for such use.
    pub fn once<R>(
        geometry: &ConvGeometry,
        direction: Direction,
        weights: &[bf16],
        f: impl FnOnce(&Self) -> R,
    ) -> R {
        let depth = match direction {
            Direction::Forward => geometry.c_in,
            Direction::InputGradient => geometry.c_out,
        };
        let packed = Self::packed(geometry, direction, &[depth], weights, AlignedVec::recycled);
        let result = f(&packed);
        packed.data.recycle();
        result
    }

    fn packed<S: Stored<Real = f32>>(
        geometry: &ConvGeometry,
        direction: Direction,
        runs: &[usize],
        weights: &[S],
        memory: impl FnOnce(usize) -> AlignedVec<f32>,
    ) -> Self {
        assert_eq!(geometry.groups, 1, "the bf16 kernels have no groups");
        assert_eq!(weights.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
        let engine = Engine::current();
        let (depth, channels) = match direction {
            Direction::Forward => (geometry.c_in, geometry.c_out),
            Direction::InputGradient => (geometry.c_out, geometry.c_in),
        };
        assert_eq!(runs.iter().sum::<usize>(), depth, "runs do not fit the geometry {geometry:?}");
        let (unit, lanes) = (engine.unit(), engine.lanes());
        let used: usize = runs.iter().map(|len| len.div_ceil(unit)).sum();
        let chunks = used.div_ceil(CHUNK).max(1);
        let chunk = used.div_ceil(chunks);
        let rows = if unit == 2 { chunks * chunk } else { used };
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let len = taps * rows * channels.next_multiple_of(lanes);
        let runs = runs.to_vec();
        // The arrangement first, then the numbers, which it says the places of.
        let (mut packed, data) = (memory(len), AlignedVec::zeros(0));
        let arranged = Self { engine, direction, channels, runs, unit, rows, chunk, taps, lanes, data };
        arranged.fill(depth, weights, &mut packed);
        Self { data: packed, ..arranged }
    }

    /// Writes all of the packed weights, tap by tap.
    fn fill<S: Stored<Real = f32>>(&self, depth: usize, weights: &[S], mut rest: &mut [f32]) {
        for block in self.blocks() {
            let tap_len = self.rows * block.nv * self.lanes;
            let (part, after) = rest.split_at_mut(self.taps * tap_len);
            rest = after;
            // Tiny taps are not worth a second thread.
            let taps = part.par_chunks_mut(tap_len.max(1)).with_min_len(4096usize.div_ceil(tap_len.max(1)));
            taps.enumerate().for_each(|(tap, to)| self.fill_tap(&block, tap, depth, weights, to));
        }
    }

    /// The rows of one tap of a block.
    fn fill_tap<S: Stored<Real = f32>>(
        &self,
        block: &Block,
        tap: usize,
        depth: usize,
        weights: &[S],
        to: &mut [f32],
    ) {
        // Of input channel 0 of the block's first output channel, and the distances to the next channels. Taps of the
        // transposed convolution are reversed: they ascend with the position that they read.
        let (first, next, across) = match self.direction {
            Direction::Forward => (block.start * depth * self.taps + tap, self.taps, depth * self.taps),
            Direction::InputGradient => {
                (block.start * self.taps + self.taps - 1 - tap, self.channels * self.taps, self.taps)
            }
        };
        let width = block.nv * self.lanes;
        let used = width.min(self.channels - block.start);
        let mut rows = to.chunks_exact_mut(width);
        let mut channel = 0;
        for &len in &self.runs {
            for c in (0..len).step_by(self.unit) {
                let Some(row) = rows.next() else { return };
                row[used..].fill(0.0);
                let at = |lane: usize, c: usize| weights[first + c * next + lane * across].load();
                let pair = self.unit == 2 && c + 1 < len;
                for (lane, to) in row[..used].iter_mut().enumerate() {
                    let low = at(lane, channel + c);
                    *to = match self.unit {
                        1 => low,
                        _ => word(low, if pair { at(lane, channel + c + 1) } else { 0.0 }),
                    };
                }
            }
            channel += len;
        }
        rows.for_each(|row| row.fill(0.0));
    }

    /// The blocks of output channels.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let (vectors, lanes) = (self.channels.div_ceil(self.lanes), self.lanes);
        (0..vectors).step_by(2).map(move |v| Block { start: v * lanes, nv: (vectors - v).min(2) })
    }

    fn block_start(&self, block: &Block) -> usize {
        block.start * self.taps * self.rows
    }

    /// The weights of a block.
    pub(super) fn block(&self, block: &Block) -> *const f32 {
        self.data[self.block_start(block)..].as_ptr()
    }

    /// First row of a tap.
    pub(super) fn row(&self, tap: usize) -> usize {
        tap * self.rows
    }

    /// Rows of a run of so many channels.
    pub(super) fn rows_of(&self, channels: usize) -> usize {
        channels.div_ceil(self.unit)
    }

    /// Numbers of a pixel whose runs are copied together.
    pub(super) fn copied(&self) -> usize {
        self.rows * self.unit
    }

    /// Numbers from the start of a copied run to that of the next.
    pub(super) fn copied_run(&self, channels: usize) -> usize {
        channels.next_multiple_of(self.unit)
    }

    /// Sums of a pixel, whole vectors.
    pub(super) fn pitch(&self) -> usize {
        self.channels.next_multiple_of(self.lanes)
    }
}

/// Two numbers that bf16 can hold, side by side.
fn word(low: f32, high: f32) -> f32 {
    f32::from_bits(low.to_bits() >> 16 | high.to_bits() & 0xffff_0000)
}
