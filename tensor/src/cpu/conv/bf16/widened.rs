//! The inner loop for processors without bf16 arithmetic: copies widened to f32, and the f32 tiles.

use half::bf16;
use smallvec::SmallVec;

use super::finish::{self, Pixels};
use super::{Inner, Source, Tile, Weights};
use crate::cpu::dispatch::vectorized;
use crate::cpu::simd::table::{Kernels, Part, TileFn};
use crate::cpu::simd::{self, Scalar};

/// f32 tiles.
pub(super) struct Widened(pub &'static Kernels<f32>);

impl Widened {
    pub fn new(isa: simd::Isa) -> Self {
        Self(f32::kernels(isa))
    }
}

impl Inner for Widened {
    type X = f32;
    type Task = ();
    type Run = TileFn<f32>;

    fn task(&self) {}

    fn parts(&self, nv: usize, n: usize) -> SmallVec<[Part<TileFn<f32>>; 12]> {
        self.0.tile[nv - 1].split(n).collect()
    }

    fn in_place(&self, _: &Weights, _: &[Source<'_, bf16>]) -> bool {
        false
    }

    fn is_whole(&self, _: usize) -> bool {
        true
    }

    fn copy(from: &[bf16], to: &mut [f32]) {
        widen::<f32>(from, to);
    }

    unsafe fn keep(&self, pixels: &Pixels<'_>, to: *mut f32, step: usize) {
        // SAFETY: as promised by the caller; what is rounded was just written.
        unsafe {
            finish::store::<f32>(pixels, to, step);
            for p in 0..pixels.pixels {
                let kept = std::slice::from_raw_parts_mut(to.add(p * step), pixels.channels);
                finish::round_in_place(kept);
            }
        }
    }

    unsafe fn store(&self, pixels: &Pixels<'_>, to: *mut bf16, step: usize) {
        // SAFETY: as promised by the caller.
        unsafe { finish::store::<bf16>(pixels, to, step) }
    }

    unsafe fn tile(&self, (): &mut (), run: TileFn<f32>, tile: &Tile<'_, f32>) {
        let arguments = simd::Tile {
            shift: tile.shift,
            w: tile.w,
            y: tile.sums,
            y_step: tile.pitch as isize,
            last: self.0.lanes,
            ..simd::Tile::bare(tile.taps)
        };
        // SAFETY: as promised by the caller; sums have room for whole vectors.
        unsafe { run(&arguments) }
    }
}

vectorized! {
    /// Widens.
    fn widen<T: From<f32>>(from: &[bf16], to: &mut [T]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16).into();
        }
    }
}
