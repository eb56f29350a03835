// SPDX-License-Identifier: Apache-2.0
// Receives: register and memory accesses of the application. Hands on: transactions.
// Owns: the attachment of one function, its interrupts and its DMA domain.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <farlane/domain.hpp>
#include <farlane/status.hpp>
#include <farlane/types.hpp>

namespace farlane {

namespace provider {
class DeviceProvider;
}

/// An attached remote function. Movable; detached when destroyed. Writes are posted: they
/// return before the device has them, arrive once and in order, and a later read pushes them.
/// Reads take one round trip. Thread rule as for Fabric. Order: PCIe base specification, 2.4.1.
/// All methods throw Error: device_lost after surprise removal, device_reset after the device
/// lost its state (until acknowledge_reset()), timeout when a request had no answer.
class Device {
public:
    Device() noexcept;
    explicit Device(std::shared_ptr<provider::DeviceProvider> p) noexcept;
    Device(Device&&) noexcept;
    Device& operator=(Device&&) noexcept;
    ~Device();

    [[nodiscard]] const FunctionInfo& info() const;
    [[nodiscard]] bool valid() const noexcept { return provider_ != nullptr; }

    // --- configuration space: 4096 bytes, PCI numbering. Any size of 1, 2, 4 within a dword.
    [[nodiscard]] std::uint8_t config_read8(std::uint32_t offset);
    [[nodiscard]] std::uint16_t config_read16(std::uint32_t offset);
    [[nodiscard]] std::uint32_t config_read32(std::uint32_t offset);
    void config_write8(std::uint32_t offset, std::uint8_t value);
    void config_write16(std::uint32_t offset, std::uint16_t value);
    void config_write32(std::uint32_t offset, std::uint32_t value);
    /// Command register: memory decoding and bus mastering (needed before BAR access and DMA). After attach
    /// they are off, with `kernel` they may be on.
    void enable();

    // --- BARs. Offset in bytes, naturally aligned for the sized calls; out_of_bounds when it
    //     reaches outside the BAR (checked here and again at the target).
    [[nodiscard]] std::uint32_t read32(unsigned bar, std::uint64_t offset);
    [[nodiscard]] std::uint64_t read64(unsigned bar, std::uint64_t offset);
    void write32(unsigned bar, std::uint64_t offset, std::uint32_t value);
    void write64(unsigned bar, std::uint64_t offset, std::uint64_t value);
    /// Bulk access to memory behind a BAR. write() may return before `data` has left: it has
    /// been copied or is no longer needed. `relaxed` = the parts may be placed out of order
    /// among each other (a later strict write, e.g. a doorbell, still comes after all of them).
    void read(unsigned bar, std::uint64_t offset, std::span<std::byte> into);
    void write(unsigned bar, std::uint64_t offset, std::span<const std::byte> data, bool relaxed = false);
    /// Like write(relaxed), but from a DmaBuffer that the caller keeps unchanged until flush():
    /// no copy but the one into the frame.
    void write_from(unsigned bar, std::uint64_t offset, const DmaBuffer& buffer, std::size_t buffer_offset,
                    std::size_t bytes);
    /// Waits until the device has executed every write so far.
    void flush();

    // --- interrupts: MSI-X. Vector `i` writes 1 to its eventfd.
    /// Enables vectors 0..count-1. Error: limit when the function has fewer.
    void enable_interrupts(unsigned count);
    /// The eventfd of a vector (non-blocking, owned by the Device). One per vector.
    [[nodiscard]] int interrupt_fd(unsigned vector);
    /// Waits for a vector; false = not within `timeout`. Clears it.
    [[nodiscard]] bool wait_interrupt(unsigned vector, std::chrono::milliseconds timeout);

    /// The function's own DMA domain (PASID 0).
    [[nodiscard]] Domain& domain();

    /// Function level reset (PCIe 6.0, 6.6.2); returns when the device answers again.
    void reset();
    /// Accepts that the device lost its state; the device can be used again from the start.
    void acknowledge_reset();
    /// Makes progress (Progress::caller); waits up to `timeout` for something to happen.
    void progress(std::chrono::microseconds timeout);
    /// Detaches; the same as destroying it, but errors are seen.
    void detach();

    /// For libfarlane's own layers (accel).
    [[nodiscard]] provider::DeviceProvider& provider() const;

private:
    std::shared_ptr<provider::DeviceProvider> provider_;
};

}  // namespace farlane
