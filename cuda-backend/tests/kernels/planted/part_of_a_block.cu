// Bugs on purpose: meetings that only part of the threads reach.
#include "preamble.cuh"

KERNEL(half_a_barrier, f32 *y) {
    if (threadIdx.x < 100) {
        BARRIER();
    }
    y[threadIdx.x] = 1;
}

KERNEL(two_barriers, f32 *y) {
    if (threadIdx.x % 2 == 0) {
        BARRIER();
    } else {
        BARRIER();
    }
    y[threadIdx.x] = 1;
}

KERNEL(half_a_warp, f32 *y) {
    if (threadIdx.x % 32 < 16) {
        y[threadIdx.x] = SHUFFLE_XOR((f32)threadIdx.x, 1);
    }
}
