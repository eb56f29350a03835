// SPDX-License-Identifier: Apache-2.0
// Receives: jobs of the command processor. Hands on: their outcomes.
// Owns: device memory, the thread pool and one task slot per job in flight.
#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {
namespace {

using backend::AccessList;
using backend::JobDone;
using backend::LaunchRequest;
using backend::Outcome;

constexpr std::uint32_t kModuleToken = 1;  // there is one module, the built-in one
constexpr unsigned kMaxThreads = 256;

/// Anonymous memory: pages come when they are touched.
class Pages {
public:
    explicit Pages(std::size_t bytes) noexcept : bytes_(bytes) {
        void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        base_ = p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
    }
    ~Pages() {
        if (base_ != nullptr) munmap(base_, bytes_);
    }
    Pages(Pages&& other) noexcept : base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_) {}
    Pages& operator=(Pages&&) = delete;
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {base_, base_ == nullptr ? 0 : bytes_}; }

private:
    std::byte* base_;
    std::size_t bytes_;
};

class CpuExecutor final : public backend::Executor {
public:
    CpuExecutor(Pages memory, const KernelTable& loops, const backend::CpuExecutorOptions& options, unsigned threads)
        : memory_(std::move(memory)),
          view_{memory_.bytes().data(), options.memory_address},
          loops_(loops),
          slots_(options.max_jobs),
          pool_(threads, options.max_jobs, options.wake) {}

    fl_accel_executor kind() const noexcept override { return FL_ACCEL_EXECUTOR_CPU; }
    std::uint64_t capabilities() const noexcept override { return 0; }
    std::uint32_t units() const noexcept override { return pool_.threads(); }
    std::span<std::byte> memory() const noexcept override { return memory_.bytes(); }

    Outcome load(fl_accel_module_kind kind, std::span<const std::byte> image) noexcept override {
        if (kind != FL_ACCEL_MODULE_BUILTIN) return {FL_ACCEL_REASON_BAD_KIND, static_cast<std::uint32_t>(kind), 0};
        if (!image.empty()) return {FL_ACCEL_REASON_BAD_IMAGE, 0, 0};
        return {FL_ACCEL_REASON_NONE, 0, kModuleToken};
    }
    void unload(std::uint32_t) noexcept override {}

