// SPDX-License-Identifier: Apache-2.0
// Receives: records of the executor. Hands on: work for the runtime, ends of jobs. Owns: streams, modules and kernels.
#pragma once

#include <array>
#include <deque>
#include <set>
#include <unordered_map>

#include "backend/worker/program/builder.hpp"
#include "backend/worker/program/memory.hpp"
#include "backend/worker/program/outbox.hpp"
#include "backend/worker/program/runtime.hpp"

namespace farlane::backend::worker {

/// Counts what a runtime has of each stream, and tells the executor of ends.
class Streams final : public Sink {
public:
    explicit Streams(Outbox& outbox) : outbox_(outbox) {}
    void done(const Ticket& ticket, const Outcome& outcome, std::uint64_t busy_ns) noexcept override;
    void begun(std::uint32_t stream) noexcept { running_[stream].fetch_add(1, std::memory_order_relaxed); }
    /// It never began.
    void answer(const Ticket& ticket, const Outcome& outcome) noexcept;
    [[nodiscard]] std::uint32_t running(std::uint32_t stream) const noexcept {
        return running_[stream].load(std::memory_order_relaxed);
    }
    /// One before it in its chain has failed.
    [[nodiscard]] bool poisoned(const Ticket& ticket) const noexcept {
        const std::uint64_t failed = failed_[ticket.stream].load(std::memory_order_relaxed);
        return ticket.epoch != 0 && failed >> 32 == ticket.epoch &&
               static_cast<std::int32_t>(ticket.order - static_cast<std::uint32_t>(failed)) > 0;
    }
    /// Somebody waits for the runtime to have fewer of a stream.
    std::atomic<bool> wanted{false};

private:
    void note(const Ticket& ticket, const Outcome& outcome) noexcept;
    Outbox& outbox_;
    std::array<std::atomic<std::uint32_t>, FL_ACCEL_MAX_QUEUES> running_{};
    std::array<std::atomic<std::uint64_t>, FL_ACCEL_MAX_QUEUES> failed_{};  ///< epoch << 32 | order of the first
};

class Loop {
public:
    Loop(Control& control, Memory& memory, Outbox& outbox, Streams& streams, Runtime& runtime);
    /// Until the process is killed.
    [[noreturn]] void run();

private:
    struct Waiting {
        Ask ask;
        Ticket ticket;
        std::vector<std::byte> payload;
    };

    bool take_records();
    void take_record(Ask ask, std::span<const std::byte> payload);
    void sleep(bool waits_for_room) noexcept;
    void look_at_energy(std::uint64_t now) noexcept;
    [[noreturn]] void end() noexcept;

    // loop.cpp: work of streams, in order
    void give(Ask ask, const Ticket& ticket, std::span<const std::byte> payload);
    void begin(Ask ask, const Ticket& ticket, std::span<const std::byte> payload);
    [[nodiscard]] Runtime::Answer begin_launch(const Ticket& ticket, std::span<const std::byte> payload);
    bool begin_waiting();
    void cancel(const Token& token);

    // loop_modules.cpp
    void commit(const AskMemory& ask);
    void decommit(const AskMemory& ask);
    void load(std::span<const std::byte> payload);
    bool take_built();
    void unload(std::uint32_t module);
    void bind(std::span<const std::byte> payload);
    void reply(const Token& token, const Outcome& outcome, std::span<const std::byte> more = {}) noexcept;

    struct Kernel {
        std::uint32_t module = 0;
        std::unique_ptr<BoundKernel> kernel;
    };

    Control& control_;
    Memory& memory_;
    Outbox& outbox_;
    Streams& streams_;
    Runtime& runtime_;
    RingReader ring_;
    std::vector<std::byte> record_;
    std::uint64_t spin_ns_;  ///< how long to look for more before sleeping
    std::array<std::deque<Waiting>, FL_ACCEL_MAX_QUEUES> waiting_;
    std::uint32_t waiting_count_ = 0;
    std::uint32_t order_ = 0;  ///< of the last ticket
    std::unordered_map<std::uint32_t, std::unique_ptr<LoadedModule>> modules_;
    std::unordered_map<std::uint32_t, Kernel> kernels_;
    std::set<std::uint64_t> loading_;  ///< tokens of loads that were not canceled
    std::uint64_t energy_ns_ = 0;
    Builder builder_;  ///< last: its thread ends first
};

}  // namespace farlane::backend::worker
