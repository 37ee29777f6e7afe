// Elements picked by an index along an axis, and the adjoint.
#include "preamble.cuh"

/// y[i] = x[place + index·step], in the order of y; the walk's operands are the index and x without its indexed axis, which
/// has `size` elements. An index outside is reported and yields 0.
#define GATHER(SIZE, T)                                                                                                \
    KERNEL(gather_b##SIZE, const T *x, const i64 *index, T *y, Walk<2> walk, i64 n, i64 size, i64 step, u64 *fault,    \
           u32 ticket) {                                                                                               \
        FOR_GRID(i, n) {                                                                                               \
            i64 at[2];                                                                                                 \
            Walk<2>::place(walk, i, at);                                                                               \
            const i64 k = index[at[0]];                                                                                \
            if (k < 0 || k >= size) {                                                                                  \
                report(fault, ticket, i);                                                                              \
                y[i] = (T)0;                                                                                           \
            } else {                                                                                                   \
                y[i] = x[at[1] + k * step];                                                                            \
            }                                                                                                          \
        }                                                                                                              \
    }
FOR_SIZES(GATHER)

/// Reports the indices outside 0..size, which no result of `scatter_add` would meet.
KERNEL(check_index, const i64 *index, Walk<1> walk, i64 n, i64 size, u64 *fault, u32 ticket) {
    FOR_GRID(i, n) {
        const i64 k = index[place(walk, i)];
        if (k < 0 || k >= size) {
            report(fault, ticket, i);
        }
    }
}

template <class T> struct AddType {
    typedef wide_t<T> type;
};
template <> struct AddType<i64> {
    typedef u64 type; // wraps
};

/// y[i] = the sum of those elements of g that the index sends there, in index order: each result searches the `count` of
/// its line, so that no two threads write to one place. The walk, in the order of y, has three operands: g and the index with
/// step 0 along the indexed axis (their steps there are `g_step` and `index_step`), and the place along that axis, with
/// step 1 there and 0 elsewhere.
#define SCATTER_ADD(T)                                                                                                 \
    KERNEL(scatter_add_##T, const T *g, const i64 *index, T *y, Walk<3> walk, i64 n, i64 count, i64 g_step,            \
           i64 index_step) {                                                                                           \
        FOR_GRID(i, n) {                                                                                               \
            i64 at[3];                                                                                                 \
            Walk<3>::place(walk, i, at);                                                                               \
            AddType<T>::type sum = 0;                                                                                  \
            for (i64 k = 0; k < count; k++) {                                                                          \
                if (index[at[1] + k * index_step] == at[2]) {                                                          \
                    sum = (AddType<T>::type)(sum + (AddType<T>::type)wide(g[at[0] + k * g_step]));                     \
                }                                                                                                      \
            }                                                                                                          \
            y[i] = narrow<T>((wide_t<T>)sum);                                                                          \
        }                                                                                                              \
    }
FOR_ALL(SCATTER_ADD)
