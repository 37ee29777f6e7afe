// The emulated libcudnn: the convolutions that the backend asks for, as plain loops that accumulate in double (float for
// 16-bit and float data: rounded once at the end).
#include <cmath>
#include <memory>
#include <vector>

#include "element.h"
#include "emulator.h"

using emulator::Type;

namespace {

enum {
    OK = 0,
    BAD_PARAM = 2000,
    NOT_SUPPORTED = 3000,
    NOT_SUPPORTED_PATTERN = 3001,
    NOT_SUPPORTED_SHAPE = 3002,
    NOT_SUPPORTED_LAYOUT = 3004,
    INTERNAL = 4000,
    EXECUTION_FAILED = 5000,
};
/// Arithmetic of a convolution: the default one rounds factors of f32 to TF32.
enum { DEFAULT_MATH = 0, TENSOR_OP_MATH = 1, FMA_MATH = 3 };

struct Handle {
    emulator::Stream *stream = nullptr;
};
struct Tensor {
    Type type = Type::F32;
    int64_t n = 0, c = 0, h = 0, w = 0, sn = 0, sc = 0, sh = 0, sw = 0;
    int64_t at(int64_t i, int64_t k, int64_t y, int64_t x) const { return i * sn + k * sc + y * sh + x * sw; }
};
struct Filter {
    Type type = Type::F32;
    bool nhwc = false;
    int64_t k = 0, c = 0, h = 0, w = 0;
    int64_t at(int64_t o, int64_t i, int64_t y, int64_t x) const {
        return nhwc ? ((o * h + y) * w + x) * c + i : ((o * c + i) * h + y) * w + x;
    }
};
struct Conv {
    int64_t pad[2], stride[2], dilation[2];
    int64_t groups = 1;
    int math = 0;
    int compute = 0;
};
struct Activation {
    int mode = 0, nan = 0;
};

bool type_of(int data, Type &t) {
    switch (data) {
    case 0: t = Type::F32; return true;
    case 1: t = Type::F64; return true;
    case 2: t = Type::F16; return true;
    case 9: t = Type::BF16; return true;
    default: return false;
    }
}

double scale(Type t, const void *p) { return t == Type::F64 ? *static_cast<const double *>(p) : *static_cast<const float *>(p); }

/// What a library checks before it takes a problem.
int check(const Tensor &x, const Filter &w, const Conv &c, const Tensor &y) {
    if (x.type != w.type || x.type != y.type) {
        emulator::explain("cuDNN: operands of different types");
        return BAD_PARAM;
    }
    if (x.c != w.c * c.groups || w.k % c.groups != 0 || y.c != w.k || x.n != y.n) {
        emulator::explain("cuDNN: channels do not fit: x %ld, w %ldx%ld, y %ld, groups %ld", long(x.c), long(w.k), long(w.c),
                          long(y.c), long(c.groups));
        return BAD_PARAM;
    }
    const int64_t in[2] = {x.h, x.w}, out[2] = {y.h, y.w}, kernel[2] = {w.h, w.w};
    for (int a = 0; a < 2; a++) {
        const int64_t reach = c.dilation[a] * (kernel[a] - 1) + 1;
        if ((in[a] + 2 * c.pad[a] - reach) / c.stride[a] + 1 != out[a]) {
            emulator::explain("cuDNN: sizes do not fit along axis %d", a);
            return BAD_PARAM;
        }
    }
    if ((x.type == Type::F64) != (c.compute == 1)) {
        emulator::explain("cuDNN: the type computed in does not fit the data");
        return BAD_PARAM;
    }
    return OK;
}

/// Calls f(x index, w index, y index) for every product of the convolution.
template <class F> void products(const Tensor &x, const Filter &w, const Conv &c, const Tensor &y, F f) {
    const int64_t per = w.k / c.groups;
    for (int64_t n = 0; n < y.n; n++) {
        for (int64_t oy = 0; oy < y.h; oy++) {
            for (int64_t ox = 0; ox < y.w; ox++) {
                for (int64_t ky = 0; ky < w.h; ky++) {
                    const int64_t iy = oy * c.stride[0] - c.pad[0] + ky * c.dilation[0];
                    if (iy < 0 || iy >= x.h) {
                        continue;
                    }
                    for (int64_t kx = 0; kx < w.w; kx++) {
                        const int64_t ix = ox * c.stride[1] - c.pad[1] + kx * c.dilation[1];
                        if (ix < 0 || ix >= x.w) {
                            continue;
                        }
                        for (int64_t k = 0; k < w.k; k++) {
                            for (int64_t i = 0; i < w.c; i++) {
                                f(x.at(n, k / per * w.c + i, iy, ix), w.at(k, i, ky, kx), y.at(n, k, oy, ox));
                            }
                        }
                    }
                }
            }
        }
    }
}

int64_t span(const Tensor &t) { return t.at(t.n - 1, t.c - 1, t.h - 1, t.w - 1) + 1; }

/// Ten bits of fraction.
double tf32(double v) {
    int exponent;
    const double fraction = std::frexp(v, &exponent);
    return std::isfinite(v) ? std::ldexp(std::nearbyint(std::ldexp(fraction, 11)), exponent - 11) : v;
}

std::vector<double> load(Type t, const void *p, int64_t len, const Conv &c) {
    std::vector<double> values(static_cast<size_t>(len));
    const bool rounded = t == Type::F32 && c.math != FMA_MATH;
    for (int64_t i = 0; i < len; i++) {
        const double v = emulator::read(t, p, i);
        values[size_t(i)] = rounded ? tf32(v) : v;
    }
    return values;
}

/// y = alpha·sum + beta·y, of every element of a tensor.
void store(const Tensor &d, void *p, const std::vector<double> &sum, double alpha, double beta) {
    for (int64_t n = 0; n < d.n; n++) {
        for (int64_t c = 0; c < d.c; c++) {
            for (int64_t y = 0; y < d.h; y++) {
                for (int64_t x = 0; x < d.w; x++) {
                    const int64_t i = d.at(n, c, y, x);
                    const double old = beta == 0 ? 0 : beta * emulator::read(d.type, p, i);
                    emulator::write(d.type, p, i, alpha * sum[size_t(i)] + old);
                }
            }
        }
    }
}

const size_t WORKSPACE = 4096;

struct Perf {
    int algo, status;
    float time;
    size_t memory;
    int determinism, math;
    int reserved[3];
};

/// Algorithms by number: PLAIN does what is asked; FAST does it in the default arithmetic alone, for twice the memory; CAPRICE
/// says of convolutions with a stride that it does them, and refuses when it is called.
enum { PLAIN = 1, FAST = 4, CAPRICE = 5 };

int perf(const Handle *h, int *returned, Perf *out, int requested, const Filter &w, const Conv &c) {
    if (requested < 4) {
        emulator::explain("cuDNN: fewer than four answers are not emulated");
        return BAD_PARAM;
    }
    if (emulator::spoils(h->stream)) {
        emulator::explain("cuDNN: algorithms are measured on a stream that is recorded");
        return EXECUTION_FAILED;
    }
    // Some kinds of problem are not done, so that the ways around cuDNN are tested: 5x5 not at all, depthwise indeterministically.
    if (w.h == 5 && w.w == 5) {
        return NOT_SUPPORTED_SHAPE;
    }
    if (c.groups > 1 && w.c == 1 && w.k == c.groups) {
        out[0] = {PLAIN, OK, 0.5f, WORKSPACE, 0, c.math, {0, 0, 0}};
        *returned = 1;
        return OK;
    }
    // One that failed, which must be passed over; and each arithmetic, the one asked for and the default, has answers of its own.
    int n = 0;
    out[n++] = {0, NOT_SUPPORTED, -1, 0, 1, c.math, {0, 0, 0}};
    if (c.stride[0] > 1) {
        out[n++] = {CAPRICE, OK, 0.3f, WORKSPACE, 1, c.math, {0, 0, 0}};
    }
    out[n++] = {FAST, OK, 0.4f, 2 * WORKSPACE, 1, DEFAULT_MATH, {0, 0, 0}};
    out[n++] = {PLAIN, OK, 0.5f, WORKSPACE, 1, c.math, {0, 0, 0}};
    *returned = n;
    return OK;
}

size_t memory(const Conv &c, int algo) { return algo == FAST && c.math == DEFAULT_MATH ? 2 * WORKSPACE : WORKSPACE; }

/// What an algorithm says when it is called.
int called(const Conv &c, int algo, const void *workspace, size_t bytes) {
    if (workspace == nullptr || bytes < memory(c, algo)) {
        return BAD_PARAM;
    }
    if (algo == FAST && c.math != DEFAULT_MATH) {
        emulator::explain("cuDNN: the algorithm was measured in another arithmetic");
        return EXECUTION_FAILED;
    }
    // Whatever the algorithm; no kind that DSNet has, whose convolutions would all be done by kernels made of fibers.
    if (c.dilation[0] > 1 && c.groups > 1) {
        return NOT_SUPPORTED_LAYOUT;
    }
    return algo == CAPRICE ? NOT_SUPPORTED_PATTERN : OK;
}

} // namespace

