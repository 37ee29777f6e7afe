// The emulated libcudnn: the convolutions that the backend asks for, as plain loops that accumulate in double (float for
// 16-bit and float data: rounded once at the end).
#include <memory>
#include <vector>

#include "element.h"
#include "emulator.h"

using emulator::Type;

namespace {

enum { OK = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000, INTERNAL = 4000 };

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
    int mode = 0;
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

std::vector<double> load(Type t, const void *p, int64_t len) {
    std::vector<double> values(static_cast<size_t>(len));
    for (int64_t i = 0; i < len; i++) {
        values[size_t(i)] = emulator::read(t, p, i);
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

int perf(int *returned, Perf *out, int requested, int algo, const Filter &w, const Conv &c) {
    if (requested < 1) {
        return BAD_PARAM;
    }
    // One kind of problem is only done indeterministically, so that the way around cuDNN is tested: depthwise.
    if (c.groups > 1 && w.c == 1 && w.k == c.groups) {
        out[0] = {algo, OK, 0.5f, WORKSPACE, 0, 0, {0, 0, 0}};
        *returned = 1;
        return OK;
    }
    // Two answers: one that fails, which must be passed over, and one that works.
    if (requested >= 2) {
        out[0] = {0, NOT_SUPPORTED, -1, 0, 1, 0, {0, 0, 0}};
        out[1] = {algo, OK, 0.5f, WORKSPACE, 1, 0, {0, 0, 0}};
        *returned = 2;
    } else {
        out[0] = {algo, OK, 0.5f, WORKSPACE, 1, 0, {0, 0, 0}};
        *returned = 1;
    }
    return OK;
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

EXPORT int cudnnSetActivationDescriptor(Activation *d, int mode, int, double) {
    ENTER(int(BAD_PARAM));
    d->mode = mode;
    return mode == 1 || mode == 5 ? OK : NOT_SUPPORTED;
}

EXPORT int cudnnFindConvolutionForwardAlgorithmEx(Handle *, const Tensor *x, const void *, const Filter *w, const void *,
                                                  const Conv *c, const Tensor *y, void *, int requested, int *returned,
                                                  Perf *out, void *, size_t) {
    ENTER(int(INTERNAL));
    const int bad = check(*x, *w, *c, *y);
    return bad ? bad : perf(returned, out, requested, 1, *w, *c);
}

EXPORT int cudnnFindConvolutionBackwardDataAlgorithmEx(Handle *, const Filter *w, const void *, const Tensor *dy,
                                                       const void *, const Conv *c, const Tensor *dx, void *,
                                                       int requested, int *returned, Perf *out, void *, size_t) {
    ENTER(int(INTERNAL));
    const int bad = check(*dx, *w, *c, *dy);
    return bad ? bad : perf(returned, out, requested, 1, *w, *c);
}

EXPORT int cudnnFindConvolutionBackwardFilterAlgorithmEx(Handle *, const Tensor *x, const void *, const Tensor *dy,
                                                         const void *, const Conv *c, const Filter *dw, void *,
                                                         int requested, int *returned, Perf *out, void *, size_t) {
    ENTER(int(INTERNAL));
    const int bad = check(*x, *dw, *c, *dy);
    return bad ? bad : perf(returned, out, requested, 1, *dw, *c);
}

EXPORT int cudnnGetConvolutionForwardWorkspaceSize(Handle *, const Tensor *, const Filter *, const Conv *, const Tensor *,
                                                   int, size_t *size) {
    ENTER(int(BAD_PARAM));
    *size = WORKSPACE;
    return OK;
}

EXPORT int cudnnGetConvolutionBackwardDataWorkspaceSize(Handle *, const Filter *, const Tensor *, const Conv *,
                                                        const Tensor *, int, size_t *size) {
    ENTER(int(BAD_PARAM));
    *size = WORKSPACE;
    return OK;
}

EXPORT int cudnnGetConvolutionBackwardFilterWorkspaceSize(Handle *, const Tensor *, const Tensor *, const Conv *,
                                                          const Filter *, int, size_t *size) {
    ENTER(int(BAD_PARAM));
    *size = WORKSPACE;
    return OK;
}

EXPORT int cudnnConvolutionForward(Handle *h, const void *alpha, const Tensor *xd, const void *x, const Filter *wd,
                                   const void *w, const Conv *cd, int, void *, size_t workspace, const void *beta,
                                   const Tensor *yd, void *y) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*xd, *wd, *cd, *yd)) {
        return bad;
    }
    if (workspace < WORKSPACE) {
        return BAD_PARAM;
    }
    const double a = scale(xd->type, alpha), b = scale(xd->type, beta);
    emulator::enqueue(h->stream, [=, xd = *xd, wd = *wd, cd = *cd, yd = *yd] {
        const auto xs = load(xd.type, x, span(xd)), ws = load(wd.type, w, wd.k * wd.c * wd.h * wd.w);
        std::vector<double> sum(size_t(span(yd)), 0.0);
        products(xd, wd, cd, yd, [&](int64_t i, int64_t j, int64_t k) { sum[size_t(k)] += xs[size_t(i)] * ws[size_t(j)]; });
        store(yd, y, sum, a, b);
        return 0;
    });
    return OK;
}

EXPORT int cudnnConvolutionBackwardData(Handle *h, const void *alpha, const Filter *wd, const void *w, const Tensor *dyd,
                                        const void *dy, const Conv *cd, int, void *, size_t workspace, const void *beta,
                                        const Tensor *dxd, void *dx) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*dxd, *wd, *cd, *dyd)) {
        return bad;
    }
    if (workspace < WORKSPACE) {
        return BAD_PARAM;
    }
    const double a = scale(dyd->type, alpha), b = scale(dyd->type, beta);
    emulator::enqueue(h->stream, [=, wd = *wd, dyd = *dyd, cd = *cd, dxd = *dxd] {
        const auto gs = load(dyd.type, dy, span(dyd)), ws = load(wd.type, w, wd.k * wd.c * wd.h * wd.w);
        std::vector<double> sum(size_t(span(dxd)), 0.0);
        products(dxd, wd, cd, dyd, [&](int64_t i, int64_t j, int64_t k) { sum[size_t(i)] += gs[size_t(k)] * ws[size_t(j)]; });
        store(dxd, dx, sum, a, b);
        return 0;
    });
    return OK;
}

