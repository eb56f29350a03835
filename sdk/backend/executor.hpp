// SPDX-License-Identifier: Apache-2.0
// Receives: checked work of an accelerator function. Hands on: the outcome of each job.
// Owns: nothing. The ops table between the command processor (firmware_sim/devices/accel) and
// executors (cpu; opencl and cuda in worker processes). docs/accelerator.md, "Executors".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <farlane/uapi/accel.h>
#include <farlane/status.hpp>

namespace farlane::backend {

/// How a step of a command ended. `reason` none = success.
struct Outcome {
    fl_accel_reason reason = FL_ACCEL_REASON_NONE;
    std::uint32_t detail = 0;
    std::uint64_t value = 0;
    [[nodiscard]] constexpr bool ok() const noexcept { return reason == FL_ACCEL_REASON_NONE; }
};

/// A range of device memory that a command touches, by device address.
struct Access {
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
    bool write = false;
    std::uint32_t field = 0;  ///< offset of the address in the command or argument block, for errors
};

/// What one command touches, in no order. A command that names more than fit touches, besides those, everything its
/// context has (`all`).
class AccessList {
public:
    static constexpr std::size_t kCapacity = 16;
    [[nodiscard]] bool add(const Access& access) noexcept {
        if (count_ == kCapacity) return false;
        items_[count_++] = access;
        return true;
    }
    void add_all() noexcept { all_ = true; }
    void clear() noexcept {
        count_ = 0;
        all_ = false;
    }
    [[nodiscard]] std::span<const Access> items() const noexcept { return {items_.data(), count_}; }
    [[nodiscard]] bool all() const noexcept { return all_; }

private:
    std::array<Access, kCapacity> items_{};
    std::size_t count_ = 0;
    bool all_ = false;
};

/// Handles a context can have, from 1.
inline constexpr std::uint32_t kMaxModules = 64;
inline constexpr std::uint32_t kMaxKernels = 256;

/// Whose job it is: jobs of one stream that the executor chains (below) run in the order they were given in.
struct JobOwner {
    std::uint32_t context = 0;
    std::uint32_t stream = 0;  ///< number of the queue pair
};

/// A module to load. Image and report are device memory in the range of the context, seen through the aperture;
/// nobody else writes them until the job is done, except a hostile host.
struct LoadRequest {
    JobOwner owner;
    std::uint32_t module = 0;  ///< handle of the context
    fl_accel_module_kind kind = FL_ACCEL_MODULE_BUILTIN;
    std::uint64_t image_address = 0, image_bytes = 0;
    std::uint64_t report_address = 0, report_bytes = 0;  ///< struct fl_accel_module_report
    std::string_view options;
};
struct BindRequest {
    JobOwner owner;
    std::uint32_t module = 0, kernel = 0;  ///< handles of the context
    std::string_view name;
    std::uint64_t report_address = 0, report_bytes = 0;  ///< struct fl_accel_kernel_report
};
/// A launch, checked by nobody yet. What it points to stays until launch() returns.
struct LaunchRequest {
    JobOwner owner;
    std::uint32_t kernel = 0;  ///< handle of the context
    std::span<const std::byte> arguments;
    std::uint32_t dimensions = 0;  ///< 0: a built-in kernel's
    std::array<std::uint32_t, 3> grid{}, block{}, offset{};
    std::uint32_t shared_bytes = 0;
    /// Given while earlier chained jobs of its stream are in flight: when one of them fails, this one does not run and
    /// ends with reason `poisoned`.
    bool behind = false;
};

/// A job that has ended.
struct JobDone {
    std::uint64_t job = 0;
    Outcome outcome;
};

/// Memory of the accelerator itself, outside the aperture; context c has [address + c * stride, + bytes).
struct LocalMemory {
    std::uint64_t address = 0, bytes = 0, stride = 0;
};

/// Which device addresses there are. Offset x of the aperture is device address `address + x`; the submission queues
/// come first, then the ranges of the contexts: context c has [address + first + c * stride, + context_bytes), and
/// behind that `bounce_bytes` more, always committed, that only the device itself uses.
struct MemoryPlan {
    std::uint64_t address = 0;
    std::uint64_t aperture_bytes = 0;
    std::uint64_t first = 0;          ///< bytes ahead of the first range: the submission queues
    std::uint64_t context_bytes = 0;  ///< of one range
    std::uint64_t bounce_bytes = 0;
    std::uint64_t stride = 0;  ///< 0: all contexts share one range
    std::uint32_t contexts = 0;
};

/// Executes; knows nothing of queues or hosts. All calls come from the lane of its device and return
/// at once; jobs run on threads or processes of the executor, which call `wake` (given at
/// construction) after each. Every range of a job was checked by the caller against prepare()'s
/// list, so addresses in it are inside device memory and allocated by the context.
///
/// Calls that take `job` either answer at once (an Outcome: there is no job) or begin the job
/// (nullopt: next_done() gives its outcome later). `job` is any number not in use; at most
/// `max_jobs` (given at construction) are in flight.
class Executor {
public:
    virtual ~Executor() = default;
    using Answer = std::optional<Outcome>;

