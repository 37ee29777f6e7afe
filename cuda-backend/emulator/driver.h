// The emulated driver's objects.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "emulator.h"

namespace emulator {

/// Something that counts as alive.
struct Counted {
    Counted() { live(1); }
    Counted(const Counted &) { live(1); }
    Counted &operator=(const Counted &) = default;
    ~Counted() { live(-1); }
};

struct Device {
    std::mutex lock;
    /// Shared: one thread may destroy a stream while another waits for the whole device.
    std::vector<std::shared_ptr<Stream>> streams;
    std::map<uint64_t, size_t> memory;
    size_t used = 0;
    std::atomic<int> error{0};
    Stream *standard = nullptr;
};

struct Graph : Counted {
    std::vector<std::function<int()>> work;
};

struct Stream : Counted, std::enable_shared_from_this<Stream> {
    explicit Stream(Device *d) : device(d) {}
    Device *device;
    std::mutex lock;
    std::recursive_mutex running;
    std::deque<std::function<int()>> work;
    std::unique_ptr<Graph> recording;
    std::thread::id recorder;
    bool void_recording = false;
};

/// A place in a stream's work.
struct Mark {
    std::shared_ptr<Stream> stream;
    std::atomic<bool> done{false};
    std::chrono::steady_clock::time_point time;
};

struct Event : Counted {
    std::shared_ptr<Mark> mark;
};

std::vector<std::unique_ptr<Device>> &devices();

/// Runs all work; returns the device's error.
int finish(Stream &s);
int finish(Device &d);

Stream *stream_of(Stream *s);

/// What the calling thread may do while it records: 2, anything.
int &capture_mode();

/// A new stream, on the device's list.
Stream *add_stream(Device *d);

} // namespace emulator
