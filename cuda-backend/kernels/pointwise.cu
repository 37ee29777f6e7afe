// Pointwise functions of one and two operands, comparisons, selection. The functions are numbered rows of the table that
// the CPU kernels are made of too (`tensor`, ops/pointwise/table.rs); one kernel for each type has them all, since the
// choice is the same for all threads and memory is what bounds them.
#include "pointwise_table.cuh"
#include "preamble.cuh"

#define UNARY_FUNCTION(id, name, expression)                                                                           \
    struct name##_unary {                                                                                              \
        template <class W> DEVICE W run(W x, W p, W q) { return expression; }                                          \
    };
UNARY_TABLE(UNARY_FUNCTION)

#define BINARY_FUNCTION(id, name, expression)                                                                          \
    struct name##_binary {                                                                                             \
        template <class W> DEVICE W run(W x, W y) { return expression; }                                               \
    };
BINARY_TABLE(BINARY_FUNCTION)

#define COMPARE_FUNCTION(id, name, expression)                                                                         \
    struct name##_compare {                                                                                            \
        template <class W> DEVICE u8 run(W x, W y) { return expression; }                                              \
    };
COMPARE_TABLE(COMPARE_FUNCTION)

#define ID(id, name, expression) name##_id = id,
enum { UNARY_TABLE(ID) unary_end };
#define BINARY_ID(id, name, expression) name##_binary_id = id,
enum { BINARY_TABLE(BINARY_ID) binary_end };

/// i64 arithmetic that wraps; u8 is computed in it and cut.
struct Wrapping {
    DEVICE i64 unary(int f, i64 x, i64 p, i64 q) {
        switch (f) {
        case neg_id: return (i64)(0 - (u64)x);
        case abs_id: return x < 0 ? (i64)(0 - (u64)x) : x;
        case sign_id: return (x > 0) - (x < 0);
        case square_id: return (i64)((u64)x * (u64)x);
        case add_scalar_id: return (i64)((u64)x + (u64)p);
        case mul_scalar_id: return (i64)((u64)x * (u64)p);
        case clamp_id: x = x < p ? p : x; return x > q ? q : x;
        }
        return 0; // the host launches no other
    }
    DEVICE i64 binary(int f, i64 x, i64 y) {
        switch (f) {
        case add_binary_id: return (i64)((u64)x + (u64)y);
        case sub_binary_id: return (i64)((u64)x - (u64)y);
        case mul_binary_id: return (i64)((u64)x * (u64)y);
        case maximum_binary_id: return x > y ? x : y;
        case minimum_binary_id: return x < y ? x : y;
        }
        return 0;
    }
};

/// Row f of the tables, on one value: where the choice inside of the loop costs nothing against what surrounds it.
struct Row {
    template <class W> DEVICE W unary(int f, W x, W p, W q) {
#define CASE(id, name, expression)                                                                                     \
    case id: return name##_unary::run(x, p, q);
        switch (f) { UNARY_TABLE(CASE) }
#undef CASE
        return x; // the host launches no other
    }
    template <class W> DEVICE W binary(int f, W x, W y) {
#define CASE(id, name, expression)                                                                                     \
    case id: return name##_binary::run(x, y);
        switch (f) { BINARY_TABLE(CASE) }
#undef CASE
        return x;
    }
    template <class W> DEVICE u8 compare(int f, W x, W y) {
#define CASE(id, name, expression)                                                                                     \
    case id: return name##_compare::run(x, y);
        switch (f) { COMPARE_TABLE(CASE) }
#undef CASE
        return 0;
    }
};