    // --- what it is; constant
    [[nodiscard]] virtual fl_accel_executor kind() const noexcept = 0;
    /// FL_ACCEL_CAP_* bits of the module kinds it takes besides the built-in one, and of energy.
    [[nodiscard]] virtual std::uint64_t capabilities() const noexcept = 0;
    [[nodiscard]] virtual std::uint32_t units() const noexcept = 0;
    /// FL_ACCEL_PROPERTY_DEVICE_NAMES and FL_ACCEL_PROPERTY_OPENCL_INFO; empty = not offered.
    [[nodiscard]] virtual std::span<const std::byte> names() const noexcept = 0;
    [[nodiscard]] virtual std::span<const std::byte> opencl_info() const noexcept { return {}; }
    /// FL_ACCEL_PROPERTY_OUTPUT: what kernels of the context printed, without the zero, at most `most` bytes, which are
    /// forgotten. Until the next call; nothing = not offered.
    [[nodiscard]] virtual std::optional<std::span<const std::byte>> output(std::uint32_t context,
                                                                           std::size_t most) noexcept {
        (void)context, (void)most;
        return std::nullopt;
    }
    /// All that the aperture shows, zeroed.
    [[nodiscard]] virtual std::span<std::byte> memory() const noexcept = 0;
    [[nodiscard]] virtual LocalMemory local() const noexcept { return {}; }

    // --- contexts
    /// A context begins. Not a job; what goes wrong with its start is the outcome of its first jobs.
    virtual void open(std::uint32_t context) noexcept { (void)context; }
    /// It ends: no job of it is in flight, its allocations were scrubbed. From the outcome on nothing of it
    /// touches memory any more, and its range is zero.
    [[nodiscard]] virtual Answer close(std::uint64_t job, std::uint32_t context) noexcept {
        (void)job, (void)context;
        return Outcome{};
    }
    /// Its worker is gone (killed or crashed): all its jobs have failed, and no more are taken until close().
    [[nodiscard]] virtual bool lost(std::uint32_t context) const noexcept {
        (void)context;
        return false;
    }

    // --- memory
    /// An allocation was made: kernels of the context may use it from the outcome on.
    [[nodiscard]] virtual Answer commit(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                                        std::uint64_t bytes) noexcept {
        (void)job, (void)owner, (void)address, (void)bytes;
        return Outcome{};
    }
    /// An allocation ends: makes the range zero, takes it away from kernels, may give the memory back to the system.
    [[nodiscard]] virtual Answer scrub(std::uint64_t job, const JobOwner& owner, std::uint64_t address,
                                       std::uint64_t bytes) noexcept = 0;
    /// After a reset: ends every context, then makes everything the aperture shows, and local memory, zero. No job is
    /// in flight.
    [[nodiscard]] virtual Answer scrub_all(std::uint64_t job) noexcept = 0;
    [[nodiscard]] virtual Answer copy(std::uint64_t job, const JobOwner& owner, std::uint64_t destination,
                                      std::uint64_t source, std::uint64_t bytes, bool behind) noexcept = 0;
    [[nodiscard]] virtual Answer fill(std::uint64_t job, const JobOwner& owner, std::uint64_t destination,
                                      std::uint64_t bytes, std::span<const std::byte> pattern,
                                      bool behind) noexcept = 0;

