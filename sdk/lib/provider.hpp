// SPDX-License-Identifier: Apache-2.0
// Receives: calls of the public API. Hands on: the same to whoever runs the data plane.
// Owns: nothing. The ops table between the API and its providers (embedded, daemon, kernel).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <farlane/fabric.hpp>

namespace farlane::provider {

/// Memory that a provider can reach.
class Buffer : public std::enable_shared_from_this<Buffer> {
public:
    virtual ~Buffer() = default;
    [[nodiscard]] virtual std::span<std::byte> bytes() const noexcept = 0;
    [[nodiscard]] virtual bool huge_pages() const noexcept = 0;
};

/// A context of a shared accelerator, with the memory that is this application's.
struct ContextGrant {
    std::uint32_t number = 0;
    std::uint64_t memory_address = 0, memory_bytes = 0;
    std::uint64_t local_address = 0, local_bytes = 0;
};
/// A queue pair of a shared accelerator, enabled.
struct QueueGrant {
    std::uint32_t number = 0;
    std::uint64_t sq_address = 0;
};

/// One attached function. Every call throws Error on failure.
class DeviceProvider : public std::enable_shared_from_this<DeviceProvider> {
public:
    virtual ~DeviceProvider() = default;
    [[nodiscard]] virtual const FunctionInfo& info() const = 0;

    /// At most 4 bytes, within one dword.
    virtual void config_read(std::uint32_t offset, std::span<std::byte> into) = 0;
    virtual void config_write(std::uint32_t offset, std::span<const std::byte> data) = 0;
    /// Any length; cut into transactions of at most 4096 bytes, several in flight.
    virtual void bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> into) = 0;
    virtual void bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed) = 0;
    virtual void bar_write_from(unsigned bar, std::uint64_t offset, Buffer& buffer, std::size_t buffer_offset,
                                std::size_t bytes) = 0;
    virtual void flush() = 0;

    virtual void enable_interrupts(unsigned count) = 0;
    [[nodiscard]] virtual int interrupt_fd(unsigned vector) = 0;
    /// Waits for the eventfd; a provider without a thread of its own makes progress meanwhile.
    [[nodiscard]] virtual bool wait_interrupt(unsigned vector, std::chrono::milliseconds timeout);

    [[nodiscard]] virtual std::shared_ptr<Buffer> allocate(std::size_t bytes) = 0;
    [[nodiscard]] virtual std::uint64_t map(const std::shared_ptr<Buffer>& buffer, std::size_t offset,
                                            std::size_t bytes, DmaDirection direction) = 0;
    /// Memory of the application itself; not empty.
    [[nodiscard]] virtual std::uint64_t map_own(std::span<std::byte> memory, DmaDirection direction) = 0;
    virtual void unmap(std::uint64_t iova) = 0;

    /// Other applications use the accelerator beside this one: contexts and queue pairs come from the calls below,
    /// and its registers are not this application's to write.
    [[nodiscard]] virtual bool shared() const noexcept { return false; }
    [[nodiscard]] virtual ContextGrant open_context();
    virtual void close_context(std::uint32_t number);
    /// `vector`: of those that were enabled; none = no interrupts. The device has enabled it when this returns.
    [[nodiscard]] virtual QueueGrant make_queue(std::uint32_t context, std::uint32_t entries, std::uint64_t cq_iova,
                                                std::optional<std::uint32_t> vector);
    /// When it returns the device has let go of it.
    virtual void drop_queue(std::uint32_t number);

    /// Function level reset by configuration space (device_setup.cpp).
    virtual void reset();
    virtual void acknowledge_reset() = 0;
    /// Throws what is wrong with the device now (device_lost, device_reset), if anything.
    virtual void check() = 0;
    /// Makes progress; returns after something happened or `timeout`.
    virtual void progress(std::chrono::microseconds timeout) = 0;
    virtual void detach() = 0;
    /// False: nothing moves but in calls of the application (Progress::caller).
    [[nodiscard]] virtual bool own_progress() const noexcept { return true; }
    [[nodiscard]] virtual Domain& domain() = 0;
};

class Provider {
public:
    virtual ~Provider() = default;
    [[nodiscard]] virtual std::vector<FunctionInfo> list() = 0;
    [[nodiscard]] virtual std::shared_ptr<DeviceProvider> attach(const std::string& name, AttachMode mode) = 0;
    [[nodiscard]] virtual std::optional<Event> next_event(std::chrono::milliseconds timeout) = 0;
    virtual bool poll() = 0;
};

// --- what every provider does the same way, with the calls above (device_setup.cpp)

/// Throws out_of_bounds unless [offset, +bytes) is inside BAR `bar`: before any part of an access is made.
void check_bar(const FunctionInfo& info, unsigned bar, std::uint64_t offset, std::size_t bytes);
/// Offset of a capability (PCIe 6.0, 7.5.1.2.11) of the device, 0 = it has none. The list of a hostile
/// device may loop; it is walked 48 steps at most.
[[nodiscard]] std::uint32_t find_capability(DeviceProvider& d, std::uint8_t id);
/// Writes MSI-X table entries 0..count-1 (message address kMsiAddress, data = vector) and enables
/// MSI-X. Error: limit.
void program_msix(DeviceProvider& d, unsigned count);
/// Drains an eventfd; true when it was set within `timeout`.
[[nodiscard]] bool wait_eventfd(int fd, std::chrono::milliseconds timeout);

[[nodiscard]] std::shared_ptr<Provider> open_embedded(const FabricOptions& options);
[[nodiscard]] std::shared_ptr<Provider> open_daemon(const FabricOptions& options);
[[nodiscard]] std::shared_ptr<Provider> open_kernel(const FabricOptions& options);

}  // namespace farlane::provider
