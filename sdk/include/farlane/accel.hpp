// SPDX-License-Identifier: Apache-2.0
// Receives: an attached accelerator. Hands on: buffers, streams and events on it.
// Owns: one context of the device. docs/accelerator.md, "The C++ API".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <farlane/accel_buffer.hpp>
#include <farlane/accel_kernels.hpp>
#include <farlane/accel_module.hpp>
#include <farlane/accel_stream.hpp>
#include <farlane/device.hpp>

namespace farlane::accel {

struct ContextOptions {
    /// Slots of each stream's queue, a power of two of 64 and more; a small command takes one.
    std::uint32_t queue_slots = 2048;
    /// How long a wait polls before it sleeps until an interrupt.
    std::chrono::microseconds spin{50};
    /// Called about ten times a second in a call that waits longer than `spin`, by the thread that waits; what it
    /// throws ends the wait. What was submitted runs on, and may be waited for again. It must not call its own context.
    std::function<void()> while_waiting{};
};

/// What the accelerator is and has; from its registers and QUERY.
struct Properties {
    std::string executor;                 ///< "cpu", "opencl", "cuda"
    std::uint32_t units = 0;              ///< compute units
    std::uint64_t memory_bytes = 0;       ///< that buffers can have in all
    std::uint64_t memory_free_bytes = 0;  ///< not given to any context
    std::uint64_t memory_context_bytes = 0;
    std::uint64_t kernels_run = 0;
    std::chrono::nanoseconds busy{};  ///< in kernels, since power-on
    std::uint32_t max_streams = 0;
    /// What executes behind the accelerator; "" = the device does not tell.
    std::string device_name, vendor, driver_version;
    std::uint64_t local_bytes = 0;  ///< memory of the accelerator itself, where buffers lie then; 0 = none
    std::uint64_t local_free_bytes = 0;
    std::chrono::milliseconds time_limit{};   ///< that one kernel may run; 0 = none
    std::optional<std::uint64_t> energy_uj;   ///< used since power-on; nothing = not measured
    std::uint64_t context_kernels = 0;        ///< kernels of this context that finished
    std::chrono::nanoseconds context_busy{};  ///< in kernels of this context
    std::uint64_t worker_bytes = 0;           ///< host memory of this context's worker process; 0 = it has none
};

struct ModuleOptions {
    std::string build;  ///< options of the compiler, as its language has them ("-DN=16 -cl-fast-relaxed-math")
    std::string name;   ///< for errors
};

/// Some device with the accelerator's class code (12.00.00).
[[nodiscard]] bool is_accelerator(const FunctionInfo& info) noexcept;

/// Work of one program on an accelerator: memory, modules, streams and handles that no other context sees.
/// Movable. What was made from it may outlive it, and throws canceled when used then.
/// A kernel that runs longer than the accelerator's time limit, or that crashes its worker process, costs the whole
/// context: from then on every call of it throws the status and text of that kernel (timeout, io; device_reset when
/// the worker died between kernels). Other contexts go on; a new one can be opened at once.
/// Thread rule: see Stream.
class Context {
public:
    /// Opens a context on an attached accelerator (enables the device). Errors: unsupported (not an
    /// accelerator, or another version), limit (every context or queue pair is taken), timeout (not
    /// ready within 5 s). One register read, and one more for a queue pair that is
    /// used for the first time; the first context of a process on a device sets that up with a few more.
    explicit Context(Device& device, const ContextOptions& options = {});
    Context(Context&&) noexcept;
    Context& operator=(Context&&) noexcept;
    /// Waits for what runs, then gives memory and queue pairs back.
    ~Context();

    /// The stream every context has.
    [[nodiscard]] Stream& stream() noexcept { return stream_; }
    /// Another one. Errors: limit.
    [[nodiscard]] Stream create_stream();
    [[nodiscard]] Event create_event();

    /// `count` elements of zeroed device memory. Costs no round trip. Errors: no_memory, invalid (0).
    template <class T>
    [[nodiscard]] Buffer<T> allocate(std::size_t count) {
        if (count > SIZE_MAX / sizeof(T)) throw Error(Status::no_memory, "more elements than there are addresses");
        return Buffer<T>(allocate_bytes(count * sizeof(T)), count);
    }
    /// `count` elements of zeroed host memory that the device can reach. Errors: no_memory, limit.
    template <class T>
    [[nodiscard]] HostBuffer<T> allocate_host(std::size_t count) {
        if (count > SIZE_MAX / sizeof(T)) throw Error(Status::no_memory, "more elements than there are addresses");
        return HostBuffer<T>(allocate_host_bytes(count * sizeof(T)), count);
    }
    [[nodiscard]] RawBuffer allocate_bytes(std::size_t bytes);
    [[nodiscard]] RawHostBuffer allocate_host_bytes(std::size_t bytes);

    // --- programs: docs/accelerator.md, "Modules and kernels"
    /// The accelerator takes modules of this kind.
    [[nodiscard]] bool takes(ModuleKind kind) const noexcept;
    /// Loads (and compiles, on the accelerator) a module. `source` is free again when this returns, which is before
    /// anything was compiled: see Module. Runs in the order of stream(); other streams wait for it where they launch
    /// its kernels. Errors: unsupported (the accelerator does not take this kind; the text says what it takes), invalid
    /// (0 bytes), limit (every module handle is in use, or too long options), no_memory.
    [[nodiscard]] Module load(ModuleKind kind, std::string_view source, const ModuleOptions& options = {});
    [[nodiscard]] Module load(ModuleKind kind, std::span<const std::byte> image, const ModuleOptions& options = {});
    /// The same from a file; its kind by its ending (module_kind_of). Also errors: not_found, denied, io,
    /// invalid (ending; a directory).
    [[nodiscard]] Module load_file(const std::string& path, const ModuleOptions& options = {});

    /// Waits for every stream. Throws the first error of any.
    void synchronize();
    /// Asks the device; waits, one round trip (the first time two).
    [[nodiscard]] Properties properties();

    /// For libfarlane's own layers.
    [[nodiscard]] detail::ContextState& state() const;

private:
    std::shared_ptr<detail::ContextState> state_;
    Stream stream_;
};

}  // namespace farlane::accel
