// SPDX-License-Identifier: Apache-2.0
// Receives: checked work of an accelerator function. Hands on: records to workers, jobs to the cpu executor, outcomes.
// Owns: the aperture, the workers, the cpu executor for what touches only the aperture.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "backend/log_limit.hpp"
#include "backend/worker/aperture.hpp"
#include "backend/worker/janitor.hpp"
#include "backend/worker/link.hpp"
#include "backend/worker/probe.hpp"
#include "backend/worker/watch.hpp"

namespace farlane::backend::worker {

/// Where control memory of each context's worker is mapped; always readable.
class ControlMemory {
public:
    [[nodiscard]] static Result<std::unique_ptr<ControlMemory>> make(std::uint32_t contexts);
    ~ControlMemory();
    ControlMemory(const ControlMemory&) = delete;
    ControlMemory& operator=(const ControlMemory&) = delete;
    [[nodiscard]] Control* at(std::uint32_t context) const noexcept;
    /// New memory for a worker, sealed at its size; not valid: there is no more.
    [[nodiscard]] Handle renew(std::uint32_t context) noexcept;
    /// Zeros that no worker sees.
    void clear(std::uint32_t context) noexcept;

private:
    ControlMemory(std::byte* base, std::uint32_t contexts) : base_(base), contexts_(contexts) {}
    std::byte* base_;
    std::uint32_t contexts_;
};

class WorkerExecutor final : public Executor {
public:
    struct Parts {
        std::unique_ptr<Aperture> aperture;
        std::unique_ptr<ControlMemory> control;
        std::unique_ptr<Executor> cpu;
        FoundDevice device;
        std::string program;
        Place place = Place::aperture;
        LocalMemory local;
    };
    WorkerExecutor(const WorkerExecutorOptions& options, Parts parts);

    fl_accel_executor kind() const noexcept override { return kind_; }
    std::uint64_t capabilities() const noexcept override { return parts_.device.capabilities; }
    std::uint32_t units() const noexcept override { return parts_.device.units; }
    std::span<const std::byte> names() const noexcept override { return std::as_bytes(std::span(names_)); }
    std::span<const std::byte> opencl_info() const noexcept override { return parts_.device.info; }
    std::optional<std::span<const std::byte>> output(std::uint32_t context, std::size_t most) noexcept override;
    std::span<std::byte> memory() const noexcept override { return parts_.aperture->all(); }
    LocalMemory local() const noexcept override { return parts_.local; }

    void open(std::uint32_t context) noexcept override;
    Answer close(std::uint64_t job, std::uint32_t context) noexcept override;
    bool lost(std::uint32_t context) const noexcept override { return links_[context].lost(); }

    Answer commit(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                  std::uint64_t bytes) noexcept override;
    Answer scrub(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                 std::uint64_t bytes) noexcept override;
    Answer scrub_all(std::uint64_t job) noexcept override;
    Answer copy(std::uint64_t job, const JobOwner& owner, std::uint64_t destination, std::uint64_t source,
                std::uint64_t bytes, bool behind) noexcept override;
    Answer fill(std::uint64_t job, const JobOwner& owner, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern, bool behind) noexcept override;

    Answer load(std::uint64_t job, const LoadRequest& request) noexcept override;
    void unload(const JobOwner& owner, std::uint32_t module) noexcept override;
    Answer bind(std::uint64_t job, const BindRequest& request) noexcept override;
    Outcome prepare(const LaunchRequest& request, AccessList& touches) const noexcept override;
    Answer launch(std::uint64_t job, const LaunchRequest& request) noexcept override;
    bool chains(const LaunchRequest& request) const noexcept override;
    bool chains(std::uint64_t destination, std::uint64_t source) const noexcept override;

    bool next_done(JobDone& done) noexcept override;
    bool has_done() const noexcept override;
    void cancel(std::uint64_t job) noexcept override;
    Usage usage() const noexcept override;
    Usage usage(std::uint32_t context) const noexcept override;
    std::uint64_t energy_uj() noexcept override;

private:
    [[nodiscard]] bool is_local(std::uint64_t address) const noexcept {
        return parts_.local.bytes != 0 && address - parts_.local.address < parts_.local.stride * channels_.size();
    }
    [[nodiscard]] Link::Services make_services();
    [[nodiscard]] Setup setup_of(std::uint32_t context) const noexcept;
    [[nodiscard]] std::optional<Outcome> refusal(std::uint32_t context) const noexcept;
    /// A job for the worker of its context, or why there is none.
    template <class AskStruct>
    Answer give(std::uint64_t job, JobKind kind, const JobOwner& owner, Ask ask, AskStruct record,
                std::span<const std::byte> more = {}, std::uint32_t handle = 0) noexcept;
    /// The built-in module works on the aperture in the daemon, on local memory in the worker.
    Answer load_builtin(std::uint64_t job, const LoadRequest& request) noexcept;
    Answer bind_builtin(std::uint64_t job, const BindRequest& request) noexcept;
    [[nodiscard]] Outcome prepare_builtin(const LaunchRequest& request, AccessList& touches) const noexcept;
    [[nodiscard]] bool is_on_local(const LaunchRequest& request) const noexcept;
    Answer launch_builtin(std::uint64_t job, const LaunchRequest& request) noexcept;
    Answer launch_in_worker(std::uint64_t job, const LaunchRequest& request) noexcept;
    [[nodiscard]] bool fits_device(const LaunchRequest& request, const Signature& signature) const noexcept;
    [[nodiscard]] Outcome prepare_loaded(const LaunchRequest& request, const Signature& signature,
                                         AccessList& touches) const noexcept;
    void ended(std::uint32_t slot) noexcept;
    void punch(std::uint32_t slot);
    void end_context(std::uint32_t context) noexcept;
    [[nodiscard]] std::uint64_t worker_bytes(std::uint32_t context) const noexcept;

    fl_accel_executor kind_;
    Parts parts_;
    std::string names_;
    std::string name_;       ///< of the device
    std::string complaint_;  ///< the last one of a worker
    LogLimit losses_{"lost contexts"};
    std::uint64_t energy_uj_ = 0;
    std::uint64_t made_ns_ = now_ns();
    std::function<void()> wake_;
    std::function<void(std::string)> log_;
    std::vector<std::byte> scratch_;
    std::vector<std::byte> output_;
    Jobs jobs_;
    std::vector<Channel> channels_;
    std::deque<JobDone> ready_;
    std::atomic<std::uint32_t> ready_count_{0};
    std::uint32_t clearing_ = 0;  ///< contexts that still end before all is cleared
    std::uint32_t clear_slot_ = Job::kNone;
    std::uint32_t next_link_ = 0;  ///< whose turn it is
    Usage past_;                   ///< of contexts that ended
    Janitor janitor_;
    Watch watch_;
    Link::Services services_;
    std::vector<Link> links_;
};

}  // namespace farlane::backend::worker
