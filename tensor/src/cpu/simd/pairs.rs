//! The inner loops of bf16 convolution by AVX512-BF16: products of pairs of neighbouring channels, summed in f32.
//!
//! `vdpbf16ps` multiplies two bf16 numbers in each 32-bit lane and adds both products to the lane's f32. A pixel's two
//! channels are broadcast as one word; a word of the weights holds the same two channels of one output channel. A run of
//! channels of odd length ends with a word whose second half is zero: nothing beyond the run is read.
//!
//! The weight gradient sums over pixels: there the two numbers of a word are those of one channel in two pixels
//! ([`interleave`] makes such words).

use super::micro::{each, each_vector};
use super::table::{Heights, MAX_NV, OuterFn};
use super::{OuterTile, Tap};
use half::bf16;
use std::arch::x86_64::*;

/// Output channels of a vector.
pub(crate) const LANES: usize = 16;

/// Arguments of a tile.
pub(crate) struct PairTile<'a> {
    /// The taps; `w` counts rows of weights, one for each pair of channels.
    pub taps: &'a [Tap<bf16>],
    /// Pixels added to every tap's `x`.
    pub shift: isize,
    /// Weights of this block: rows of whole vectors, one word for each pair of channels and output channel.
    pub w: *const f32,
    /// The sums of the first pixel.
    pub sums: *mut f32,
    /// Numbers from one pixel's sums to the next one's.
    pub pitch: usize,
}

/// An instance of `tile`.
pub(crate) type PairFn = unsafe fn(&PairTile<'_>);

/// Whether the processor has what the loops need.
pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}

/// Whether they multiply faster than f32 loops do. AMD's multiply at twice the rate of f32,
/// Intel's at half of it (measured on one of each). By the maker's name and not by a measurement: which loop runs shows in
/// the last bits of results, and must not depend on what else the machine does.
pub(crate) fn pays() -> bool {
    !cfg!(miri) && {
        let name = __cpuid(0);
        let bytes = [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes);
        bytes.as_flattened() != b"GenuineIntel"
    }
}

/// `MR` pixels × `NV` vectors of output channels.
///
/// # Safety
/// All pointers of `a` are valid for what its fields say, weights and sums for whole vectors; [`is_available`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile<const MR: usize, const NV: usize>(a: &PairTile<'_>) {
    // SAFETY: as promised by the caller; words are read from where two channels lie, half words from one. The casts
    // between vectors change no bits.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); NV]; MR];
        for tap in a.taps {
            let mut w = a.w.add(tap.w * NV * LANES);
            let step = tap.step;
            let mut x = tap.x.wrapping_offset(a.shift * step);
            macro_rules! pair {
                ($word:expr) => {
                    let mut weights = [_mm512_setzero_si512(); NV];
                    each_vector!(v < NV => { weights[v] = _mm512_loadu_si512(w.add(v * LANES).cast()) });
                    each!(p < MR => {
                        let word: i32 = $word(x.offset(p as isize * step));
                        let value: __m512bh = std::mem::transmute(_mm512_set1_epi32(word));
                        each_vector!(v < NV => {
                            let pairs: __m512bh = std::mem::transmute(weights[v]);
                            acc[p][v] = _mm512_dpbf16_ps(acc[p][v], value, pairs);
                        });
                    });
                };
            }
            for _ in 0..tap.len / 2 {
                pair!(|x: *const bf16| x.cast::<i32>().read_unaligned());
                x = x.add(2);
                w = w.add(NV * LANES);
            }
            if tap.len % 2 == 1 {
                pair!(|x: *const bf16| i32::from(x.cast::<u16>().read()));
            }
        }
        each!(p < MR => {
            each_vector!(v < NV => { _mm512_storeu_ps(a.sums.add(p * a.pitch + v * LANES), acc[p][v]) });
        });
    }
}

