// Bugs on purpose: one element too far, in global and in shared memory.
#include "preamble.cuh"

KERNEL(writes_too_far, f32 *y, i64 n) {
    FOR_GRID(i, n + 1) { y[i] = 1; }
}

KERNEL(reads_too_far, const f32 *x, f32 *y, i64 n) {
    FOR_GRID(i, n) { y[i] = x[i + 1]; }
}

KERNEL(leaves_shared_memory, f32 *y) {
    SHARED(f32, tile, BLOCK);
    tile[threadIdx.x] = 1;
    BARRIER();
    y[threadIdx.x] = tile[threadIdx.x + 1];
}
