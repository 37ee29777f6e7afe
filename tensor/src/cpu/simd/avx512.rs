//! AVX-512F: 512-bit vectors, 32 registers, lane masks.

use super::{Reads, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// Marker of the AVX-512F instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

// SAFETY: the intrinsics need AVX-512F, which the trait's contract demands of the caller; memory accesses are within the
// lanes that it names (masked lanes are neither read nor written).
unsafe impl Simd<f32> for Avx512 {
    type V = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_ps(v) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as u16, p) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        // SAFETY: see the impl.
        unsafe { _mm512_storeu_ps(p, v) }
    }

    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: __m512, n: usize) {
        // SAFETY: see the impl.
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as u16, v) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn relu(v: __m512) -> __m512 {
        // SAFETY: see the impl. The second operand is returned where either is NaN.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), v) }
    }
}

// SAFETY: AVX-512F alone is used; as many numbers are read as there are lanes.
unsafe impl Reads<bf16, f32> for Avx512 {
    #[inline(always)]
    unsafe fn read(p: *const bf16) -> __m512 {
        // SAFETY: see the impl.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }
}
