// Conversion between element types, of dense tensors. Floats to integers truncate and saturate; everything is rounded once.
#include "preamble.cuh"

/// Through f64, which holds all of them but large i64 exactly.
template <class S, class D> struct Convert {
    DEVICE D run(S v) { return Number<D>::from(Number<S>::to(v)); }
};
template <class D> struct Convert<f32, D> {
    DEVICE D run(f32 v) { return Number<D>::from((f64)v); }
};
template <> struct Convert<f32, f16> {
    DEVICE f16 run(f32 v) { return narrow<f16>(v); }
};
template <> struct Convert<f32, bf16> {
    DEVICE bf16 run(f32 v) { return narrow<bf16>(v); }
};
template <> struct Convert<f16, f32> {
    DEVICE f32 run(f16 v) { return wide(v); }
};
template <> struct Convert<bf16, f32> {
    DEVICE f32 run(bf16 v) { return wide(v); }
};
template <> struct Convert<u8, i64> {
    DEVICE i64 run(u8 v) { return v; }
};

template <class S, class D> DEVICE void cast(const S *RESTRICT x, D *RESTRICT y, i64 n) {
    // As many elements at once as fill 16 bytes of the wider type.
    const int N = 16 / (sizeof(S) > sizeof(D) ? sizeof(S) : sizeof(D));
    const i64 packs = aligned(x) && aligned(y) ? n / N : 0;
    FOR_GRID(i, packs) {
        const Pack<S, N> in = ((const Pack<S, N> *)x)[i];
        Pack<D, N> out;
        UNROLL for (int k = 0; k < N; k++) { out.v[k] = Convert<S, D>::run(in.v[k]); }
        ((Pack<D, N> *)y)[i] = out;
    }
    FOR_GRID(i, n - packs * N) { y[packs * N + i] = Convert<S, D>::run(x[packs * N + i]); }
}

/// y[i] = x[i], of n elements.
#define CAST(S, D)                                                                                                     \
    KERNEL(cast_##S##_##D, const S *x, D *y, i64 n) { cast<S, D>(x, y, n); }
CAST(f16, f32) CAST(f16, f64) CAST(f16, bf16) CAST(f16, i64) CAST(f16, u8)
CAST(bf16, f32) CAST(bf16, f64) CAST(bf16, f16) CAST(bf16, i64) CAST(bf16, u8)
CAST(f32, f16) CAST(f32, bf16) CAST(f32, f64) CAST(f32, i64) CAST(f32, u8)
CAST(f64, f16) CAST(f64, bf16) CAST(f64, f32) CAST(f64, i64) CAST(f64, u8)
CAST(i64, f16) CAST(i64, bf16) CAST(i64, f32) CAST(i64, f64) CAST(i64, u8)
CAST(u8, f16) CAST(u8, bf16) CAST(u8, f32) CAST(u8, f64) CAST(u8, i64)
