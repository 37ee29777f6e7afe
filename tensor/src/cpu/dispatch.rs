//! Loops compiled three times: for the build's base target, for AVX2 with FMA and for AVX-512, picked at run time.
//!
//! Rust builds for the oldest processor of an architecture; most memory-bound loops and all polynomial ones
//! gain from wider vectors. Bodies are plain Rust that the compiler vectorises. It never contracts `a * b + c`
//! on its own, so all versions give the same bits.

/// Whether the processor has AVX2 and FMA, and this thread may use them.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx2() -> bool {
    super::simd::Isa::current() >= super::simd::Isa::Avx2
}

/// Whether the processor has AVX-512 with operations on bytes, words and shorter vectors, and this thread may use them.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_avx512() -> bool {
    super::simd::Isa::current() >= super::simd::Isa::Avx512
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Defines a function, generic over one type, whose body is compiled for the base target, for AVX2 and for AVX-512.
macro_rules! vectorized {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident<$t:ident: $bound:path $(, const $k:ident: $kt:ty)?>($($arg:ident: $ty:ty),* $(,)?)
            $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name<$t: $bound $(, const $k: $kt)?>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$t: $bound $(, const $k: $kt)?>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$t: $bound $(, const $k: $kt)?>($($arg: $ty),*) $(-> $ret)? {
                    body::<$t $(, $k)?>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512<$t: $bound $(, const $k: $kt)?>($($arg: $ty),*) $(-> $ret)? {
                    body::<$t $(, $k)?>($($arg),*)
                }
                if $crate::cpu::dispatch::has_avx512() {
                    // SAFETY: the processor has what the function needs, as just checked.
                    return unsafe { avx512::<$t $(, $k)?>($($arg),*) };
                }
                if $crate::cpu::dispatch::has_avx2() {
                    // SAFETY: the processor has what the function needs, as just checked.
                    return unsafe { avx2::<$t $(, $k)?>($($arg),*) };
                }
            }
            body::<$t $(, $k)?>($($arg),*)
        }
    )*};
}
pub(crate) use vectorized;
