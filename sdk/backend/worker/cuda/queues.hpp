// SPDX-License-Identifier: Apache-2.0
// Receives: work that was given to a stream of the device. Hands on: its ends, in order. Owns: the streams and events.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "backend/worker/cuda/driver.hpp"
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker::cuda {

/// An event costs as much as half a launch, so several pieces of work end with one: what came together, but not more
/// than kTogether.
class Queues {
public:
    /// One per queue pair, and one for the runtime itself.
    static constexpr std::uint32_t kOwn = FL_ACCEL_MAX_QUEUES;
    static constexpr std::uint32_t kCount = FL_ACCEL_MAX_QUEUES + 1;

    Queues(const Api& api, Sink& sink) : api_(api), sink_(sink) {}
    Queues(const Queues&) = delete;
    Queues& operator=(const Queues&) = delete;

    /// Where work of a queue goes; nullptr: the driver has no more, and `why` says so.
    [[nodiscard]] CuStream open(std::uint32_t queue, CuResult& why);
    /// Something was enqueued to the stream that open() gave, or it failed: then it ends in its turn, behind what was
    /// given before. The answer when it has ended already.
    [[nodiscard]] Runtime::Answer given(std::uint32_t queue, const Ticket& ticket, const Outcome& outcome,
                                        bool is_launch);
    void flush();
    /// True: something has ended.
    bool poll();
    [[nodiscard]] bool busy() const noexcept { return running_ != 0; }
    [[nodiscard]] std::uint64_t pause_ns() const noexcept;
    /// The device is lost: everything has ended, nothing more will.
    [[nodiscard]] bool dead() const noexcept { return dead_; }
    /// The driver said so elsewhere.
    void fail(CuResult why);

    // --- what must wait for everything that is under way now
    [[nodiscard]] std::uint64_t mark() const noexcept { return next_; }
    [[nodiscard]] bool has_passed(std::uint64_t mark) const noexcept;

private:
    static constexpr std::size_t kTogether = 16;
    struct Work {
        Ticket ticket;
        Outcome outcome;
        bool is_launch = false;
    };
    struct Batch {
        std::uint64_t number = 0;
        std::uint64_t given_ns = 0;
        CuEvent begin = nullptr;  ///< nullptr: it began at the end of the one before
        CuEvent end = nullptr;
        std::vector<Work> work;
    };
    struct Queue {
        CuStream stream = nullptr;
        std::deque<Batch> batches;  ///< the last one may be open: it has no end
        CuEvent before = nullptr;   ///< end of the last one that has ended
    };

    [[nodiscard]] static bool is_open(const Queue& q) noexcept {
        return !q.batches.empty() && q.batches.back().end == nullptr;
    }
    [[nodiscard]] CuResult record(CuEvent& event, CuStream stream);
    void begin(Queue& q);
    void close(Queue& q);
    void finish(Queue& q);
    [[nodiscard]] std::uint64_t busy_ns_of(const Queue& q, const Batch& batch) const noexcept;

    const Api& api_;
    Sink& sink_;
    std::array<Queue, kCount> queues_{};
    std::vector<std::uint32_t> active_;  ///< queues that have batches
    std::vector<CuEvent> events_;        ///< not in use
    std::uint64_t next_ = 1;             ///< number of the next batch
    std::size_t running_ = 0;            ///< batches
    bool dead_ = false;
};

}  // namespace farlane::backend::worker::cuda
