//! Vectors as plain arrays: the path for processors without a hand-written one, and the reference for those.

use super::{Reads, Scalar, Simd};
use half::bf16;

/// `N` lanes in an array; the compiler turns the loops into whatever vectors its base target has.
///
/// It multiplies and adds in two roundings: a fused multiply-add without hardware support is a slow library call.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const N: usize>;

// SAFETY: no special instructions are used; every access stays within the lanes that the trait's contract names.
unsafe impl<T: Scalar, const N: usize> Simd<T> for Portable<N> {
    type V = [T; N];
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn splat(v: T) -> [T; N] {
        [v; N]
    }

    #[inline(always)]
    unsafe fn load(p: *const T) -> [T; N] {
        // SAFETY: the caller guarantees N readable values; arrays of T have T's alignment, and reads are unaligned anyway.
        unsafe { p.cast::<[T; N]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_part(p: *const T, n: usize) -> [T; N] {
        // SAFETY: only lanes below n, which the caller guarantees, are read.
        std::array::from_fn(|i| if i < n { unsafe { p.add(i).read() } } else { T::zero() })
    }

    #[inline(always)]
    unsafe fn store(p: *mut T, v: [T; N]) {
        // SAFETY: the caller guarantees N writable values.
        unsafe { p.cast::<[T; N]>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn store_part(p: *mut T, v: [T; N], n: usize) {
        for (i, lane) in v.into_iter().take(n).enumerate() {
            // SAFETY: only lanes below n, which the caller guarantees, are written.
            unsafe { p.add(i).write(lane) }
        }
    }

    #[inline(always)]
    unsafe fn fma(a: [T; N], b: [T; N], c: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    unsafe fn add(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    unsafe fn sub(a: [T; N], b: [T; N]) -> [T; N] {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    unsafe fn relu(v: [T; N]) -> [T; N] {
        v.map(|x| if x < T::zero() { T::zero() } else { x })
    }
}

// SAFETY: no special instructions are used; as many numbers are read as there are lanes.
unsafe impl<const N: usize> Reads<bf16, f32> for Portable<N> {
    #[inline(always)]
    unsafe fn read(p: *const bf16) -> [f32; N] {
        // SAFETY: the caller guarantees N readable values.
        let values = unsafe { p.cast::<[bf16; N]>().read_unaligned() };
        values.map(|value| f32::from_bits(u32::from(value.to_bits()) << 16))
    }
}
