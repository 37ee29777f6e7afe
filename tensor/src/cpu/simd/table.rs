//! The inner loops instantiated for each instruction set and number type, as tables of function pointers.
//!
//! This is the one place where instruction sets are enabled: each function here is compiled with its set's features and
//! inlines the generic loop from [`super::micro`]. Drivers pick a table once per call and never look at the set again.

use super::micro::{self, OuterTile, Tile};
use super::winograd::{self, GradientTile, InputTile, OutputTile};
use super::{Isa, Portable, Scalar};
use half::bf16;

/// An instance of [`micro::tile`] or [`micro::depthwise`].
pub(crate) type TileFn<T> = unsafe fn(&Tile<'_, T>);
/// An instance of [`micro::outer`] or [`micro::depthwise_gradient`].
pub(crate) type OuterFn<T> = unsafe fn(&OuterTile<T>);

/// Most vectors of output channels in one block.
pub(crate) const MAX_NV: usize = 3;

/// Instances of one loop for different tile heights, lowest first. The lowest is one. Not every height has an instance: each
/// costs compile time, and tiles of the lengths between are made of two.
pub(crate) struct Heights<F: 'static>(pub(super) &'static [(usize, F)]);

/// A tile of some pixels (or channels) and the loop to run on it.
#[derive(Clone, Copy)]
pub(crate) struct Part<F> {
    pub start: usize,
    pub len: usize,
    pub run: F,
}

impl<F: Copy> Heights<F> {
    /// Splits `n` into about equal parts for which there is a loop: even tiles keep the multiplication units busy where one
    /// full and one tiny tile would not.
    pub fn split(&self, n: usize) -> impl Iterator<Item = Part<F>> {
        let heights = self.0;
        let mut parts = n.div_ceil(heights[heights.len() - 1].0);
        let mut start = 0;
        std::iter::from_fn(move || {
            let left = n - start;
            if left == 0 {
                return None;
            }
            let wanted = left.div_ceil(parts.max(1));
            parts = parts.saturating_sub(1);
            let at_least = heights.iter().find(|(height, _)| (wanted..=left).contains(height));
            let below = || heights.iter().rev().find(|(height, _)| *height <= left);
            let &(len, run) = at_least.or_else(below)?;
            start += len;
            Some(Part { start: start - len, len, run })
        })
    }
}

/// One instruction set's loops for numbers of type `T`.
pub(crate) struct Kernels<T: Scalar> {
    /// Values in a vector.
    pub lanes: usize,
    /// [`micro::tile`] for each number of vectors, less one.
    pub tile: [Heights<TileFn<T>>; MAX_NV],
    /// [`micro::outer`], likewise.
    pub outer: [Heights<OuterFn<T>>; MAX_NV],
    /// [`micro::depthwise`], likewise.
    pub depthwise: [Heights<TileFn<T>>; MAX_NV],
    /// [`micro::depthwise_gradient`], likewise.
    pub depthwise_gradient: [OuterFn<T>; MAX_NV],
    /// For f32 alone: f64 takes the direct sum.
    pub winograd: Option<Winograd<T>>,
    /// [`micro::peak`].
    pub peak: unsafe fn(usize, T) -> T,
}

/// A loop for tiles of 4 to 6 inputs along each axis.
pub(crate) type BySides<F> = [[F; 3]; 3];
/// An instance of [`winograd::input`].
pub(crate) type InputFn<X, T> = unsafe fn(&InputTile<X, T>);
/// An instance of [`winograd::gradient`].
pub(crate) type GradientFn<X, T> = unsafe fn(&GradientTile<X, T>);
/// An instance of [`winograd::output`].
pub(crate) type OutputFn<T> = unsafe fn(&OutputTile<T>);

/// The transforms of Winograd's tiles.
pub(crate) struct Winograd<T: Scalar> {
    /// Of inputs.
    pub input: BySides<InputFn<T, T>>,
    /// Of inputs in bf16.
    pub input_bf16: BySides<InputFn<bf16, T>>,
    /// Of gradients of results.
    pub gradient: BySides<GradientFn<T, T>>,
    /// Of gradients of results in bf16.
    pub gradient_bf16: BySides<GradientFn<bf16, T>>,
    /// Of sums.
    pub output: BySides<OutputFn<T>>,
}

impl<T: Scalar> Kernels<T> {
    /// Blocks of output channels for `channels`: vectors of each block, wide blocks first. Every block but the last is full.
    pub fn blocks(&self, channels: usize) -> impl Iterator<Item = Block> + use<T> {
        let lanes = self.lanes;
        let vectors = channels.div_ceil(lanes);
        // Two vectors are the best balance of loads and multiplications; an odd count takes three once instead of one.
        let triple = vectors % 2 == 1 && vectors >= 3;
        let mut done = 0;
        std::iter::from_fn(move || {
            let nv = match vectors - done {
                0 => return None,
                3 if triple => 3,
                1 => 1,
                _ => 2,
            };
            let start = done * lanes;
            done += nv;
            let used = channels.min(done * lanes) - start;
            Some(Block { start, nv, last: used - (nv - 1) * lanes })
        })
    }
}

