// The emulated libcuda: devices, memory, modules, launches.
#include "driver.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include <sys/uio.h>
#include <unistd.h>

/// The kernels, compiled for the CPU (`kernels/host`).
extern "C" int shim_has(const char *name);
extern "C" const char *shim_error();
extern "C" int shim_sizes(const char *name, size_t *sizes, unsigned most);
extern "C" int shim_launch(const char *name, const unsigned grid[3], const unsigned block[3], unsigned shared_bytes,
                           void **args);

namespace emulator {

static uint64_t number(const char *variable, uint64_t otherwise) {
    const char *text = getenv(variable);
    return text != nullptr && *text != 0 ? strtoull(text, nullptr, 10) : otherwise;
}

static std::atomic<bool> started{false};
static std::atomic<int64_t> calls{0}, fail_at{0}, alive{0}, cap{0};
static std::atomic<int> fail_code{0};
static thread_local int current = -1;

int device() { return current; }

std::vector<std::unique_ptr<Device>> &devices() {
    static std::vector<std::unique_ptr<Device>> *all = [] {
        auto list = new std::vector<std::unique_ptr<Device>>;
        for (uint64_t i = 0; i < number("EMULATED_DEVICES", 4); i++) {
            list->push_back(std::make_unique<Device>());
            list->back()->standard = add_stream(list->back().get());
            live(-1);
        }
        return list;
    }();
    return *all;
}

int fails(const char *call, int usual) {
    const int64_t n = ++calls, at = fail_at;
    if (at == 0 || n < at) {
        return 0;
    }
    if (n > at) {
        // After a kernel has crashed, all that a process asks of its devices fails so.
        return fail_code == LAUNCH_FAILED ? int(LAUNCH_FAILED) : 0;
    }
    if (getenv("EMULATED_VERBOSE") != nullptr) {
        explain("call %lld, %s, fails as asked", static_cast<long long>(n), call);
    }
    return fail_code != 0 ? fail_code.load() : usual;
}

void live(int change) { alive += change; }

void explain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("emulated GPU: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

struct Module : Counted {
    std::map<std::string, std::unique_ptr<std::string>> functions;
};

} // namespace emulator

using namespace emulator;

// ---- for tests

EXPORT int64_t emulator_calls() { return calls; }
EXPORT int64_t emulator_alive() { return alive; }
EXPORT void emulator_fail_at(int64_t n, int code) {
    fail_code = code;
    fail_at = n > 0 ? calls + n : 0;
}
EXPORT void emulator_cap(int64_t bytes) { cap = bytes; }
EXPORT void emulator_reset() {
    for (auto &d : devices()) {
        d->error = 0;
    }
}

// ---- the driver

EXPORT int cuInit(unsigned flags) {
    if (!started.exchange(true)) {
        if (const char *text = getenv("EMULATED_FAIL")) {
            char *end = nullptr;
            fail_at = strtoll(text, &end, 10);
            fail_code = *end == ':' ? atoi(end + 1) : 0;
        }
        cap = int64_t(number("EMULATED_MEMORY", uint64_t(4) << 30));
    }
    ENTER(int(UNKNOWN));
    if (flags != 0) {
        return INVALID_VALUE;
    }
    return devices().empty() ? int(NO_DEVICE) : int(SUCCESS);
}

EXPORT int cuDriverGetVersion(int *version) {
    ENTER(int(INVALID_VALUE));
    *version = int(number("EMULATED_CUDA", 13000));
    return SUCCESS;
}

EXPORT int cuDeviceGetCount(int *count) {
    ENTER(int(NOT_INITIALIZED));
    *count = int(devices().size());
    return SUCCESS;
}

EXPORT int cuDeviceGet(int *handle, int ordinal) {
    ENTER(int(INVALID_DEVICE));
    if (ordinal < 0 || size_t(ordinal) >= devices().size()) {
        return INVALID_DEVICE;
    }
    *handle = ordinal;
    return SUCCESS;
}

EXPORT int cuDeviceGetName(char *name, int len, int) {
    ENTER(int(INVALID_DEVICE));
    snprintf(name, size_t(len), "Emulated GPU");
    return SUCCESS;
}

EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
    ENTER(int(INVALID_DEVICE));
    switch (attribute) {
    case 75: *value = 9; return SUCCESS;          // compute capability, major
    case 76: *value = 0; return SUCCESS;          // minor
    case 16: *value = 2; return SUCCESS;          // multiprocessors
    case 97: *value = 227 << 10; return SUCCESS;  // shared memory of a block
    default: explain("attribute %d is not emulated", attribute); return INVALID_VALUE;
    }
}

EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int) {
    ENTER(int(INVALID_DEVICE));
    *bytes = size_t(cap);
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) {
    ENTER(int(OUT_OF_MEMORY));
    *context = devices()[size_t(device)].get();
    live(1);
    return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int) {
    live(-1);
    return SUCCESS;
}

EXPORT int cuCtxSetCurrent(void *context) {
    ENTER(int(INVALID_CONTEXT));
    for (size_t i = 0; i < devices().size(); i++) {
        if (devices()[i].get() == context) {
            current = int(i);
            return SUCCESS;
        }
    }
    return INVALID_CONTEXT;
}

static const std::map<int, std::pair<const char *, const char *>> WORDS = {
    {0, {"CUDA_SUCCESS", "no error"}},
    {1, {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}},
    {2, {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"}},
    {100, {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}},
    {201, {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}},
    {500, {"CUDA_ERROR_NOT_FOUND", "named symbol not found"}},
    {719, {"CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"}},
    {900, {"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"}},
    {901, {"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"}},
    {999, {"CUDA_ERROR_UNKNOWN", "unknown error"}},
};

EXPORT int cuGetErrorName(int code, const char **name) {
    auto found = WORDS.find(code);
    *name = found == WORDS.end() ? nullptr : found->second.first;
    return *name == nullptr ? INVALID_VALUE : SUCCESS;
}

EXPORT int cuGetErrorString(int code, const char **text) {
    auto found = WORDS.find(code);
    *text = found == WORDS.end() ? nullptr : found->second.second;
    return *text == nullptr ? INVALID_VALUE : SUCCESS;
}

// ---- memory

static Device *here() { return device() < 0 ? nullptr : devices()[size_t(device())].get(); }

/// Whether the calling thread may not do something because it records a graph, which is void then.
static bool refused(Device *d, const char *what) {
    std::lock_guard<std::mutex> lock(d->lock);
    for (auto &s : d->streams) {
        if (s->recording && s->recorder == std::this_thread::get_id() && capture_mode() != 2) {
            explain("%s while a graph is recorded", what);
            s->void_recording = true;
            return true;
        }
    }
    return false;
}

EXPORT int cuMemAlloc_v2(uint64_t *address, size_t bytes) {
    ENTER(int(OUT_OF_MEMORY));
    Device *d = here();
    if (d == nullptr) {
        return INVALID_CONTEXT;
    }
    if (bytes == 0) {
        return INVALID_VALUE;
    }
    if (refused(d, "memory is taken")) {
        return CAPTURE_UNSUPPORTED;
    }
    std::lock_guard<std::mutex> lock(d->lock);
    void *p = nullptr;
    if (d->used + bytes > size_t(cap) || posix_memalign(&p, 512, bytes) != 0) {
        return OUT_OF_MEMORY;
    }
    // NaN: what is read before it was written shows. Only trials of algorithms take so much that it would cost seconds.
    if (bytes < size_t(200) << 20) {
        memset(p, 0xFF, bytes);
    }
    *address = reinterpret_cast<uint64_t>(p);
    d->memory[*address] = bytes;
    d->used += bytes;
    live(1);
    return SUCCESS;
}

EXPORT int cuMemFree_v2(uint64_t address) {
    for (auto &d : devices()) {
        bool ours;
        {
            std::lock_guard<std::mutex> lock(d->lock);
            ours = d->memory.count(address) != 0;
        }
        if (ours) {
            if (refused(d.get(), "memory is freed")) {
                return CAPTURE_UNSUPPORTED;
            }
            finish(*d); // as the driver does
            std::lock_guard<std::mutex> lock(d->lock);
            d->used -= d->memory[address];
            d->memory.erase(address);
            free(reinterpret_cast<void *>(address));
            live(-1);
            return SUCCESS;
        }
    }
    explain("memory is freed that was never taken");
    return INVALID_VALUE;
}

EXPORT int cuMemGetInfo_v2(size_t *available, size_t *total) {
    ENTER(int(INVALID_CONTEXT));
    *total = size_t(cap);
    *available = size_t(cap) - here()->used;
    return SUCCESS;
}

/// Page-locked memory, which the device reads when it comes to it.
static std::mutex pinned_lock;
static std::map<uint64_t, size_t> pinned;

static bool is_pinned(const void *p) {
    const auto address = reinterpret_cast<uint64_t>(p);
    std::lock_guard<std::mutex> lock(pinned_lock);
    auto after = pinned.upper_bound(address);
    return after != pinned.begin() && (--after, address < after->first + after->second);
}

EXPORT int cuMemHostAlloc(void **p, size_t bytes, unsigned) {
    ENTER(int(OUT_OF_MEMORY));
    if (bytes == 0) {
        return INVALID_VALUE;
    }
    if (here() != nullptr && refused(here(), "memory is locked")) {
        return CAPTURE_UNSUPPORTED;
    }
    *p = malloc(bytes);
    memset(*p, 0xFF, bytes);
    std::lock_guard<std::mutex> lock(pinned_lock);
    pinned[reinterpret_cast<uint64_t>(*p)] = bytes;
    live(1);
    return SUCCESS;
}

EXPORT int cuMemFreeHost(void *p) {
    if (here() != nullptr && refused(here(), "locked memory is freed")) {
        return CAPTURE_UNSUPPORTED;
    }
    std::lock_guard<std::mutex> lock(pinned_lock);
    pinned.erase(reinterpret_cast<uint64_t>(p));
    free(p);
    live(-1);
    return SUCCESS;
}

/// Whether `bytes` from `address` lie within one allocation of a device.
static bool inside(uint64_t address, size_t bytes) {
    for (auto &d : devices()) {
        std::lock_guard<std::mutex> lock(d->lock);
        auto after = d->memory.upper_bound(address);
        if (after != d->memory.begin()) {
            --after;
            if (address + bytes <= after->first + after->second) {
                return true;
            }
        }
    }
    explain("a copy leaves device memory");
    return false;
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Stream *s) {
    ENTER(int(INVALID_VALUE));
    if (!inside(to, bytes)) {
        return INVALID_VALUE;
    }
    if (is_pinned(from)) {
        enqueue(s, [=] {
            memcpy(reinterpret_cast<void *>(to), from, bytes);
            return 0;
        });
        return SUCCESS;
    }
    // Pageable memory is read when the stream comes to it, the latest that a driver may do so: it must still be as it was.
    auto then = std::make_shared<std::vector<char>>(static_cast<const char *>(from), static_cast<const char *>(from) + bytes);
    enqueue(s, [to, from, then] {
        std::vector<char> now(then->size());
        const iovec into{now.data(), now.size()}, source{const_cast<void *>(from), now.size()};
        const bool there = process_vm_readv(getpid(), &into, 1, &source, 1, 0) == ssize_t(now.size());
        if (there ? now != *then : errno == EFAULT) {
            explain("the source of a copy has gone or changed before the device read it");
            return int(LAUNCH_FAILED);
        }
        memcpy(reinterpret_cast<void *>(to), then->data(), then->size());
        return 0;
    });
    return SUCCESS;
}

EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    ENTER(int(INVALID_VALUE));
    if (!inside(from, bytes)) {
        return INVALID_VALUE;
    }
    // On the default stream: others are not waited for.
    memcpy(to, reinterpret_cast<void *>(from), bytes);
    return SUCCESS;
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, Stream *s) {
    ENTER(int(INVALID_VALUE));
    if (!inside(from, bytes)) {
        return INVALID_VALUE;
    }
    enqueue(s, [=] {
        memcpy(to, reinterpret_cast<void *>(from), bytes);
        return 0;
    });
    return SUCCESS;
}

EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Stream *s) {
    ENTER(int(INVALID_VALUE));
    if (!inside(from, bytes) || !inside(to, bytes)) {
        return INVALID_VALUE;
    }
    enqueue(s, [=] {
        memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
        return 0;
    });
    return SUCCESS;
}

