// SPDX-License-Identifier: Apache-2.0
// Receives: jobs for one context's worker, and what the worker says. Hands on: records to it, ended jobs.
// Owns: the lane's side of a context: its rings, streams, allocations, modules and kernels. What the worker says is
// hostile.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/worker/channel.hpp"
#include "backend/worker/jobs.hpp"
#include "backend/worker/ring.hpp"
#include "backend/worker/signature.hpp"

namespace farlane::backend::worker {

class Link {
public:
    /// What of the executor a link uses.
    struct Services {
        Jobs& jobs;
        std::uint64_t time_limit_ns = 0, build_limit_ns = 0;
        std::function<void(std::uint32_t, Cause)> kill;
        std::function<void()> deadline_set;
        std::function<void()> look;                            ///< the watch thread shall, now
        std::function<void(std::uint32_t slot)> ended_memory;  ///< a scrub: the worker has let go of the range
        std::function<void(std::uint32_t slot, const Outcome&)> done;
        std::function<void(std::string_view)> complain;             ///< what a worker says of why it does not start
        std::function<void(std::uint32_t, std::string_view)> lost;  ///< a context, and why
        std::span<std::byte> scratch;                               ///< kMaxCompleteRecord bytes
    };
    struct Module {
        bool used = false;
        bool builtin = false;
        bool in_worker = false;
    };
    struct Kernel {
        bool used = false;
        const char* builtin = nullptr;  ///< name of the contract's; nullptr: it has none
        std::uint32_t module = 0;
        Signature signature;
    };

    Link(Channel& channel, Services& services, std::uint32_t context)
        : channel_(channel), services_(services), context_(context) {}

    /// The context begins; the channel's control memory is that of the new worker.
    void open();
    /// It has ended.
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept { return open_; }
    /// none = it takes jobs.
    [[nodiscard]] fl_accel_reason fate() const noexcept { return fate_; }
    [[nodiscard]] bool lost() const noexcept { return open_ && fate_ != FL_ACCEL_REASON_NONE; }

    // --- to the worker
    /// Puts a job of the worker at the end of its stream and sends it. `parts` begin with the Ask struct.
    void give(std::uint32_t slot, Ask ask, std::initializer_list<std::span<const std::byte>> parts);
    /// What is no job.
    void send(Ask ask, std::initializer_list<std::span<const std::byte>> parts);
    void cancel(std::uint32_t slot);
    /// Chained jobs given with `behind` belong to those before them; others begin anew.
    [[nodiscard]] std::uint32_t epoch(std::uint32_t stream, bool behind) noexcept {
        return behind ? streams_[stream].epoch : ++streams_[stream].epoch;
    }

    // --- from the worker
    /// Takes one record, or its death. False = nothing new.
    bool poll();

    // --- what the context has
    std::map<std::uint64_t, std::uint64_t> allocations;  ///< address and bytes
    std::array<Module, kMaxModules + 1> modules;
    std::array<Kernel, kMaxKernels + 1> kernels;
    Executor::Usage usage;

    /// The allocation that an address lies in.
    [[nodiscard]] std::optional<std::pair<std::uint64_t, std::uint64_t>> allocation_at(std::uint64_t address) const;
    void unload(std::uint32_t module);

private:
    struct Stream {
        std::uint32_t front = Job::kNone, back = Job::kNone;
        std::uint32_t epoch = 0;
    };

    void wake_worker() noexcept;
    void flush() noexcept;
    void push(std::uint32_t slot) noexcept;
    void remove(std::uint32_t slot) noexcept;
    void time_front(std::uint32_t stream, std::uint64_t now) noexcept;
    void build_ended(std::uint64_t now) noexcept;
    void load_ended(bool builds_on) noexcept;
    void take_built() noexcept;
    void take_ready(std::span<const std::byte> payload) noexcept;
    void take_done(std::span<const std::byte> payload);
    void end_job(std::uint32_t slot, const SayDone& said, std::span<const std::byte> report);
    [[nodiscard]] Outcome bound(const Job& job, std::span<const std::byte> report, bool open_ended);
    void count(const Job& job, const SayDone& said) noexcept;
    void end_cancel(const Job& job) noexcept;
    void broken() noexcept;
    void die();
    [[nodiscard]] Outcome outcome_of_death(std::uint32_t slot, Cause cause) noexcept;
    [[nodiscard]] std::uint32_t end_code() const noexcept;
    [[nodiscard]] std::string why_dead(Cause cause, std::span<const std::pair<std::uint32_t, Outcome>> ended) const;

    Channel& channel_;
    Services& services_;
    std::uint32_t context_;
    bool open_ = false;
    fl_accel_reason fate_ = FL_ACCEL_REASON_NONE;
    RingWriter submit_;
    RingReader complete_;
    struct Waiting {
        Ask ask;
        std::vector<std::byte> payload;
    };
    std::deque<Waiting> waiting_;  ///< for room in the ring; at most as many as there are jobs
    std::array<Stream, FL_ACCEL_MAX_QUEUES> streams_{};
    std::uint32_t canceled_ = 0;     ///< jobs
    std::uint32_t idle_builds_ = 0;  ///< loads that were canceled, and are compiled all the same
    bool ready_told_ = false;        ///< or why it is not
    bool crash_told_ = false;        ///< it said itself which kernel it was
};

}  // namespace farlane::backend::worker
