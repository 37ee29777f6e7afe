// What follows a convolution in one pass over its result (bias, residual, ReLU), and the last layer with the choice of the
// best class, whose logits are never stored.
#include "preamble.cuh"

template <class T>
DEVICE void epilogue(const T *x, const T *bias, const T *residual, T *y, i64 n, int channels, int relu, int relu_last) {
    FOR_GRID(i, n) {
        wide_t<T> v = wide(x[i]);
        if (bias) {
            v += wide(bias[(u32)i % channels]);
        }
        v = relu && v < 0 ? (wide_t<T>)0 : v;
        if (residual) {
            v += wide(residual[i]);
        }
        y[i] = narrow<T>(relu_last && v < 0 ? (wide_t<T>)0 : v);
    }
}

/// Classes that a thread has sums of, and channels of the weights that a block keeps.
#define CLASSES 16
#define CHANNELS 64

template <class T>
DEVICE void head_labels(const T *RESTRICT x, const T *RESTRICT weight, const T *bias, u8 *RESTRICT y, i64 pixels,
                        int channels, int classes) {
    typedef wide_t<T> W;
    SHARED(W, tile, CLASSES * CHANNELS);
    for (i64 first = (i64)blockIdx.x * BLOCK; first < pixels; first += (i64)gridDim.x * BLOCK) {
        const i64 i = first + threadIdx.x;
        W best = 0;
        int label = -1;
        for (int k0 = 0; k0 < classes; k0 += CLASSES) {
            W sums[CLASSES];
            UNROLL for (int k = 0; k < CLASSES; k++) { sums[k] = 0; }
            for (int c0 = 0; c0 < channels; c0 += CHANNELS) {
                const int width = channels - c0 < CHANNELS ? channels - c0 : CHANNELS;
                BARRIER(); // everybody is done with the weights before
                for (int t = threadIdx.x; t < CLASSES * width; t += BLOCK) {
                    const int k = k0 + t / width, c = c0 + t % width;
                    tile[t] = k < classes ? wide(weight[(i64)k * channels + c]) : (W)0;
                }
                BARRIER();
                if (i < pixels) {
                    for (int c = 0; c < width; c++) {
                        const W v = wide(x[i * channels + c0 + c]);
                        UNROLL for (int k = 0; k < CLASSES; k++) { sums[k] = fma(v, tile[k * width + c], sums[k]); }
                    }
                }
            }
            UNROLL for (int k = 0; k < CLASSES; k++) {
                const W v = bias && k0 + k < classes ? sums[k] + wide(bias[k0 + k]) : sums[k];
                if (k0 + k < classes && (label < 0 || v > best || (v != v && best == best))) {
                    best = v;
                    label = k0 + k;
                }
            }
        }
        if (i < pixels) {
            y[i] = (u8)label;
        }
    }
}

/// y = relu_last(relu(x + bias) + residual), each part optional (null, 0), of n elements [pixels, channels].
/// head_labels: y [pixels], the best of up to 256 classes of x [pixels, channels] times weight [classes, channels], plus bias.
#define EPILOGUE(T)                                                                                                    \
    KERNEL(epilogue_##T, const T *x, const T *bias, const T *residual, T *y, i64 n, int channels, int relu,            \
           int relu_last) {                                                                                            \
        epilogue(x, bias, residual, y, n, channels, relu, relu_last);                                                  \
    }                                                                                                                  \
    KERNEL(head_labels_##T, const T *x, const T *weight, const T *bias, u8 *y, i64 pixels, int channels, int classes) { \
        head_labels(x, weight, bias, y, pixels, channels, classes);                                                    \
    }
FOR_FLOATS(EPILOGUE)
