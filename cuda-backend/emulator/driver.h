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
    std::vector<Stream *> streams;
    std::map<uint64_t, size_t> memory;
    size_t used = 0;
    std::atomic<int> error{0};
    Stream *standard = nullptr;
};

struct Graph : Counted {
    std::vector<std::function<int()>> work;
};

struct Stream : Counted {
    explicit Stream(Device *d) : device(d) {
        std::lock_guard<std::mutex> hold(d->lock);
        d->streams.push_back(this);
    }
    ~Stream() {
        std::lock_guard<std::mutex> hold(device->lock);
        auto &all = device->streams;
        for (size_t i = 0; i < all.size(); i++) {
            if (all[i] == this) {
                all.erase(all.begin() + long(i));
                break;
            }
        }
    }
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
    Stream *stream;
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

} // namespace emulator
