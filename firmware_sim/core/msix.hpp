// SPDX-License-Identifier: Apache-2.0
// Receives: "vector v" from the device, writes of the vector table and of its control bits.
// Hands on: messages to the host port. Owns: nothing that lasts; table and pending bits are the function's state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/backend.hpp"
#include "core/capabilities.hpp"

namespace farlane::firmware {

constexpr unsigned kMaxVectors = 64;
constexpr std::uint32_t kVectorBytes = 16;

/// Table entry, PCIe 6.0, 7.7.2.1; host byte order here, little-endian in the BAR.
struct VectorEntry {
    std::uint32_t address_low;
    std::uint32_t address_high;
    std::uint32_t data;
    std::uint32_t control;  // bit 0: masked
};

/// Lives in memory that may outlive the daemon.
struct MsixState {
    std::array<VectorEntry, kMaxVectors> entries;
    std::uint64_t pending;  // raised while masked: the PBA
    std::uint64_t to_send;  // raised, the port had no room yet
};

/// Interrupts of one function: MSI-X, or MSI when the driver has enabled that instead. One lane.
class Interrupts {
public:
    Interrupts(ConfigSpace& config, MsixState& state, unsigned vectors) noexcept
        : config_(config), state_(state), vectors_(vectors) {}
    void set_capabilities(const MsiCapability& msi, const MsixCapability& msix) noexcept { msi_ = msi, msix_ = msix; }

    /// Table as after reset: every vector masked, nothing pending (7.7.2.1.4).
    void reset() noexcept;
    [[nodiscard]] bool plausible() const noexcept;

    /// Raises a vector. Masked: remembered in the PBA. Ordered behind all writes given to the port before.
    void raise(backend::HostPort& port, unsigned vector) noexcept;
    /// Sends what had no room. True = something was sent.
    bool poll(backend::HostPort& port) noexcept;
    [[nodiscard]] bool busy() const noexcept { return state_.to_send != 0 && config_.bus_master(); }
    [[nodiscard]] bool using_msix() const noexcept { return mode() == Mode::msix; }
    /// After a write to the table or a control bit: redelivers what is no longer masked.
    void unmasked() noexcept;
    /// Vectors raised before a kill whose message may not have left.
    void raise_again(std::uint64_t vectors) noexcept;

    // --- the BAR ranges, [offset, +size) within them
    [[nodiscard]] std::uint32_t table_bytes() const noexcept { return vectors_ * kVectorBytes; }
    [[nodiscard]] std::uint32_t pba_bytes() const noexcept { return (vectors_ + 63) / 64 * 8; }
    void table_read(std::uint32_t offset, std::span<std::byte> out) const noexcept;
    void table_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept;
    void pba_read(std::uint32_t offset, std::span<std::byte> out) const noexcept;

    [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
    /// Messages the host refused: no mapping, or neither MSI nor MSI-X enabled.
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

private:
    enum class Mode : std::uint8_t { none, msi, msix };
    [[nodiscard]] Mode mode() const noexcept;
    [[nodiscard]] bool masked(Mode m, unsigned vector) const noexcept;
    [[nodiscard]] Status send(backend::HostPort& port, Mode m, unsigned vector) noexcept;
    void show_pending() noexcept;

    ConfigSpace& config_;
    MsixState& state_;
    MsiCapability msi_;
    MsixCapability msix_;
    unsigned vectors_;
    std::uint64_t sent_ = 0, dropped_ = 0;
};

}  // namespace farlane::firmware
