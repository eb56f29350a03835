// SPDX-License-Identifier: Apache-2.0
// Receives: jobs of the command processor. Hands on: their outcomes.
// Owns: device memory, the thread pool and one task slot per job in flight.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "devices/accel/cpu/energy.hpp"
#include "devices/accel/cpu/tasks.hpp"

namespace farlane::firmware::accel {
namespace {

using backend::AccessList;
using backend::BindRequest;
using backend::JobDone;
using backend::JobOwner;
using backend::LaunchRequest;
using backend::LoadRequest;
using backend::Outcome;

constexpr unsigned kMaxThreads = 256;

/// Anonymous memory: pages come when they are touched.
class Pages {
public:
    explicit Pages(std::size_t bytes) noexcept : bytes_(bytes) {
        if (bytes == 0) return;
        void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        base_ = p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
        if (base_ != nullptr) (void)madvise(p, bytes, MADV_HUGEPAGE);  // bulk copies touch every page once
    }
    ~Pages() {
        if (base_ != nullptr) munmap(base_, bytes_);
    }
    Pages(Pages&& other) noexcept : base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_) {}
    Pages& operator=(Pages&&) = delete;
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {base_, base_ == nullptr ? 0 : bytes_}; }

private:
    std::byte* base_ = nullptr;
    std::size_t bytes_;
};

class CpuExecutor final : public backend::Executor {
public:
    CpuExecutor(Pages own, std::span<std::byte> memory, const KernelTable& loops,
                const backend::CpuExecutorOptions& options, unsigned threads)
        : own_(std::move(own)),
          memory_(memory),
          view_{memory.data(), options.plan.address},
          loops_(loops),
          names_(names_of(loops, threads)),
          bound_(std::size_t{options.plan.contexts} * kHandles),
          usage_(options.plan.contexts),
          slots_(options.max_jobs),
          pool_(threads, options.max_jobs, options.plan.contexts, options.wake) {}

    fl_accel_executor kind() const noexcept override { return FL_ACCEL_EXECUTOR_CPU; }
    std::uint64_t capabilities() const noexcept override { return energy_.available() ? FL_ACCEL_CAP_ENERGY : 0; }
    std::uint32_t units() const noexcept override { return pool_.threads(); }
    std::span<const std::byte> names() const noexcept override { return std::as_bytes(std::span(names_)); }
    std::span<std::byte> memory() const noexcept override { return memory_; }

    void open(std::uint32_t context) noexcept override { usage_[context] = {}; }

    Answer load(std::uint64_t, const LoadRequest& request) noexcept override {
        if (request.kind != FL_ACCEL_MODULE_BUILTIN) {
            return Outcome{FL_ACCEL_REASON_BAD_KIND, static_cast<std::uint32_t>(request.kind), 0};
        }
        if (request.image_bytes != 0) return Outcome{FL_ACCEL_REASON_BAD_IMAGE, 0, 0};
        return Outcome{};
    }
    void unload(const JobOwner&, std::uint32_t) noexcept override {}