EXPORT size_t cudnnGetVersion() { return 91900; }

EXPORT const char *cudnnGetErrorString(int code) {
    switch (code) {
    case OK: return "CUDNN_STATUS_SUCCESS";
    case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return "CUDNN_STATUS_INTERNAL_ERROR";
    }
}

#define OBJECT(Name, Type)                                                                                             \
    EXPORT int cudnnCreate##Name(Type **p) {                                                                           \
        ENTER(int(INTERNAL));                                                                                          \
        *p = new Type;                                                                                                 \
        emulator::live(1);                                                                                             \
        return OK;                                                                                                     \
    }                                                                                                                  \
    EXPORT int cudnnDestroy##Name(Type *p) {                                                                           \
        delete p;                                                                                                      \
        emulator::live(-1);                                                                                            \
        return OK;                                                                                                     \
    }
OBJECT(, Handle)
OBJECT(TensorDescriptor, Tensor)
OBJECT(FilterDescriptor, Filter)
OBJECT(ConvolutionDescriptor, Conv)
OBJECT(ActivationDescriptor, Activation)

EXPORT int cudnnSetStream(Handle *h, emulator::Stream *stream) {
    ENTER(int(INTERNAL));
    h->stream = stream;
    return OK;
}

EXPORT int cudnnSetTensor4dDescriptorEx(Tensor *d, int type, int n, int c, int h, int w, int sn, int sc, int sh, int sw) {
    ENTER(int(BAD_PARAM));
    *d = {Type::F32, n, c, h, w, sn, sc, sh, sw};
    return n > 0 && c > 0 && h > 0 && w > 0 && type_of(type, d->type) ? OK : BAD_PARAM;
}