EXPORT int cuMemsetD8Async(uint64_t to, unsigned char byte, size_t bytes, Stream *s) {
    ENTER(int(INVALID_VALUE));
    if (!inside(to, bytes)) {
        return INVALID_VALUE;
    }
    enqueue(s, [=] {
        memset(reinterpret_cast<void *>(to), byte, bytes);
        return 0;
    });
    return SUCCESS;
}

// ---- kernels

EXPORT int cuModuleLoadData(Module **module, const void *image) {
    ENTER(int(INVALID_IMAGE));
    if (strncmp(static_cast<const char *>(image), "emulated", 8) != 0) {
        return INVALID_IMAGE;
    }
    // As drivers before CUDA 12.3.
    if (here() == nullptr || refused(here(), "code is loaded")) {
        return here() == nullptr ? INVALID_CONTEXT : CAPTURE_UNSUPPORTED;
    }
    *module = new Module;
    return SUCCESS;
}

EXPORT int cuModuleUnload(Module *module) {
    delete module;
    return SUCCESS;
}

EXPORT int cuModuleGetFunction(std::string **function, Module *module, const char *name) {
    ENTER(int(NOT_FOUND));
    if (!shim_has(name)) {
        return NOT_FOUND;
    }
    if (here() == nullptr || refused(here(), "a kernel is looked up")) {
        return here() == nullptr ? INVALID_CONTEXT : CAPTURE_UNSUPPORTED;
    }
    auto &slot = module->functions[name];
    if (!slot) {
        slot = std::make_unique<std::string>(name);
    }
    *function = slot.get();
    return SUCCESS;
}

