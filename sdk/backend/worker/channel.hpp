// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what lane and watch thread of an executor know in common of one context's worker.
// Owns: nothing; it lives as long as the executor, through all lives of the context.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "backend/executor.hpp"
#include "backend/worker/protocol.hpp"

namespace farlane::backend::worker {

/// Why a worker was ended; none = by itself.
enum class Cause : std::uint32_t {
    none,
    time_limit,  ///< a deadline passed
    canceled,    ///< a canceled job did not end
    protocol,    ///< it wrote nonsense into its ring
    not_ready,   ///< it did not start, or not in time
    closed,      ///< its context ended
};

struct Channel {
    Control* control = nullptr;              ///< always mapped; zero while there is no worker
    std::atomic<std::uint32_t> consumed{0};  ///< bytes of the complete ring the lane has read
    std::atomic<bool> ready{false};          ///< it said so
    std::atomic<bool> deaf{false};           ///< the lane reads its ring no more
    std::atomic<bool> dead{false};           ///< its process is gone: the ring stays as it is
    std::atomic<bool> buried{false};         ///< and the lane knows
    std::atomic<Cause> cause{Cause::none};
    std::atomic<std::uint64_t> killed_ns{0};         ///< when, if by the watch thread
    std::atomic<int> pid{0};                         ///< of its process, also when that is gone
    std::atomic<int> ended{0};                       ///< once dead: exit status, or -signal; of cause `none`
    std::atomic<int> statm{-1};                      ///< /proc/PID/statm; for the lane, from open() to close()
    std::atomic<int> output{-1};                     ///< read end of its standard output; likewise
    std::atomic<std::uint64_t> cancel_by_ns{0};      ///< a canceled job must have ended by then; 0: none was
    std::atomic<std::uint64_t> idle_build_by_ns{0};  ///< a build for nobody must have ended by then; 0: there is none
    std::atomic<std::uint32_t> streams{0};           ///< how many of the next are used
    std::array<std::atomic<std::uint64_t>, FL_ACCEL_MAX_QUEUES>
        deadline_ns{};  ///< of the launch at the stream's front; 0: none

    [[nodiscard]] bool has_unread() const noexcept {
        return !deaf.load(std::memory_order_relaxed) &&
               control->complete.tail.load(std::memory_order_acquire) != consumed.load(std::memory_order_relaxed);
    }
    /// next() of the lane has something to do.
    [[nodiscard]] bool calls_lane() const noexcept {
        return has_unread() || (dead.load(std::memory_order_acquire) && !buried.load(std::memory_order_relaxed));
    }
    /// Before a new life; no worker.
    void clear() noexcept {
        consumed = 0;
        ready = deaf = dead = buried = false;
        cause = Cause::none;
        killed_ns = cancel_by_ns = idle_build_by_ns = 0;
        pid = ended = 0;
        for (auto& d : deadline_ns) d = 0;
        streams = 0;
    }
};

[[nodiscard]] inline std::uint64_t now_ns() noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(now).count());
}

}  // namespace farlane::backend::worker
