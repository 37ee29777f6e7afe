// Counts of integers, histograms. Counts are integers: atomic additions give the same in any order.
#include "preamble.cuh"

/// Counters that a block keeps to itself before it adds them to everybody's.
#define BINS 2048

/// Counts `bin(i)` for each i in 0..n; a negative bin is left out.
template <class Bin> DEVICE void count(u64 *counts, i64 n, int bins, Bin bin) {
    SHARED(u32, own, BINS);
    const bool few = bins <= BINS;
    if (few) {
        for (int b = threadIdx.x; b < bins; b += BLOCK) { own[b] = 0; }
        BARRIER();
    }
    FOR_GRID(i, n) {
        const i64 b = bin(i);
        if (b >= 0) {
            if (few) {
                atomicAdd(&own[b], 1u);
            } else {
                atomicAdd(&counts[b], (u64)1);
            }
        }
    }
    if (few) {
        BARRIER();
        for (int b = threadIdx.x; b < bins; b += BLOCK) {
            if (own[b] != 0) {
                atomicAdd(&counts[b], (u64)own[b]);
            }
        }
    }
}

/// counts[v] += 1 for each v of x; one outside 0..bins is reported. Counts start as zeros.
#define BINCOUNT(T)                                                                                                    \
    KERNEL(bincount_##T, const T *x, u64 *counts, i64 n, int bins, u64 *fault, u32 ticket) {                           \
        count(counts, n, bins, [=](i64 i) -> i64 {                                                                     \
            const i64 v = x[i];                                                                                        \
            if (v < 0 || v >= bins) {                                                                                  \
                report(fault, ticket, i);                                                                              \
                return -1;                                                                                             \
            }                                                                                                          \
            return v;                                                                                                  \
        });                                                                                                            \
    }
FOR_INTEGERS(BINCOUNT)

/// Counts in `bins` equally wide bins over low..=high; values outside, and NaN, are left out.
#define HISTOGRAM(T)                                                                                                   \
    KERNEL(histogram_##T, const T *x, u64 *counts, i64 n, int bins, f64 low, f64 high) {                               \
        count(counts, n, bins, [=](i64 i) -> i64 {                                                                     \
            const f64 v = Number<T>::to(x[i]);                                                                         \
            if (!(low <= v && v <= high)) {                                                                            \
                return -1;                                                                                             \
            }                                                                                                          \
            const i64 bin = (i64)((v - low) / (high - low) * bins);                                                    \
            return bin < bins ? bin : bins - 1;                                                                        \
        });                                                                                                            \
    }
FOR_FLOATS(HISTOGRAM)
