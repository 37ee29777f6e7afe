//! The inner loop by AVX512-BF16: runs of channels read where they lie, two at a time.

use half::bf16;
use smallvec::SmallVec;

use super::finish::Pixels;
use super::{Inner, Source, Tile, Weights};
use crate::cpu::simd::pairs::{self, PairFn, PairTile, Rounding, TILES};
use crate::cpu::simd::table::Part;

/// AVX512-BF16, which the processor has.
pub(super) struct Paired;

impl Inner for Paired {
    type X = bf16;
    type Task = ();
    type Run = PairFn;

    fn task(&self) {}

    fn parts(&self, nv: usize, n: usize) -> SmallVec<[Part<PairFn>; 12]> {
        TILES[nv - 1].split(n).collect()
    }

    fn in_place(&self, _: &Weights, _: &[Source<'_, bf16>]) -> bool {
        true
    }

    fn is_whole(&self, _: usize) -> bool {
        true
    }

    fn copy(from: &[bf16], to: &mut [bf16]) {
        to.copy_from_slice(from);
    }

    unsafe fn keep(&self, pixels: &Pixels<'_>, to: *mut bf16, step: usize) {
        // SAFETY: as promised by the caller.
        unsafe { round(pixels, to, step) }
    }

    unsafe fn store(&self, pixels: &Pixels<'_>, to: *mut bf16, step: usize) {
        // SAFETY: as promised by the caller.
        unsafe { round(pixels, to, step) }
    }

    unsafe fn tile(&self, (): &mut (), run: PairFn, tile: &Tile<'_, bf16>) {
        let Tile { taps, shift, w, sums, pitch, .. } = *tile;
        // SAFETY: as promised by the caller; the processor has the instructions.
        unsafe { run(&PairTile { taps, shift, w, sums, pitch }) }
    }
}

/// # Safety
/// As [`Pixels`] says, on a processor with AVX512-BF16.
pub(super) unsafe fn round(a: &Pixels<'_>, to: *mut bf16, step: usize) {
    let bias = a.finish.bias.map(|bias| bias[..a.channels].as_ptr());
    let rounding = Rounding {
        sums: a.sums.as_ptr(),
        pitch: a.pitch,
        pixels: a.pixels,
        channels: a.channels,
        bias: bias.unwrap_or(std::ptr::null()),
        relu: a.finish.relu,
        residual: a.residual,
        residual_step: a.residual_step,
        relu_last: a.finish.relu_last,
        to,
        step,
    };
    // SAFETY: as promised by the caller.
    unsafe { pairs::round(&rounding) }
}