EXPORT int cudnnConvolutionBackwardFilter(Handle *h, const void *alpha, const Tensor *xd, const void *x, const Tensor *dyd,
                                          const void *dy, const Conv *cd, int, void *, size_t workspace, const void *beta,
                                          const Filter *dwd, void *dw) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*xd, *dwd, *cd, *dyd)) {
        return bad;
    }
    if (workspace < WORKSPACE) {
        return BAD_PARAM;
    }
    const double a = scale(xd->type, alpha), b = scale(xd->type, beta);
    emulator::enqueue(h->stream, [=, xd = *xd, dyd = *dyd, cd = *cd, dwd = *dwd] {
        const auto xs = load(xd.type, x, span(xd)), gs = load(dyd.type, dy, span(dyd));
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
                                                 const Filter *wd, const void *w, const Conv *cd, int algo, void *,
                                                 size_t workspace, const void *alpha2, const Tensor *zd, const void *z,
                                                 const Tensor *bd, const void *bias, const Activation *ad,
                                                 const Tensor *yd, void *y) {
    ENTER(int(EXECUTION_FAILED));
    if (int bad = check(*xd, *wd, *cd, *yd)) {
        return bad;
    }
    if (workspace < WORKSPACE || bd->c != yd->c || bd->n != 1 || bd->h != 1 || bd->w != 1) {
        return BAD_PARAM;
    }
    // As the manual says: without an activation only this algorithm.
    if (ad->mode == 5 && algo != 1) {
        return NOT_SUPPORTED;
    }
    const double a = scale(xd->type, alpha1), a2 = scale(xd->type, alpha2);
    const bool relu = ad->mode == 1;
    emulator::enqueue(h->stream, [=, xd = *xd, wd = *wd, cd = *cd, zd = *zd, bd = *bd, yd = *yd] {
        const auto xs = load(xd.type, x, span(xd)), ws = load(wd.type, w, wd.k * wd.c * wd.h * wd.w);
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
                        emulator::write(yd.type, y, yd.at(n, c, i, j), relu && v < 0 ? 0 : v);
                    }
                }
            }
        }
        return 0;
    });
    return OK;
}
