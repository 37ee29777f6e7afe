//! Convolution of bf16 images: products of bf16 numbers, sums, bias and what is added in f32, results rounded once.
//!
//! The f32 driver's ideas (`../direct.rs`): images are read where they lie, tap by tap, edges through a small copy with
//! zeros; work is cut by geometry alone. What differs is the inner loop ([`Inner`]), of which there are three, chosen when
//! weights are packed ([`Engine`]): AMX tiles, AVX512-BF16, and f32 arithmetic on widened copies for every other processor.
//! All of them leave f32 sums in scratch, from where one epilogue goes on. Convolutions whose weights are used once
//! (`once.rs`) go by Winograd's tiles in f32 where those are faster (`winograd.rs`).

#[cfg(any(target_arch = "x86_64", test))]
mod amx;
mod driver;
#[cfg(any(target_arch = "x86_64", test))]
mod emulated;
mod engine;
mod finish;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod hardware;
mod layout;
mod once;
#[cfg(target_arch = "x86_64")]
mod paired;
mod stretch;
mod taps;
#[cfg(test)]
mod tests;
mod weight_gradient;
mod widened;
mod winograd;

pub use engine::Engine;
#[cfg(test)]
pub(crate) use engine::with_engine;
pub(crate) use finish::{Finish, round};
pub(crate) use layout::Weights;
pub(crate) use once::once;
pub(crate) use weight_gradient::weight_gradient;

use half::bf16;

use super::{ConvGeometry, Direction, Residual, Source};
use crate::cpu::simd::{MAX_MR, Tap, table::Part};
use smallvec::SmallVec;

/// Most pixels of a unit of work: its input, sums and results stay in the first-level cache.
const UNIT_PIXELS: usize = 48;

/// Most pixels of one tile.
const MAX_PART: usize = if MAX_MR > 32 { MAX_MR } else { 32 };

/// A convolution (or, as the weights' direction says, a transposed one), with a 1×1 convolution after it or none.
pub(crate) struct Conv<'a> {
    pub geometry: &'a ConvGeometry,
    /// Where the input channels lie, in order.
    pub sources: &'a [Source<'a, bf16>],
    pub weights: &'a Weights,
    /// What happens to the sums. Where a 1×1 convolution follows: before that, and without a residual.
    pub finish: Finish<'a>,
    /// A 1×1 convolution and what happens to its sums.
    pub tail: Option<(&'a Weights, Finish<'a>)>,
    /// Pixels of the result whose channels lie side by side in one of the geometry's ([`super::Fold`]).
    pub fold: usize,
}

/// Where results go, NHWC.
pub(crate) enum Out<'a> {
    Bf16(&'a mut [bf16]),
    F32(&'a mut [f32]),
    /// The channel of each pixel's largest value.
    Labels(&'a mut [u8]),
}

/// The sums of some pixels and a block of output channels, by one kind of instructions.
trait Inner: Sync {
    /// What copied pixels hold.
    type X: Copy + Default;
    /// What a thread keeps from tile to tile.
    type Task;
    /// What tells one height of tiles from another.
    type Run: Copy;

    /// The start of a task.
    fn task(&self) -> Self::Task;
    /// Tiles of `n` pixels, for blocks of `nv` vectors.
    fn parts(&self, nv: usize, n: usize) -> SmallVec<[Part<Self::Run>; 12]>;
    /// Whether channels are read where they lie, and not from copies only.
    fn in_place(&self, weights: &Weights, sources: &[Source<'_, bf16>]) -> bool;
    /// Whether a tile of so many pixels reads no others.
    fn is_whole(&self, len: usize) -> bool;
    /// Copies channels.
    fn copy(from: &[bf16], to: &mut [Self::X]);
    /// Writes the first stage's results, from which a second one reads: rounded to bf16.
    ///
    /// # Safety
    /// As [`finish::Pixels`] says.
    unsafe fn keep(&self, pixels: &finish::Pixels<'_>, to: *mut Self::X, step: usize);
    /// Writes results in bf16.
    ///
    /// # Safety
    /// As [`finish::Pixels`] says.
    unsafe fn store(&self, pixels: &finish::Pixels<'_>, to: *mut bf16, step: usize);
    /// Sums.
    ///
    /// # Safety
    /// All that `tile` says is valid for the part's pixels (rounded up to [`Inner::is_whole`] ones) and the block's channels.
    unsafe fn tile(&self, task: &mut Self::Task, run: Self::Run, tile: &Tile<'_, Self::X>);
}

/// A tile's operands.
struct Tile<'a, X> {
    /// The taps; `w` counts rows of weights.
    taps: &'a [Tap<X>],
    /// Pixels added to every tap's `x`.
    shift: isize,
    /// Weights of the block.
    w: *const f32,
    /// Vectors of the block.
    nv: usize,
    /// Rows of weights of a tap that are multiplied at once (AMX).
    chunk: usize,
    /// Pixels.
    len: usize,
    /// Sums of the first pixel, first channel of the block.
    sums: *mut f32,
    /// Numbers from one pixel's sums to the next one's.
    pitch: usize,
}
