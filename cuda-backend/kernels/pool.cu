// Pooling over windows of NHWC maps. Max pooling keeps the window-local place of each maximum (row · kw + column) as u8;
// unpooling and all adjoints are gathers.
#include "preamble.cuh"

/// A map [n, h, w, c], its pooled map [n, oh, ow, c] and the window: kernel, stride, padding, vertical before horizontal.
struct Pool {
    int n, c, h, w, oh, ow, kh, kw, sh, sw, ph, pw;

    /// The places that window `o` covers along an axis: from..to.
    DEVICE void covered(int o, int stride, int pad, int kernel, int size, int &from, int &to) {
        const int start = o * stride - pad;
        from = start < 0 ? 0 : start;
        to = start + kernel < size ? start + kernel : size;
    }

    /// The windows that cover place `i` along an axis: from..to.
    DEVICE void covering(int i, int stride, int pad, int kernel, int pooled, int &from, int &to) {
        const int at = i + pad, first = at + 1 - kernel;
        from = first <= 0 ? 0 : (first + stride - 1) / stride;
        to = at / stride + 1 < pooled ? at / stride + 1 : pooled;
    }
};

/// Element i of [n, height, width, c].
struct Place {
    int n, h, w, c;
    DEVICE Place of(i64 i, int channels, int height, int width) {
        const u32 pixel = (u32)i / channels, row = pixel / width;
        return {(int)(row / height), (int)(row % height), (int)(pixel - row * width), (int)((u32)i - pixel * channels)};
    }
};

/// N channels at once; n elements in all.
template <class T, int N> DEVICE void max_pool(const T *RESTRICT x, T *RESTRICT y, u8 *RESTRICT index, const Pool &p, i64 n) {
    typedef wide_t<T> W;
    FOR_GRID(i, n / N) {
        const Place at = Place::of(i * N, p.c, p.oh, p.ow);
        int top, bottom, left, right;
        Pool::covered(at.h, p.sh, p.ph, p.kh, p.h, top, bottom);
        Pool::covered(at.w, p.sw, p.pw, p.kw, p.w, left, right);
        const T *image = x + (i64)at.n * p.h * p.w * p.c + at.c;
        W best[N] = {};
        int places[N] = {};
        bool first = true;
        for (int h = top; h < bottom; h++) {
            for (int w = left; w < right; w++) {
                const Pack<T, N> values = *(const Pack<T, N> *)(image + ((i64)h * p.w + w) * p.c);
                const int place = (h + p.ph - at.h * p.sh) * p.kw + w + p.pw - at.w * p.sw;
                UNROLL for (int k = 0; k < N; k++) {
                    const W v = wide(values.v[k]);
                    // The first, or larger, or the first NaN.
                    if (first || v > best[k] || (v != v && best[k] == best[k])) {
                        best[k] = v;
                        places[k] = place;
                    }
                }
                first = false;
            }
        }
        Pack<T, N> out;
        Pack<u8, N> where;
        UNROLL for (int k = 0; k < N; k++) {
            out.v[k] = narrow<T>(best[k]);
            where.v[k] = (u8)places[k];
        }
        ((Pack<T, N> *)y)[i] = out;
        ((Pack<u8, N> *)index)[i] = where;
    }
}

/// Where in the map the place that `index` names lies, or -1 where it is none of the window's.
DEVICE i64 named(const Place &at, int index, const Pool &p) {
    const int h = at.h * p.sh - p.ph + index / p.kw, w = at.w * p.sw - p.pw + index % p.kw;
    if (index >= p.kh * p.kw || h < 0 || w < 0 || h >= p.h || w >= p.w) {
        return -1;
    }
    return (((i64)at.n * p.h + h) * p.w + w) * p.c + at.c;
}

template <class T>
DEVICE void pool_gather(const T *RESTRICT x, const u8 *RESTRICT index, T *RESTRICT y, const Pool &p, i64 n, u64 *fault,
                        u32 ticket) {
    FOR_GRID(i, n) {
        const i64 from = named(Place::of(i, p.c, p.oh, p.ow), index[i], p);
        if (from < 0) {
            report(fault, ticket, i);
        }
        y[i] = from < 0 ? narrow<T>(0) : x[from];
    }
}

template <class T, int N>
DEVICE void max_unpool(const T *RESTRICT y, const u8 *RESTRICT index, T *RESTRICT x, const Pool &p, i64 n) {
    FOR_GRID(i, n / N) {
        const Place at = Place::of(i * N, p.c, p.h, p.w);
        int top, bottom, left, right;
        Pool::covering(at.h, p.sh, p.ph, p.kh, p.oh, top, bottom);
        Pool::covering(at.w, p.sw, p.pw, p.kw, p.ow, left, right);
        wide_t<T> sums[N];
        UNROLL for (int k = 0; k < N; k++) { sums[k] = 0; }
        for (int h = top; h < bottom; h++) {
            for (int w = left; w < right; w++) {
                const i64 from = (((i64)at.n * p.oh + h) * p.ow + w) * p.c + at.c;
                const int place = (at.h + p.ph - h * p.sh) * p.kw + at.w + p.pw - w * p.sw;
                const Pack<u8, N> named = *(const Pack<u8, N> *)(index + from);
                const Pack<T, N> values = *(const Pack<T, N> *)(y + from);
                UNROLL for (int k = 0; k < N; k++) {
                    if (named.v[k] == place) {
                        sums[k] += wide(values.v[k]);
                    }
                }
            }
        }
        Pack<T, N> out;
        UNROLL for (int k = 0; k < N; k++) { out.v[k] = narrow<T>(sums[k]); }
        ((Pack<T, N> *)x)[i] = out;
    }
}

