// SPDX-License-Identifier: Apache-2.0
// Receives: an attached accelerator. Hands on: buffers, streams and events on it.
// Owns: one context of the device. docs/accelerator.md, "The C++ API".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <farlane/accel_buffer.hpp>
#include <farlane/accel_kernels.hpp>
#include <farlane/accel_stream.hpp>
#include <farlane/device.hpp>

namespace farlane::accel {

struct ContextOptions {
    /// Slots of each stream's queue, a power of two of 64 and more; a small command takes one.
    std::uint32_t queue_slots = 1024;
    /// How long a wait polls before it sleeps until an interrupt.
    std::chrono::microseconds spin{50};
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
};

/// Some device with the accelerator's class code (12.00.00).
[[nodiscard]] bool is_accelerator(const FunctionInfo& info) noexcept;

/// Work of one program on an accelerator: memory, streams and handles that no other context sees.
/// Movable. Streams, events and buffers may outlive it, and throw canceled when used then.
/// Thread rule: see Stream.
class Context {
public:
    /// Opens a context on an attached accelerator (enables the device). Errors: unsupported (not an
    /// accelerator, or another version), limit (every context or queue pair is taken), timeout (not
    /// ready within 5 s). One round trip and a few register reads.
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

    /// Waits for every stream. Throws the first error of any.
    void synchronize();
    /// Asks the device; waits.
    [[nodiscard]] Properties properties();

private:
    std::shared_ptr<detail::ContextState> state_;
    Stream stream_;
};

}  // namespace farlane::accel
