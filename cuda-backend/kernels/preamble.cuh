// What every kernel starts from: the words for kernels, memory and threads that both nvcc (or NVRTC) and the host shim
// understand, element types, conversions between them, and the structs that come by value. No toolkit header is included.
//
// 16-bit floats are stored, not computed in: `wide` makes them f32, `narrow` rounds once at the end.
#pragma once

#if defined(SHIM)
#include "host/shim.h"
#else
#define KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(256, 1) name(__VA_ARGS__)
#define DEVICE static __device__ __forceinline__
#define RESTRICT __restrict__
#define UNROLL _Pragma("unroll")
#define SHARED(type, name, n) __shared__ type name[n]
#define BARRIER() __syncthreads()
#define SHUFFLE_XOR(value, mask) __shfl_xor_sync(0xffffffffu, value, mask)
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;
typedef float f32;
typedef double f64;

/// IEEE half, as stored.
struct f16 {
    u16 bits;
};

/// bfloat16, as stored.
struct bf16 {
    u16 bits;
};

/// Threads of a block, wherever the kernel does not say otherwise.
#define BLOCK 256

/// Runs the body for each i in 0..n, over the whole grid.
#define FOR_GRID(i, n)                                                                                                 \
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x, i##_end = (n); i < i##_end;                               \
         i += (i64)gridDim.x * blockDim.x)

#define FOR_HALVES(MAKE) MAKE(f16) MAKE(bf16)
#define FOR_FLOATS(MAKE) MAKE(f32) MAKE(f16) MAKE(bf16) MAKE(f64)
#define FOR_INTEGERS(MAKE) MAKE(i64) MAKE(u8)
#define FOR_ALL(MAKE) FOR_FLOATS(MAKE) FOR_INTEGERS(MAKE)
/// Types of 1, 2, 4 and 8 bytes, for kernels that only move elements.
#define FOR_SIZES(MAKE) MAKE(1, u8) MAKE(2, u16) MAKE(4, u32) MAKE(8, u64)

template <class T> struct Wide {
    typedef T type;
};
template <> struct Wide<f16> {
    typedef f32 type;
};
template <> struct Wide<bf16> {
    typedef f32 type;
};
/// What a type is computed in.
template <class T> using wide_t = typename Wide<T>::type;

// ---- conversions

DEVICE f32 wide(f32 v) { return v; }
DEVICE f64 wide(f64 v) { return v; }
DEVICE i64 wide(i64 v) { return v; }
DEVICE u8 wide(u8 v) { return v; }
DEVICE f32 wide(bf16 v) { return __uint_as_float((u32)v.bits << 16); }

DEVICE f32 wide(f16 v) {
#if defined(SHIM)
    const u32 sign = (u32)(v.bits & 0x8000) << 16, rest = v.bits & 0x7fff;
    if (rest >= 0x7c00) { // infinite or NaN
        return __uint_as_float(sign | 0x7f800000u | (rest & 0x3ff) << 13);
    }
    // Moved into place, the number is too small by the difference of the exponents' biases: exact in a product.
    return __uint_as_float(sign | __float_as_uint(__uint_as_float(rest << 13) * 0x1p112f));
#else
    f32 y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(v.bits));
    return y;
#endif
}

/// From the type computed in to the type stored.
template <class T> struct To {
    DEVICE T from(T v) { return v; }
};

