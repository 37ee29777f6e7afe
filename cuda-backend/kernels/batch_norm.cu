// Batch normalisation of [pixels, channels], in the pieces of `tensor`'s operations. Statistics are taken by Welford's
// method within a thread and merged by the formula of Chan, Golub and LeVeque, in a fixed order.
//
// What a value is normalised with is prepared once for each channel (`coefficients`), by the same arithmetic for forward and
// backward, so that the backward pass finds the very ReLU mask that the forward pass applied.
#include "preamble.cuh"

/// Channels of a block, and threads that share one.
#define COLUMNS 32
#define SHARES 8
/// Pixels that a thread reads before it merges them.
#define BATCH 4

/// Count, mean and sum of squared differences from it.
template <class W> struct Moments {
    W count, mean, m2;

    DEVICE void add(Moments &a, const Moments &b) {
        if (b.count > 0) {
            const W count = a.count + b.count, d = b.mean - a.mean, part = b.count / count;
            a.mean += d * part;
            a.m2 += b.m2 + d * d * (a.count * part);
            a.count = count;
        }
    }
};

/// parts [pieces, 2, channels]: mean and m2 of each piece of `piece` pixels.
template <class T> DEVICE void stats_parts(const T *RESTRICT x, f64 *parts, i64 pixels, int channels, i64 piece) {
    typedef wide_t<T> W;
    SHARED(Moments<f64>, shares, COLUMNS * SHARES);
    const int c = blockIdx.x * COLUMNS + threadIdx.x, ty = threadIdx.y;
    const i64 from = blockIdx.y * piece, to = from + piece < pixels ? from + piece : pixels;
    Moments<W> own = {0, 0, 0};
    if (c < channels) {
        i64 i = from + ty;
        for (; i + (BATCH - 1) * SHARES < to; i += BATCH * SHARES) {
            W v[BATCH];
            UNROLL for (int b = 0; b < BATCH; b++) { v[b] = wide(x[(i + b * SHARES) * channels + c]); }
            W sum = 0, m2 = 0;
            UNROLL for (int b = 0; b < BATCH; b++) { sum += v[b]; }
            const W mean = sum / BATCH;
            UNROLL for (int b = 0; b < BATCH; b++) { m2 += (v[b] - mean) * (v[b] - mean); }
            Moments<W>::add(own, {BATCH, mean, m2});
        }
        for (; i < to; i += SHARES) { Moments<W>::add(own, {1, wide(x[i * channels + c]), 0}); }
    }
    shares[ty * COLUMNS + threadIdx.x] = {(f64)own.count, (f64)own.mean, (f64)own.m2};
    BARRIER();
    if (ty == 0 && c < channels) {
        Moments<f64> all = shares[threadIdx.x];
        for (int s = 1; s < SHARES; s++) { Moments<f64>::add(all, shares[s * COLUMNS + threadIdx.x]); }
        parts[(i64)blockIdx.y * 2 * channels + c] = all.mean;
        parts[((i64)blockIdx.y * 2 + 1) * channels + c] = all.m2;
    }
}

/// What the values of channel c are normalised with: y = (x − mean)·scale + β; and the gradient of x, which is
/// scale·g' + slope·(x − mean) + offset.
template <class W> struct Coefficients {
    W *mean, *scale, *beta, *inverse, *slope, *offset;

    DEVICE Coefficients at(W *memory, int channels) {
        return {memory, memory + channels, memory + 2 * channels, memory + 3 * channels, memory + 4 * channels,
                memory + 5 * channels};
    }

    DEVICE void set(const Coefficients &k, int c, W mean, W var, W gamma, W beta, f64 eps) {
        const f64 inverse = 1.0 / sqrt((f64)var + eps);
        k.mean[c] = mean;
        k.scale[c] = (W)((f64)gamma * inverse);
        k.beta[c] = beta;
        k.inverse[c] = (W)inverse;
    }

    /// From the two sums of the backward pass over `count` values.
    DEVICE void set_input(const Coefficients &k, int c, W var, W gamma, W sum, W product, f64 eps, f64 count) {
        const f64 inverse = 1.0 / sqrt((f64)var + eps), scale = (f64)gamma * inverse;
        k.slope[c] = (W)(-scale * inverse * (f64)product / count);
        k.offset[c] = (W)(-scale * (f64)sum / count);
    }
};

