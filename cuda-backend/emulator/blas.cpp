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
/// Bytes that addresses are multiples of: first and second factor, summand, result.
struct Alignments {
    uint32_t of[4];
};
struct Preference {
    uint64_t workspace;
    /// What the library takes for granted until it is told otherwise.
    Alignments alignments{{256, 256, 256, 256}};
};
struct Heuristic {
    Alignments alignments; // in place of the algorithm: what it relies on
    uint64_t algo[6];
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
    *p = new Preference{};
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
    if (which == 1 && size == 8) {
        memcpy(&p->workspace, value, 8);
        return OK;
    }
    if (which < 5 || which > 8 || size != 4) {
        emulator::explain("cuBLASLt: preference %d of %zu bytes is not emulated", which, size);
        return INVALID_VALUE;
    }
    uint32_t bytes;
    memcpy(&bytes, value, 4);
    p->alignments.of[which - 5] = bytes;
    return bytes != 0 && (bytes & (bytes - 1)) == 0 ? OK : INVALID_VALUE;
}

// Some products are refused, so that the ways around are tested: of two 16-bit matrices that start at odd elements, and
// with an epilogue for one column (here) or two (at the call).
EXPORT int cublasLtMatmulAlgoGetHeuristic(int *, Desc *d, Layout *la, Layout *, Layout *, Layout *ly, Preference *p, int,
                                          Heuristic *out, int *returned) {
    ENTER(int(INVALID_VALUE));
    *returned = 0;
    const auto &of = p->alignments.of;
    if ((emulator::size_of(la->type) == 2 && la->batch == 1 && (of[0] < 4 || of[1] < 4)) || (d->epilogue != 1 && ly->rows == 1)) {
        return NOT_SUPPORTED;
    }
    memset(static_cast<void *>(out), 0, sizeof *out);
    out->alignments = p->alignments;
    out->workspace = p->workspace < 1024 ? p->workspace : 1024;
    *returned = 1;
    return OK;
}

/// Whether every matrix of a batch lies as the algorithm was promised.
static bool lies(const char *what, const void *base, const Layout *l, uint32_t alignment) {
    for (int64_t g = 0; g < l->batch; g++) {
        const auto address = reinterpret_cast<uint64_t>(base) + uint64_t(g * l->stride) * emulator::size_of(l->type);
        if (address % alignment != 0) {
            emulator::explain("cuBLASLt: the %s lies at %#llx, which was said to be a multiple of %u", what,
                              static_cast<unsigned long long>(address), alignment);
            return false;
        }
    }
    return true;
}

EXPORT int cublasLtMatmul(int *, Desc *d, const void *alpha, const void *a, Layout *la, const void *b, Layout *lb,
                          const void *beta, const void *c, Layout *lc, void *y, Layout *ly, const Alignments *promised,
                          void *workspace, size_t, emulator::Stream *stream) {
    ENTER(int(EXECUTION_FAILED));
    const auto &of = promised->of;
    if (!lies("first factor", a, la, of[0]) || !lies("second factor", b, lb, of[1]) || !lies("summand", c, lc, of[2]) ||
        !lies("result", y, ly, of[3])) {
        return EXECUTION_FAILED; // a GPU would read past what is there, or end with a misaligned address
    }
    if (reinterpret_cast<uint64_t>(workspace) % 256 != 0 || reinterpret_cast<uint64_t>(d->bias) % 16 != 0) {
        emulator::explain("cuBLASLt: the workspace or the bias is not aligned");
        return EXECUTION_FAILED;
    }
    const uint64_t m = d->transpose_a ? la->columns : la->rows, k = d->transpose_a ? la->rows : la->columns;
    const uint64_t n = d->transpose_b ? lb->rows : lb->columns, k2 = d->transpose_b ? lb->columns : lb->rows;
    if (k != k2 || m != ly->rows || n != ly->columns || la->batch != ly->batch || lb->batch != ly->batch) {
        emulator::explain("cuBLASLt: sizes do not fit");
        return INVALID_VALUE;
    }
    if (d->epilogue != 1 && m == 2) {
        return NOT_SUPPORTED;
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
                    emulator::write(ly.type, y, at, (d.epilogue & 2) && !(v > 0) ? 0 : v); // NaN becomes 0, as NVIDIA's does
                }
            }
        }
        return 0;
    });
    return OK;
}
