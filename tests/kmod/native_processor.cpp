// SPDX-License-Identifier: Apache-2.0
// A page of code, a page of state, and the arena, in one mapping. The stack pointer is a register like the others
// while the instruction runs, so no signal may arrive then: the test raises none.
#include "kmod/native_processor.hpp"

#include <sys/mman.h>

#include <system_error>

namespace farlane::kmod {

namespace {
constexpr std::size_t kPage = 4096;
constexpr std::size_t kInstructionOffset = 256;  // behind the code that loads the registers
constexpr std::uint64_t kFixedFlags = 0x202;     // interrupts on, and the bit that is always set
}  // namespace

struct NativeProcessor::State {
    std::uint64_t in[FL_REGISTERS];
    std::uint64_t out[FL_REGISTERS];
    std::uint64_t flags_in, flags_out, stack;
};

NativeProcessor::NativeProcessor(std::size_t arena_bytes) : bytes_(2 * kPage + arena_bytes) {
    void* place = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of executable memory");
    memory_ = static_cast<std::uint8_t*>(place);
    state_ = reinterpret_cast<State*>(memory_ + kPage);
    arena_ = {memory_ + 2 * kPage, arena_bytes};
}

NativeProcessor::~NativeProcessor() {
    ::munmap(memory_, bytes_);
}

std::uint64_t NativeProcessor::instruction_address() const noexcept {
    return reinterpret_cast<std::uint64_t>(memory_ + kInstructionOffset);
}

void NativeProcessor::put(std::initializer_list<std::uint8_t> bytes) {
    for (const auto b : bytes) *at_++ = b;
}

// opcode with a ModRM of mod 0, rm 5: relative to the next instruction.
void NativeProcessor::put_state_access(std::initializer_list<std::uint8_t> opcode, std::size_t offset) {
    put(opcode);
    const auto distance = static_cast<std::int32_t>(reinterpret_cast<std::uint8_t*>(state_) + offset - (at_ + 4));
    std::memcpy(at_, &distance, sizeof(distance));
    at_ += sizeof(distance);
}

void NativeProcessor::put_register_move(bool load, unsigned reg, std::size_t offset) {
    const auto rex = static_cast<std::uint8_t>(reg < 8 ? 0x48 : 0x4c);
    const auto opcode = static_cast<std::uint8_t>(load ? 0x8b : 0x89);
    put_state_access({rex, opcode, static_cast<std::uint8_t>(5 | (reg & 7) << 3)}, offset + 8 * reg);
}

void NativeProcessor::build(std::span<const std::uint8_t> instruction) {
    at_ = memory_;
    put({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57});  // push callee-saved registers
    put_state_access({0x48, 0x89, 0x25}, offsetof(State, stack));
    put_state_access({0xff, 0x35}, offsetof(State, flags_in));  // push
    put({0x9d});                                                // popfq
    for (unsigned reg = 0; reg < FL_REGISTERS; ++reg) put_register_move(true, reg, offsetof(State, in));
    while (at_ < memory_ + kInstructionOffset) put({0x90});
    std::memcpy(at_, instruction.data(), instruction.size());
    at_ += instruction.size();
    for (unsigned reg = 0; reg < FL_REGISTERS; ++reg) put_register_move(false, reg, offsetof(State, out));
    put_state_access({0x48, 0x8b, 0x25}, offsetof(State, stack));
    put({0x9c});                                                 // pushfq
    put_state_access({0x8f, 0x05}, offsetof(State, flags_out));  // pop
    put({0xfc});                                                 // cld
    put({0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3});
}

void NativeProcessor::run(std::span<const std::uint8_t> instruction, fl_cpu& cpu) {
    build(instruction);
    std::memcpy(state_->in, cpu.gpr, sizeof(cpu.gpr));
    state_->flags_in = cpu.flags | kFixedFlags;
    reinterpret_cast<void (*)()>(memory_)();
    std::memcpy(cpu.gpr, state_->out, sizeof(cpu.gpr));
    cpu.flags = state_->flags_out & ~kFixedFlags;
    cpu.ip += instruction.size();
}

}  // namespace farlane::kmod
