// SPDX-License-Identifier: Apache-2.0
// The instructions the emulator promises, as encodings from which random instances are made.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "kmod/emulator.hpp"

namespace farlane::kmod {

struct Form {
    const char* name;
    std::vector<std::uint8_t> opcode;
    int group = -1;          // ModRM.reg when it is a part of the opcode
    unsigned immediate = 0;  // bytes; 9: as wide as the operand, at most 4
    bool byte = false;       // the operand is a byte
    bool lockable = false;
    bool string = false;
    bool absolute = false;        // the address stands in the instruction
    bool bit_register = false;    // the register is a bit number
    bool only_long = false;       // no operand size prefix
    std::uint64_t undefined = 0;  // flags the manual leaves undefined
};

std::span<const Form> forms();

/// One instruction of a form, and the registers with which its operand lies within the arena.
struct Instance {
    std::vector<std::uint8_t> bytes;
    fl_cpu cpu{};
};

using Random = std::mt19937_64;

/// `ip` is where the instruction will lie.
Instance make_instance(const Form& form, std::span<const std::uint8_t> arena, std::uint64_t ip, Random& random);

}  // namespace farlane::kmod
