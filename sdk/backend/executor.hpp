// SPDX-License-Identifier: Apache-2.0
// Receives: checked work of an accelerator function. Hands on: the outcome of each job.
// Owns: nothing. The ops table between the command processor (firmware_sim/devices/accel) and
// executors (cpu now; opencl and cuda in worker processes later). docs/accelerator.md, "Executors".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

/// What one command touches: at most eight ranges, in no order.
class AccessList {
public:
    static constexpr std::size_t kCapacity = 8;
    [[nodiscard]] bool add(const Access& access) noexcept {
        if (count_ == kCapacity) return false;
        items_[count_++] = access;
        return true;
    }
    void clear() noexcept { count_ = 0; }
    [[nodiscard]] std::span<const Access> items() const noexcept { return {items_.data(), count_}; }

private:
    std::array<Access, kCapacity> items_{};
    std::size_t count_ = 0;
};

/// A launch, checked by nobody yet. `arguments` stays unchanged until the job is done.
struct LaunchRequest {
    std::uint32_t kernel = 0;  ///< token that bind() gave
    std::span<const std::byte> arguments;
    std::array<std::uint32_t, 3> grid{};
    std::array<std::uint32_t, 3> block{};
    std::uint32_t shared_bytes = 0;
};

/// A job that has ended.
struct JobDone {
    std::uint64_t job = 0;
    Outcome outcome;
};

/// Executes; knows nothing of queues, contexts or hosts. All calls come from the lane of its
/// device and return at once; jobs run on threads or processes of the executor, which call
/// `wake` (given at construction) after each. Every range of a job was checked by the caller
/// against prepare()'s list, so addresses in it are inside memory().
class Executor {
public:
    virtual ~Executor() = default;

    [[nodiscard]] virtual fl_accel_executor kind() const noexcept = 0;
    /// FL_ACCEL_CAP_* bits of the module kinds it takes besides the built-in one.
    [[nodiscard]] virtual std::uint64_t capabilities() const noexcept = 0;
    [[nodiscard]] virtual std::uint32_t units() const noexcept = 0;

    /// Device memory, zeroed; device address of its first byte is given at construction.
    [[nodiscard]] virtual std::span<std::byte> memory() const noexcept = 0;

    /// Loads a module; Outcome::value = token for bind() and unload().
    [[nodiscard]] virtual Outcome load(fl_accel_module_kind kind, std::span<const std::byte> image) noexcept = 0;
    virtual void unload(std::uint32_t module) noexcept = 0;
    /// Outcome::value = token for launches; detail = size of the argument block in bytes.
    [[nodiscard]] virtual Outcome bind(std::uint32_t module, std::string_view name) noexcept = 0;
    /// Checks the arguments of a launch and lists what it touches.
    [[nodiscard]] virtual Outcome prepare(const LaunchRequest& request, AccessList& touches) const noexcept = 0;

    /// Jobs. `job` is any number that is not in use. At most `max_jobs` (given at construction)
    /// are in flight.
    virtual void launch(std::uint64_t job, const LaunchRequest& request) noexcept = 0;
    virtual void copy(std::uint64_t job, std::uint64_t destination, std::uint64_t source,
                      std::uint64_t bytes) noexcept = 0;
    virtual void fill(std::uint64_t job, std::uint64_t destination, std::uint64_t bytes,
                      std::span<const std::byte> pattern) noexcept = 0;
    /// Makes the range zero, and may give the memory behind it back to the system.
    virtual void scrub(std::uint64_t job, std::uint64_t address, std::uint64_t bytes) noexcept = 0;

    /// The next ended job; false = none.
    [[nodiscard]] virtual bool next_done(JobDone& done) noexcept = 0;
    /// next_done() would give one now. Any thread.
    [[nodiscard]] virtual bool has_done() const noexcept = 0;
    /// The job ends soon, with reason `execution` unless it just ended; next_done() still gives it.
    virtual void cancel(std::uint64_t job) noexcept = 0;

    [[nodiscard]] virtual std::uint64_t kernels_run() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t busy_ns() const noexcept = 0;
};

struct CpuExecutorOptions {
    std::uint64_t memory_address = 0;  ///< device address of the first byte
    std::uint64_t memory_bytes = 0;
    std::uint32_t threads = 0;  ///< 0 = as many as the machine has
    std::uint32_t max_jobs = 1;
    std::string_view isa = "auto";  ///< "auto", "portable", "avx2", "avx512"
    std::function<void()> wake;     ///< any thread; must not block
};
/// Errors: no_memory; invalid or unsupported (isa).
[[nodiscard]] Result<std::unique_ptr<Executor>> make_cpu_executor(const CpuExecutorOptions& options);

}  // namespace farlane::backend
