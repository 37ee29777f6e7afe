// Updates of many parameters in one launch, as `tensor::ops::Update` defines them, on gradients that may still be scaled; the
// check that all gradients are finite; the sum of all squares, for clipping. Numbers, the gradients' factor and the check's
// result are read from device memory, so that a recorded step stays valid while they change.
#include "preamble.cuh"

/// A parameter, its gradient and its slots, before and after; null for what there is not.
struct Slice {
    const void *param, *grad, *first, *second;
    void *new_param, *new_first, *new_second;
    i64 len;
};

/// Of a slice: numbers that the host computes in f64.
struct Sgd {
    f64 rate, decay, momentum;
};
struct Adam {
    f64 keep_first, add_first, keep_second, add_second, size, root, eps, keep, decay;
};

struct Average {
    f64 keep, take;
};

/// The 32 bits of 1.0f, by which `check_finite` says that it found something.
#define FOUND 0x3f800000u

/// Element i of the gradient, with the loss scale taken off.
template <class T> DEVICE T gradient(const Slice &s, i64 i, T factor) { return ((const T *)s.grad)[i] * factor; }

template <class T>
DEVICE void sgd(const Slice *slices, const Sgd *numbers, int nesterov, const f64 *factor, const u32 *found) {
    const Slice s = slices[blockIdx.y];
    const Sgd n = numbers[blockIdx.y];
    const T rate = (T)n.rate, decay = (T)n.decay, momentum = (T)n.momentum, unscale = (T)*factor;
    const bool skip = *found != 0;
    FOR_GRID(i, s.len) {
        T p = ((const T *)s.param)[i], b = s.first ? ((const T *)s.first)[i] : (T)0;
        if (!skip) {
            T step = gradient(s, i, unscale) + decay * p;
            if (s.first) {
                b = momentum * b + step;
                step = nesterov ? step + momentum * b : b;
            }
            p = p - rate * step;
        }
        ((T *)s.new_param)[i] = p;
        if (s.first) {
            ((T *)s.new_first)[i] = b;
        }
    }
}

template <class T> DEVICE void adam(const Slice *slices, const Adam *numbers, const f64 *factor, const u32 *found) {
    const Slice s = slices[blockIdx.y];
    const Adam n = numbers[blockIdx.y];
    const T b1 = (T)n.keep_first, a1 = (T)n.add_first, b2 = (T)n.keep_second, a2 = (T)n.add_second;
    const T size = (T)n.size, root = (T)n.root, eps = (T)n.eps, keep = (T)n.keep, decay = (T)n.decay;
    const T unscale = (T)*factor;
    const bool skip = *found != 0;
    FOR_GRID(i, s.len) {
        T p = ((const T *)s.param)[i], m = ((const T *)s.first)[i], v = ((const T *)s.second)[i];
        if (!skip) {
            const T g = gradient(s, i, unscale) + decay * p;
            p = p * keep;
            m = b1 * m + a1 * g;
            v = b2 * v + a2 * g * g;
            p = p - size * m / (sqrt(v) / root + eps);
        }
        ((T *)s.new_param)[i] = p;
        ((T *)s.new_first)[i] = m;
        ((T *)s.new_second)[i] = v;
    }
}

template <class T> DEVICE void average(const Slice *slices, const Average *numbers, const f64 *factor, const u32 *found) {
    const Slice s = slices[blockIdx.y];
    const T keep = (T)numbers[blockIdx.y].keep, take = (T)numbers[blockIdx.y].take, unscale = (T)*factor;
    const bool skip = *found != 0;
    FOR_GRID(i, s.len) {
        const T p = ((const T *)s.param)[i];
        ((T *)s.new_param)[i] = skip ? p : keep * p + take * gradient(s, i, unscale);
    }
}

template <class T> DEVICE void check_finite(const Slice *slices, u32 *found) {
    const Slice s = slices[blockIdx.y];
    bool bad = false;
    FOR_GRID(i, s.len) {
        const T v = ((const T *)s.grad)[i];
        bad = bad || !(v - v == 0);
    }
    if (bad) {
        atomicOr(found, FOUND);
    }
}

/// Parameters of type T; grid y the slices, grid x any. Gradients are multiplied with *factor; where *found is not 0, values
/// are only copied. `check_finite` makes *found, a float that starts as 0, 1 where a gradient is infinite or NaN.
#define OPTIMIZER(T)                                                                                                   \
    KERNEL(sgd_##T, const Slice *slices, const Sgd *numbers, int nesterov, const f64 *factor, const u32 *found) {      \
        sgd<T>(slices, numbers, nesterov, factor, found);                                                              \
    }                                                                                                                  \
    KERNEL(adam_##T, const Slice *slices, const Adam *numbers, const f64 *factor, const u32 *found) {                  \
        adam<T>(slices, numbers, factor, found);                                                                       \
    }                                                                                                                  \
    KERNEL(average_##T, const Slice *slices, const Average *numbers, const f64 *factor, const u32 *found) {            \
        average<T>(slices, numbers, factor, found);                                                                    \
    }                                                                                                                  \
    KERNEL(check_finite_##T, const Slice *slices, u32 *found) { check_finite<T>(slices, found); }
OPTIMIZER(f32)
OPTIMIZER(f64)

/// Elements of a slice that one block sums.
#define PIECE 16384

/// Of a tensor: its elements, and the place of its first sum.
struct Squares {
    const void *x;
    i64 len, first;
};

DEVICE f64 add(f64 a, f64 b) { return a + b; }

template <class T> DEVICE void square_sum(const Squares *slices, f64 *sums) {
    const Squares s = slices[blockIdx.y];
    const i64 pieces = (s.len + PIECE - 1) / PIECE;
    for (i64 piece = blockIdx.x; piece < pieces; piece += gridDim.x) {
        const i64 end = piece * PIECE + PIECE < s.len ? piece * PIECE + PIECE : s.len;
        f64 sum = 0;
        for (i64 i = piece * PIECE + threadIdx.x; i < end; i += BLOCK) {
            const f64 v = Number<T>::to(((const T *)s.x)[i]);
            sum += v * v;
        }
        sum = block_fold(sum, add);
        if (threadIdx.x == 0) {
            sums[s.first + piece] = sum;
        }
    }
}

/// sums[first + i]: the sum of the squares of piece i of a slice; grid y the slices, grid x any.
#define SQUARE_SUM(T)                                                                                                  \
    KERNEL(square_sum_##T, const Squares *slices, f64 *sums) { square_sum<T>(slices, sums); }
FOR_FLOATS(SQUARE_SUM)

/// *y: the sum of n sums; one block.
KERNEL(square_sum_finish, const f64 *sums, f64 *y, i64 n) {
    f64 sum = 0;
    for (i64 i = threadIdx.x; i < n; i += BLOCK) { sum += sums[i]; }
    sum = block_fold(sum, add);
    if (threadIdx.x == 0) {
        *y = sum;
    }
}