macro_rules! heights {
    ($nv:literal, $($mr:literal)*) => { Heights(&[$(($mr, tile::<$mr, $nv>)),*]) };
}

/// The loops for blocks of one vector and of two.
pub(crate) static TILES: [Heights<PairFn>; 2] =
    [heights!(1, 1 2 4 6 8 10 12 14), heights!(2, 1 2 4 6 8 10 12 14)];

/// [`super::micro::outer`] for numbers that are words of two pixels: `MR` input channels × `NV` vectors of output channels of
/// the weight gradient, summed over `len` pairs of pixels.
///
/// # Safety
/// As for [`super::micro::outer`], on a processor where [`is_available`].
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn outer<const MR: usize, const NV: usize>(a: &OuterTile<f32>) {
    // SAFETY: as promised by the caller. The casts between vectors change no bits.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); NV]; MR];
        let (mut x, mut g) = (a.x.cast::<i32>(), a.g);
        let mut gradient = [_mm512_setzero_si512(); NV];
        for _ in 0..a.len {
            each_vector!(v < NV => { gradient[v] = _mm512_loadu_si512(g.add(v * LANES).cast()) });
            each!(j < MR => {
                let value: __m512bh = std::mem::transmute(_mm512_set1_epi32(x.add(j).read()));
                each_vector!(v < NV => {
                    let pairs: __m512bh = std::mem::transmute(gradient[v]);
                    acc[j][v] = _mm512_dpbf16_ps(acc[j][v], value, pairs);
                });
            });
            x = x.wrapping_offset(a.x_step);
            g = g.wrapping_offset(a.g_step);
        }
        each!(j < MR => {
            each_vector!(v < NV => {
                let to = a.sum.add(j * a.sum_step + v * LANES);
                _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), acc[j][v]));
            });
        });
    }
}

macro_rules! outers {
    ($nv:literal, $($mr:literal)*) => { Heights(&[$(($mr, outer::<$mr, $nv>)),*]) };
}

/// The loops of the weight gradient, with the heights of the f32 ones.
pub(crate) static OUTERS: [Heights<OuterFn<f32>>; MAX_NV] =
    [outers!(1, 1 2 4 6 8 10 12 14), outers!(2, 1 2 4 6 8 10 12 14), outers!(3, 1 2 3 5 7 9)];

/// Words of a number of `low` in the lower half and one of `high` in the upper; zero for all of one that is missing.
///
/// # Safety
/// `low` and `high` are null or valid for `len` numbers, `to` for so many words; [`is_available`].
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) unsafe fn interleave(low: *const bf16, high: *const bf16, len: usize, to: *mut f32) {
    // SAFETY: as promised by the caller; masked lanes are neither read nor written.
    unsafe {
        let zero = _mm512_setzero_si512();
        let mut i = 0;
        while i + 2 * LANES <= len {
            let half = |from: *const bf16| {
                if from.is_null() { zero } else { _mm512_loadu_si512(from.add(i).cast()) }
            };
            let [first, second] = words(half(low), half(high));
            _mm512_storeu_si512(to.add(i).cast(), first);
            _mm512_storeu_si512(to.add(i + LANES).cast(), second);
            i += 2 * LANES;
        }
        if i < len {
            let mask = u32::MAX >> (32 - (len - i));
            let half = |from: *const bf16| {
                if from.is_null() { zero } else { _mm512_maskz_loadu_epi16(mask, from.add(i).cast()) }
            };
            let [first, second] = words(half(low), half(high));
            _mm512_mask_storeu_epi32(to.add(i).cast(), mask as u16, first);
            _mm512_mask_storeu_epi32(to.wrapping_add(i + LANES).cast(), (mask >> 16) as u16, second);
        }
    }
}