/// y[i] = f(x[i]) of dense operands, 16 bytes at a time.
template <class Function, class T> struct Dense {
    DEVICE void unary(const T *RESTRICT x, T *RESTRICT y, i64 n, wide_t<T> p, wide_t<T> q) {
        const int N = Lanes<T>::count;
        const i64 packs = aligned(x) && aligned(y) ? n / N : 0;
        FOR_GRID(i, packs) {
            pack_t<T> v = ((const pack_t<T> *)x)[i];
            UNROLL for (int k = 0; k < N; k++) { v.v[k] = narrow<T>(Function::run(wide(v.v[k]), p, q)); }
            ((pack_t<T> *)y)[i] = v;
        }
        FOR_GRID(j, n - packs * N) { y[packs * N + j] = narrow<T>(Function::run(wide(x[packs * N + j]), p, q)); }
    }

    DEVICE void binary(const T *RESTRICT a, const T *RESTRICT b, T *RESTRICT y, i64 n) {
        const int N = Lanes<T>::count;
        const i64 packs = aligned(a) && aligned(b) && aligned(y) ? n / N : 0;
        FOR_GRID(i, packs) {
            pack_t<T> v = ((const pack_t<T> *)a)[i];
            const pack_t<T> w = ((const pack_t<T> *)b)[i];
            UNROLL for (int k = 0; k < N; k++) { v.v[k] = narrow<T>(Function::run(wide(v.v[k]), wide(w.v[k]))); }
            ((pack_t<T> *)y)[i] = v;
        }
        FOR_GRID(j, n - packs * N) {
            const i64 i = packs * N + j;
            y[i] = narrow<T>(Function::run(wide(a[i]), wide(b[i])));
        }
    }
};

// Functions of a few instructions have loops of their own; the others, whose code is long, share one.
#define SHORT_UNARY(CASE)                                                                                              \
    CASE(neg) CASE(abs) CASE(sign) CASE(step) CASE(square) CASE(relu) CASE(leaky_relu) CASE(add_scalar)                \
    CASE(mul_scalar) CASE(clamp)
#define SHORT_BINARY(CASE)                                                                                             \
    CASE(add) CASE(sub) CASE(mul) CASE(maximum) CASE(minimum) CASE(prelu) CASE(relu_grad)

template <class T> DEVICE void unary_dense(int f, const T *x, T *y, i64 n, f64 fp, f64 fq) {
    const wide_t<T> p = (wide_t<T>)fp, q = (wide_t<T>)fq;
#define CASE(name)                                                                                                     \
    case name##_id: return Dense<name##_unary, T>::unary(x, y, n, p, q);
    switch (f) { SHORT_UNARY(CASE) }
#undef CASE
    FOR_GRID(i, n) { y[i] = narrow<T>(Row::unary(f, wide(x[i]), p, q)); }
}
template <class T> DEVICE void unary_strided(int f, const T *x, T *y, const Walk<1> &walk, i64 n, f64 fp, f64 fq) {
    const wide_t<T> p = (wide_t<T>)fp, q = (wide_t<T>)fq;
    FOR_GRID(i, n) { y[i] = narrow<T>(Row::unary(f, wide(x[place(walk, i)]), p, q)); }
}
template <class T> DEVICE void binary_dense(int f, const T *a, const T *b, T *y, i64 n) {
#define CASE(name)                                                                                                     \
    case name##_binary_id: return Dense<name##_binary, T>::binary(a, b, y, n);
    switch (f) { SHORT_BINARY(CASE) }
#undef CASE
    FOR_GRID(i, n) { y[i] = narrow<T>(Row::binary(f, wide(a[i]), wide(b[i]))); }
}
template <class T> DEVICE void binary_strided(int f, const T *a, const T *b, T *y, const Walk<2> &walk, i64 n) {
    FOR_GRID(i, n) {
        i64 at[2];
        Walk<2>::place(walk, i, at);
        y[i] = narrow<T>(Row::binary(f, wide(a[at[0]]), wide(b[at[1]])));
    }
}
template <class T> DEVICE void compare_dense(int f, const T *a, const T *b, u8 *y, i64 n) {
    FOR_GRID(i, n) { y[i] = Row::compare(f, wide(a[i]), wide(b[i])); }
}
template <class T> DEVICE void compare_strided(int f, const T *a, const T *b, u8 *y, const Walk<2> &walk, i64 n) {
    FOR_GRID(i, n) {
        i64 at[2];
        Walk<2>::place(walk, i, at);
        y[i] = Row::compare(f, wide(a[at[0]]), wide(b[at[1]]));
    }
}

