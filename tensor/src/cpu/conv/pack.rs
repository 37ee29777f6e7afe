//! Weights rearranged for the register tiles: `[group][block of output channels][tap][input channel][lanes of the block]`.
//!
//! A tile then reads its weights as one stream, in the order in which it multiplies them. Lanes past the last output channel
//! are zero. The weight gradient accumulates in the same arrangement and is rearranged back at the end.

use super::{ConvGeometry, winograd};
use crate::cpu::simd::buffer::AlignedVec;
use crate::cpu::simd::table::{Block, Kernels};
use crate::cpu::simd::{Isa, Scalar};
use rayon::prelude::*;
use smallvec::SmallVec;

/// Which convolution the weights are packed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From input to output.
    Forward,
    /// From output (or its gradient) to input: data gradient and transposed convolution.
    InputGradient,
}

/// Where packed weights lie.
#[derive(Clone, Debug)]
pub(crate) struct PackLayout {
    pub direction: Direction,
    pub groups: usize,
    /// Filter taps (height × width).
    pub taps: usize,
    /// Channels that a group sums over.
    pub depth: usize,
    /// Channels that a group produces.
    pub channels: usize,
    /// Blocks of a group's produced channels.
    pub blocks: SmallVec<[Block; 8]>,
    lanes: usize,
    /// Numbers per group.
    group_len: usize,
}

impl PackLayout {
    pub fn new<T: Scalar>(kernels: &Kernels<T>, geometry: &ConvGeometry, direction: Direction) -> Self {
        geometry.check();
        let (groups, depth, channels) = if geometry.is_depthwise() {
            // One "group" whose vectors run across the channels, each of depth one.
            (1, 1, geometry.c_in)
        } else {
            let (c, k) = (geometry.c_in / geometry.groups, geometry.c_out / geometry.groups);
            match direction {
                Direction::Forward => (geometry.groups, c, k),
                Direction::InputGradient => (geometry.groups, k, c),
            }
        };
        let taps = geometry.kernel[0] * geometry.kernel[1];
        let lanes = kernels.lanes;
        let group_len = taps * depth * channels.next_multiple_of(lanes);
        let blocks = kernels.blocks(channels).collect();
        Self { direction, groups, taps, depth, channels, blocks, lanes, group_len }
    }

    /// Numbers in all.
    pub fn len(&self) -> usize {
        self.groups * self.group_len
    }

    /// Start of a block.
    pub fn block_start(&self, group: usize, block: &Block) -> usize {
        group * self.group_len + block.start * self.taps * self.depth
    }

    /// Lanes of a block, the unused ones counted.
    pub fn width(&self, block: &Block) -> usize {
        block.nv * self.lanes
    }

    /// Calls `f(packed index, weight index)` for every weight of one block.
    fn for_each(&self, group: usize, block: &Block, mut f: impl FnMut(usize, usize)) {
        let (width, start) = (self.width(block), self.block_start(group, block));
        let used = width - self.lanes + block.last;
        for lane in 0..used {
            let channel = block.start + lane;
            for c in 0..self.depth {
                let from = match self.direction {
                    Direction::Forward => (group * self.channels + channel) * self.depth + c,
                    Direction::InputGradient => (group * self.depth + c) * self.channels + channel,
                } * self.taps;
                for tap in 0..self.taps {
                    let weight = match self.direction {
                        Direction::Forward => from + tap,
                        // Reversed, so that taps ascend with the position they read.
                        Direction::InputGradient => from + self.taps - 1 - tap,
                    };
                    f(start + (tap * self.depth + c) * width + lane, weight);
                }
            }
        }
    }

    /// Rearranges `weights` into `packed`. Tiny blocks are not worth a second thread.
    pub fn pack<T: Scalar>(&self, weights: &[T], packed: &mut [T]) {
        let mut rest = packed;
        let mut parts = Vec::with_capacity(self.groups * self.blocks.len());
        for group in 0..self.groups {
            for block in &self.blocks {
                let (part, after) = rest.split_at_mut(self.taps * self.depth * self.width(block));
                parts.push((group, block, part));
                rest = after;
            }
        }
        let chunk = (8192 / (self.taps * self.depth * self.lanes)).max(1);
        parts.par_iter_mut().with_min_len(chunk).for_each(|(group, block, part)| {
            let start = self.block_start(*group, block);
            if block.last < self.lanes {
                part.fill(T::zero());
            }
            self.for_each(*group, block, |to, from| part[to - start] = weights[from]);
        });
    }

    /// Rearranges sums in packed order back into `weights`.
    pub fn unpack<T: Scalar>(&self, packed: &[T], weights: &mut [T]) {
        for group in 0..self.groups {
            for block in &self.blocks {
                self.for_each(group, block, |from, to| weights[to] = packed[from]);
            }
        }
    }
}

/// Weights packed for one direction and instruction set, to be used for many convolutions (of any image size and batch).
pub struct PackedWeights<T: Scalar> {
    pub(crate) layout: PackLayout,
    pub(crate) data: AlignedVec<T>,
    pub(crate) isa: Isa,
}

impl<T: Scalar> PackedWeights<T> {
    /// Packs `weights` (`[c_out, c_in / groups, kernel_h, kernel_w]`, contiguous) for [`Isa::current`].
    pub fn new(geometry: &ConvGeometry, direction: Direction, weights: &[T]) -> Self {
        assert_eq!(weights.len(), geometry.weight_len(), "weights do not fit the geometry {geometry:?}");
        let isa = Isa::current();
        let layout = PackLayout::new(T::kernels(isa), geometry, direction);
        let mut data = AlignedVec::zeros(layout.len());
        layout.pack(weights, &mut data);
        Self { layout, data, isa }
    }

    /// Weights of a 3×3 convolution for tiles of this form.
    pub(crate) fn transformed(
        form: winograd::Form,
        geometry: &ConvGeometry,
        direction: Direction,
        weights: &[T],
    ) -> Self {
        let isa = Isa::current();
        let layout = PackLayout::new(T::kernels(isa), &form.packing(geometry), direction);
        let mut data = AlignedVec::zeros(layout.len());
        winograd::pack(form, &layout, weights, &mut data);
        Self { layout, data, isa }
    }

    /// Which convolution they serve.
    pub fn direction(&self) -> Direction {
        self.layout.direction
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.data.len() * size_of::<T>()
    }
}