EXPORT int cudnnSetFilter4dDescriptor(Filter *d, int type, int format, int k, int c, int h, int w) {
    ENTER(int(BAD_PARAM));
    *d = {Type::F32, format == 1, k, c, h, w};
    return format <= 1 && k > 0 && c > 0 && h > 0 && w > 0 && type_of(type, d->type) ? OK : BAD_PARAM;
}

EXPORT int cudnnSetConvolution2dDescriptor(Conv *d, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int compute) {
    ENTER(int(BAD_PARAM));
    if (mode != 1) {
        emulator::explain("cuDNN: only cross-correlation is emulated");
        return BAD_PARAM;
    }
    *d = Conv{{ph, pw}, {sh, sw}, {dh, dw}, 1, 0, compute};
    return OK;
}

EXPORT int cudnnSetConvolutionGroupCount(Conv *d, int groups) {
    ENTER(int(BAD_PARAM));
    d->groups = groups;
    return OK;
}

EXPORT int cudnnSetConvolutionMathType(Conv *d, int math) {
    ENTER(int(BAD_PARAM));
    d->math = math;
    return OK;
}

EXPORT int cudnnSetActivationDescriptor(Activation *d, int mode, int nan, double) {
    ENTER(int(BAD_PARAM));
    *d = {mode, nan};
    return mode == 1 || mode == 5 ? OK : NOT_SUPPORTED;
}

