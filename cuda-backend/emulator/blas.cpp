// The emulated libcublasLt: matrix products of strided batches, column-major, as plain loops that accumulate in double.
#include <cstring>
#include <vector>

#include "element.h"
#include "emulator.h"

using emulator::Type;

namespace {

enum { OK = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15, ALLOC_FAILED = 3 };

struct Layout {
    Type type;
    uint64_t rows, columns;
    int64_t ld;
    int32_t batch;
    int64_t stride;
};
struct Desc {
    int compute, scale;
    int32_t transpose_a, transpose_b, epilogue;
    const void *bias;
};
struct Preference {
    uint64_t workspace;
};
struct Heuristic {
    uint64_t algo[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

bool type_of(int data, Type &t) {
    switch (data) {
    case 0: t = Type::F32; return true;
    case 1: t = Type::F64; return true;
    case 2: t = Type::F16; return true;
    case 14: t = Type::BF16; return true;
    default: return false;
    }
}

} // namespace

EXPORT int cublasLtGetProperty(int which, int *value) {
    *value = which == 0 ? 13 : 0;
    return OK;
}

EXPORT const char *cublasLtGetStatusName(int code) { return code == OK ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_ERROR"; }

EXPORT const char *cublasLtGetStatusString(int code) { return code == OK ? "success" : "the emulated call failed"; }

EXPORT int cublasLtCreate(int **handle) {
    ENTER(int(ALLOC_FAILED));
    *handle = new int(0);
    emulator::live(1);
    return OK;
}

EXPORT int cublasLtDestroy(int *handle) {
    delete handle;
    emulator::live(-1);
    return OK;
}

EXPORT int cublasLtMatmulDescCreate(Desc **d, int compute, int scale) {
    ENTER(int(ALLOC_FAILED));
    *d = new Desc{compute, scale, 0, 0, 1, nullptr};
    emulator::live(1);
    return OK;
}

EXPORT int cublasLtMatmulDescDestroy(Desc *d) {
    delete d;
    emulator::live(-1);
    return OK;
}

EXPORT int cublasLtMatmulDescSetAttribute(Desc *d, int which, const void *value, size_t size) {
    ENTER(int(INVALID_VALUE));
    if (size == 4 && (which == 3 || which == 4)) {
        memcpy(which == 3 ? &d->transpose_a : &d->transpose_b, value, 4);
    } else if (size == 4 && which == 7) {
        memcpy(&d->epilogue, value, 4); // 2: ReLU, 4: bias
    } else if (size == 8 && which == 8) {
        memcpy(&d->bias, value, 8);
    } else {
        emulator::explain("cuBLASLt: attribute %d of %zu bytes is not emulated", which, size);
        return INVALID_VALUE;
    }
    return OK;
}

EXPORT int cublasLtMatrixLayoutCreate(Layout **l, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    ENTER(int(ALLOC_FAILED));
    Type t;
    if (!type_of(type, t) || ld < int64_t(rows)) {
        return INVALID_VALUE;
    }
    *l = new Layout{t, rows, columns, ld, 1, 0};
    emulator::live(1);
    return OK;
}

EXPORT int cublasLtMatrixLayoutDestroy(Layout *l) {
    delete l;
    emulator::live(-1);
    return OK;
}

EXPORT int cublasLtMatrixLayoutSetAttribute(Layout *l, int which, const void *value, size_t size) {
    ENTER(int(INVALID_VALUE));
    if (which == 5 && size == 4) {
        memcpy(&l->batch, value, 4);
    } else if (which == 6 && size == 8) {
        memcpy(&l->stride, value, 8);
    } else {
        emulator::explain("cuBLASLt: layout attribute %d of %zu bytes is not emulated", which, size);
        return INVALID_VALUE;
    }
    return OK;
}

EXPORT int cublasLtMatmulPreferenceCreate(Preference **p) {
    ENTER(int(ALLOC_FAILED));
    *p = new Preference{0};
    emulator::live(1);
    return OK;
}

EXPORT int cublasLtMatmulPreferenceDestroy(Preference *p) {
    delete p;
    emulator::live(-1);
    return OK;
}

EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference *p, int which, const void *value, size_t size) {
    ENTER(int(INVALID_VALUE));
    if (which != 1 || size != 8) {
        return INVALID_VALUE;
    }
    memcpy(&p->workspace, value, 8);
    return OK;
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(int *, Desc *, Layout *, Layout *, Layout *, Layout *, Preference *p, int, Heuristic *out,
                                          int *returned) {
    ENTER(int(NOT_SUPPORTED));
    memset(out, 0, sizeof *out);
    out->workspace = p->workspace < 1024 ? p->workspace : 1024;
    *returned = 1;
    return OK;
}

EXPORT int cublasLtMatmul(int *, Desc *d, const void *alpha, const void *a, Layout *la, const void *b, Layout *lb,
                          const void *beta, const void *c, Layout *lc, void *y, Layout *ly, const void *, void *, size_t,
                          emulator::Stream *stream) {
    ENTER(int(EXECUTION_FAILED));
    (void)lc;
    const uint64_t m = d->transpose_a ? la->columns : la->rows, k = d->transpose_a ? la->rows : la->columns;
    const uint64_t n = d->transpose_b ? lb->rows : lb->columns, k2 = d->transpose_b ? lb->columns : lb->rows;
    if (k != k2 || m != ly->rows || n != ly->columns || la->batch != ly->batch || lb->batch != ly->batch) {
        emulator::explain("cuBLASLt: sizes do not fit");
        return INVALID_VALUE;
    }
    const bool wide = d->scale == 1;
    if (d->epilogue != 1 && (wide || (d->epilogue != 4 && d->epilogue != 6) || d->bias == nullptr)) {
        emulator::explain("cuBLASLt: epilogue %d is not emulated", d->epilogue);
        return NOT_SUPPORTED;
    }
    const double s = wide ? *static_cast<const double *>(alpha) : *static_cast<const float *>(alpha);
    const double t = wide ? *static_cast<const double *>(beta) : *static_cast<const float *>(beta);
    emulator::enqueue(stream, [=, d = *d, la = *la, lb = *lb, ly = *ly] {
        for (int32_t g = 0; g < ly.batch; g++) {
            for (uint64_t j = 0; j < n; j++) {
                for (uint64_t i = 0; i < m; i++) {
                    double sum = 0;
                    for (uint64_t p = 0; p < k; p++) {
                        const int64_t at = d.transpose_a ? int64_t(i) * la.ld + int64_t(p) : int64_t(p) * la.ld + int64_t(i);
                        const int64_t bt = d.transpose_b ? int64_t(p) * lb.ld + int64_t(j) : int64_t(j) * lb.ld + int64_t(p);
                        sum += emulator::read(la.type, a, g * la.stride + at) * emulator::read(lb.type, b, g * lb.stride + bt);
                    }
                    const int64_t at = g * ly.stride + int64_t(j) * ly.ld + int64_t(i);
                    const double old = t == 0 ? 0 : t * emulator::read(ly.type, c, at);
                    double v = s * sum + old;
                    if (d.epilogue & 4) {
                        v += emulator::read(ly.type, d.bias, int64_t(i));
                    }
                    emulator::write(ly.type, y, at, (d.epilogue & 2) && v < 0 ? 0 : v);
                }
            }
        }
        return 0;
    });
    return OK;
}
