// The emulated libnccl: ranks are threads of one process or of several; a collective is a piece of stream work that waits for
// the others. They meet in a file of shared memory whose name is the unique id: each rank has a slot for what it brings, and
// two counters say how many rounds it has brought something to and taken the result of. The file has no name any more once
// all have come, so that nothing is left behind, however they end.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "element.h"
#include "emulator.h"

using emulator::Type;

namespace {

enum { OK = 0, SYSTEM_ERROR = 2, INTERNAL_ERROR = 3, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };

constexpr int MOST = 64;
/// Bytes of a slot; longer values take several rounds.
constexpr size_t SLOT = 1 << 20;

/// The head of the shared memory; all zeros at first.
struct Shared {
    std::atomic<int> joined, connected, aborted;
    std::atomic<int> process[MOST];
    std::atomic<uint64_t> brought[MOST], taken[MOST];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "counters are shared between processes");

/// One rank's view of it.
struct Group {
    Shared *shared;
    size_t bytes;
    int ranks, rank;
    uint64_t round = 0;

    ~Group() { munmap(shared, bytes); }
    char *slot(int r) { return reinterpret_cast<char *>(shared) + 4096 + size_t(r) * SLOT; }

    /// Whether a rank has left before its time; a process that is gone is one.
    bool broken() {
        for (int r = 0; r < ranks && !shared->aborted; r++) {
            const int process = shared->process[r];
            if (process != 0 && kill(process, 0) != 0 && errno == ESRCH) {
                shared->aborted = 1;
            }
        }
        return shared->aborted;
    }

    /// Waits until all `counters` have reached `n`; false where somebody never will.
    bool all(const std::atomic<uint64_t> *counters, uint64_t n) {
        for (unsigned tries = 0; !std::all_of(counters, counters + ranks, [n](auto &c) { return c >= n; }); tries++) {
            if (tries % 1024 == 1023 ? broken() : bool(shared->aborted)) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::microseconds(tries < 64 ? 0 : 50));
        }
        return true;
    }
};
static_assert(sizeof(Shared) <= 4096, "slots follow");

/// A rank. A thread of its own does the work of the stream that collectives were put on: ranks wait for each other, so that one
/// whose host waits for something else must not keep the rest.
struct Comm {
    std::shared_ptr<Group> group;
    std::mutex lock;
    std::condition_variable changed;
    emulator::Stream *stream = nullptr;
    bool work = false, over = false, connected = false;
    /// Collectives being called, on the host.
    std::atomic<int> calls{0};
    std::thread worker;

    explicit Comm(std::shared_ptr<Group> g) : group(std::move(g)), worker([this] { serve(); }) {}

    ~Comm() {
        {
            std::lock_guard<std::mutex> hold(lock);
            over = true;
            changed.notify_all();
        }
        worker.join();
    }

    /// The first collective connects the ranks, on the host: it comes back when all have come to one, or somebody has left.
    int connect() {
        for (unsigned tries = 0; !connected; tries++) {
            if (tries == 0) {
                group->shared->connected++;
            }
            if (tries % 64 == 63 ? group->broken() : bool(group->shared->aborted)) {
                return SYSTEM_ERROR;
            }
            connected = group->shared->connected >= group->ranks;
            std::this_thread::sleep_for(std::chrono::microseconds(connected ? 0 : 100));
        }
        return OK;
    }

    void put(emulator::Stream *s, std::function<int()> collective) {
        emulator::enqueue(s, std::move(collective));
        std::lock_guard<std::mutex> hold(lock);
        stream = s;
        work = true;
        changed.notify_all();
    }

  private:
    void serve() {
        std::unique_lock<std::mutex> hold(lock);
        while (!over) {
            changed.wait(hold, [this] { return work || over; });
            if (work && !over) {
                work = false;
                hold.unlock();
                emulator::run(stream);
                hold.lock();
            }
        }
    }
};

struct Id {
    char bytes[128];
};

/// A call of a thread; a communicator takes one at a time, but for the one that ends it.
struct Call {
    Comm *comm;
    const bool alone;
    explicit Call(Comm *c) : comm(c), alone(c->calls++ == 0) {
        if (!alone) {
            emulator::explain("NCCL: two threads call on one communicator");
        }
    }
    ~Call() { comm->calls--; }
    int begin() { return alone ? comm->connect() : int(INVALID_USAGE); }
};

/// Bytes of an element, and its type where it is a float.
bool type_of(int data, Type &t, bool &integer) {
    integer = false;
    switch (data) {
    case 4: integer = true; return true; // int64
    case 6: t = Type::F16; return true;
    case 7: t = Type::F32; return true;
    case 8: t = Type::F64; return true;
    case 9: t = Type::BF16; return true;
    default: return false;
    }
}