    Outcome bind(std::uint32_t, std::string_view name) noexcept override {
        const auto kernel = find_builtin(name);
        if (!kernel) return {FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        return {FL_ACCEL_REASON_NONE, builtin_argument_bytes(*kernel), static_cast<std::uint64_t>(*kernel)};
    }

    Outcome prepare(const LaunchRequest& request, AccessList& touches) const noexcept override {
        const auto kernel = static_cast<Builtin>(request.kernel);
        if (request.arguments.size() != builtin_argument_bytes(kernel)) {
            return {FL_ACCEL_REASON_ARGUMENT_BYTES, builtin_argument_bytes(kernel), 0};
        }
        const bool shaped = std::any_of(request.grid.begin(), request.grid.end(), [](auto v) { return v != 0; }) ||
                            std::any_of(request.block.begin(), request.block.end(), [](auto v) { return v != 0; });
        if (shaped || request.shared_bytes != 0) return {FL_ACCEL_REASON_BAD_GRID, 0, 0};
        return check_builtin(kernel, request.arguments, touches);
    }

    void launch(std::uint64_t job, const LaunchRequest& request) noexcept override {
        AnyTask& slot = free_slot(job);
        const auto arguments = request.arguments;
        switch (static_cast<Builtin>(request.kernel)) {
            case Builtin::fill: return launch_fill(job, slot, read_arguments<fl_accel_args_fill>(arguments));
            case Builtin::copy:
                return start<CopyTask>(job, slot, true, view_, read_arguments<fl_accel_args_copy>(arguments));
            case Builtin::axpy_f32: return kernel<AxpyTask, fl_accel_args_axpy_f32>(job, slot, arguments);
            case Builtin::gemm_f32: return kernel<GemmTask, fl_accel_args_gemm_f32>(job, slot, arguments);
            case Builtin::reduce_f32: return kernel<ReduceTask, fl_accel_args_reduce_f32>(job, slot, arguments);
            case Builtin::conv2d_f32: return kernel<ConvTask, fl_accel_args_conv2d_f32>(job, slot, arguments);
            case Builtin::conv2d_rgba8: return kernel<ConvTask, fl_accel_args_conv2d_rgba8>(job, slot, arguments);
            case Builtin::sha256: return kernel<Sha256Task, fl_accel_args_sha256>(job, slot, arguments);
        }
    }
    void copy(std::uint64_t job, std::uint64_t destination, std::uint64_t source,
              std::uint64_t bytes) noexcept override {
        start<CopyTask>(job, free_slot(job), false, view_.at(destination), view_.at(source), bytes);
    }
    void fill(std::uint64_t job, std::uint64_t destination, std::uint64_t bytes,
              std::span<const std::byte> pattern) noexcept override {
        start<FillTask>(job, free_slot(job), false, view_.at(destination), bytes, pattern);
    }
    void scrub(std::uint64_t job, std::uint64_t address, std::uint64_t bytes) noexcept override {
        start<ScrubTask>(job, free_slot(job), false, view_.at(address), bytes);
    }

    bool next_done(JobDone& done) noexcept override {
        if (!pool_.take(done)) return false;
        for (Slot& s : slots_) {
            if (s.used && s.job == done.job) s.used = false;
        }
        return true;
    }
    bool has_done() const noexcept override { return pool_.has_done(); }
    void cancel(std::uint64_t job) noexcept override { pool_.cancel(job); }
    std::uint64_t kernels_run() const noexcept override { return pool_.kernels_run(); }
    std::uint64_t busy_ns() const noexcept override { return pool_.busy_ns(); }

private:
    struct Slot {
        std::uint64_t job = 0;
        bool used = false;
        AnyTask task;
    };

    /// The caller keeps to max_jobs, so there is one.
    AnyTask& free_slot(std::uint64_t job) noexcept {
        const auto slot = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.used; });
        slot->used = true;
        slot->job = job;
        return slot->task;
    }

    template <class Task, class... Args>
    void start(std::uint64_t job, AnyTask& slot, bool is_kernel, Args&&... args) noexcept {
        Task& task = slot.template emplace<Task>(std::forward<Args>(args)...);
        pool_.submit(job, task, task.parts(), is_kernel);
    }
    template <class Task, class Args>
    void kernel(std::uint64_t job, AnyTask& slot, std::span<const std::byte> arguments) noexcept {
        start<Task>(job, slot, true, view_, loops_, read_arguments<Args>(arguments));
    }
    void launch_fill(std::uint64_t job, AnyTask& slot, const fl_accel_args_fill& args) noexcept {
        const std::span pattern{reinterpret_cast<const std::byte*>(args.pattern), args.pattern_bytes.get()};
        start<FillTask>(job, slot, true, view_.at(args.destination.get()), args.count.get() * pattern.size(), pattern);
    }

    Pages memory_;
    View view_;
    const KernelTable& loops_;
    std::vector<Slot> slots_;
    Pool pool_;  ///< last: its threads end before anything they use
};

}  // namespace
}  // namespace farlane::firmware::accel

namespace farlane::backend {

Result<std::unique_ptr<Executor>> make_cpu_executor(const CpuExecutorOptions& options) {
    using namespace firmware::accel;
    auto loops = select_kernels(options.isa);
    if (!loops) return loops.failure();
    Pages memory(options.memory_bytes);
    if (memory.bytes().empty()) {
        return {Status::no_memory, "no address space for " + std::to_string(options.memory_bytes) +
                                       " bytes of device memory; ask for less (memory=)"};
    }
    const unsigned found = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = std::min(kMaxThreads, options.threads == 0 ? found : options.threads);
    return std::unique_ptr<Executor>(std::make_unique<CpuExecutor>(std::move(memory), **loops, options, threads));
}

}  // namespace farlane::backend