    Answer bind(std::uint64_t, const BindRequest& request) noexcept override {
        const auto kernel = find_builtin(request.name);
        if (!kernel) return Outcome{FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        bound_[request.owner.context * kHandles + request.kernel] = static_cast<std::uint8_t>(*kernel);
        return Outcome{FL_ACCEL_REASON_NONE, 0, builtin_argument_bytes(*kernel)};
    }

    Outcome prepare(const LaunchRequest& request, AccessList& touches) const noexcept override {
        const Builtin kernel = kernel_of(request);
        if (request.arguments.size() != builtin_argument_bytes(kernel)) {
            return {FL_ACCEL_REASON_ARGUMENT_BYTES, builtin_argument_bytes(kernel), 0};
        }
        const auto all_zero = [](const auto& v) {
            return std::all_of(v.begin(), v.end(), [](auto n) { return n == 0; });
        };
        const bool plain = request.dimensions == 0 && request.shared_bytes == 0 && all_zero(request.grid) &&
                           all_zero(request.block) && all_zero(request.offset);
        if (!plain) return {FL_ACCEL_REASON_BAD_GRID, 0, 0};
        return check_builtin(kernel, request.arguments, touches);
    }

    Answer launch(std::uint64_t job, const LaunchRequest& request) noexcept override {
        const std::uint32_t context = request.owner.context;
        if (is_small(kernel_of(request), request.arguments)) {
            AnyTask task;
            return run_now(make_task(task, request), context);
        }
        Slot& slot = free_slot(job, context, true);
        const Work work = make_task(slot.task, request);
        pool_.submit(job, *work.task, work.parts, true, context);
        return std::nullopt;
    }
    Answer copy(std::uint64_t job, const JobOwner& owner, std::uint64_t destination, std::uint64_t source,
                std::uint64_t bytes, bool) noexcept override {
        start<CopyTask>(free_slot(job, owner.context, false), view_.at(destination), view_.at(source), bytes);
        return std::nullopt;
    }
    Answer fill(std::uint64_t job, const JobOwner& owner, std::uint64_t destination, std::uint64_t bytes,
                std::span<const std::byte> pattern, bool) noexcept override {
        start<FillTask>(free_slot(job, owner.context, false), view_.at(destination), bytes, pattern);
        return std::nullopt;
    }
    Answer scrub(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                 std::uint64_t bytes) noexcept override {
        start<ScrubTask>(free_slot(job, owner.context, false), view_.at(address), bytes);
        return std::nullopt;
    }
    Answer scrub_all(std::uint64_t job) noexcept override {
        start<ScrubTask>(free_slot(job, 0, false), memory_.data(), memory_.size());
        return std::nullopt;
    }

    bool next_done(JobDone& done) noexcept override {
        PoolDone ended;
        if (!pool_.take(ended)) return false;
        done = ended.job;
        const auto slot =
            std::find_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.used && s.job == done.job; });
        if (slot == slots_.end()) return true;
        slot->used = false;
        Usage& usage = usage_[slot->context];
        if (slot->is_kernel) usage.busy_ns += ended.busy_ns;
        if (slot->is_kernel && done.outcome.ok()) ++usage.kernels;
        return true;
    }
    bool has_done() const noexcept override { return pool_.has_done(); }
    void cancel(std::uint64_t job) noexcept override { pool_.cancel(job); }
    Usage usage() const noexcept override {
        return {pool_.kernels_run() + run_now_.kernels, pool_.busy_ns() + run_now_.busy_ns, 0};
    }
    Usage usage(std::uint32_t context) const noexcept override { return usage_[context]; }
    std::uint64_t energy_uj() noexcept override { return energy_.used_uj(); }

