// SPDX-License-Identifier: Apache-2.0
// Runs one instruction on the real processor: all registers and flags in, all registers and flags out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kmod/emulator.hpp"

namespace farlane::kmod {

class NativeProcessor {
public:
    explicit NativeProcessor(std::size_t arena_bytes);
    ~NativeProcessor();
    NativeProcessor(const NativeProcessor&) = delete;
    NativeProcessor& operator=(const NativeProcessor&) = delete;

    /// Memory for operands, within reach of ip-relative addresses.
    [[nodiscard]] std::span<std::uint8_t> arena() const noexcept { return arena_; }
    /// Where the instruction will lie.
    [[nodiscard]] std::uint64_t instruction_address() const noexcept;
    /// Must be an instruction that touches the arena only. `cpu.ip` is moved behind it.
    void run(std::span<const std::uint8_t> instruction, fl_cpu& cpu);

private:
    struct State;  // what the code loads and stores, at a fixed distance from it

    void build(std::span<const std::uint8_t> instruction);
    void put(std::initializer_list<std::uint8_t> bytes);
    void put_state_access(std::initializer_list<std::uint8_t> opcode, std::size_t offset);
    void put_register_move(bool load, unsigned reg, std::size_t offset);

    std::uint8_t* memory_ = nullptr;
    std::size_t bytes_ = 0;
    State* state_ = nullptr;
    std::uint8_t* at_ = nullptr;
    std::span<std::uint8_t> arena_;
};

}  // namespace farlane::kmod