/// Brings `bytes` at `from` to all, slot by slot, and lets `act(at, bytes)` use what lies in the slots, at an offset of the
/// whole value.
template <class F> int meet(Group &g, const void *from, size_t bytes, F act) {
    for (size_t at = 0; at < bytes; at += SLOT, g.round++) {
        const size_t part = std::min(SLOT, bytes - at);
        if (!g.all(g.shared->taken, g.round)) {
            return emulator::UNKNOWN;
        }
        memcpy(g.slot(g.rank), static_cast<const char *>(from) + at, part);
        g.shared->brought[g.rank] = g.round + 1;
        if (!g.all(g.shared->brought, g.round + 1)) {
            return emulator::UNKNOWN;
        }
        act(at, part);
        g.shared->taken[g.rank] = g.round + 1;
    }
    return 0;
}

} // namespace

EXPORT int ncclGetVersion(int *v) {
    *v = 22803;
    return OK;
}

EXPORT const char *ncclGetErrorString(int code) {
    return code == OK ? "no error" : code == INVALID_ARGUMENT ? "invalid argument" : "unhandled system error";
}

EXPORT int ncclGetUniqueId(Id *id) {
    ENTER(int(SYSTEM_ERROR));
    static std::atomic<int> ids;
    memset(id, 0, sizeof *id);
    const long long now = std::chrono::steady_clock::now().time_since_epoch().count();
    snprintf(id->bytes, sizeof id->bytes, "/dev/shm/emulated-nccl-%d-%d-%lld", int(getpid()), ids++, now);
    return OK;
}

EXPORT int ncclCommInitRank(Comm **comm, int ranks, Id id, int rank) {
    ENTER(int(SYSTEM_ERROR));
    if (rank < 0 || rank >= ranks || ranks > MOST) {
        return INVALID_ARGUMENT;
    }
    const size_t bytes = 4096 + size_t(ranks) * SLOT;
    const int file = open(id.bytes, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, off_t(bytes)) != 0) {
        return SYSTEM_ERROR;
    }
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) {
        return SYSTEM_ERROR;
    }
    auto g = std::shared_ptr<Group>(new Group{static_cast<Shared *>(memory), bytes, ranks, rank});
    g->shared->process[rank] = int(getpid());
    g->shared->joined++;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (g->shared->joined != ranks) {
        if (std::chrono::steady_clock::now() > until || g->broken()) {
            unlink(id.bytes);
            return SYSTEM_ERROR;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    unlink(id.bytes);
    *comm = new Comm(g);
    emulator::live(1);
    return OK;
}

EXPORT int ncclCommDestroy(Comm *comm) {
    delete comm;
    emulator::live(-1);
    return OK;
}

EXPORT int ncclCommAbort(Comm *comm) {
    comm->group->shared->aborted = 1;
    // As since 2.19.1: who is in a call leaves it first.
    while (comm->calls != 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return ncclCommDestroy(comm);
}

EXPORT int ncclCommGetAsyncError(Comm *comm, int *error) {
    ENTER(int(INTERNAL_ERROR));
    *error = comm->group->broken() ? SYSTEM_ERROR : OK;
    return OK;
}

EXPORT int ncclAllReduce(const void *from, void *to, size_t count, int data, int op, Comm *comm, emulator::Stream *stream) {
    ENTER(int(INTERNAL_ERROR));
    Type t = Type::F32;
    bool integer;
    if (op != 0 || !type_of(data, t, integer)) {
        return INVALID_ARGUMENT;
    }
    const size_t size = integer ? 8 : emulator::size_of(t);
    Call call(comm);
    if (int failed = call.begin()) {
        return failed;
    }
    auto group = comm->group;
    comm->put(stream, [=] {
        return meet(*group, from, count * size, [&](size_t at, size_t bytes) {
            // In the order of the ranks; results may lie where operands do.
            char *out = static_cast<char *>(to) + at;
            for (size_t i = 0; i < bytes / size; i++) {
                int64_t whole = 0;
                double sum = 0.0;
                for (int r = 0; r < group->ranks; r++) {
                    if (integer) {
                        whole += reinterpret_cast<const int64_t *>(group->slot(r))[i];
                    } else {
                        sum += emulator::read(t, group->slot(r), int64_t(i));
                    }
                }
                if (integer) {
                    reinterpret_cast<int64_t *>(out)[i] = whole;
                } else {
                    emulator::write(t, out, int64_t(i), sum);
                }
            }
        });
    });
    return OK;
}

EXPORT int ncclBroadcast(const void *from, void *to, size_t count, int data, int root, Comm *comm, emulator::Stream *stream) {
    ENTER(int(INTERNAL_ERROR));
    Type t = Type::F32;
    bool integer;
    size_t size = 1;
    if (data != 0 && data != 1) { // not bytes
        if (!type_of(data, t, integer)) {
            return INVALID_ARGUMENT;
        }
        size = integer ? 8 : emulator::size_of(t);
    }
    Call call(comm);
    if (int failed = call.begin()) {
        return failed;
    }
    auto group = comm->group;
    comm->put(stream, [=] {
        return meet(*group, from, count * size, [&](size_t at, size_t bytes) {
            memcpy(static_cast<char *>(to) + at, group->slot(root), bytes);
        });
    });
    return OK;
}