private:
    static constexpr std::size_t kHandles = backend::kMaxKernels + 1;
    struct Slot {
        std::uint64_t job = 0;
        std::uint32_t context = 0;
        bool used = false;
        bool is_kernel = false;
        AnyTask task;
    };

    /// FL_ACCEL_PROPERTY_DEVICE_NAMES.
    static std::string names_of(const KernelTable& loops, unsigned threads) {
        std::string text = "processor, " + std::to_string(threads) + (threads == 1 ? " thread, " : " threads, ");
        text.append(loops.name).push_back('\0');
        text.append("Farlane").push_back('\0');
        text.append("built in").push_back('\0');
        return text;
    }
    [[nodiscard]] Builtin kernel_of(const LaunchRequest& request) const noexcept {
        return static_cast<Builtin>(bound_[request.owner.context * kHandles + request.kernel]);
    }
    /// The caller keeps to max_jobs, so there is one.
    Slot& free_slot(std::uint64_t job, std::uint32_t context, bool is_kernel) noexcept {
        const auto slot = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.used; });
        slot->used = true;
        slot->job = job;
        slot->context = context;
        slot->is_kernel = is_kernel;
        return *slot;
    }

    struct Work {
        PoolTask* task = nullptr;
        std::size_t parts = 0;
    };
    template <class Task, class... Args>
    static Work make(AnyTask& in, Args&&... args) noexcept {
        Task& task = in.template emplace<Task>(std::forward<Args>(args)...);
        return {&task, task.parts()};
    }
    [[nodiscard]] Work make_task(AnyTask& in, const LaunchRequest& request) const noexcept {
        const auto a = request.arguments;
        switch (kernel_of(request)) {
            case Builtin::fill: return make_fill(in, read_arguments<fl_accel_args_fill>(a));
            case Builtin::copy: return make<CopyTask>(in, view_, read_arguments<fl_accel_args_copy>(a));
            case Builtin::axpy_f32: return make<AxpyTask>(in, view_, loops_, read_arguments<fl_accel_args_axpy_f32>(a));
            case Builtin::gemm_f32: return make<GemmTask>(in, view_, loops_, read_arguments<fl_accel_args_gemm_f32>(a));
            case Builtin::reduce_f32:
                return make<ReduceTask>(in, view_, loops_, read_arguments<fl_accel_args_reduce_f32>(a));
            case Builtin::conv2d_f32:
                return make<ConvTask>(in, view_, loops_, read_arguments<fl_accel_args_conv2d_f32>(a));
            case Builtin::conv2d_rgba8:
                return make<ConvTask>(in, view_, loops_, read_arguments<fl_accel_args_conv2d_rgba8>(a));
            case Builtin::sha256: return make<Sha256Task>(in, view_, loops_, read_arguments<fl_accel_args_sha256>(a));
        }
        return {};
    }
    [[nodiscard]] Work make_fill(AnyTask& in, const fl_accel_args_fill& args) const noexcept {
        const std::span pattern{reinterpret_cast<const std::byte*>(args.pattern), args.pattern_bytes.get()};
        return make<FillTask>(in, view_.at(args.destination.get()), args.count.get() * pattern.size(), pattern);
    }
    template <class Task, class... Args>
    void start(Slot& slot, Args&&... args) noexcept {
        const Work work = make<Task>(slot.task, std::forward<Args>(args)...);
        pool_.submit(slot.job, *work.task, work.parts, slot.is_kernel, slot.context);
    }
    /// Handing it to a thread would take longer.
    Outcome run_now(const Work& work, std::uint32_t context) noexcept {
        static const std::atomic<bool> kGoOn{false};
        const auto begin = std::chrono::steady_clock::now();
        Outcome outcome;
        try {
            for (std::size_t i = 0; i < work.parts && outcome.ok(); ++i) outcome = work.task->run(i, scratch_, kGoOn);
            if (outcome.ok()) outcome = work.task->finish();
        } catch (const std::bad_alloc&) {
            outcome = {FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
        }
        const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
        for (Usage* u : {&usage_[context], &run_now_}) {
            u->busy_ns += static_cast<std::uint64_t>(took.count());
            u->kernels += outcome.ok() ? 1 : 0;
        }
        return outcome;
    }

    Pages own_;
    std::span<std::byte> memory_;
    View view_;
    const KernelTable& loops_;
    std::string names_;
    std::vector<std::uint8_t> bound_;  ///< by context and kernel handle: a Builtin
    std::vector<Usage> usage_;
    Usage run_now_;    ///< by the lane itself
    Scratch scratch_;  ///< for that
    PackageEnergy energy_;
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
    const std::uint64_t bytes = options.memory.empty() ? options.plan.aperture_bytes : 0;
    Pages own(bytes);
    if (bytes != 0 && own.bytes().empty()) {
        return {Status::no_memory,
                "no address space for " + std::to_string(bytes) + " bytes of device memory; ask for less (memory=)"};
    }
    const auto memory = options.memory.empty() ? own.bytes() : options.memory;
    const unsigned found = std::max(1U, std::thread::hardware_concurrency());
    const unsigned threads = std::min(kMaxThreads, options.threads == 0 ? found : options.threads);
    return std::unique_ptr<Executor>(std::make_unique<CpuExecutor>(std::move(own), memory, **loops, options, threads));
}

}  // namespace farlane::backend
