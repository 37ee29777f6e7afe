//! AVX2 + FMA: 256-bit vectors, 16 registers.

use super::{Reads, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// Marker of the AVX2 + FMA instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

/// Sliding window over these gives a mask of the first `n` lanes: start at `8 - n`.
static MASK32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

// SAFETY: the intrinsics need AVX2 and FMA, which the trait's contract demands of the caller; memory accesses are within
// the lanes that it names. Partial stores go by powers of two: masked stores are microcoded on AMD processors.
unsafe impl Simd<f32> for Avx2 {
    type V = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_ps(v) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> __m256 {
        // SAFETY: n ≤ 8, so the window is inside the table; masked lanes are not read.
        unsafe { _mm256_maskload_ps(p, _mm256_loadu_si256(MASK32.as_ptr().add(8 - n).cast())) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        // SAFETY: see the impl.
        unsafe { _mm256_storeu_ps(p, v) }
    }

    #[inline(always)]
    unsafe fn store_part(mut p: *mut f32, v: __m256, n: usize) {
        // SAFETY: the pieces add up to n values.
        unsafe {
            if n >= 8 {
                return _mm256_storeu_ps(p, v);
            }
            let mut low = _mm256_castps256_ps128(v);
            if n & 4 != 0 {
                _mm_storeu_ps(p, low);
                p = p.add(4);
                low = _mm256_extractf128_ps::<1>(v);
            }
            if n & 2 != 0 {
                _mm_storel_pd(p.cast(), _mm_castps_pd(low));
                p = p.add(2);
                low = _mm_movehl_ps(low, low);
            }
            if n & 1 != 0 {
                _mm_store_ss(p, low);
            }
        }
    }

    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn relu(v: __m256) -> __m256 {
        // SAFETY: see the impl. The second operand is returned where either is NaN.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), v) }
    }
}

// SAFETY: AVX2 alone is used; as many numbers are read as there are lanes.
unsafe impl Reads<bf16, f32> for Avx2 {
    #[inline(always)]
    unsafe fn read(p: *const bf16) -> __m256 {
        // SAFETY: see the impl.
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }
}
