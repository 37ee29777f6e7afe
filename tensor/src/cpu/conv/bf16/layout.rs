//! Weights for the inner loops: `[block of output channels][tap][row][lanes of the block]`.
//!
//! Where pairs of channels are multiplied a row holds two, a 32-bit word for each output channel (what Intel calls the VNNI
//! layout), and every run of input channels starts a new row: an odd run's last word is half zero. The rows of a tap are
//! padded so that they can be cut into equal chunks of at most 16: AMX multiplies one chunk at a time. Elsewhere a row is one
//! channel and holds f32 values (which bf16 can hold).

use half::bf16;

use super::super::{ConvGeometry, Direction};
use super::Engine;
use crate::cpu::simd::buffer::AlignedVec;

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
        let data = AlignedVec::zeros(len);
        let mut packed = Self { engine, direction, channels, runs, unit, rows, chunk, taps, lanes, data };
        packed.fill(depth, weights);
        packed
    }

    fn fill(&mut self, depth: usize, weights: &[f32]) {
        // Row and half of each input channel.
        let mut places = Vec::with_capacity(depth);
        let mut row = 0;
        for &len in &self.runs {
            places.extend((0..len).map(|c| (row + c / self.unit, c % self.unit)));
            row += len.div_ceil(self.unit);
        }
        let blocks: Vec<Block> = self.blocks().collect();
        for block in blocks {
            let (start, width) = (self.block_start(&block), block.nv * self.lanes);
            for lane in 0..width.min(self.channels - block.start) {
                let out = block.start + lane;
                for (c, &(row, half)) in places.iter().enumerate() {
                    for tap in 0..self.taps {
                        // Taps of the transposed convolution are reversed: they ascend with the position that they read.
                        let value = match self.direction {
                            Direction::Forward => weights[(out * depth + c) * self.taps + tap],
                            Direction::InputGradient => {
                                weights[(c * self.channels + out) * self.taps + self.taps - 1 - tap]
                            }
                        };
                        let to = &mut self.data[start + (tap * self.rows + row) * width + lane];
                        *to = if self.unit == 1 {
                            value
                        } else {
                            let bits = u32::from(bf16::from_f32(value).to_bits()) << (16 * half);
                            f32::from_bits(to.to_bits() | bits)
                        };
                    }
                }
            }
        }
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