/// Words of the numbers of two vectors.
#[target_feature(enable = "avx512f,avx512bw")]
fn words(low: __m512i, high: __m512i) -> [__m512i; 2] {
    // Within each quarter of the vectors; then the quarters are put into order.
    let (even, odd) = (_mm512_unpacklo_epi16(low, high), _mm512_unpackhi_epi16(low, high));
    let first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    [_mm512_permutex2var_epi64(even, first, odd), _mm512_permutex2var_epi64(even, second, odd)]
}

/// Products on registers alone: the processor's ceiling. Returns the floating-point operations done.
///
/// # Safety
/// [`is_available`].
#[target_feature(enable = "avx512f,avx512bf16")]
pub(crate) unsafe fn peak(rounds: usize) -> usize {
    const CHAINS: usize = 12;
    // SAFETY: registers only, but for the last store into an array of the vector's size.
    unsafe {
        let factor: __m512bh = std::mem::transmute(_mm512_set1_epi32(std::hint::black_box(0x3f00_3f00)));
        let mut acc = [_mm512_setzero_ps(); CHAINS];
        for _ in 0..rounds {
            each!(c < CHAINS => { acc[c] = _mm512_dpbf16_ps(acc[c], factor, factor) });
        }
        let mut lanes = [0.0f32; LANES];
        for chain in acc {
            _mm512_storeu_ps(lanes.as_mut_ptr(), chain);
            std::hint::black_box(&lanes);
        }
    }
    rounds * CHAINS * LANES * 4
}

/// Sums to be made bf16: `to = bf16(relu_last(relu(sum + bias) + residual))`, each part optional.
pub(crate) struct Rounding {
    /// The sums of the first pixel.
    pub sums: *const f32,
    /// Numbers from one pixel's sums to the next one's.
    pub pitch: usize,
    /// Pixels.
    pub pixels: usize,
    /// Channels of each.
    pub channels: usize,
    /// Per-channel values to add, or null.
    pub bias: *const f32,
    /// Clamp below at zero before `residual` is added.
    pub relu: bool,
    /// Values to add, or null.
    pub residual: *const bf16,
    /// Numbers from one pixel's residual to the next one's.
    pub residual_step: usize,
    /// Clamp below at zero after `residual` was added.
    pub relu_last: bool,
    /// The result of the first pixel.
    pub to: *mut bf16,
    /// Numbers from one pixel's result to the next one's.
    pub step: usize,
}

/// # Safety
/// All pointers of `a` are valid for what its fields say; [`is_available`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) unsafe fn round(a: &Rounding) {
    // SAFETY: as promised by the caller; masked lanes are neither read nor written. The cast between vectors changes no bits.
    unsafe {
        let zero = _mm512_setzero_ps();
        // The results of pixel `p` from channel `c` on.
        let vector = |p: usize, c: usize, mask: u16| -> __m256i {
            let mut v = _mm512_maskz_loadu_ps(mask, a.sums.add(p * a.pitch + c));
            if !a.bias.is_null() {
                v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(mask, a.bias.add(c)));
            }
            // The second operand is returned where either is NaN.
            if a.relu {
                v = _mm512_max_ps(zero, v);
            }
            if !a.residual.is_null() {
                let half = a.residual.add(p * a.residual_step + c).cast();
                let wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, half));
                v = _mm512_add_ps(v, _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide)));
                if a.relu_last {
                    v = _mm512_max_ps(zero, v);
                }
            }
            std::mem::transmute(_mm512_cvtneps_pbh(v))
        };
        let whole = a.channels / LANES * LANES;
        for p in 0..a.pixels {
            let to = a.to.add(p * a.step);
            for c in (0..whole).step_by(LANES) {
                // Without a mask: stores with one are slow on AMD's processors.
                _mm256_storeu_si256(to.add(c).cast(), vector(p, c, u16::MAX));
            }
            if whole < a.channels {
                let mask = (1 << (a.channels - whole)) - 1;
                _mm256_mask_storeu_epi16(to.add(whole).cast(), mask, vector(p, whole, mask));
            }
        }
    }
}
