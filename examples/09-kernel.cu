// Row sums of a matrix [rows, n] by one block of 256 threads for each row. The same text is compiled for
// a GPU by NVRTC or nvcc, and for the CPU by g++.
#include "preamble.cuh"

#define ROW_SUMS(name, WAIT)                                                                \
    KERNEL(name, const f32 *x, f32 *sums, i64 n) {                                          \
        SHARED(f32, part, BLOCK);                                                           \
        const f32 *row = x + blockIdx.x * n;                                                \
        f32 sum = 0; /* thread t takes t, t + 256, …: neighbours read neighbours */         \
        for (i64 i = threadIdx.x; i < n; i += BLOCK) {                                      \
            sum += row[i];                                                                  \
        }                                                                                   \
        part[threadIdx.x] = sum;                                                            \
        for (u32 half = BLOCK / 2; half > 0; half /= 2) { /* 256 parts become 128, 64, …, 1 */\
            WAIT;                                                                           \
            if (threadIdx.x < half) {                                                       \
                part[threadIdx.x] += part[threadIdx.x + half];                              \
            }                                                                               \
        }                                                                                   \
        if (threadIdx.x == 0) {                                                             \
            sums[blockIdx.x] = part[0];                                                     \
        }                                                                                   \
    }

ROW_SUMS(row_sums, BARRIER())
// A bug: nobody waits for what the others have yet to write.
ROW_SUMS(hasty_row_sums, )

// Another one: only some of the threads come to the barrier.
KERNEL(lonely_barrier, f32 *sums) {
    if (threadIdx.x < 100) {
        BARRIER();
    }
    sums[0] = 1;
}
