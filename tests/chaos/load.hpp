// SPDX-License-Identifier: Apache-2.0
// Receives: the order to work. Hands on: verified steps, until one fails. Owns: the thread that makes them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "chaos/reader.hpp"

namespace farlane::chaos {

/// Mistakes that a load makes on purpose, for tests of the runner.
enum class Sabotage : std::uint8_t {
    none,
    lose,    ///< a posted write is left out
    repeat,  ///< one is made twice
    swap,    ///< two change places
    stale,   ///< a block keeps what it had
};

/// How often a daemon ended.
struct Ends {
    std::uint64_t kills = 0, restarts = 0;
    [[nodiscard]] std::uint64_t all() const noexcept { return kills + restarts; }
    friend Ends operator-(const Ends& a, const Ends& b) noexcept {
        return {a.kills - b.kills, a.restarts - b.restarts};
    }
};

/// Verified work on one device.
class Load {
public:
    Load(std::string device, Chronicle& chronicle, Milliseconds completion_timeout)
        : device_(std::move(device)), reader_(chronicle, completion_timeout) {}
    virtual ~Load() = default;
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    [[nodiscard]] const std::string& device() const noexcept { return device_; }
    /// Makes steps in a thread of its own.
    void start();
    /// Ends behind the step under way; false when that takes longer: something hangs.
    [[nodiscard]] bool pause(std::chrono::seconds at_most);
    /// Everything once more, while paused; `target`: since it attached. Throws Broken, farlane::Error.
    virtual void verify(const Ends& target) = 0;
    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    [[nodiscard]] bool failed() const noexcept { return failed_; }
    /// Why, once failed().
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
    [[nodiscard]] const ReadCounts& reads() const noexcept { return reader_.counts(); }
    /// What was done so far.
    [[nodiscard]] virtual nlohmann::json counts() const = 0;

protected:
    virtual void step() = 0;
    [[nodiscard]] Reader& reader() noexcept { return reader_; }

private:
    void run();

    std::string device_;
    Reader reader_;
    std::atomic<std::uint64_t> steps_{0};
    std::atomic<bool> pausing_{false}, failed_{false};
    std::string failure_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool running_ = false;
    std::jthread thread_;
};

}  // namespace farlane::chaos
