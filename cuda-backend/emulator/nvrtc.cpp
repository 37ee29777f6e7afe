// The emulated libnvrtc: "compiles" a source to a word that the emulated driver knows; kernels are those of the host shim.
#include <cstdlib>
#include <cstring>
#include <string>

#include "emulator.h"

struct Program {
    std::string source, log;
};

EXPORT int nvrtcVersion(int *major, int *minor) {
    ENTER(int(1));
    *major = 13, *minor = 0;
    return 0;
}

EXPORT int nvrtcCreateProgram(Program **program, const char *source, const char *, int headers, const char *const *texts,
                              const char *const *names) {
    ENTER(int(1));
    for (int i = 0; i < headers; i++) {
        if (texts[i] == nullptr || names[i] == nullptr) {
            return 3; // invalid input
        }
    }
    *program = new Program{source, ""};
    emulator::live(1);
    return 0;
}

EXPORT int nvrtcDestroyProgram(Program **program) {
    delete *program;
    *program = nullptr;
    emulator::live(-1);
    return 0;
}

EXPORT int nvrtcCompileProgram(Program *program, int, const char *const *) {
    ENTER(int(6));
    if (program->source.find("KERNEL(") == std::string::npos) {
        program->log = "there is no kernel in the source";
        return 6;
    }
    return 0;
}

EXPORT int nvrtcGetCUBINSize(Program *, size_t *size) {
    ENTER(int(1));
    *size = 9;
    return 0;
}

EXPORT int nvrtcGetCUBIN(Program *, char *cubin) {
    ENTER(int(1));
    memcpy(cubin, "emulated", 9);
    return 0;
}

EXPORT int nvrtcGetProgramLogSize(Program *program, size_t *size) {
    *size = program->log.size() + 1;
    return 0;
}

EXPORT int nvrtcGetProgramLog(Program *program, char *log) {
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return 0;
}

EXPORT const char *nvrtcGetErrorString(int code) {
    return code == 0 ? "NVRTC_SUCCESS" : code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}
