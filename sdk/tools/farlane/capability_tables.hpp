// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of capabilities as data. Owns: nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace farlane::cli {

struct FieldLayout {
    std::string_view name;
    std::uint8_t low = 0;  ///< lowest bit
    std::uint8_t width = 1;
    std::uint8_t add = 0;         ///< value = raw + add
    std::uint8_t shift_left = 0;  ///< value = raw << shift_left
    std::string (*text)(std::uint64_t raw) = nullptr;
};

struct RegisterLayout {
    std::string_view name;
    std::uint16_t offset = 0;  ///< in the capability
    std::uint8_t bytes = 4;
    std::span<const FieldLayout> fields = {};
    std::string (*text)(std::uint64_t value) = nullptr;
};

struct CapabilityLayout {
    std::uint16_t id = 0;
    std::string_view name;
    std::span<const RegisterLayout> registers = {};
};

/// Layout of a capability of the list at 0x34; null when its id is not known. `control` are
/// bytes 2 and 3 of it, on which some layouts depend.
[[nodiscard]] const CapabilityLayout* capability_layout(std::uint8_t id, std::uint16_t control);
/// Layout of an extended capability; null when its id is not known.
[[nodiscard]] const CapabilityLayout* extended_layout(std::uint16_t id);
/// Registers of a type 0 header, BARs left out.
[[nodiscard]] std::span<const RegisterLayout> header_layout();

}  // namespace farlane::cli