/// Adds the name of a kernel to the file EMULATED_LAUNCHED when it is first launched.
static void note(const std::string &name) {
    static const char *path = getenv("EMULATED_LAUNCHED");
    static std::mutex one;
    static std::set<std::string> seen;
    std::lock_guard<std::mutex> hold(one);
    if (path == nullptr || !seen.insert(name).second) {
        return;
    }
    if (FILE *file = fopen(path, "a")) {
        fprintf(file, "%s\n", name.c_str());
        fclose(file);
    }
}

EXPORT int cuLaunchKernel(std::string *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                          unsigned bz, unsigned shared, Stream *s, void **params, void **) {
    ENTER(int(INVALID_VALUE));
    size_t sizes[64];
    const int count = shim_sizes(function->c_str(), sizes, 64);
    if (count < 0 || gx == 0 || gy == 0 || gz == 0 || gy > 65535 || gz > 65535 || bx * by * bz == 0 || bx * by * bz > 1024) {
        return INVALID_VALUE;
    }
    auto values = std::make_shared<std::vector<std::vector<char>>>();
    for (int i = 0; i < count; i++) {
        auto from = static_cast<const char *>(params[i]);
        values->emplace_back(from, from + sizes[i]);
    }
    const std::string name = *function;
    note(name);
    enqueue(s, [=] {
        // Aligned as a parameter is on the device.
        std::vector<std::unique_ptr<char, void (*)(void *)>> copies;
        std::vector<void *> pointers;
        for (auto &value : *values) {
            void *p = nullptr;
            if (posix_memalign(&p, 16, value.size() + 1) != 0) {
                return int(OUT_OF_MEMORY);
            }
            memcpy(p, value.data(), value.size());
            copies.emplace_back(static_cast<char *>(p), free);
            pointers.push_back(p);
        }
        const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
        if (shim_launch(name.c_str(), grid, block, shared, pointers.data()) != 0) {
            explain("%s", shim_error());
            return int(LAUNCH_FAILED);
        }
        return 0;
    });
    return SUCCESS;
}
