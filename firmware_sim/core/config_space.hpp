// SPDX-License-Identifier: Apache-2.0
// Receives: configuration reads and writes. Hands on: side effects of writes to whoever asked for them.
// Owns: defaults and write masks; the 4096 live bytes belong to the function's state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <farlane/status.hpp>

namespace farlane::firmware {

/// Not assigned by PCI-SIG: for development. Devices let their configuration replace it.
constexpr std::uint16_t kDevelopmentVendorId = 0xf1a0;

constexpr std::uint32_t kConfigBytes = 4096;
constexpr std::uint32_t kExtendedConfig = 0x100;  // PCIe 6.0, 7.6: extended capabilities start here

// Type 0 header, PCIe 6.0, 7.5.1.
namespace cfg {
constexpr std::uint32_t kVendor = 0x00, kDevice = 0x02, kCommand = 0x04, kStatus = 0x06, kRevision = 0x08;
constexpr std::uint32_t kClass = 0x09, kHeaderType = 0x0e, kBar0 = 0x10, kSubsystemVendor = 0x2c;
constexpr std::uint32_t kSubsystem = 0x2e, kCapabilities = 0x34, kInterruptLine = 0x3c;
constexpr std::uint16_t kCommandMemory = 0x0002, kCommandBusMaster = 0x0004, kCommandParity = 0x0040;
constexpr std::uint16_t kCommandSerr = 0x0100, kCommandIntxDisable = 0x0400;
constexpr std::uint16_t kStatusCapabilities = 0x0010;
}  // namespace cfg

/// One write to a dword, as a side effect sees it (after it was applied).
struct ConfigWrite {
    std::uint32_t offset;   ///< of the dword
    std::uint32_t before;   ///< value before the write
    std::uint32_t after;    ///< value now
    std::uint32_t written;  ///< what was written; meaningful under `enabled`
    std::uint32_t enabled;  ///< bits whose byte was enabled
};

/// How a bit behaves; PCIe 6.0, 7.4. Bits that are none of these are read-only.
struct BitRules {
    std::uint32_t writable = 0;      ///< RW
    std::uint32_t write1_clear = 0;  ///< RW1C: set by the function, cleared by writing 1
    std::uint32_t status = 0;        ///< read-only, but the function changes it
    std::uint32_t sticky = 0;        ///< survives a function level reset
};

/// The 4096 bytes of configuration space of one function: what reads give, what writes change.
/// Built once (defaults, rules, side effects), then bound to live bytes. One lane.
class ConfigSpace {
public:
    using SideEffect = std::function<void(const ConfigWrite&)>;

    ConfigSpace();

    // --- building
    void set8(std::uint32_t offset, std::uint8_t v) noexcept;
    void set16(std::uint32_t offset, std::uint16_t v) noexcept;
    void set32(std::uint32_t offset, std::uint32_t v) noexcept;
    /// Rules of the dword at `offset`, added to those it has.
    void rules(std::uint32_t offset, const BitRules& r) noexcept;
    /// Calls `effect` after every write that enables a byte of the dword at `offset`.
    void on_write(std::uint32_t offset, SideEffect effect);
    /// A BAR of `size_bytes` (power of two, at least 16), `flags` = FL_BAR_*; PCIe 6.0, 7.5.1.2.1.
    void bar(unsigned index, std::uint64_t size_bytes, std::uint32_t flags) noexcept;
    /// Room for a capability of `bytes`, linked behind the others. 0 = no room left.
    [[nodiscard]] std::uint32_t capability(std::uint8_t id, std::uint32_t bytes) noexcept;
    [[nodiscard]] std::uint32_t extended_capability(std::uint16_t id, std::uint8_t version,
                                                    std::uint32_t bytes) noexcept;

    // --- life. `live` is memory that may outlive the daemon.
    void bind(std::span<std::byte, kConfigBytes> live) noexcept { live_ = live.data(); }
    /// Everything as after power-on.
    void power_on() noexcept;
    /// Everything but sticky bits as after power-on.
    void function_reset() noexcept;
    /// True when the live bytes can be what writes and the function itself left there.
    [[nodiscard]] bool plausible() const noexcept;

    // --- access; [offset, +size) is within 4096 bytes
    void read(std::uint32_t offset, std::span<std::byte> out) const noexcept;
    /// `enables` as in backend::Device::config_write; 0 and sizes above 8 = every byte.
    void write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept;
    [[nodiscard]] std::uint16_t get16(std::uint32_t offset) const noexcept;
    [[nodiscard]] std::uint32_t get32(std::uint32_t offset) const noexcept;
    /// The function itself changes bits (status bits, pending bits): `mask` of the dword at `offset`.
    void put(std::uint32_t offset, std::uint32_t mask, std::uint32_t value) noexcept;

    [[nodiscard]] std::uint16_t command() const noexcept { return get16(cfg::kCommand); }
    [[nodiscard]] bool memory_enabled() const noexcept { return (command() & cfg::kCommandMemory) != 0; }
    [[nodiscard]] bool bus_master() const noexcept { return (command() & cfg::kCommandBusMaster) != 0; }

private:
    using Bytes = std::array<std::byte, kConfigBytes>;
    void write_dword(std::uint32_t offset, std::uint32_t written, std::uint32_t enabled) noexcept;
    void store32(std::uint32_t offset, std::uint32_t v) noexcept;

    std::byte* live_ = nullptr;
    Bytes defaults_{}, writable_{}, write1_clear_{}, status_{}, sticky_{};
    std::vector<std::pair<std::uint32_t, SideEffect>> effects_;
    std::uint32_t next_free_ = 0x40;  // PCIe 6.0, 7.5.1: device specific from 40h on
    std::uint32_t last_link_ = 0;     // capability whose next pointer is still 0
    std::uint32_t next_extended_ = kExtendedConfig;
    std::uint32_t last_extended_ = 0;
};

}  // namespace farlane::firmware
