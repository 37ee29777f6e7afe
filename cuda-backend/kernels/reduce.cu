// Sums, maxima and minima over axes. A launch folds pieces of the reduced elements into partial results, a second one
// folds these: in a fixed order that depends on the shape alone.
//
// Elements go into lanes, at most 64 into each, lanes into accumulators. For f32 and halves lanes are f32, accumulators f64.
#include "preamble.cuh"

template <class T> struct SumTypes {
    typedef f32 lane;
    typedef f64 acc;
    typedef T out;
};
template <> struct SumTypes<f64> {
    typedef f64 lane, acc, out;
};
template <> struct SumTypes<i64> {
    typedef i64 lane, acc, out;
};
template <> struct SumTypes<u8> {
    typedef i64 lane, acc, out;
};

template <class T> struct Divided {
    DEVICE T from(f64 sum, f64 divisor) { return narrow<T>((wide_t<T>)(sum / divisor)); }
};
template <> struct Divided<i64> {
    DEVICE i64 from(i64 sum, f64) { return sum; }
};

template <class T> struct Sum {
    typedef T in;
    typedef typename SumTypes<T>::lane lane;
    typedef typename SumTypes<T>::acc acc;
    typedef typename SumTypes<T>::out out;
    DEVICE lane no_lane() { return 0; }
    DEVICE acc none() { return 0; }
    DEVICE lane step(lane l, T x) { return l + (lane)wide(x); }
    DEVICE acc flush(acc a, lane l) { return a + (acc)l; }
    DEVICE acc merge(acc a, acc b) { return a + b; }
    DEVICE out finish(acc a, f64 divisor) { return Divided<out>::from(a, divisor); }
};

/// The largest and smallest numbers of a type.
template <class W> struct Bounds {
    DEVICE W most() { return (W)__uint_as_float(0x7f800000u); }
    DEVICE W least() { return -most(); }
};
template <> struct Bounds<i64> {
    DEVICE i64 most() { return 9223372036854775807ll; }
    DEVICE i64 least() { return -most() - 1; }
};
template <> struct Bounds<u8> {
    DEVICE u8 most() { return 255; }
    DEVICE u8 least() { return 0; }
};

// NaN is unequal to itself; once it is held, nothing is larger or smaller.
#define EXTREMUM(Name, EMPTY, BETTER)                                                                                  \
    template <class T> struct Name {                                                                                   \
        typedef T in, out;                                                                                             \
        typedef wide_t<T> lane, acc;                                                                                   \
        DEVICE lane no_lane() { return Bounds<acc>::EMPTY(); }                                                         \
        DEVICE acc none() { return Bounds<acc>::EMPTY(); }                                                             \
        DEVICE lane step(lane l, T v) { return merge(l, wide(v)); }                                                    \
        DEVICE acc flush(acc a, lane l) { return merge(a, l); }                                                        \
        DEVICE acc merge(acc m, acc x) { return (x BETTER m) || x != x ? x : m; }                                      \
        DEVICE out finish(acc a, f64) { return narrow<T>(a); }                                                         \
    };
EXTREMUM(Max, least, >)
EXTREMUM(Min, most, <)

/// Elements that a lane takes.
#define DEPTH 64

/// Folds the elements from, from + by, … below `to` of one result.
template <class F>
DEVICE typename F::acc fold(const typename F::in *x, const Walk<1> &reduced, i64 from, i64 to, int by) {
    typename F::acc acc = F::none();
    while (from < to) {
        typename F::lane lane = F::no_lane();
        for (int depth = 0; depth < DEPTH && from < to; depth++, from += by) {
            lane = F::step(lane, x[place(reduced, from)]);
        }
        acc = F::flush(acc, lane);
    }
    return acc;
}

template <class F>
DEVICE void rows(const typename F::in *x, typename F::acc *parts, const Walk<1> &kept, const Walk<1> &reduced,
                 i64 results, i64 count, i64 piece) {
    const i64 from = blockIdx.y * piece, to = from + piece < count ? from + piece : count;
    for (i64 r = blockIdx.x; r < results; r += gridDim.x) {
        typename F::acc acc = fold<F>(x + place(kept, r), reduced, from + threadIdx.x, to, BLOCK);
        acc = block_fold(acc, [](typename F::acc a, typename F::acc b) { return F::merge(a, b); });
        if (threadIdx.x == 0) {
            parts[blockIdx.y * results + r] = acc;
        }
    }
}

/// Columns of a block, and threads that share one.
#define COLUMNS 32
#define SHARES 8

template <class F>
DEVICE void columns(const typename F::in *x, typename F::acc *parts, const Walk<1> &kept, const Walk<1> &reduced,
                    i64 results, i64 count, i64 piece) {
    SHARED(typename F::acc, shares, COLUMNS * SHARES);
    const i64 from = blockIdx.y * piece, to = from + piece < count ? from + piece : count;
    const u32 tx = threadIdx.x, ty = threadIdx.y;
    for (i64 first = (i64)blockIdx.x * COLUMNS; first < results; first += (i64)gridDim.x * COLUMNS) {
        const i64 r = first + tx;
        if (r < results) {
            shares[ty * COLUMNS + tx] = fold<F>(x + place(kept, r), reduced, from + ty, to, SHARES);
        }
        BARRIER();
        if (ty == 0 && r < results) {
            typename F::acc acc = shares[tx];
            for (int s = 1; s < SHARES; s++) { acc = F::merge(acc, shares[s * COLUMNS + tx]); }
            parts[blockIdx.y * results + r] = acc;
        }
        BARRIER();
    }
}

template <class F>
DEVICE void finish(const typename F::acc *parts, typename F::out *y, i64 results, int pieces, f64 divisor) {
    FOR_GRID(r, results) {
        typename F::acc acc = parts[r];
        for (int p = 1; p < pieces; p++) { acc = F::merge(acc, parts[p * results + r]); }
        y[r] = F::finish(acc, divisor);
    }
}

/// parts [pieces, results] from x, whose elements are those of the walk `kept` (results) times those of `reduced` (count);
/// grid y the pieces of `piece` elements. `rows`: a block for each result, grid x any. `columns`: block (32, 8), a block
/// for each 32 results. Then the parts folded into y [results]; sums of floats divided by `divisor`.
#define REDUCE(T, name, F)                                                                                             \
    KERNEL(reduce_rows_##name##_##T, const T *x, F<T>::acc *parts, Walk<1> kept, Walk<1> reduced, i64 results,         \
           i64 count, i64 piece) {                                                                                     \
        rows<F<T>>(x, parts, kept, reduced, results, count, piece);                                                    \
    }                                                                                                                  \
    KERNEL(reduce_columns_##name##_##T, const T *x, F<T>::acc *parts, Walk<1> kept, Walk<1> reduced, i64 results,      \
           i64 count, i64 piece) {                                                                                     \
        columns<F<T>>(x, parts, kept, reduced, results, count, piece);                                                 \
    }                                                                                                                  \
    KERNEL(reduce_finish_##name##_##T, const F<T>::acc *parts, F<T>::out *y, i64 results, int pieces, f64 divisor) {   \
        finish<F<T>>(parts, y, results, pieces, divisor);                                                              \
    }
#define REDUCTIONS(T) REDUCE(T, sum, Sum) REDUCE(T, max, Max) REDUCE(T, min, Min)
FOR_ALL(REDUCTIONS)
