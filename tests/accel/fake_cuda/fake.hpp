// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the state of a stand-in for libcuda.so.1. Owns: it. It proves our logic, not CUDA's:
// what the real driver does with the same calls only a machine with a GPU shows (make bench-gpu). It is stricter where
// that finds our mistakes: no copy of memory that is not registered, or across registrations; no overlap; no unload of
// what runs; no call without a current context; and it asks of its process what the driver asks (start.cpp).
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backend/worker/cuda/driver.hpp"

namespace fake {

using namespace farlane::backend::worker::cuda;

inline constexpr CuResult kNotInitialized = 3, kAlreadyRegistered = 712, kNotRegistered = 713;

/// Settings, from CUDA_FAKE in the environment: words with commas between.
[[nodiscard]] bool is_set(const char* word);
/// N of "word=N"; `other` when it is not there.
[[nodiscard]] std::uint64_t number(const char* word, std::uint64_t other);

struct Stream {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> work;
    std::thread thread;
    void put(std::function<void()> one);
    void run();
};
struct Event {
    std::atomic<std::uint64_t> recorded{0}, reached{0};
    std::atomic<std::uint64_t> ns{0};
};
struct Module;
struct Function {
    std::string name;
    Module* module = nullptr;
    std::atomic<bool> loaded{false};  ///< else its first launch waits for all that runs
    int dynamic_limit = 48 * 1024;
};
struct Module {
    std::map<std::string, Function> functions;
    std::atomic<int> running{0};
};

struct Launch {
    unsigned grid[3], block[3], shared;
    std::vector<std::vector<std::byte>> parameters;
    template <class T>
    [[nodiscard]] T parameter(std::size_t i) const {
        T value;
        std::memcpy(&value, parameters[i].data(), sizeof value);
        return value;
    }
};

/// What went wrong in a stream; everything returns it from then on.
extern std::atomic<CuResult> lost;

// start.cpp
[[nodiscard]] CuResult usable();  ///< why a call that needs a context can not be; success
[[nodiscard]] bool loads_with_the_module();

// streams.cpp
void wait_for_all();

// memory.cpp
[[nodiscard]] std::byte* mapped(std::uint64_t address, std::uint64_t bytes);  ///< nullptr: not all of it
[[nodiscard]] bool registered(const void* at, std::uint64_t bytes);           ///< all of it, in one piece

// kernels.cpp
[[nodiscard]] const std::vector<std::size_t>* parameters_of(const std::string& kernel);
void run(const std::string& kernel, const Launch& launch);

}  // namespace fake
