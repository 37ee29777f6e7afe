// Plain convolution over NHWC maps, its data gradient and its weight gradient, for every stride, padding, dilation and
// number of groups: what serves where cuDNN has no algorithm, and depthwise. One thread, or block, for each result.
#include "preamble.cuh"

/// x [n, h, w, c], y [n, oh, ow, k], weight [k, c/groups, kh, kw] anywhere by `steps`.
struct Conv {
    int n, c, h, w, k, oh, ow, kh, kw, sh, sw, ph, pw, dh, dw, groups;
    i64 steps[4];
};

template <class T>
DEVICE void forward(const T *RESTRICT x, const T *RESTRICT weight, const T *bias, T *RESTRICT y, const Conv &p, i64 n) {
    typedef wide_t<T> W;
    const int each = p.c / p.groups, outs = p.k / p.groups;
    FOR_GRID(i, n) {
        const u32 pixel = (u32)i / p.k, row = pixel / p.ow, image = row / p.oh;
        const int k = (int)((u32)i - pixel * p.k), ow = (int)(pixel - row * p.ow), oh = (int)(row - image * p.oh);
        const int first = k / outs * each;
        W sum = 0;
        for (int r = 0; r < p.kh; r++) {
            const int h = oh * p.sh - p.ph + r * p.dh;
            for (int s = 0; s < p.kw && h >= 0 && h < p.h; s++) {
                const int w = ow * p.sw - p.pw + s * p.dw;
                if (w >= 0 && w < p.w) {
                    const T *from = x + (((i64)image * p.h + h) * p.w + w) * p.c + first;
                    const T *by = weight + k * p.steps[0] + r * p.steps[2] + s * p.steps[3];
                    for (int c = 0; c < each; c++) { sum = fma(wide(from[c]), wide(by[c * p.steps[1]]), sum); }
                }
            }
        }
        y[i] = narrow<T>(bias ? sum + wide(bias[k]) : sum);
    }
}

template <class T>
DEVICE void input(const T *RESTRICT g, const T *RESTRICT weight, const T *bias, T *RESTRICT x, const Conv &p, i64 n) {
    typedef wide_t<T> W;
    const int each = p.c / p.groups, outs = p.k / p.groups;
    FOR_GRID(i, n) {
        const u32 pixel = (u32)i / p.c, row = pixel / p.w, image = row / p.h;
        const int c = (int)((u32)i - pixel * p.c), w = (int)(pixel - row * p.w), h = (int)(row - image * p.h);
        const int first = c / each * outs, local = c % each;
        W sum = 0;
        for (int r = 0; r < p.kh; r++) {
            const int down = h + p.ph - r * p.dh, oh = down / p.sh;
            if (down < 0 || oh * p.sh != down || oh >= p.oh) {
                continue;
            }
            for (int s = 0; s < p.kw; s++) {
                const int right = w + p.pw - s * p.dw, ow = right / p.sw;
                if (right < 0 || ow * p.sw != right || ow >= p.ow) {
                    continue;
                }
                const T *from = g + (((i64)image * p.oh + oh) * p.ow + ow) * p.k + first;
                const T *by = weight + first * p.steps[0] + local * p.steps[1] + r * p.steps[2] + s * p.steps[3];
                for (int k = 0; k < outs; k++) { sum = fma(wide(from[k]), wide(by[k * p.steps[0]]), sum); }
            }
        }
        x[i] = narrow<T>(bias ? sum + wide(bias[c]) : sum);
    }
}

/// Products of a sum in the type itself; the sum of these sums is in f64.
#define DEPTH 64

template <class T> DEVICE void weight(const T *RESTRICT x, const T *RESTRICT g, T *y, const Conv &p) {
    typedef wide_t<T> W;
    const int each = p.c / p.groups, outs = p.k / p.groups;
    const i64 weights = (i64)p.k * each * p.kh * p.kw, pixels = (i64)p.n * p.oh * p.ow;
    for (i64 i = blockIdx.x; i < weights; i += gridDim.x) {
        const u32 rest = (u32)i / p.kw, plane = rest / p.kh;
        const int s = (int)((u32)i - rest * p.kw), r = (int)(rest - plane * p.kh);
        const int k = (int)(plane / each), c = (int)(plane % each) + k / outs * each;
        f64 total = 0;
        for (i64 at = threadIdx.x; at < pixels;) {
            W sum = 0;
            for (int depth = 0; depth < DEPTH && at < pixels; depth++, at += BLOCK) {
                const u32 row = (u32)at / p.ow, image = row / p.oh;
                const int h = (int)(row - image * p.oh) * p.sh - p.ph + r * p.dh;
                const int w = (int)((u32)at - row * p.ow) * p.sw - p.pw + s * p.dw;
                if (h >= 0 && h < p.h && w >= 0 && w < p.w) {
                    sum = fma(wide(x[(((i64)image * p.h + h) * p.w + w) * p.c + c]), wide(g[at * p.k + k]), sum);
                }
            }
            total += (f64)sum;
        }
        total = block_fold(total, [](f64 a, f64 b) { return a + b; });
        if (threadIdx.x == 0) {
            y[k * p.steps[0] + (c % each) * p.steps[1] + r * p.steps[2] + s * p.steps[3]] = narrow<T>((W)total);
        }
    }
}

/// n elements of the result. The second is also the transposed convolution; a bias (of k, of c, or null) is added. The third
/// takes a block for each weight (grid x any) and writes it at its place.
#define CONV(T)                                                                                                        \
    KERNEL(conv_##T, const T *x, const T *weight, const T *bias, T *y, Conv p, i64 n) {                                \
        forward(x, weight, bias, y, p, n);                                                                             \
    }                                                                                                                  \
    KERNEL(conv_input_##T, const T *g, const T *weight, const T *bias, T *x, Conv p, i64 n) {                          \
        input(g, weight, bias, x, p, n);                                                                               \
    }                                                                                                                  \
    KERNEL(conv_weight_##T, const T *x, const T *g, T *y, Conv p) { weight(x, g, y, p); }
FOR_FLOATS(CONV)
