// Streams, events, recorded graphs: lists of closures.
#include "driver.h"

#include <cstring>
#include <map>

namespace emulator {

/// Runs the first piece of work of a stream, if there is one; the caller has the stream to itself.
static bool run_first(Stream &s) {
    std::function<int()> work;
    {
        std::lock_guard<std::mutex> lock(s.lock);
        if (s.work.empty()) {
            return false;
        }
        work = std::move(s.work.front());
        s.work.pop_front();
    }
    if (int code = work()) {
        s.device->error = code;
    }
    return true;
}

static bool step(Stream &s) {
    std::lock_guard<std::recursive_mutex> running(s.running);
    return run_first(s);
}

/// The same where nobody else is at work on the stream: who is may be waiting for one that this thread is at work on.
static bool try_step(Stream &s) {
    std::unique_lock<std::recursive_mutex> running(s.running, std::try_to_lock);
    return running && run_first(s);
}

int finish(Stream &s) {
    while (step(s)) {
    }
    // Another thread may still be in the last piece.
    std::lock_guard<std::recursive_mutex> running(s.running);
    return s.device->error;
}

/// Waits for a mark, and never for a thread.
static void finish_until(Stream &s, const std::atomic<bool> &done) {
    while (!done) {
        if (!try_step(s)) {
            std::this_thread::yield();
        }
    }
}

int finish(Device &d) {
    std::vector<std::shared_ptr<Stream>> all;
    {
        std::lock_guard<std::mutex> lock(d.lock);
        all = d.streams;
    }
    for (auto &s : all) {
        finish(*s);
    }
    return d.error;
}

Stream *add_stream(Device *d) {
    auto s = std::make_shared<Stream>(d);
    std::lock_guard<std::mutex> hold(d->lock);
    d->streams.push_back(s);
    return s.get();
}

int &capture_mode() {
    static thread_local int mode = 0;
    return mode;
}

Stream *stream_of(Stream *s) { return s != nullptr ? s : device() < 0 ? nullptr : devices()[device()]->standard; }

void enqueue(Stream *s, std::function<int()> work) {
    s = stream_of(s);
    std::lock_guard<std::mutex> lock(s->lock);
    if (s->recording) {
        s->recording->work.push_back(std::move(work));
    } else {
        s->work.push_back(std::move(work));
    }
}

bool spoils(Stream *s) {
    s = stream_of(s);
    std::lock_guard<std::mutex> lock(s->lock);
    s->void_recording = s->recording != nullptr;
    return s->void_recording;
}

void run(Stream *s) {
    if ((s = stream_of(s)) != nullptr) {
        finish(*s);
    }
}

} // namespace emulator

using namespace emulator;

EXPORT int cuStreamCreateWithPriority(Stream **stream, unsigned flags, int) {
    ENTER(int(OUT_OF_MEMORY));
    if (device() < 0) {
        return INVALID_CONTEXT;
    }
    if (flags > 1) {
        return INVALID_VALUE;
    }
    *stream = add_stream(devices()[device()].get());
    return SUCCESS;
}

EXPORT int cuStreamDestroy_v2(Stream *s) {
    finish(*s);
    std::lock_guard<std::mutex> hold(s->device->lock);
    auto &all = s->device->streams;
    for (size_t i = 0; i < all.size(); i++) {
        if (all[i].get() == s) {
            all.erase(all.begin() + long(i));
            break;
        }
    }
    return SUCCESS;
}

EXPORT int cuStreamSynchronize(Stream *s) {
    ENTER(int(UNKNOWN));
    s = stream_of(s);
    if (s == nullptr) {
        return INVALID_CONTEXT;
    }
    if (s->recording) {
        s->void_recording = true;
        return CAPTURE_UNSUPPORTED;
    }
    return finish(*s);
}

EXPORT int cuCtxSynchronize() {
    ENTER(int(UNKNOWN));
    return device() < 0 ? int(INVALID_CONTEXT) : finish(*devices()[device()]);
}

