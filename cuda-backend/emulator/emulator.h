// What the emulated libraries share. They stand for NVIDIA's where there is no GPU: the backend's own code runs on them
// unchanged, so that CI executes it. They check our use of the interfaces against our reading of the manuals, nothing more.
//
// A stream is a list of closures, run only when somebody waits for them: work that is used without waiting is missing.
// Environment variables, read when the driver starts:
//
//   EMULATED_DEVICES  number of devices (4)
//   EMULATED_MEMORY   bytes of memory of each device (4 GiB)
//   EMULATED_CUDA     release that the driver serves, as 13000
//   EMULATED_FAIL     n or n:code: the n-th call from the start fails; with code 719 (a crashed kernel) all later ones do
//   EMULATED_VERBOSE  if set, the call that fails as asked is named on standard error
//   EMULATED_LAUNCHED a file to which the names of launched kernels are added
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace emulator __attribute__((visibility("default"))) {

struct Stream;

/// Codes of CUresult.
enum Code {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    UNKNOWN = 999,
};

/// Counts a call; not 0 where it has to fail: the code given, or `usual`.
int fails(const char *call, int usual);

/// Puts work on a stream (null: the default one of the current device), or into the graph that is being recorded from it.
/// What it returns, if not 0, is the device's error from then on.
void enqueue(Stream *stream, std::function<int()> work);

/// Whether a stream's work is recorded; if it is, the recording is void from here on.
bool spoils(Stream *stream);

/// Does the work that a stream has, now: for what goes on without anybody waiting for it.
void run(Stream *stream);

/// Counts objects that are alive: +1 when one is made, -1 when it goes.
void live(int change);

/// The device that calls of this thread are for, or -1.
int device();

/// Prints a message that explains an error which a code can not.
void explain(const char *format, ...) __attribute__((format(printf, 1, 2)));

} // namespace emulator

#define EXPORT extern "C" __attribute__((visibility("default")))
/// The first line of every call that may fail.
#define ENTER(usual)                                                                                                   \
    do {                                                                                                               \
        if (int code_ = emulator::fails(__func__, usual)) {                                                            \
            return static_cast<decltype(usual)>(code_);                                                                \
        }                                                                                                              \
    } while (0)
