// Softmax and its logarithm along an axis.
#include "preamble.cuh"

/// A warp for each row of `k` neighbours.
template <class T> DEVICE void softmax_rows(const T *RESTRICT x, T *RESTRICT y, i64 rows, int k, int log_of) {
    typedef wide_t<T> W;
    const int lane = threadIdx.x % 32;
    const i64 warps = (i64)gridDim.x * (BLOCK / 32);
    // All warps turn as often, so that all lanes reach the shuffles.
    for (i64 first = 0; first < rows; first += warps) {
        const i64 row = first + (i64)blockIdx.x * (BLOCK / 32) + threadIdx.x / 32;
        const bool inside = row < rows;
        const T *from = x + (inside ? row : 0) * k;
        W top = -(W)__uint_as_float(0x7f800000u), sum = 0;
        for (int j = lane; j < k; j += 32) {
            const W v = wide(from[j]);
            top = v > top || v != v ? v : top;
        }
        UNROLL for (int mask = 16; mask > 0; mask >>= 1) {
            const W v = SHUFFLE_XOR(top, mask);
            top = v > top || v != v ? v : top;
        }
        for (int j = lane; j < k; j += 32) { sum += exp(wide(from[j]) - top); }
        UNROLL for (int mask = 16; mask > 0; mask >>= 1) { sum += SHUFFLE_XOR(sum, mask); }
        if (inside) {
            const W last = log_of ? log(sum) : 1 / sum;
            for (int j = lane; j < k; j += 32) {
                const W v = wide(from[j]) - top;
                y[row * k + j] = narrow<T>(log_of ? v - last : exp(v) * last);
            }
        }
    }
}

/// A thread for each line of `k` elements `inner` apart.
template <class T> DEVICE void softmax_lines(const T *RESTRICT x, T *RESTRICT y, i64 lines, int k, int inner, int log_of) {
    typedef wide_t<T> W;
    FOR_GRID(i, lines) {
        const u32 outer = (u32)i / inner;
        const i64 start = (i64)outer * k * inner + ((u32)i - outer * inner);
        W top = wide(x[start]), sum = 0;
        for (int j = 1; j < k; j++) {
            const W v = wide(x[start + (i64)j * inner]);
            top = v > top || v != v ? v : top;
        }
        for (int j = 0; j < k; j++) { sum += exp(wide(x[start + (i64)j * inner]) - top); }
        const W last = log_of ? log(sum) : 1 / sum;
        for (int j = 0; j < k; j++) {
            const W v = wide(x[start + (i64)j * inner]) - top;
            y[start + (i64)j * inner] = narrow<T>(log_of ? v - last : exp(v) * last);
        }
    }
}

/// x and y [rows, k], or [lines / inner, k, inner]; the logarithm where `log_of` is not 0.
#define SOFTMAX(T)                                                                                                     \
    KERNEL(softmax_rows_##T, const T *x, T *y, i64 rows, int k, int log_of) { softmax_rows(x, y, rows, k, log_of); }   \
    KERNEL(softmax_lines_##T, const T *x, T *y, i64 lines, int k, int inner, int log_of) {                             \
        softmax_lines(x, y, lines, k, inner, log_of);                                                                  \
    }
FOR_FLOATS(SOFTMAX)