/// A block of output channels that one register tile computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// First channel.
    pub start: usize,
    /// Vectors.
    pub nv: usize,
    /// Lanes used of the last vector.
    pub last: usize,
}

/// Splits `n` into equal parts (±1) of at most `max`: start and length of each, longer ones first.
pub(crate) fn even_split(n: usize, max: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let parts = n.div_ceil(max);
    let (len, longer) = (n.checked_div(parts).unwrap_or(0), n.checked_rem(parts).unwrap_or(0));
    // No division per part: tiles are split in the hot path.
    (0..parts).scan(0, move |start, i| {
        let len = len + usize::from(i < longer);
        *start += len;
        Some((*start - len, len))
    })
}

macro_rules! instances {
    ($name:ident, $simd:ty $(, #[$feature:meta])?) => {
        mod $name {
            use super::*;
            use crate::cpu::simd::{Reads, Simd};

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn tile<T: Scalar, const MR: usize, const NV: usize>(a: &Tile<'_, T>)
            where
                $simd: Simd<T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { micro::tile::<$simd, T, MR, NV>(a) }
            }

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn depthwise<T: Scalar, const MR: usize, const NV: usize>(a: &Tile<'_, T>)
            where
                $simd: Simd<T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { micro::depthwise::<$simd, T, MR, NV>(a) }
            }

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn outer<T: Scalar, const MR: usize, const NV: usize>(
                a: &OuterTile<T>,
            ) where
                $simd: Simd<T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { micro::outer::<$simd, T, MR, NV>(a) }
            }

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn depthwise_gradient<T: Scalar, const NV: usize>(
                a: &OuterTile<T>,
            ) where
                $simd: Simd<T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { micro::depthwise_gradient::<$simd, T, NV>(a) }
            }

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn winograd_input<X, T: Scalar, const R: usize, const C: usize>(
                a: &InputTile<X, T>,
            )
            where
                $simd: Reads<X, T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { winograd::input::<$simd, X, T, R, C>(a) }
            }

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn winograd_gradient<X, T: Scalar, const R: usize, const C: usize>(
                a: &GradientTile<X, T>,
            )
            where
                $simd: Reads<X, T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { winograd::gradient::<$simd, X, T, R, C>(a) }
            }

            /// # Safety
            /// As for the loop it instantiates, with its instruction set available.
            $(#[$feature])?
            pub unsafe fn winograd_output<T: Scalar, const R: usize, const C: usize>(
                a: &OutputTile<T>,
            )
            where
                $simd: Simd<T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { winograd::output::<$simd, T, R, C>(a) }
            }

            /// # Safety
            /// The instruction set is available.
            $(#[$feature])?
            pub unsafe fn peak<T: Scalar>(rounds: usize, factor: T) -> T
            where
                $simd: Simd<T>,
            {
                // SAFETY: the features are enabled here; the rest is the caller's promise.
                unsafe { micro::peak::<$simd, T>(rounds, factor) }
            }
        }
    };
}

