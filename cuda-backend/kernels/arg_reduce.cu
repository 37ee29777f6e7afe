// The index of the first largest or smallest element along an axis; the first NaN wins where there is one.
#include "preamble.cuh"

template <class W> struct Largest {
    DEVICE bool better(W v, W best) { return v > best || (v != v && best == best); }
};
template <class W> struct Smallest {
    DEVICE bool better(W v, W best) { return v < best || (v != v && best == best); }
};

/// Searches x[from·step], x[(from + by)·step], …
template <class E, class T>
DEVICE int search(const T *x, i64 step, int from, int by, int len, wide_t<T> &best) {
    int index = from;
    best = wide(x[from * step]);
    for (int i = from + by; i < len; i += by) {
        const wide_t<T> v = wide(x[i * step]);
        if (E::better(v, best)) {
            best = v;
            index = i;
        }
    }
    return index;
}

/// One thread for each result: for axes as short as classes.
template <class E, class T, class I> DEVICE void by_thread(const T *x, I *y, const Walk<1> &kept, i64 n, int len, i64 step) {
    FOR_GRID(i, n) {
        wide_t<T> best;
        y[i] = (I)search<E>(x + place(kept, i), step, 0, 1, len, best);
    }
}

/// One block for each result.
template <class E, class T> DEVICE void by_block(const T *x, i64 *y, const Walk<1> &kept, i64 n, int len, i64 step) {
    typedef wide_t<T> W;
    SHARED(W, values, BLOCK);
    SHARED(int, indices, BLOCK);
    const int t = (int)threadIdx.x;
    for (i64 r = blockIdx.x; r < n; r += gridDim.x) {
        if (t < len) {
            indices[t] = search<E>(x + place(kept, r), step, t, BLOCK, len, values[t]);
        }
        BARRIER();
        for (int half = BLOCK / 2; half > 0; half /= 2) {
            if (t < half && t + half < len) {
                const W v = values[t + half];
                const int i = indices[t + half];
                if (E::better(v, values[t]) || (!E::better(values[t], v) && i < indices[t])) {
                    values[t] = v;
                    indices[t] = i;
                }
            }
            BARRIER();
        }
        if (t == 0) {
            y[r] = indices[0];
        }
        BARRIER();
    }
}

/// y[n]: the places along an axis of `len` elements `step` apart; `kept` walks over the other axes. The second kernel of
/// each pair takes a block for each result (grid x any): for long axes.
#define ARG_REDUCE(T)                                                                                                  \
    KERNEL(arg_max_##T, const T *x, i64 *y, Walk<1> kept, i64 n, int len, i64 step) {                                  \
        by_thread<Largest<wide_t<T>>>(x, y, kept, n, len, step);                                                       \
    }                                                                                                                  \
    KERNEL(arg_max_long_##T, const T *x, i64 *y, Walk<1> kept, i64 n, int len, i64 step) {                             \
        by_block<Largest<wide_t<T>>>(x, y, kept, n, len, step);                                                        \
    }                                                                                                                  \
    KERNEL(arg_min_##T, const T *x, i64 *y, Walk<1> kept, i64 n, int len, i64 step) {                                  \
        by_thread<Smallest<wide_t<T>>>(x, y, kept, n, len, step);                                                      \
    }                                                                                                                  \
    KERNEL(arg_min_long_##T, const T *x, i64 *y, Walk<1> kept, i64 n, int len, i64 step) {                             \
        by_block<Smallest<wide_t<T>>>(x, y, kept, n, len, step);                                                       \
    }
FOR_ALL(ARG_REDUCE)

/// The same as u8, of up to 256 classes: a map of labels.
#define LABELS(T)                                                                                                      \
    KERNEL(labels_##T, const T *x, u8 *y, Walk<1> kept, i64 n, int len, i64 step) {                                    \
        by_thread<Largest<wide_t<T>>>(x, y, kept, n, len, step);                                                       \
    }
FOR_FLOATS(LABELS)