EXPORT int cudnnFindConvolutionForwardAlgorithmEx(Handle *h, const Tensor *x, const void *, const Filter *w, const void *,
                                                  const Conv *c, const Tensor *y, void *, int requested, int *returned,
                                                  Perf *out, void *, size_t) {
    ENTER(int(INTERNAL));
    const int bad = check(*x, *w, *c, *y);
    return bad ? bad : perf(h, returned, out, requested, *w, *c);
}

EXPORT int cudnnFindConvolutionBackwardDataAlgorithmEx(Handle *h, const Filter *w, const void *, const Tensor *dy,
                                                       const void *, const Conv *c, const Tensor *dx, void *,
                                                       int requested, int *returned, Perf *out, void *, size_t) {
    ENTER(int(INTERNAL));
    const int bad = check(*dx, *w, *c, *dy);
    return bad ? bad : perf(h, returned, out, requested, *w, *c);
}

EXPORT int cudnnFindConvolutionBackwardFilterAlgorithmEx(Handle *h, const Tensor *x, const void *, const Tensor *dy,
                                                         const void *, const Conv *c, const Filter *dw, void *,
                                                         int requested, int *returned, Perf *out, void *, size_t) {
    ENTER(int(INTERNAL));
    const int bad = check(*x, *dw, *c, *dy);
    return bad ? bad : perf(h, returned, out, requested, *dw, *c);
}

EXPORT int cudnnGetConvolutionForwardWorkspaceSize(Handle *, const Tensor *, const Filter *, const Conv *c, const Tensor *,
                                                   int algo, size_t *size) {
    ENTER(int(BAD_PARAM));
    *size = memory(*c, algo);
    return OK;
}

EXPORT int cudnnGetConvolutionBackwardDataWorkspaceSize(Handle *, const Filter *, const Tensor *, const Conv *c,
                                                        const Tensor *, int algo, size_t *size) {
    ENTER(int(BAD_PARAM));
    *size = memory(*c, algo);
    return OK;
}

EXPORT int cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle *, const Tensor *, const Tensor *, const Conv *c,
                                                          const Filter *, int algo, size_t *size) {
    ENTER(int(BAD_PARAM));
    *size = memory(*c, algo);
    return OK;
}

EXPORT int cudnnConvolutionForward(Handle *h, const void *alpha, const Tensor *xd, const void *x, const Filter *wd,
                                   const void *w, const Conv *cd, int algo, void *workspace, size_t bytes, const void *beta,
                                   const Tensor *yd, void *y) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*xd, *wd, *cd, *yd)) {
        return bad;
    }
    if (int bad = called(*cd, algo, workspace, bytes)) {
        return bad;
    }
    const double a = scale(xd->type, alpha), b = scale(xd->type, beta);
    emulator::enqueue(h->stream, [=, xd = *xd, wd = *wd, cd = *cd, yd = *yd] {
        const auto xs = load(xd.type, x, span(xd), cd), ws = load(wd.type, w, wd.k * wd.c * wd.h * wd.w, cd);
        std::vector<double> sum(size_t(span(yd)), 0.0);
        products(xd, wd, cd, yd, [&](int64_t i, int64_t j, int64_t k) { sum[size_t(k)] += xs[size_t(i)] * ws[size_t(j)]; });
        store(yd, y, sum, a, b);
        return 0;
    });
    return OK;
}

EXPORT int cudnnConvolutionBackwardData(Handle *h, const void *alpha, const Filter *wd, const void *w, const Tensor *dyd,
                                        const void *dy, const Conv *cd, int algo, void *workspace, size_t bytes, const void *beta,
                                        const Tensor *dxd, void *dx) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*dxd, *wd, *cd, *dyd)) {
        return bad;
    }
    if (int bad = called(*cd, algo, workspace, bytes)) {
        return bad;
    }
    const double a = scale(dyd->type, alpha), b = scale(dyd->type, beta);
    emulator::enqueue(h->stream, [=, wd = *wd, dyd = *dyd, cd = *cd, dxd = *dxd] {
        const auto gs = load(dyd.type, dy, span(dyd), cd), ws = load(wd.type, w, wd.k * wd.c * wd.h * wd.w, cd);
        std::vector<double> sum(size_t(span(dxd)), 0.0);
        products(dxd, wd, cd, dyd, [&](int64_t i, int64_t j, int64_t k) { sum[size_t(i)] += gs[size_t(k)] * ws[size_t(j)]; });
        store(dxd, dx, sum, a, b);
        return 0;
    });
    return OK;
}