    // --- modules and kernels
    [[nodiscard]] virtual Answer load(std::uint64_t job, const LoadRequest& request) noexcept = 0;
    virtual void unload(const JobOwner& owner, std::uint32_t module) noexcept = 0;  ///< and its kernels
    /// Outcome::value = size of the argument block in bytes, 0 = it differs from launch to launch.
    [[nodiscard]] virtual Answer bind(std::uint64_t job, const BindRequest& request) noexcept = 0;
    /// Checks a launch of a bound kernel and lists what it touches.
    [[nodiscard]] virtual Outcome prepare(const LaunchRequest& request, AccessList& touches) const noexcept = 0;
    [[nodiscard]] virtual Answer launch(std::uint64_t job, const LaunchRequest& request) noexcept = 0;

    /// Such a job may be given while earlier chained jobs of its stream are in flight: the executor keeps their order.
    [[nodiscard]] virtual bool chains(const LaunchRequest& request) const noexcept {
        (void)request;
        return false;
    }
    /// Copies; fills with `source` = `destination`.
    [[nodiscard]] virtual bool chains(std::uint64_t destination, std::uint64_t source) const noexcept {
        (void)destination, (void)source;
        return false;
    }

    // --- ends
    /// The next ended job; false = none.
    [[nodiscard]] virtual bool next_done(JobDone& done) noexcept = 0;
    /// next_done() would give one now. Any thread.
    [[nodiscard]] virtual bool has_done() const noexcept = 0;
    /// The job ends soon, with reason `execution` unless it just ended; next_done() still gives it. A kernel in a
    /// worker that can not be stopped costs the context its worker.
    virtual void cancel(std::uint64_t job) noexcept = 0;

    // --- use; since power-on
    struct Usage {
        std::uint64_t kernels = 0, busy_ns = 0, worker_bytes = 0;
    };
    [[nodiscard]] virtual Usage usage() const noexcept = 0;
    /// Of one open context.
    [[nodiscard]] virtual Usage usage(std::uint32_t context) const noexcept = 0;
    /// With FL_ACCEL_CAP_ENERGY.
    [[nodiscard]] virtual std::uint64_t energy_uj() noexcept { return 0; }
};

struct CpuExecutorOptions {
    MemoryPlan plan;
    std::uint32_t threads = 0;  ///< 0 = as many as the machine has
    std::uint32_t max_jobs = 1;
    std::string_view isa = "auto";  ///< "auto", "portable", "avx2", "avx512"
    std::function<void()> wake;     ///< any thread; must not block
    /// Memory of somebody else to work on, as long as the executor lives; empty = memory of its own.
    std::span<std::byte> memory;
};
/// Errors: no_memory; invalid or unsupported (isa).
[[nodiscard]] Result<std::unique_ptr<Executor>> make_cpu_executor(const CpuExecutorOptions& options);

/// What runs in one worker process per context (sdk/backend/worker).
struct WorkerExecutorOptions {
    fl_accel_executor kind = FL_ACCEL_EXECUTOR_OPENCL;
    std::string name;                 ///< of the device, for the log
    MemoryPlan plan;                  ///< with a stride: contexts share no memory
    std::string device;               ///< which one: part of its name, or "N"; "" = the first
    std::string worker;               ///< path of the worker program; "" = the one that was installed with this library
    std::uint32_t time_limit_ms = 0;  ///< of one kernel; 0 = none
    std::uint32_t build_limit_ms = 0;  ///< of one module that is compiled; 0 = none
    std::uint64_t local_bytes = 0;     ///< local memory at most; 0 = what the device has
    enum class Place : std::uint8_t { automatic, aperture, local } place = Place::automatic;  ///< of kernels' memory
    CpuExecutorOptions
        cpu;  ///< for the built-in kernels, copies and fills in the aperture; its plan and memory are not used
    std::uint32_t max_jobs = 1;
    std::function<void()> wake;
    std::function<void(std::string)> log;  ///< a line; any thread; must not block; none: standard error
};
/// Starts the worker once to look at its devices. Errors: unsupported (no such runtime or device; the text lists what
/// was found), not_found (no worker program), no_memory, io.
[[nodiscard]] Result<std::unique_ptr<Executor>> make_worker_executor(const WorkerExecutorOptions& options);
/// When a daemon starts: removes the folders that workers of this user's dead daemons left behind.
void sweep_worker_folders() noexcept;

}  // namespace farlane::backend