template <class W>
DEVICE void stats_finish(const f64 *parts, W *mean, W *var, const W *gamma, const W *beta, W *coefficients, i64 pixels,
                         int channels, i64 piece, f64 eps) {
    FOR_GRID(c, channels) {
        Moments<f64> all = {0, 0, 0};
        for (i64 from = 0, p = 0; from < pixels; from += piece, p++) {
            const i64 count = from + piece < pixels ? piece : pixels - from;
            Moments<f64>::add(all, {(f64)count, parts[p * 2 * channels + c], parts[(p * 2 + 1) * channels + c]});
        }
        const f64 v = all.m2 / all.count;
        const W m = (W)all.mean, biased = (W)(v > 0 ? v : v == v ? 0 : v);
        mean[c] = m;
        var[c] = biased;
        if (coefficients) {
            Coefficients<W>::set(Coefficients<W>::at(coefficients, channels), (int)c, m, biased, gamma[c], beta[c], eps);
        }
    }
}

/// y[i] = each(x[i], i, channel) for all elements, 16 bytes at a time where channels and pointers allow it.
template <class T, class Each>
DEVICE void for_elements(const T *x, T *y, i64 n, int channels, Each each) {
    const int N = Lanes<T>::count;
    if (channels % N == 0 && aligned(x) && aligned(y)) {
        FOR_GRID(i, n / N) {
            pack_t<T> v = ((const pack_t<T> *)x)[i];
            const int c = (int)((u32)(i * N) % channels);
            UNROLL for (int k = 0; k < N; k++) { v.v[k] = each(wide(v.v[k]), i * N + k, c + k); }
            ((pack_t<T> *)y)[i] = v;
        }
    } else {
        FOR_GRID(i, n) { y[i] = each(wide(x[i]), i, (int)((u32)i % channels)); }
    }
}

template <class T>
DEVICE void apply(const T *x, const T *residual, T *y, wide_t<T> *coefficients, i64 n, int channels, int relu) {
    typedef wide_t<T> W;
    const Coefficients<W> k = Coefficients<W>::at(coefficients, channels);
    for_elements(x, y, n, channels, [=](W v, i64 i, int c) -> T {
        v = (v - k.mean[c]) * k.scale[c] + k.beta[c];
        if (residual) {
            v += wide(residual[i]);
        }
        return narrow<T>(relu && v < 0 ? (W)0 : v);
    });
}

/// The gradient where the ReLU passed, else 0.
template <class W> DEVICE W passed(W g, W d, const Coefficients<W> &k, int c, int relu) {
    return relu && d * k.scale[c] + k.beta[c] <= 0 ? (W)0 : g;
}

/// Elements of a sum in the type itself; the sum of these sums is in f64.
#define DEPTH 64

/// parts [pieces, 2, channels]: Σ g' and Σ g'·(x − mean) of each piece.
template <class T>
DEVICE void reduce_parts(const T *RESTRICT x, const T *RESTRICT g, wide_t<T> *coefficients, f64 *parts, i64 pixels,
                         int channels, i64 piece, int relu) {
    typedef wide_t<T> W;
    SHARED(f64, sums, COLUMNS * SHARES);
    SHARED(f64, products, COLUMNS * SHARES);
    const int c = blockIdx.x * COLUMNS + threadIdx.x, ty = threadIdx.y, own = ty * COLUMNS + threadIdx.x;
    const i64 from = blockIdx.y * piece, to = from + piece < pixels ? from + piece : pixels;
    const Coefficients<W> k = Coefficients<W>::at(coefficients, channels);
    f64 sum = 0, product = 0;
    if (c < channels) {
        const W mean = k.mean[c];
        for (i64 i = from + ty; i < to;) {
            W s = 0, p = 0;
            for (int depth = 0; depth < DEPTH && i < to; depth++, i += SHARES) {
                const W d = wide(x[i * channels + c]) - mean, gv = passed(wide(g[i * channels + c]), d, k, c, relu);
                s += gv;
                p += gv * d;
            }
            sum += s;
            product += p;
        }
    }
    sums[own] = sum;
    products[own] = product;
    BARRIER();
    if (ty == 0 && c < channels) {
        for (int s = 1; s < SHARES; s++) {
            sum += sums[s * COLUMNS + threadIdx.x];
            product += products[s * COLUMNS + threadIdx.x];
        }
        parts[(i64)blockIdx.y * 2 * channels + c] = sum;
        parts[((i64)blockIdx.y * 2 + 1) * channels + c] = product;
    }
}