/// What the sum over a window is multiplied with.
template <class W> DEVICE W share(int h, int w, const Pool &p, int count_padding) {
    int top, bottom, left, right;
    Pool::covered(h, p.sh, p.ph, p.kh, p.h, top, bottom);
    Pool::covered(w, p.sw, p.pw, p.kw, p.w, left, right);
    return (W)(1.0 / (count_padding ? p.kh * p.kw : (bottom - top) * (right - left)));
}

template <class T> DEVICE void avg_pool(const T *RESTRICT x, T *RESTRICT y, const Pool &p, i64 n, int count_padding) {
    FOR_GRID(i, n) {
        const Place at = Place::of(i, p.c, p.oh, p.ow);
        int top, bottom, left, right;
        Pool::covered(at.h, p.sh, p.ph, p.kh, p.h, top, bottom);
        Pool::covered(at.w, p.sw, p.pw, p.kw, p.w, left, right);
        const T *image = x + (i64)at.n * p.h * p.w * p.c + at.c;
        wide_t<T> sum = 0;
        for (int h = top; h < bottom; h++) {
            for (int w = left; w < right; w++) { sum += wide(image[((i64)h * p.w + w) * p.c]); }
        }
        y[i] = narrow<T>(sum * share<wide_t<T>>(at.h, at.w, p, count_padding));
    }
}

template <class T>
DEVICE void avg_pool_input(const T *RESTRICT g, T *RESTRICT x, const Pool &p, i64 n, int count_padding) {
    FOR_GRID(i, n) {
        const Place at = Place::of(i, p.c, p.h, p.w);
        int top, bottom, left, right;
        Pool::covering(at.h, p.sh, p.ph, p.kh, p.oh, top, bottom);
        Pool::covering(at.w, p.sw, p.pw, p.kw, p.ow, left, right);
        wide_t<T> sum = 0;
        for (int h = top; h < bottom; h++) {
            for (int w = left; w < right; w++) {
                const wide_t<T> v = wide(g[(((i64)at.n * p.oh + h) * p.ow + w) * p.c + at.c]);
                sum += share<wide_t<T>>(h, w, p, count_padding) * v;
            }
        }
        x[i] = narrow<T>(sum);
    }
}

/// x, x's gradient [n, h, w, c]; y, index, g [n, oh, ow, c]; n elements of the result.
#define POOLS(T)                                                                                                       \
    KERNEL(max_pool_##T, const T *x, T *y, u8 *index, Pool p, i64 n) {                                                 \
        if (in_packs(p.c, Lanes<T>::count, x, y) && aligned(index)) {                                                  \
            max_pool<T, Lanes<T>::count>(x, y, index, p, n);                                                           \
        } else {                                                                                                       \
            max_pool<T, 1>(x, y, index, p, n);                                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    KERNEL(pool_gather_##T, const T *x, const u8 *index, T *y, Pool p, i64 n, u64 *fault, u32 ticket) {                \
        pool_gather(x, index, y, p, n, fault, ticket);                                                                 \
    }                                                                                                                  \
    KERNEL(max_unpool_##T, const T *y, const u8 *index, T *x, Pool p, i64 n) {                                         \
        if (in_packs(p.c, Lanes<T>::count, x, y) && aligned(index)) {                                                  \
            max_unpool<T, Lanes<T>::count>(y, index, x, p, n);                                                         \
        } else {                                                                                                       \
            max_unpool<T, 1>(y, index, x, p, n);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    KERNEL(avg_pool_##T, const T *x, T *y, Pool p, i64 n, int count_padding) {                                         \
        avg_pool(x, y, p, n, count_padding);                                                                           \
    }                                                                                                                  \
    KERNEL(avg_pool_input_##T, const T *g, T *x, Pool p, i64 n, int count_padding) {                                   \
        avg_pool_input(g, x, p, n, count_padding);                                                                     \
    }
FOR_FLOATS(POOLS)

/// Reports the indices [n, oh, ow, c] that name no place of their window: for `max_unpool`, which would not meet them.
KERNEL(check_pool_index, const u8 *index, Pool p, i64 n, u64 *fault, u32 ticket) {
    FOR_GRID(i, n) {
        if (named(Place::of(i, p.c, p.oh, p.ow), index[i], p) < 0) {
            report(fault, ticket, i);
        }
    }
}
