//! Vector instructions behind one small trait, chosen at run time.
//!
//! Every hot loop of the CPU backend is written once, generic over a private trait `Simd`, and instantiated for each instruction set
//! inside functions that enable it (`table.rs` collects them as function pointers). [`Isa::best`] picks the widest set that
//! the processor has; [`with_isa`] forces another one, so a single machine tests all the paths it can run.

pub(crate) mod buffer;
mod micro;
mod portable;
mod scalar;
pub(crate) mod table;
mod winograd;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) mod pairs;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Instant;

pub(crate) use micro::{MAX_MR, OuterTile, Tap, Tile};
pub(crate) use portable::Portable;
pub use scalar::Scalar;
pub(crate) use winograd::{GradientTile, InputTile, MAX_PLANES, OutputTile};

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// Asks for a line to be brought into the first-level cache; the address need not be one of anything.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing and does not fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

/// An instruction set that the kernels exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust over small arrays: runs everywhere, vectorised by the compiler for the build's base target.
    Portable,
    /// x86-64 AVX2 with FMA: 8 × f32 (f64 takes the portable loops).
    Avx2,
    /// x86-64 AVX-512F: 16 × f32 (f64 takes the portable loops).
    Avx512,
}

impl Isa {
    /// All instruction sets, narrowest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Whether this processor can run it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// The instruction sets this processor can run, narrowest first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The widest instruction set of this processor (looked up once).
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().last().unwrap_or(Isa::Portable))
    }

    /// The instruction set that kernels started from this thread use: [`Isa::best`] unless inside [`with_isa`].
    pub fn current() -> Isa {
        FORCED.get().unwrap_or_else(Isa::best)
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "AVX2+FMA",
            Isa::Avx512 => "AVX-512",
        })
    }
}

/// [`prefetch`] of all cache lines of `len` numbers. Results of a training step's layers lie in memory that no cache holds any
/// more, and waiting for it at the end would take as long as a good part of the sums.
#[inline]
pub(crate) fn prefetch_all<T>(start: *const T, len: usize) {
    for byte in (0..len * size_of::<T>()).step_by(LINE) {
        prefetch(start.cast::<u8>().wrapping_add(byte));
    }
}

/// Multiply-add ceiling of one core in floating-point operations per second, measured on registers alone in a few
/// milliseconds (the best of several rounds). `None` where the processor lacks `isa`.
pub fn peak_flops<T: Scalar>(isa: Isa) -> Option<f64> {
    const ROUNDS: usize = 100_000;
    isa.is_available().then(|| {
        let kernels = T::kernels(isa);
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let start = Instant::now();
            // SAFETY: the instruction set is available.
            black_box(unsafe {
                (kernels.peak)(black_box(ROUNDS), black_box(T::one() / (T::one() + T::one())))
            });
            best = best.min(start.elapsed().as_secs_f64());
        }
        (2 * micro::PEAK_CHAINS * ROUNDS * kernels.lanes) as f64 / best
    })
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// Runs `f` with the kernels that this thread starts limited to `isa`; returns `None`, without running it, where the
/// processor lacks `isa`. Convolutions and matrix products take the choice along to the threads that help with them;
/// loops over elements look at the thread that runs them, so that tests of those want a pool of one thread.
pub fn with_isa<R>(isa: Isa, f: impl FnOnce() -> R) -> Option<R> {
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    isa.is_available().then(|| {
        let _restore = Restore(FORCED.replace(Some(isa)));
        f()
    })
}

/// One instruction set's vectors of `T`.
///
/// # Safety
/// Implementors' methods may use instructions of their set: a caller makes sure that the processor has them, and calls
/// them only from code compiled with them enabled (the functions of [`table`]). Pointers must be valid for the lanes read or
/// written; no alignment is required.
pub(crate) unsafe trait Simd<T: Copy>: Copy + 'static {
    /// A vector of [`Simd::LANES`] values.
    type V: Copy;
    /// Values in a vector.
    const LANES: usize;

    /// All lanes equal to `v`.
    unsafe fn splat(v: T) -> Self::V;
    /// `LANES` values from `p`.
    unsafe fn load(p: *const T) -> Self::V;
    /// The first `n` (≤ `LANES`) values from `p`, the other lanes zero; memory past them is not touched.
    unsafe fn load_part(p: *const T, n: usize) -> Self::V;
    /// Writes all lanes to `p`.
    unsafe fn store(p: *mut T, v: Self::V);
    /// Writes the first `n` (≤ `LANES`) lanes to `p`; memory past them is not touched.
    unsafe fn store_part(p: *mut T, v: Self::V, n: usize);
    /// `a * b + c`.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `max(v, 0)`, NaN staying NaN.
    unsafe fn relu(v: Self::V) -> Self::V;
}

/// Vectors of `T` read from memory that holds numbers of type `X`, each of which `T` holds exactly.
///
/// # Safety
/// As for [`Simd`].
pub(crate) unsafe trait Reads<X, T: Copy>: Simd<T> {
    /// `LANES` values from `p`.
    unsafe fn read(p: *const X) -> Self::V;
}

// SAFETY: as for the load.
unsafe impl<T: Copy, S: Simd<T>> Reads<T, T> for S {
    #[inline(always)]
    unsafe fn read(p: *const T) -> S::V {
        // SAFETY: as promised by the caller.
        unsafe { S::load(p) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forcing_an_isa_is_scoped() {
        let outside = Isa::current();
        assert_eq!(with_isa(Isa::Portable, Isa::current), Some(Isa::Portable));
        assert_eq!(Isa::current(), outside);
    }

    #[test]
    fn the_best_isa_is_available() {
        assert!(Isa::best().is_available());
        assert!(Isa::available().any(|isa| isa == Isa::Portable));
    }
}
