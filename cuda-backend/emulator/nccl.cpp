// The emulated libnccl: ranks are threads of one process (or streams of one thread); a collective is a piece of stream work
// that waits for the others.
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "element.h"
#include "emulator.h"

using emulator::Type;

namespace {

enum { OK = 0, SYSTEM_ERROR = 2, INTERNAL_ERROR = 3, INVALID_ARGUMENT = 4 };

/// One collective call: what each rank brings and where it wants the result.
struct Round {
    std::vector<const void *> from;
    std::vector<void *> to;
    int here = 0, left = 0;
    bool done = false;
};

struct Group {
    std::mutex lock;
    std::condition_variable changed;
    int ranks = 0, joined = 0;
    std::map<uint64_t, Round> rounds;
    bool aborted = false;
};

struct Comm {
    std::shared_ptr<Group> group;
    int rank;
    uint64_t next = 0;
};

struct Id {
    char bytes[128];
};

std::mutex table_lock;
std::map<uint64_t, std::shared_ptr<Group>> table;
uint64_t ids = 0;

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

/// Runs `act` once all ranks have come; the last to come does it.
template <class F> int meet(const std::shared_ptr<Group> &g, uint64_t number, int rank, const void *from, void *to, F act) {
    std::unique_lock<std::mutex> lock(g->lock);
    Round &round = g->rounds[number];
    if (round.from.empty()) {
        round.from.resize(size_t(g->ranks));
        round.to.resize(size_t(g->ranks));
    }
    round.from[size_t(rank)] = from;
    round.to[size_t(rank)] = to;
    if (++round.here == g->ranks) {
        act(round);
        round.done = true;
        g->changed.notify_all();
    }
    g->changed.wait(lock, [&] { return round.done || g->aborted; });
    const bool lost = !round.done;
    if (++round.left == g->ranks) {
        g->rounds.erase(number);
    }
    return lost ? int(emulator::UNKNOWN) : 0;
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
    std::lock_guard<std::mutex> lock(table_lock);
    memset(id, 0, sizeof *id);
    ids++;
    memcpy(id->bytes, &ids, 8);
    return OK;
}

EXPORT int ncclCommInitRank(Comm **comm, int ranks, Id id, int rank) {
    ENTER(int(SYSTEM_ERROR));
    if (rank < 0 || rank >= ranks) {
        return INVALID_ARGUMENT;
    }
    uint64_t number;
    memcpy(&number, id.bytes, 8);
    std::shared_ptr<Group> g;
    {
        std::lock_guard<std::mutex> lock(table_lock);
        auto &slot = table[number];
        if (!slot) {
            slot = std::make_shared<Group>();
            slot->ranks = ranks;
        }
        g = slot;
    }
    std::unique_lock<std::mutex> lock(g->lock);
    g->joined++;
    g->changed.notify_all();
    if (!g->changed.wait_for(lock, std::chrono::seconds(20), [&] { return g->joined == g->ranks; })) {
        return SYSTEM_ERROR;
    }
    *comm = new Comm{g, rank};
    emulator::live(1);
    return OK;
}

EXPORT int ncclCommDestroy(Comm *comm) {
    delete comm;
    emulator::live(-1);
    return OK;
}

EXPORT int ncclCommAbort(Comm *comm) {
    {
        std::lock_guard<std::mutex> lock(comm->group->lock);
        comm->group->aborted = true;
        comm->group->changed.notify_all();
    }
    return ncclCommDestroy(comm);
}

EXPORT int ncclCommGetAsyncError(Comm *comm, int *error) {
    ENTER(int(INTERNAL_ERROR));
    std::lock_guard<std::mutex> lock(comm->group->lock);
    *error = comm->group->aborted ? SYSTEM_ERROR : OK;
    return OK;
}

EXPORT int ncclAllReduce(const void *from, void *to, size_t count, int data, int op, Comm *comm, emulator::Stream *stream) {
    ENTER(int(INTERNAL_ERROR));
    Type t = Type::F32;
    bool integer;
    if (op != 0 || !type_of(data, t, integer)) {
        return INVALID_ARGUMENT;
    }
    auto group = comm->group;
    const uint64_t number = comm->next++;
    const int rank = comm->rank;
    emulator::enqueue(stream, [=] {
        return meet(group, number, rank, from, to, [&](Round &round) {
            // Sums in the order of the ranks, then the same to all: results may lie where operands do.
            if (integer) {
                std::vector<int64_t> sum(count, 0);
                for (const void *p : round.from) {
                    for (size_t i = 0; i < count; i++) {
                        sum[i] += static_cast<const int64_t *>(p)[i];
                    }
                }
                for (void *p : round.to) {
                    memcpy(p, sum.data(), count * 8);
                }
                return;
            }
            std::vector<double> sum(count, 0.0);
            for (const void *p : round.from) {
                for (size_t i = 0; i < count; i++) {
                    sum[i] += emulator::read(t, p, int64_t(i));
                }
            }
            for (void *p : round.to) {
                for (size_t i = 0; i < count; i++) {
                    emulator::write(t, p, int64_t(i), sum[i]);
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
    auto group = comm->group;
    const uint64_t number = comm->next++;
    const int rank = comm->rank;
    emulator::enqueue(stream, [=] {
        return meet(group, number, rank, from, to, [&](Round &round) {
            std::vector<char> value(count * size);
            memcpy(value.data(), round.from[size_t(root)], value.size());
            for (void *p : round.to) {
                memcpy(p, value.data(), value.size());
            }
        });
    });
    return OK;
}
