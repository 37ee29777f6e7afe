//! Where the pixels of a stage go: into the image of the result, or into a strip that a 1×1 convolution goes on with.

use super::Shared;
use super::direct::cut;
use super::epilogue::Pointwise;
use crate::cpu::simd::table::Kernels;
use crate::cpu::simd::{Scalar, Tap, Tile};

/// Where tiles write: pixel `i` of a stretch at `start + i · step`.
#[derive(Clone, Copy)]
pub(super) struct Target<T> {
    pub base: Shared<T>,
    pub start: isize,
    pub step: usize,
}

impl<T> Target<T> {
    /// First channel of pixel `i` of the stretch.
    ///
    /// # Safety
    /// The pixel is one of the stretch's, so that the address is inside the memory of `base`.
    pub(super) unsafe fn pixel(&self, i: usize) -> *mut T {
        // SAFETY: as promised by the caller; the sum is formed before the pointer moves.
        unsafe { self.base.0.offset(self.start + (i * self.step) as isize) }
    }
}

impl<T: Scalar> Pointwise<'_, T> {
    /// The second stage on pixels `from..to`, which lie in `strip`.
    pub(super) fn run(
        &self,
        kernels: &Kernels<T>,
        strip: &[T],
        (from, to): (usize, usize),
        target: Target<T>,
        added: Option<Target<T>>,
    ) {
        let layout = self.layout;
        assert!(strip.len() >= (to - from) * layout.depth);
        assert!(
            self.epilogue.bias.is_none_or(|bias| bias.len() == layout.channels),
            "bias of a pointwise convolution"
        );
        let taps = [Tap { x: strip.as_ptr(), w: 0, len: layout.depth, step: layout.depth as isize }];
        for block in &layout.blocks {
            for part in cut(&kernels.tile[block.nv - 1], from, to) {
                // SAFETY: as in `tiles`; the input is the strip, whose length was checked.
                unsafe {
                    let tile = Tile {
                        shift: (part.start - from) as isize,
                        w: self.packed[layout.block_start(0, block)..].as_ptr(),
                        y: target.pixel(part.start).add(block.start),
                        y_step: target.step as isize,
                        last: block.last,
                        bias: self.epilogue.bias.map_or(std::ptr::null(), |b| b[block.start..].as_ptr()),
                        residual: added
                            .map_or(std::ptr::null(), |a| a.pixel(part.start).add(block.start).cast_const()),
                        residual_step: added.map_or(0, |a| a.step as isize),
                        relu: self.epilogue.relu,
                        relu_last: self.epilogue.relu_last,
                        ..Tile::bare(&taps)
                    };
                    (part.run)(&tile);
                }
            }
        }
    }
}
