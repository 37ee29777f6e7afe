//! The inner loops of bf16 convolution by AVX512-BF16: products of pairs of neighbouring channels, summed in f32.
//!
//! `vdpbf16ps` multiplies two bf16 numbers in each 32-bit lane and adds both products to the lane's f32. A pixel's two
//! channels are broadcast as one word; a word of the weights holds the same two channels of one output channel. A run of
//! channels of odd length ends with a word whose second half is zero: nothing beyond the run is read.

use super::Tap;
use super::micro::{each, each_vector};
use super::table::Heights;
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
    // SAFETY: as promised by the caller; masked lanes are neither read nor written.
    unsafe {
        let zero = _mm512_setzero_ps();
        for p in 0..a.pixels {
            let (sums, to) = (a.sums.add(p * a.pitch), a.to.add(p * a.step));
            let mut c = 0;
            while c < a.channels {
                let mask = (u32::MAX >> (32 - (a.channels - c).min(LANES) as u32)) as u16;
                let mut v = _mm512_maskz_loadu_ps(mask, sums.add(c));
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
                let half: __m256i = std::mem::transmute(_mm512_cvtneps_pbh(v));
                _mm256_mask_storeu_epi16(to.add(c).cast(), mask, half);
                c += LANES;
            }
        }
    }
}
