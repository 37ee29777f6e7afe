// The emulated libcublas: products go through cuBLASLt, so only the version is asked for.
#include "emulator.h"

EXPORT int cublasGetProperty(int which, int *value) {
    *value = which == 0 ? 13 : 0;
    return 0;
}
