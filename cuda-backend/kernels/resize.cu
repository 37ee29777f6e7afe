// Resizing of NHWC maps and its adjoint, both gathers. What a result pixel is made of along an axis (its tap) is computed
// where it is needed, in f64, as the CPU does.
#include "preamble.cuh"

/// A map [n, h, w, c] and the resized one [n, oh, ow, c]. `scale` is the distance in the map between neighbours of the
/// resized one: h/oh, or (h − 1)/(oh − 1) with aligned corners (0 for oh = 1); the host computes it in f64.
struct Resize {
    int n, c, h, w, oh, ow;
    int bilinear, align_corners;
    f64 scale_h, scale_w;
};

/// (1 − part)·pixel[low] + part·pixel[low + 1]; part 0 stands for pixel[low] alone.
struct Tap {
    int low;
    f64 part;

    DEVICE Tap of(int i, int from, int to, f64 scale, const Resize &r) {
        if (!r.bilinear) {
            i64 source = (i64)i * from / to;
            if (r.align_corners) {
                const i64 last = to - 1;
                source = last == 0 ? 0 : (2 * (i64)i * (from - 1) + last) / (2 * last);
            }
            return {(int)(source < from - 1 ? source : from - 1), 0.0};
        }
        f64 at = r.align_corners ? i * scale : (i + 0.5) * scale - 0.5;
        at = at < 0.0 ? 0.0 : at;
        const int low = (int)at < from - 1 ? (int)at : from - 1;
        f64 part = at - low;
        part = part < 1.0 ? part : 1.0;
        return {low, low + 1 == from ? 0.0 : part};
    }

    /// The result pixels that may have a part of pixel `s`: from..to.
    DEVICE void users(int s, int in, int out, f64 scale, const Resize &r, int &from, int &to) {
        from = 0;
        to = out;
        if (scale > 0.0) {
            // One pixel of room on either side for rounding; who has no part is sorted out by its tap.
            const f64 shift = r.align_corners ? 0.0 : 0.5;
            const f64 first = floor((s - 1 + shift) / scale - shift) - 1, last = ceil((s + 1 + shift) / scale - shift) + 1;
            from = first > 0 ? (int)first : 0;
            to = last + 1 < out ? (int)last + 1 : out;
        }
        if (s == in - 1) {
            to = out; // all beyond the last pixel are made of it
        }
    }

    /// The weight of pixel `s`.
    DEVICE f64 weight(const Tap &t, int s) { return s == t.low ? 1.0 - t.part : s == t.low + 1 ? t.part : 0.0; }
};

/// Values of N channels, in the type computed in.
template <class T, int N> struct Values {
    wide_t<T> v[N];

    DEVICE Values of(const T *x) {
        const Pack<T, N> in = *(const Pack<T, N> *)x;
        Values out;
        UNROLL for (int k = 0; k < N; k++) { out.v[k] = wide(in.v[k]); }
        return out;
    }
    DEVICE Values mix(wide_t<T> p, const Values &a, wide_t<T> q, const Values &b) {
        Values out;
        UNROLL for (int k = 0; k < N; k++) { out.v[k] = p * a.v[k] + q * b.v[k]; }
        return out;
    }
    DEVICE void store(const Values &values, T *y) {
        Pack<T, N> out;
        UNROLL for (int k = 0; k < N; k++) { out.v[k] = narrow<T>(values.v[k]); }
        *(Pack<T, N> *)y = out;
    }
};

/// N channels at once; n elements in all.
template <class T, int N> DEVICE void resize(const T *RESTRICT x, T *RESTRICT y, const Resize &r, i64 n) {
    typedef wide_t<T> W;
    typedef Values<T, N> V;
    FOR_GRID(i, n / N) {
        const u32 at = (u32)i * N, pixel = at / r.c, row = pixel / r.ow, image = row / r.oh;
        const Tap v = Tap::of((int)(row - image * r.oh), r.h, r.oh, r.scale_h, r);
        const Tap u = Tap::of((int)(pixel - row * r.ow), r.w, r.ow, r.scale_w, r);
        const T *from = x + (((i64)image * r.h + v.low) * r.w + u.low) * r.c + (at - pixel * r.c);
        const i64 down = (i64)r.w * r.c, right = r.c;
        const W v1 = (W)v.part, u1 = (W)u.part, v0 = (W)(1.0 - v.part), u0 = (W)(1.0 - u.part);
        V value = V::of(from);
        if (u.part != 0.0) {
            value = V::mix(u0, value, u1, V::of(from + right));
        }
        if (v.part != 0.0) {
            V below = V::of(from + down);
            if (u.part != 0.0) {
                below = V::mix(u0, below, u1, V::of(from + down + right));
            }
            value = V::mix(v0, value, v1, below);
        }
        V::store(value, y + at);
    }
}

template <class T, int N> DEVICE void resize_input(const T *RESTRICT g, T *RESTRICT x, const Resize &r, i64 n) {
    typedef wide_t<T> W;
    typedef Values<T, N> V;
    FOR_GRID(i, n / N) {
        const u32 at = (u32)i * N, pixel = at / r.c, row = pixel / r.w, image = row / r.h;
        const int h = (int)(row - image * r.h), w = (int)(pixel - row * r.w);
        int top, bottom, left, right;
        Tap::users(h, r.h, r.oh, r.scale_h, r, top, bottom);
        Tap::users(w, r.w, r.ow, r.scale_w, r, left, right);
        V sum = {};
        for (int oh = top; oh < bottom; oh++) {
            const W v = (W)Tap::weight(Tap::of(oh, r.h, r.oh, r.scale_h, r), h);
            if (v != 0) {
                const T *line = g + ((i64)image * r.oh + oh) * r.ow * r.c + (at - pixel * r.c);
                for (int ow = left; ow < right; ow++) {
                    const W u = (W)Tap::weight(Tap::of(ow, r.w, r.ow, r.scale_w, r), w);
                    if (u != 0) {
                        sum = V::mix(1, sum, u * v, V::of(line + (i64)ow * r.c));
                    }
                }
            }
        }
        V::store(sum, x + at);
    }
}

/// n elements of the result: y [n, oh, ow, c], or the gradient of x [n, h, w, c]. For nearest pixels `scale` is needed by
/// the second alone, and is that of unaligned or aligned corners as above.
#define RESIZES(T)                                                                                                     \
    KERNEL(resize_##T, const T *x, T *y, Resize r, i64 n) {                                                            \
        if (in_packs(r.c, Lanes<T>::count, x, y)) {                                                                    \
            resize<T, Lanes<T>::count>(x, y, r, n);                                                                    \
        } else {                                                                                                       \
            resize<T, 1>(x, y, r, n);                                                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    KERNEL(resize_input_##T, const T *g, T *x, Resize r, i64 n) {                                                      \
        if (in_packs(r.c, Lanes<T>::count, g, x)) {                                                                    \
            resize_input<T, Lanes<T>::count>(g, x, r, n);                                                              \
        } else {                                                                                                       \
            resize_input<T, 1>(g, x, r, n);                                                                            \
        }                                                                                                              \
    }
FOR_FLOATS(RESIZES)
