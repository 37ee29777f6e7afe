// Runs kernels on the CPU: blocks one after the other, the threads of a block as fibers that meet at barriers and warp
// shuffles. What each of three schedules changes is the order of blocks, and of threads between two meetings.
//
// A meeting that can not happen, because some of the threads have ended or wait elsewhere, is an error, not a hang.
#include "shim.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fiber.h"

namespace shim {

thread_local Thread *here = nullptr;

namespace {

constexpr unsigned WARP = 32, MOST_THREADS = 256;

struct Kernel {
    const void *function;
    Launcher launcher;
    Parameters parameters;
};

std::map<std::string, Kernel> &kernels() {
    static std::map<std::string, Kernel> table;
    return table;
}

std::string &failure() {
    static thread_local std::unique_ptr<std::string> text = std::make_unique<std::string>();
    return *text;
}

/// 0: forward, 1: reverse, 2 and more: random order from this seed.
uint64_t first_schedule() {
    const char *chosen = getenv("SHIM_SCHEDULE");
    return chosen ? strtoull(chosen, nullptr, 10) : 0;
}
thread_local uint64_t schedule = first_schedule();

uint64_t next_random(uint64_t &state) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/// The order in which `count` blocks or threads take their turns.
void arrange(std::vector<unsigned> &order, unsigned count, uint64_t mode, uint64_t &random) {
    order.resize(count);
    for (unsigned i = 0; i < count; i++) {
        order[i] = mode == 1 ? count - 1 - i : i;
    }
    for (unsigned i = count; mode >= 2 && i > 1; i--) {
        std::swap(order[i - 1], order[next_random(random) % i]);
    }
}

enum class State { Ready, Barrier, Warp, Done };

/// A CUDA thread and what it waits for.
struct Runner {
    Thread thread;
    State state;
    const char *file;
    int line;
    unsigned meetings;
    std::unique_ptr<Fiber> fiber;
};

struct SharedMemory {
    const void *key;
    size_t bytes;
    void *data;
};

void fiber_main();

/// The block that runs on this OS thread. Fibers are kept from one block to the next.
struct Machine {
    Block block{};
    std::vector<std::unique_ptr<Runner>> runners;
    unsigned threads = 0;
    std::vector<SharedMemory> memory;
    uint64_t values[2][MOST_THREADS];
    Place scheduler;
    Runner *current = nullptr;
    const Kernel *kernel = nullptr;
    void **args = nullptr;

    ~Machine() { release_memory(); }

    void release_memory() {
        for (auto &m : memory) {
            free(m.data);
        }
        memory.clear();
    }

    void begin(Index index, const Kernel &k, void **a) {
        block.index = index;
        kernel = &k;
        args = a;
        threads = block.dim.x * block.dim.y * block.dim.z;
        while (runners.size() < threads) {
            runners.push_back(std::make_unique<Runner>());
            runners.back()->fiber = std::make_unique<Fiber>(fiber_main);
        }
        for (unsigned i = 0; i < threads; i++) {
            Runner &r = *runners[i];
            r.thread.index = {i % block.dim.x, i / block.dim.x % block.dim.y, i / block.dim.x / block.dim.y};
            r.thread.number = i;
            r.thread.block = &block;
            r.state = State::Ready;
            r.meetings = 0;
        }
    }

    void resume(Runner &r) {
        current = &r;
        here = &r.thread;
        jump(scheduler, r.fiber->place);
        here = nullptr;
    }

    /// Lets the threads `from..to` go on if all of them wait at one place for the same kind of meeting.
    bool meet(unsigned from, unsigned to, State kind) {
        const Runner &first = *runners[from];
        for (unsigned i = from; i < to; i++) {
            const Runner &r = *runners[i];
            if (r.state != kind || r.line != first.line || r.file != first.file) {
                return false;
            }
        }
        for (unsigned i = from; i < to; i++) {
            runners[i]->state = State::Ready;
        }
        return true;
    }

    bool meet_all() {
        bool any = false;
        for (unsigned w = 0; w < threads; w += WARP) {
            any |= meet(w, w + WARP < threads ? w + WARP : threads, State::Warp);
        }
        return any || meet(0, threads, State::Barrier);
    }

    /// Says who waits where. The fibers that wait are started anew: nothing of theirs needs to be ended.
    void give_up(const std::string &name) {
        std::string text = name + ", block " + std::to_string(block.index.x) + "," + std::to_string(block.index.y) +
                           "," + std::to_string(block.index.z) +
                           ": only part of the threads reach a meeting: ";
        std::map<std::string, unsigned> places;
        for (unsigned i = 0; i < threads; i++) {
            Runner &r = *runners[i];
            if (r.state == State::Done) {
                places["have ended"]++;
                continue;
            }
            std::string file = r.file;
            file = file.substr(file.find_last_of('/') + 1);
            places[(r.state == State::Barrier ? "wait at the barrier " : "wait at the warp shuffle ") + file + ":" +
                   std::to_string(r.line)]++;
            r.fiber->start(fiber_main);
        }
        const char *comma = "";
        for (auto &[what, count] : places) {
            text += comma + std::to_string(count) + " " + what;
            comma = ", ";
        }
        failure() = text;
    }

