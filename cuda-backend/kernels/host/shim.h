// What CUDA gives a kernel, for g++: the same `.cu` files become functions that run on the CPU, one fiber for each
// CUDA thread (`shim.cpp`), so that kernels are tested where there is no GPU.
//
// A kernel registers itself under its name, with a launcher that unpacks the argument pointers of cuLaunchKernel.
// Barriers and warp shuffles are meetings of fibers. Shared memory is filled with NaN for each block: a value that is
// read before anybody wrote it, for want of a barrier, shows.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace shim {

struct Index {
    unsigned x, y, z;
};

struct Block;

/// One CUDA thread.
struct Thread {
    Index index;
    unsigned number;
    Block *block;
};

struct Block {
    Index index, dim, grid;
};

/// The thread that runs.
extern thread_local Thread *here __attribute__((tls_model("initial-exec")));

/// Waits for all threads of the block at this place.
void barrier(const char *file, int line);

/// Memory that the block shares: the same for the same key, new and full of NaN for each block.
void *shared(const void *key, size_t bytes);

/// Waits for all threads of the warp at this place; returns what lane `from` brought.
uint64_t exchange(uint64_t bits, unsigned from, const char *file, int line);

typedef void (*Launcher)(const void *function, void **args);

/// Sizes of a kernel's parameters in bytes, and their number.
struct Parameters {
    const size_t *sizes;
    unsigned count;
};

/// Makes a kernel known by its name.
struct Register {
    Register(const char *name, const void *function, Launcher launcher, Parameters parameters);
};

template <class... Args, size_t... I>
void call(void (*function)(Args...), void **args, std::index_sequence<I...>) {
    function(*static_cast<std::remove_reference_t<Args> *>(args[I])...);
}

/// The launcher for kernels of one signature.
template <class... Args> Launcher launcher(void (*)(Args...)) {
    return [](const void *function, void **args) {
        auto typed = reinterpret_cast<void (*)(Args...)>(const_cast<void *>(function));
        call(typed, args, std::index_sequence_for<Args...>());
    };
}

template <class... Args> Parameters parameters(void (*)(Args...)) {
    static const size_t sizes[] = {sizeof(Args)..., 0};
    return {sizes, sizeof...(Args)};
}

template <class T> T shuffle(T value, unsigned from, const char *file, int line) {
    static_assert(sizeof(T) <= 8, "shuffles take up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = exchange(bits, from, file, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}

} // namespace shim

#define KERNEL(name, ...)                                                                                              \
    extern "C" void name(__VA_ARGS__);                                                                                 \
    static shim::Register register_##name(#name, reinterpret_cast<const void *>(&name), shim::launcher(&name), \
                                         shim::parameters(&name));        \
    extern "C" void name(__VA_ARGS__)
#define DEVICE static inline
#define RESTRICT __restrict__
#define UNROLL
#define SHARED(type, name, n)                                                                                          \
    static const char name##_key = 0;                                                                                  \
    type *const name = static_cast<type *>(shim::shared(&name##_key, sizeof(type) * (n)))
#define BARRIER() shim::barrier(__FILE__, __LINE__)
#define SHUFFLE_XOR(value, mask) shim::shuffle(value, (shim::here->number & 31) ^ (mask), __FILE__, __LINE__)

#define threadIdx (shim::here->index)
#define blockIdx (shim::here->block->index)
#define blockDim (shim::here->block->dim)
#define gridDim (shim::here->block->grid)

// The mathematical functions that CUDA has for float and double without a header.
using std::ceil;
using std::cos;
using std::exp;
using std::expm1;
using std::fabs;
using std::floor;
using std::fma;
using std::fmax;
using std::fmin;
using std::log;
using std::log1p;
using std::pow;
using std::round;
using std::sin;
using std::sqrt;
using std::tanh;

template <class T> T atomicAdd(T *at, T value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }

template <class T> T atomicOr(T *at, T value) { return __atomic_fetch_or(at, value, __ATOMIC_RELAXED); }

template <class T> T atomicMin(T *at, T value) {
    T old = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (value < old && !__atomic_compare_exchange_n(at, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
}

static inline float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline unsigned __float_as_uint(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    return bits;
}