template <class T> DEVICE void input(const T *x, const T *g, T *y, wide_t<T> *coefficients, i64 n, int channels, int relu) {
    typedef wide_t<T> W;
    const Coefficients<W> k = Coefficients<W>::at(coefficients, channels);
    for_elements(x, y, n, channels, [=](W v, i64 i, int c) -> T {
        const W d = v - k.mean[c], gv = passed(wide(g[i]), d, k, c, relu);
        return narrow<T>(k.scale[c] * gv + (k.slope[c] * d + k.offset[c]));
    });
}

/// x, g, y [pixels, channels], n elements; mean, var, γ, β and sums [channels], of the type computed in; coefficients:
/// 6·channels values, the last 2·channels for `bn_input`, made where the sums are not null; parts: f64, [pieces, 2, channels].
/// The two of parts take blocks of (32, 8), grid x channels / 32, grid y the pieces. `bn_stats_finish` makes coefficients too
/// where the pointer is not null. A residual (or null) is added before the ReLU.
#define BATCH_NORM(T)                                                                                                  \
    KERNEL(bn_stats_parts_##T, const T *x, f64 *parts, i64 pixels, int channels, i64 piece) {                          \
        stats_parts(x, parts, pixels, channels, piece);                                                                \
    }                                                                                                                  \
    KERNEL(bn_stats_finish_##T, const f64 *parts, wide_t<T> *mean, wide_t<T> *var, const wide_t<T> *gamma,             \
           const wide_t<T> *beta, wide_t<T> *coefficients, i64 pixels, int channels, i64 piece, f64 eps) {             \
        stats_finish(parts, mean, var, gamma, beta, coefficients, pixels, channels, piece, eps);                       \
    }                                                                                                                  \
    KERNEL(bn_coefficients_##T, const wide_t<T> *mean, const wide_t<T> *var, const wide_t<T> *gamma,                   \
           const wide_t<T> *beta, const wide_t<T> *sum, const wide_t<T> *product, wide_t<T> *coefficients,             \
           int channels, f64 eps, f64 count) {                                                                         \
        const Coefficients<wide_t<T>> k = Coefficients<wide_t<T>>::at(coefficients, channels);                         \
        FOR_GRID(c, channels) {                                                                                        \
            Coefficients<wide_t<T>>::set(k, (int)c, mean[c], var[c], gamma[c], beta[c], eps);                          \
            if (sum) {                                                                                                 \
                Coefficients<wide_t<T>>::set_input(k, (int)c, var[c], gamma[c], sum[c], product[c], eps, count);       \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    KERNEL(bn_apply_##T, const T *x, const T *residual, T *y, wide_t<T> *coefficients, i64 n, int channels,            \
           int relu) {                                                                                                 \
        apply(x, residual, y, coefficients, n, channels, relu);                                                        \
    }                                                                                                                  \
    KERNEL(bn_reduce_parts_##T, const T *x, const T *g, wide_t<T> *coefficients, f64 *parts, i64 pixels, int channels, \
           i64 piece, int relu) {                                                                                      \
        reduce_parts(x, g, coefficients, parts, pixels, channels, piece, relu);                                        \
    }                                                                                                                  \
    KERNEL(bn_reduce_finish_##T, const f64 *parts, wide_t<T> *coefficients, wide_t<T> *sum, wide_t<T> *product,        \
           int channels, int pieces) {                                                                                 \
        FOR_GRID(c, channels) {                                                                                        \
            f64 s = 0, p = 0;                                                                                          \
            for (i64 k = 0; k < pieces; k++) {                                                                         \
                s += parts[k * 2 * channels + c];                                                                      \
                p += parts[(k * 2 + 1) * channels + c];                                                                \
            }                                                                                                          \
            sum[c] = (wide_t<T>)s;                                                                                     \
            product[c] = (wide_t<T>)(p * (f64)Coefficients<wide_t<T>>::at(coefficients, channels).inverse[c]);         \
        }                                                                                                              \
    }                                                                                                                  \
    KERNEL(bn_input_##T, const T *x, const T *g, T *y, wide_t<T> *coefficients, i64 n, int channels, int relu) {       \
        input(x, g, y, coefficients, n, channels, relu);                                                               \
    }
FOR_FLOATS(BATCH_NORM)