    bool run(const std::string &name, uint64_t mode, uint64_t &random) {
        std::vector<unsigned> order;
        unsigned done = 0;
        while (done < threads) {
            arrange(order, threads, mode, random);
            bool progress = false;
            for (unsigned i : order) {
                if (runners[i]->state == State::Ready) {
                    resume(*runners[i]);
                    done += runners[i]->state == State::Done;
                    progress = true;
                }
            }
            if (done < threads && !meet_all() && !progress) {
                give_up(name);
                return false;
            }
        }
        return true;
    }

    void leave(State state, const char *file, int line) {
        current->state = state;
        current->file = file;
        current->line = line;
        jump(current->fiber->place, scheduler);
    }
};

/// Made on the heap: a library that is loaded late finds little room for thread-local memory.
Machine &machine() {
    static thread_local std::unique_ptr<Machine> m = std::make_unique<Machine>();
    return *m;
}

void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
    Machine &first = machine();
    __sanitizer_finish_switch_fiber(nullptr, &first.scheduler.bottom, &first.scheduler.size);
#endif
    Machine &m = machine();
    for (;;) {
        m.kernel->launcher(m.kernel->function, m.args);
        m.leave(State::Done, "", 0);
    }
}

} // namespace

void barrier(const char *file, int line) { machine().leave(State::Barrier, file, line); }

uint64_t exchange(uint64_t bits, unsigned from, const char *file, int line) {
    Machine &m = machine();
    Runner &r = *m.current;
    // Two sets of values: a lane may come to the next shuffle before another has read its value of this one.
    uint64_t *values = m.values[r.meetings++ & 1];
    unsigned warp = r.thread.number / WARP * WARP;
    values[r.thread.number] = bits;
    m.leave(State::Warp, file, line);
    return values[warp + (from & (WARP - 1))];
}

void *shared(const void *key, size_t bytes) {
    Machine &m = machine();
    for (auto &s : m.memory) {
        if (s.key == key) {
            return s.data;
        }
    }
    void *data = nullptr;
    if (posix_memalign(&data, 16, bytes) != 0) {
        fputs("host shim: no memory for shared memory\n", stderr);
        abort();
    }
    memset(data, 0xFF, bytes);
    m.memory.push_back({key, bytes, data});
    return data;
}

Register::Register(const char *name, const void *function, Launcher launcher, Parameters parameters) {
    if (!kernels().emplace(name, Kernel{function, launcher, parameters}).second) {
        fprintf(stderr, "host shim: two kernels are called %s\n", name);
        abort();
    }
}

} // namespace shim

using namespace shim;

#define EXPORT extern "C" __attribute__((visibility("default")))

/// Whether there is a kernel of this name.
EXPORT int shim_has(const char *name) { return kernels().count(name) != 0; }

/// The number of a kernel's parameters, and the size of each in bytes; -1 where there is no such kernel.
EXPORT int shim_sizes(const char *name, size_t *sizes, unsigned most) {
    auto found = kernels().find(name);
    if (found == kernels().end()) {
        return -1;
    }
    const Parameters &p = found->second.parameters;
    for (unsigned i = 0; i < p.count && i < most; i++) {
        sizes[i] = p.sizes[i];
    }
    return int(p.count);
}

/// Why the last launch of this OS thread failed.
EXPORT const char *shim_error() { return failure().c_str(); }

/// The number of kernels, and the name of each, in alphabetical order; null beyond the last.
EXPORT const char *shim_name(unsigned i) {
    for (auto &[name, kernel] : kernels()) {
        if (i-- == 0) {
            return name.c_str();
        }
    }
    return nullptr;
}

/// In which order threads and blocks run from now on, for launches by this OS thread: 0 forward, 1 reverse, any other
/// number a random order from it. Without a call the environment variable SHIM_SCHEDULE says it, else forward.
EXPORT void shim_schedule(uint64_t mode) { schedule = mode; }

/// Runs a kernel to its end, with arguments as of cuLaunchKernel. Returns 0, or 1 and leaves `shim_error`.
EXPORT int shim_launch(const char *name, const unsigned grid[3], const unsigned block[3], unsigned shared_bytes,
                           void **args) {
    auto found = kernels().find(name);
    if (found == kernels().end()) {
        failure() = std::string("there is no kernel ") + name;
        return 1;
    }
    const unsigned limits[3] = {0x7fffffffu, 65535, 65535};
    for (int a = 0; a < 3; a++) {
        if (grid[a] == 0 || grid[a] > limits[a] || block[a] == 0) {
            failure() = std::string(name) + ": the grid or block has a size of 0, or is too large";
            return 1;
        }
    }
    if (uint64_t(block[0]) * block[1] * block[2] > MOST_THREADS) {
        failure() = std::string(name) + ": kernels are compiled for blocks of up to 256 threads";
        return 1;
    }
    if (shared_bytes != 0) {
        failure() = std::string(name) + ": kernels have no dynamic shared memory";
        return 1;
    }
    Machine &m = machine();
    m.block.dim = {block[0], block[1], block[2]};
    m.block.grid = {grid[0], grid[1], grid[2]};
    const uint64_t mode = schedule;
    uint64_t random = mode;
    const uint64_t blocks = uint64_t(grid[0]) * grid[1] * grid[2];
    std::vector<unsigned> order;
    if (blocks <= 1u << 20) {
        arrange(order, unsigned(blocks), mode, random);
    }
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = order.empty() ? i : order[i];
        m.begin({unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]), unsigned(b / grid[0] / grid[1])},
                found->second, args);
        bool done = m.run(found->first, mode, random);
        m.release_memory();
        if (!done) {
            return 1;
        }
    }
    return 0;
}