instances!(portable, Portable<8>);
#[cfg(target_arch = "x86_64")]
instances!(avx2, crate::cpu::simd::avx2::Avx2, #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
instances!(avx512, crate::cpu::simd::avx512::Avx512, #[target_feature(enable = "avx512f")]);

/// Builds a [`Kernels`]: heights of tiles of one, two and three vectors. Accumulators, a vector of each block and a
/// broadcast value have to fit the registers.
macro_rules! kernels {
    ($m:ident, $t:ty, $lanes:literal, [$($a:literal)*], [$($b:literal)*], [$($c:literal)*]) => {
        kernels!(
            $m, $t, $lanes,
            [
                Heights(&[$(($a, $m::tile::<$t, $a, 1>)),*]),
                Heights(&[$(($b, $m::tile::<$t, $b, 2>)),*]),
                Heights(&[$(($c, $m::tile::<$t, $c, 3>)),*]),
            ],
            [
                Heights(&[$(($a, $m::outer::<$t, $a, 1>)),*]),
                Heights(&[$(($b, $m::outer::<$t, $b, 2>)),*]),
                Heights(&[$(($c, $m::outer::<$t, $c, 3>)),*]),
            ],
            [1 2 4]
        )
    };
    ($m:ident, $t:ty, $lanes:literal, $tile:expr, $outer:expr, [$($d:literal)*]) => {
        Kernels {
            lanes: $lanes,
            tile: $tile,
            outer: $outer,
            depthwise: [
                Heights(&[$(($d, $m::depthwise::<$t, $d, 1>)),*]),
                Heights(&[$(($d, $m::depthwise::<$t, $d, 2>)),*]),
                Heights(&[$(($d, $m::depthwise::<$t, $d, 3>)),*]),
            ],
            depthwise_gradient: [
                $m::depthwise_gradient::<$t, 1>,
                $m::depthwise_gradient::<$t, 2>,
                $m::depthwise_gradient::<$t, 3>,
            ],
            winograd: None,
            peak: $m::peak::<$t>,
        }
    };
}

/// A loop for tiles of 4 to 6 inputs along each axis.
macro_rules! by_sides {
    ($m:ident::$f:ident, $($t:ty),*) => {
        [
            [$m::$f::<$($t),*, 4, 4>, $m::$f::<$($t),*, 4, 5>, $m::$f::<$($t),*, 4, 6>],
            [$m::$f::<$($t),*, 5, 4>, $m::$f::<$($t),*, 5, 5>, $m::$f::<$($t),*, 5, 6>],
            [$m::$f::<$($t),*, 6, 4>, $m::$f::<$($t),*, 6, 5>, $m::$f::<$($t),*, 6, 6>],
        ]
    };
}

/// [`Winograd`] for f32.
macro_rules! winograd {
    ($m:ident) => {
        Some(Winograd {
            input: by_sides!($m::winograd_input, f32, f32),
            input_bf16: by_sides!($m::winograd_input, bf16, f32),
            gradient: by_sides!($m::winograd_gradient, f32, f32),
            gradient_bf16: by_sides!($m::winograd_gradient, bf16, f32),
            output: by_sides!($m::winograd_output, f32),
        })
    };
}

static PORTABLE_F32: Kernels<f32> =
    Kernels { winograd: winograd!(portable), ..kernels!(portable, f32, 8, [1 2 3 4], [1 2 3], [1 2]) };
#[cfg(target_arch = "x86_64")]
static AVX2_F32: Kernels<f32> = Kernels {
    winograd: winograd!(avx2),
    ..kernels!(avx2, f32, 8, [1 2 3 4 6 8 10 12], [1 2 3 4 5 6], [1 2 3 4])
};
#[cfg(target_arch = "x86_64")]
static AVX512_F32: Kernels<f32> = Kernels {
    winograd: winograd!(avx512),
    ..kernels!(avx512, f32, 16, [1 2 4 6 8 10 12 14], [1 2 4 6 7 8 10 12 14], [1 2 3 5 7 9])
};
static PORTABLE_F64: Kernels<f64> = kernels!(portable, f64, 8, [1 2 3 4], [1 2 3], [1 2]);

/// The table of `isa` for f32.
pub(crate) fn f32_kernels(isa: Isa) -> &'static Kernels<f32> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &AVX2_F32,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &AVX512_F32,
        _ => &PORTABLE_F32,
    }
}

/// The table for f64, the same for every set: double precision serves gradient checks and references, whose speed is not
/// worth compiling each loop twice more.
pub(crate) fn f64_kernels(_isa: Isa) -> &'static Kernels<f64> {
    &PORTABLE_F64
}

/// Numbers that maps hold, of which Winograd's tiles compute in `T`.
pub(crate) trait Mapped<T: Scalar>: Copy + Default + Send + Sync + 'static {
    /// The transforms of inputs.
    fn inputs(all: &Winograd<T>) -> &BySides<InputFn<Self, T>>;
    /// The transforms of gradients of results.
    fn gradients(all: &Winograd<T>) -> &BySides<GradientFn<Self, T>>;
}

impl<T: Scalar> Mapped<T> for T {
    fn inputs(all: &Winograd<T>) -> &BySides<InputFn<T, T>> {
        &all.input
    }

    fn gradients(all: &Winograd<T>) -> &BySides<GradientFn<T, T>> {
        &all.gradient
    }
}

impl Mapped<f32> for bf16 {
    fn inputs(all: &Winograd<f32>) -> &BySides<InputFn<bf16, f32>> {
        &all.input_bf16
    }

    fn gradients(all: &Winograd<f32>) -> &BySides<GradientFn<bf16, f32>> {
        &all.gradient_bf16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_channels_once() {
        for isa in Isa::ALL {
            let kernels = f32_kernels(isa);
            for channels in 1..200 {
                let mut next = 0;
                for block in kernels.blocks(channels) {
                    assert_eq!(block.start, next);
                    assert!((1..=MAX_NV).contains(&block.nv) && (1..=kernels.lanes).contains(&block.last));
                    next += (block.nv - 1) * kernels.lanes + block.last;
                }
                assert_eq!(next, channels);
            }
        }
    }

    #[test]
    fn heights_cover_everything_once() {
        for isa in Isa::ALL {
            for heights in &f32_kernels(isa).tile {
                for n in 0..200 {
                    let mut next = 0;
                    for part in heights.split(n) {
                        assert_eq!(part.start, next);
                        assert!((1..=super::super::MAX_MR).contains(&part.len));
                        next += part.len;
                    }
                    assert_eq!(next, n);
                }
            }
        }
    }

    #[test]
    fn even_split_is_even() {
        for n in 1..100 {
            for max in 1..15 {
                let parts: Vec<_> = even_split(n, max).collect();
                assert_eq!(parts.iter().map(|p| p.1).sum::<usize>(), n);
                assert!(parts.iter().all(|p| p.1 <= max && p.1 >= n / parts.len()));
            }
        }
    }
}
