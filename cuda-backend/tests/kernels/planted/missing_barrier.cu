// A bug on purpose: the values that other threads wrote are read without waiting for them.
#include "preamble.cuh"

KERNEL(missing_barrier, const f32 *x, f32 *y) {
    SHARED(f32, tile, BLOCK);
    tile[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = tile[BLOCK - 1 - threadIdx.x];
}

/// The same as it should be.
KERNEL(with_barrier, const f32 *x, f32 *y) {
    SHARED(f32, tile, BLOCK);
    tile[threadIdx.x] = x[threadIdx.x];
    BARRIER();
    y[threadIdx.x] = tile[BLOCK - 1 - threadIdx.x];
}