/// y = f(x; p, q), f a row of the table.
#define FLOAT_KERNELS(T)                                                                                               \
    KERNEL(unary_##T, int f, const T *x, T *y, i64 n, f64 p, f64 q) { unary_dense<T>(f, x, y, n, p, q); }              \
    KERNEL(unary_strided_##T, int f, const T *x, T *y, Walk<1> walk, i64 n, f64 p, f64 q) {                            \
        unary_strided<T>(f, x, y, walk, n, p, q);                                                                      \
    }                                                                                                                  \
    KERNEL(binary_##T, int f, const T *a, const T *b, T *y, i64 n) { binary_dense<T>(f, a, b, y, n); }                 \
    KERNEL(binary_strided_##T, int f, const T *a, const T *b, T *y, Walk<2> walk, i64 n) {                             \
        binary_strided<T>(f, a, b, y, walk, n);                                                                        \
    }
FOR_FLOATS(FLOAT_KERNELS)

/// The same on integers, as far as the shape rule lets them through; parameters are truncated.
#define INTEGER_KERNELS(T)                                                                                             \
    KERNEL(unary_##T, int f, const T *x, T *y, i64 n, f64 p, f64 q) {                                                  \
        const i64 ip = Number<i64>::from(p), iq = Number<i64>::from(q);                                                \
        FOR_GRID(i, n) { y[i] = (T)Wrapping::unary(f, x[i], ip, iq); }                                                 \
    }                                                                                                                  \
    KERNEL(unary_strided_##T, int f, const T *x, T *y, Walk<1> walk, i64 n, f64 p, f64 q) {                            \
        const i64 ip = Number<i64>::from(p), iq = Number<i64>::from(q);                                                \
        FOR_GRID(i, n) {                                                                                               \
            y[i] = (T)Wrapping::unary(f, x[place(walk, i)], ip, iq);                                                   \
        }                                                                                                              \
    }                                                                                                                  \
    KERNEL(binary_##T, int f, const T *a, const T *b, T *y, i64 n) {                                                   \
        FOR_GRID(i, n) { y[i] = (T)Wrapping::binary(f, a[i], b[i]); }                                                  \
    }                                                                                                                  \
    KERNEL(binary_strided_##T, int f, const T *a, const T *b, T *y, Walk<2> walk, i64 n) {                             \
        FOR_GRID(i, n) {                                                                                               \
            i64 at[2];                                                                                                 \
            Walk<2>::place(walk, i, at);                                                                               \
            y[i] = (T)Wrapping::binary(f, a[at[0]], b[at[1]]);                                                         \
        }                                                                                                              \
    }
FOR_INTEGERS(INTEGER_KERNELS)

/// y = 1 where the comparison f holds, else 0.
#define COMPARE_KERNELS(T)                                                                                             \
    KERNEL(compare_##T, int f, const T *a, const T *b, u8 *y, i64 n) { compare_dense<T>(f, a, b, y, n); }              \
    KERNEL(compare_strided_##T, int f, const T *a, const T *b, u8 *y, Walk<2> walk, i64 n) {                           \
        compare_strided<T>(f, a, b, y, walk, n);                                                                       \
    }
FOR_ALL(COMPARE_KERNELS)

/// y = c ? a : b, of elements of SIZE bytes.
#define SELECT_KERNELS(SIZE, T)                                                                                        \
    KERNEL(select_b##SIZE, const u8 *c, const T *a, const T *b, T *y, Walk<3> walk, i64 n) {                           \
        FOR_GRID(i, n) {                                                                                               \
            i64 at[3];                                                                                                 \
            Walk<3>::place(walk, i, at);                                                                               \
            y[i] = c[at[0]] != 0 ? a[at[1]] : b[at[2]];                                                                \
        }                                                                                                              \
    }
FOR_SIZES(SELECT_KERNELS)
