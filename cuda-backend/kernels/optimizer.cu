// Updates of many parameters in one launch: SGD and Adam, as `nn::optim` computes them, on gradients that may still be
// scaled, and the check that all gradients are finite. Rates and scales are read from device memory, so that a recorded step
// stays valid while they change.
#include "preamble.cuh"

/// A parameter, its gradient and its state, before and after (which may be the same memory); null for what there is not.
/// `copy` gets the new parameter in the gradient's type.
struct Slice {
    const void *param, *grad, *first, *second;
    void *new_param, *new_first, *new_second, *copy;
    i64 len;
};

/// Of a slice: numbers that the host computes in f64.
struct Sgd {
    f64 rate, decay, momentum;
};
struct Adam {
    f64 keep_first, add_first, keep_second, add_second, size, root, eps, keep, decay;
};

/// Whether the step is not to be taken: the word of `check_finite`, or null.
DEVICE bool skipped(const u32 *found) { return found && *found != 0; }

/// The gradient, with the loss scale taken off.
template <class P, class G> DEVICE P gradient(const Slice &s, i64 i, P unscale) {
    return (P)wide(((const G *)s.grad)[i]) * unscale;
}

template <class P, class G> DEVICE void store(const Slice &s, i64 i, P value) {
    ((P *)s.new_param)[i] = value;
    if (s.copy) {
        ((G *)s.copy)[i] = narrow<G>(value);
    }
}

template <class P, class G>
DEVICE void sgd(const Slice *slices, const Sgd *numbers, int nesterov, const f64 *scale, const u32 *found) {
    const Slice s = slices[blockIdx.y];
    const Sgd n = numbers[blockIdx.y];
    const P rate = (P)n.rate, decay = (P)n.decay, momentum = (P)n.momentum, unscale = scale ? (P)(1.0 / *scale) : (P)1;
    const bool skip = skipped(found);
    FOR_GRID(i, s.len) {
        P p = ((const P *)s.param)[i], b = s.first ? ((const P *)s.first)[i] : (P)0;
        if (!skip) {
            P step = gradient<P, G>(s, i, unscale) + decay * p;
            if (s.first) {
                b = momentum * b + step;
                step = nesterov ? step + momentum * b : b;
            }
            p = p - rate * step;
        }
        store<P, G>(s, i, p);
        if (s.first) {
            ((P *)s.new_first)[i] = b;
        }
    }
}

template <class P, class G>
DEVICE void adam(const Slice *slices, const Adam *numbers, const f64 *scale, const u32 *found) {
    const Slice s = slices[blockIdx.y];
    const Adam n = numbers[blockIdx.y];
    const P b1 = (P)n.keep_first, a1 = (P)n.add_first, b2 = (P)n.keep_second, a2 = (P)n.add_second;
    const P size = (P)n.size, root = (P)n.root, eps = (P)n.eps, keep = (P)n.keep, decay = (P)n.decay;
    const P unscale = scale ? (P)(1.0 / *scale) : (P)1;
    const bool skip = skipped(found);
    FOR_GRID(i, s.len) {
        P p = ((const P *)s.param)[i], m = ((const P *)s.first)[i], v = ((const P *)s.second)[i];
        if (!skip) {
            const P g = gradient<P, G>(s, i, unscale) + decay * p;
            p = p * keep;
            m = b1 * m + a1 * g;
            v = b2 * v + a2 * g * g;
            p = p - size * m / (sqrt(v) / root + eps);
        }
        store<P, G>(s, i, p);
        ((P *)s.new_first)[i] = m;
        ((P *)s.new_second)[i] = v;
    }
}

/// Sets *found where a gradient is infinite or NaN.
template <class G> DEVICE void check_finite(const Slice *slices, u32 *found) {
    const Slice s = slices[blockIdx.y];
    bool bad = false;
    FOR_GRID(i, s.len) {
        const wide_t<G> v = wide(((const G *)s.grad)[i]);
        bad = bad || !(v - v == 0);
    }
    if (bad) {
        atomicOr(found, 1u);
    }
}

/// Parameters and state of type P, gradients of type G; grid y the slices, grid x any. `scale` is what the loss was multiplied
/// with (null: 1); where *found is set, values are only copied.
#define OPTIMIZER(P, G)                                                                                                \
    KERNEL(sgd_##G, const Slice *slices, const Sgd *numbers, int nesterov, const f64 *scale, const u32 *found) {       \
        sgd<P, G>(slices, numbers, nesterov, scale, found);                                                            \
    }                                                                                                                  \
    KERNEL(adam_##G, const Slice *slices, const Adam *numbers, const f64 *scale, const u32 *found) {                   \
        adam<P, G>(slices, numbers, scale, found);                                                                     \
    }                                                                                                                  \
    KERNEL(check_finite_##G, const Slice *slices, u32 *found) { check_finite<G>(slices, found); }
OPTIMIZER(f32, f32)
OPTIMIZER(f32, f16)
OPTIMIZER(f32, bf16)
OPTIMIZER(f64, f64)