EXPORT int cuEventCreate(Event **event, unsigned) {
    ENTER(int(OUT_OF_MEMORY));
    *event = new Event;
    return SUCCESS;
}

EXPORT int cuEventDestroy_v2(Event *e) {
    delete e;
    return SUCCESS;
}

EXPORT int cuEventRecord(Event *e, Stream *s) {
    ENTER(int(INVALID_HANDLE));
    s = stream_of(s);
    auto mark = std::make_shared<Mark>();
    mark->stream = s->shared_from_this();
    e->mark = mark;
    enqueue(s, [mark] {
        mark->time = std::chrono::steady_clock::now();
        mark->done = true;
        return 0;
    });
    return SUCCESS;
}

EXPORT int cuEventQuery(Event *e) {
    ENTER(int(INVALID_HANDLE));
    if (e->mark == nullptr || e->mark->done) {
        return SUCCESS;
    }
    // A device works while the host asks: some progress, so that asking again and again ends.
    try_step(*e->mark->stream);
    return e->mark->done ? e->mark->stream->device->error.load() : int(NOT_READY);
}

EXPORT int cuEventSynchronize(Event *e) {
    ENTER(int(UNKNOWN));
    if (e->mark != nullptr) {
        finish_until(*e->mark->stream, e->mark->done);
        return e->mark->stream->device->error;
    }
    return SUCCESS;
}

EXPORT int cuEventElapsedTime(float *ms, Event *start, Event *end) {
    ENTER(int(INVALID_HANDLE));
    if (start->mark == nullptr || end->mark == nullptr) {
        return INVALID_HANDLE;
    }
    if (!start->mark->done || !end->mark->done) {
        return NOT_READY;
    }
    *ms = std::chrono::duration<float, std::milli>(end->mark->time - start->mark->time).count();
    return SUCCESS;
}

EXPORT int cuStreamWaitEvent(Stream *s, Event *e, unsigned) {
    ENTER(int(INVALID_HANDLE));
    if (auto mark = e->mark) {
        enqueue(s, [mark] {
            finish_until(*mark->stream, mark->done);
            return 0;
        });
    }
    return SUCCESS;
}

EXPORT int cuStreamBeginCapture_v2(Stream *s, int) {
    ENTER(int(INVALID_VALUE));
    if (s == nullptr || s->recording) {
        return INVALID_VALUE;
    }
    s->recording = std::make_unique<Graph>();
    s->recorder = std::this_thread::get_id();
    s->void_recording = false;
    return SUCCESS;
}

EXPORT int cuThreadExchangeStreamCaptureMode(int *mode) {
    ENTER(int(INVALID_VALUE));
    std::swap(*mode, capture_mode());
    return SUCCESS;
}

EXPORT int cuStreamEndCapture(Stream *s, Graph **graph) {
    // Fails like any other call, but always ends the recording.
    const int failed = fails(__func__, CAPTURE_INVALIDATED);
    *graph = nullptr;
    if (!s->recording) {
        return INVALID_VALUE;
    }
    auto recorded = std::move(s->recording);
    if (failed || s->void_recording) {
        return failed ? failed : int(CAPTURE_INVALIDATED);
    }
    *graph = recorded.release();
    return SUCCESS;
}

EXPORT int cuGraphInstantiateWithFlags(Graph **exec, Graph *graph, unsigned long long) {
    ENTER(int(OUT_OF_MEMORY));
    *exec = new Graph(*graph);
    return SUCCESS;
}

EXPORT int cuGraphLaunch(Graph *exec, Stream *s) {
    ENTER(int(UNKNOWN));
    for (auto &work : exec->work) {
        enqueue(s, work);
    }
    return SUCCESS;
}

EXPORT int cuGraphDestroy(Graph *graph) {
    delete graph;
    return SUCCESS;
}

EXPORT int cuGraphExecDestroy(Graph *exec) {
    delete exec;
    return SUCCESS;
}