EXPORT int cudnnConvolutionBackwardFilter(Handle *h, const void *alpha, const Tensor *xd, const void *x, const Tensor *dyd,
                                          const void *dy, const Conv *cd, int algo, void *workspace, size_t bytes, const void *beta,
                                          const Filter *dwd, void *dw) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*xd, *dwd, *cd, *dyd)) {
        return bad;
    }
    if (int bad = called(*cd, algo, workspace, bytes)) {
        return bad;
    }
    const double a = scale(xd->type, alpha), b = scale(xd->type, beta);
    emulator::enqueue(h->stream, [=, xd = *xd, dyd = *dyd, cd = *cd, dwd = *dwd] {
        const auto xs = load(xd.type, x, span(xd), cd), gs = load(dyd.type, dy, span(dyd), cd);
        std::vector<double> sum(size_t(dwd.k * dwd.c * dwd.h * dwd.w), 0.0);
        products(xd, dwd, cd, dyd, [&](int64_t i, int64_t j, int64_t k) { sum[size_t(j)] += xs[size_t(i)] * gs[size_t(k)]; });
        for (size_t i = 0; i < sum.size(); i++) {
            const double old = b == 0 ? 0 : b * emulator::read(dwd.type, dw, int64_t(i));
            emulator::write(dwd.type, dw, int64_t(i), a * sum[i] + old);
        }
        return 0;
    });
    return OK;
}

EXPORT int cudnnConvolutionBiasActivationForward(Handle *h, const void *alpha1, const Tensor *xd, const void *x,
                                                 const Filter *wd, const void *w, const Conv *cd, int algo, void *workspace,
                                                 size_t bytes, const void *alpha2, const Tensor *zd, const void *z,
                                                 const Tensor *bd, const void *bias, const Activation *ad,
                                                 const Tensor *yd, void *y) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*xd, *wd, *cd, *yd)) {
        return bad;
    }
    if (workspace == nullptr || bytes < WORKSPACE || bd->c != yd->c || bd->n != 1 || bd->h != 1 || bd->w != 1) {
        return BAD_PARAM;
    }
    // As the manual says: without an activation only this algorithm.
    if (ad->mode == 5 && algo != 1) {
        return NOT_SUPPORTED;
    }
    if (ad->nan != 0) {
        // The library calls it not supported; said so, it would never be seen, for there is a way around that.
        emulator::explain("cuDNN: an activation that keeps NaN does not follow a convolution");
        return BAD_PARAM;
    }
    if (wd->k == 3) {
        return NOT_SUPPORTED_PATTERN; // so that the way around it is tested
    }
    const double a = scale(xd->type, alpha1), a2 = scale(xd->type, alpha2);
    const bool relu = ad->mode == 1;
    emulator::enqueue(h->stream, [=, xd = *xd, wd = *wd, cd = *cd, zd = *zd, bd = *bd, yd = *yd] {
        const auto xs = load(xd.type, x, span(xd), cd), ws = load(wd.type, w, wd.k * wd.c * wd.h * wd.w, cd);
        std::vector<double> sum(size_t(span(yd)), 0.0);
        products(xd, wd, cd, yd, [&](int64_t i, int64_t j, int64_t k) { sum[size_t(k)] += xs[size_t(i)] * ws[size_t(j)]; });
        for (int64_t n = 0; n < yd.n; n++) {
            for (int64_t c = 0; c < yd.c; c++) {
                const double b = emulator::read(bd.type, bias, bd.at(0, c, 0, 0));
                for (int64_t i = 0; i < yd.h; i++) {
                    for (int64_t j = 0; j < yd.w; j++) {
                        double v = a * sum[size_t(yd.at(n, c, i, j))] + b;
                        if (a2 != 0) {
                            v += a2 * emulator::read(zd.type, z, zd.at(n, c, i, j));
                        }
                        emulator::write(yd.type, y, yd.at(n, c, i, j), relu && !(v > 0) ? 0 : v); // NaN: 0
                    }
                }
            }
        }
        return 0;
    });
    return OK;
}
