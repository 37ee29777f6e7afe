// An 8-bit image as a network's input: scaled, cropped, mirrored and normalised in one pass.
#include "preamble.cuh"

/// The image [h, w, 3] is scaled by oh_scaled/h (bilinear, pixel centres: `scale` = h/oh_scaled); of that, oh × ow pixels from
/// (top, left) are taken, which may reach beyond its edge, and mirrored if `flip`. Values are (v/255 − mean)/deviation;
/// outside of the image 0.
struct Crop {
    int h, w, scaled_h, scaled_w, oh, ow, top, left, flip;
    f32 mean[3], deviation[3];
};

/// Pixel below and part of the next one.
DEVICE int between(int i, int from, int to, f32 &part) {
    const f64 at = (i + 0.5) * ((f64)from / to) - 0.5;
    const f64 inside = at < 0 ? 0 : at > from - 1 ? from - 1 : at;
    const int low = (int)inside;
    part = (f32)(inside - low);
    return low;
}

/// y [oh, ow, 3].
#define IMAGE(T)                                                                                                       \
    KERNEL(image_##T, const u8 *x, T *y, Crop p) {                                                                     \
        FOR_GRID(i, (i64)p.oh * p.ow * 3) {                                                                            \
            const int c = (int)(i % 3), column = (int)(i / 3 % p.ow), oh = (int)(i / 3 / p.ow);                        \
            const int ow = p.flip ? p.ow - 1 - column : column, h = oh + p.top, w = ow + p.left;                       \
            if (h < 0 || w < 0 || h >= p.scaled_h || w >= p.scaled_w) {                                                \
                y[i] = narrow<T>(0);                                                                                   \
                continue;                                                                                              \
            }                                                                                                          \
            f32 down, right;                                                                                           \
            const int low = between(h, p.h, p.scaled_h, down), first = between(w, p.w, p.scaled_w, right);             \
            const int high = low + 1 < p.h ? low + 1 : low, last = first + 1 < p.w ? first + 1 : first;                \
            const f32 a = x[((i64)low * p.w + first) * 3 + c], b = x[((i64)low * p.w + last) * 3 + c];                 \
            const f32 d = x[((i64)high * p.w + first) * 3 + c], e = x[((i64)high * p.w + last) * 3 + c];               \
            const f32 upper = a + right * (b - a), lower = d + right * (e - d);                                        \
            const f32 v = (upper + down * (lower - upper)) / 255.0f;                                                   \
            y[i] = narrow<T>((v - p.mean[c]) / p.deviation[c]);                                                        \
        }                                                                                                              \
    }
IMAGE(f32)
FOR_HALVES(IMAGE)
