// Written from the table of `tensor` (ops/pointwise/table.rs); `WRITE=1 cargo test -p cuda-backend --test
// pointwise_table` writes it anew. Rows: number, name, expression.
#pragma once

/// Of x, with parameters p and q.
#define UNARY_TABLE(ROW) \
    ROW(0, neg, -x) \
    ROW(1, abs, fabs(x)) \
    ROW(2, sign, x > 0 ? 1 : x < 0 ? -1 : x) \
    ROW(3, step, x > 0) \
    ROW(4, exp, exp(x)) \
    ROW(5, expm1, expm1(x)) \
    ROW(6, log, log(x)) \
    ROW(7, log1p, log1p(x)) \
    ROW(8, sqrt, sqrt(x)) \
    ROW(9, square, x * x) \
    ROW(10, recip, 1 / x) \
    ROW(11, sin, sin(x)) \
    ROW(12, cos, cos(x)) \
    ROW(13, tanh, tanh(x)) \
    ROW(14, sigmoid, 1 / (1 + exp(-x))) \
    ROW(15, softplus, (x > 0 ? x : 0) + log1p(exp(-fabs(x)))) \
    ROW(16, relu, x < 0 ? 0 : x) \
    ROW(17, leaky_relu, x > 0 ? x : p * x) \
    ROW(18, floor, floor(x)) \
    ROW(19, round, round(x)) \
    ROW(20, add_scalar, x + p) \
    ROW(21, mul_scalar, x * p) \
    ROW(22, pow_scalar, pow(x, p)) \
    ROW(23, clamp, x < p ? p : x > q ? q : x)

/// Of x and y.
#define BINARY_TABLE(ROW) \
    ROW(0, add, x + y) \
    ROW(1, sub, x - y) \
    ROW(2, mul, x * y) \
    ROW(3, div, x / y) \
    ROW(4, pow, pow(x, y)) \
    ROW(5, maximum, x > y || x != x ? x : y) \
    ROW(6, minimum, x < y || x != x ? x : y) \
    ROW(7, prelu, x > 0 ? x : y * x) \
    ROW(8, relu_grad, x > 0 ? y : 0)

/// Of x and y, 0 or 1.
#define COMPARE_TABLE(ROW) \
    ROW(0, equal, x == y) \
    ROW(1, not_equal, x != y) \
    ROW(2, less, x < y) \
    ROW(3, less_equal, x <= y) \
    ROW(4, greater, x > y) \
    ROW(5, greater_equal, x >= y)