template <> struct To<bf16> {
    DEVICE bf16 from(f32 v) {
        const u32 bits = __float_as_uint(v);
        if (v != v) {
            return {(u16)(bits >> 16 | 0x40)};
        }
        return {(u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
    }
};

template <> struct To<f16> {
    DEVICE f16 from(f32 v) {
#if defined(SHIM)
        const u32 bits = __float_as_uint(v), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
        if (size > 0x7f800000u) { // NaN
            return {(u16)(sign | 0x7e00 | (size >> 13 & 0x3ff))};
        }
        if (size >= 0x477ff000u) { // rounds to 2^16 or more
            return {(u16)(sign | 0x7c00)};
        }
        if (size < 0x38800000u) { // below 2^-14: the addition rounds at the last place of a subnormal half
            return {(u16)(sign | (__float_as_uint(__uint_as_float(size) + 0.5f) - 0x3f000000u))};
        }
        return {(u16)(sign | ((size - 0x38000000u + 0xfff + (size >> 13 & 1)) >> 13))};
#else
        f16 y;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(v));
        return y;
#endif
    }
};

template <class T> DEVICE T narrow(wide_t<T> v) { return To<T>::from(v); }

/// An f64 as f32, rounded such that a second rounding to a 16-bit type ends where one rounding would have: inexact
/// results get an odd last bit.
DEVICE f32 round_to_odd(f64 v) {
    f32 y = (f32)v;
    if ((f64)y != v && v == v) {
        u32 bits = __float_as_uint(y);
        bits -= fabs((f64)y) > fabs(v);
        y = __uint_as_float(bits | 1);
    }
    return y;
}

/// Integers truncate and saturate; NaN becomes 0.
DEVICE i64 saturate(f64 v, f64 low, f64 high, i64 least, i64 most) {
    return v != v ? 0 : v <= low ? least : v >= high ? most : (i64)v;
}

template <class T> struct Number {
    /// The nearest value to an f64.
    DEVICE T from(f64 v) { return To<T>::from(round_to_odd(v)); }
    DEVICE f64 to(T v) { return (f64)wide(v); }
};
template <> struct Number<f32> {
    DEVICE f32 from(f64 v) { return (f32)v; }
    DEVICE f64 to(f32 v) { return v; }
};
template <> struct Number<f64> {
    DEVICE f64 from(f64 v) { return v; }
    DEVICE f64 to(f64 v) { return v; }
};
template <> struct Number<i64> {
    DEVICE i64 from(f64 v) {
        return saturate(v, -9223372036854775808.0, 9223372036854775808.0, -9223372036854775807ll - 1, 9223372036854775807ll);
    }
    DEVICE f64 to(i64 v) { return (f64)v; }
};
template <> struct Number<u8> {
    DEVICE u8 from(f64 v) { return (u8)saturate(v, 0.0, 255.0, 0, 255); }
    DEVICE f64 to(u8 v) { return v; }
};

// ---- memory

/// Neighbours that are read or written at once.
template <class T, int N> struct alignas(sizeof(T) * N) Pack {
    T v[N];
};

/// How many elements 16 bytes hold.
template <class T> struct Lanes {
    static const int count = 16 / sizeof(T);
};
template <class T> using pack_t = Pack<T, Lanes<T>::count>;

/// Whether 16-byte accesses may start here. All of a kernel's pointers have to allow it; null does.
DEVICE bool aligned(const void *p) { return ((u64)p & 15) == 0; }

/// Whether maps of `channels` at these addresses are read and written N channels at once.
DEVICE bool in_packs(int channels, int n, const void *x, const void *y) {
    return channels % n == 0 && aligned(x) && aligned(y);
}

/// Axes that a walk can have; the host joins axes where memory allows it.
#define MAX_RANK 8

/// A walk over the elements of a dense result in its order in memory (axes outermost first), and over N operands with
/// it. Steps are in elements; 0 repeats an operand along an axis.
template <int N> struct Walk {
    int rank;
    int dims[MAX_RANK];
    i64 steps[N][MAX_RANK];

    /// Where element `i` of the walk lies in each operand.
    DEVICE void place(const Walk &walk, i64 i, i64 (&at)[N]) {
        UNROLL for (int k = 0; k < N; k++) { at[k] = 0; }
        // The host sees to it that a walk has fewer than 2^31 elements: 32-bit divisions are much faster.
        u32 rest = (u32)i;
        UNROLL for (int a = MAX_RANK - 1; a > 0; a--) {
            if (a < walk.rank) {
                const u32 size = (u32)walk.dims[a], next = rest / size, place = rest - next * size;
                UNROLL for (int k = 0; k < N; k++) { at[k] += place * walk.steps[k][a]; }
                rest = next;
            }
        }
        if (walk.rank > 0) {
            UNROLL for (int k = 0; k < N; k++) { at[k] += rest * walk.steps[k][0]; }
        }
    }
};

/// The same with one operand.
DEVICE i64 place(const Walk<1> &walk, i64 i) {
    i64 at[1];
    Walk<1>::place(walk, i, at);
    return at[0];
}

/// Reports a value that is out of range: which launch (its ticket) and at which element. Where there are several the
/// first remains. The host starts with all bits set and looks when it synchronises.
DEVICE void report(u64 *fault, u32 ticket, i64 at) { atomicMin(fault, (u64)ticket << 40 | (u64)at); }

// ---- threads that work together

/// One value made of those of all threads of a block of one axis, a whole number of warps, in a fixed order; every thread
/// gets it. `merge` must not depend on the order of its two operands.
template <class A, class Merge> DEVICE A block_fold(A value, Merge merge) {
    SHARED(A, parts, BLOCK / 32);
    UNROLL for (int mask = 16; mask > 0; mask >>= 1) {
        const A other = SHUFFLE_XOR(value, mask);
        value = merge(value, other);
    }
    if (threadIdx.x % 32 == 0) {
        parts[threadIdx.x / 32] = value;
    }
    BARRIER();
    value = parts[0];
    for (u32 w = 1; w < blockDim.x / 32; w++) {
        value = merge(value, parts[w]);
    }
    BARRIER(); // before somebody comes here again
    return value;
}
