// SPDX-License-Identifier: Apache-2.0
// Receives: the bytes of a configuration space, from anywhere (hostile). Hands on: what they
// mean: header, BARs and capabilities with named registers and bits. Owns: nothing. Pure.
// PCI Local Bus 3.0 chapter 6; PCI Express Base 6.0 chapter 7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace farlane::cli {

/// A named part of a register. A width of one bit is a flag.
struct Field {
    std::string name;
    std::uint64_t value = 0;  ///< as it is meant: "table size" is the number of entries
    unsigned width_bits = 1;
    std::string text;  ///< for people; "" = the number says it
};

struct Register {
    std::string name;
    std::uint16_t offset = 0;  ///< in configuration space
    std::uint8_t bytes = 0;
    std::uint64_t value = 0;
    std::string text;  ///< of the register as a whole
    std::vector<Field> fields;
};

struct Capability {
    std::uint16_t offset = 0;
    std::uint16_t id = 0;
    bool extended = false;                 ///< of the PCI Express list that starts at 0x100
    unsigned version = 0;                  ///< extended ones only
    std::string name = {};                 ///< "unknown" when it is
    std::vector<Register> registers = {};  ///< empty: known by name only
};

struct BarRegister {
    unsigned index = 0;
    bool is_io = false;
    bool is_64bit = false;
    bool prefetchable = false;
    std::uint64_t address = 0;
};

struct ConfigSpace {
    bool present = false;  ///< false: vendor id reads all-ones
    std::vector<Register> header;
    std::vector<BarRegister> bars;  ///< those of the header that are not zero
    std::vector<Capability> capabilities;
    std::vector<std::string> warnings;  ///< loops, bad offsets, truncation
};

/// Decodes up to 4096 bytes; shorter ones as far as they go. Never reads past `bytes`, always
/// ends: every list is followed at most once through each offset.
[[nodiscard]] ConfigSpace decode_config_space(std::span<const std::byte> bytes);

/// "non-volatile memory controller (NVMe)" of a 24-bit class code; "" when it is not known.
[[nodiscard]] std::string class_name(std::uint32_t class_code);

}  // namespace farlane::cli
