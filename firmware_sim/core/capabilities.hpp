// SPDX-License-Identifier: Apache-2.0
// Receives: what a function can do. Hands on: its capabilities, written into a ConfigSpace.
// Owns: nothing. Section numbers: PCI Express base specification 6.0.
#pragma once

#include <cstdint>

#include "core/config_space.hpp"

namespace farlane::firmware {

/// Power Management (7.5.2), version 3, D0 and D3hot.
struct PowerCapability {
    std::uint32_t at = 0;
    static constexpr std::uint32_t kControl = 4;  // PMCSR
    static constexpr std::uint32_t kStateMask = 0x3, kNoSoftReset = 0x8;
    static constexpr std::uint32_t kD0 = 0, kD3hot = 3;
};
/// `no_soft_reset`: D3hot to D0 keeps the state of the function (7.5.2.2).
[[nodiscard]] PowerCapability add_power(ConfigSpace& c, bool no_soft_reset);

/// MSI with 64-bit address and per-vector masking (7.7.1).
struct MsiCapability {
    std::uint32_t at = 0;
    unsigned vectors = 0;
    static constexpr std::uint32_t kAddressLow = 4, kAddressHigh = 8, kData = 12, kMask = 16, kPending = 20;
    static constexpr std::uint32_t kEnable = 0x1u << 16;  // of the dword at `at`
};
/// `vectors`: power of two up to 32.
[[nodiscard]] MsiCapability add_msi(ConfigSpace& c, unsigned vectors);

/// MSI-X (7.7.2).
struct MsixCapability {
    std::uint32_t at = 0;
    unsigned vectors = 0;
    unsigned bar = 0;
    std::uint32_t table_offset = 0, pba_offset = 0;
    static constexpr std::uint32_t kFunctionMask = 0x4000u << 16, kEnable = 0x8000u << 16;
};
[[nodiscard]] MsixCapability add_msix(ConfigSpace& c, unsigned vectors, unsigned bar, std::uint32_t table_offset,
                                      std::uint32_t pba_offset);

/// PCI Express capability structure version 2, endpoint (7.5.3).
struct ExpressCapability {
    std::uint32_t at = 0;
    static constexpr std::uint32_t kDeviceControl = 8;  // and Device Status above it
    static constexpr std::uint32_t kCorrectableEnable = 0x1, kNonFatalEnable = 0x2, kFatalEnable = 0x4;
    static constexpr std::uint32_t kRelaxedOrdering = 0x10, kInitiateReset = 0x8000;
    static constexpr std::uint32_t kCorrectableSeen = 0x1u << 16, kNonFatalSeen = 0x2u << 16;
    static constexpr std::uint32_t kFatalSeen = 0x4u << 16, kUnsupportedSeen = 0x8u << 16;
    static constexpr std::uint32_t kTransactionsPending = 0x20u << 16;
};
[[nodiscard]] ExpressCapability add_express(ConfigSpace& c);

/// Advanced Error Reporting (7.8.4), version 2, without root registers.
struct AerCapability {
    std::uint32_t at = 0;
    static constexpr std::uint32_t kUncorrectableStatus = 4, kUncorrectableMask = 8, kUncorrectableSeverity = 12;
    static constexpr std::uint32_t kCorrectableStatus = 16, kCorrectableMask = 20, kControl = 24;
};
[[nodiscard]] AerCapability add_aer(ConfigSpace& c);

/// Device Serial Number (7.9.3).
void add_serial_number(ConfigSpace& c, std::uint64_t serial);

}  // namespace farlane::firmware
