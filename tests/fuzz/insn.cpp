// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as code, registers and flags for the emulator of the kernel module.
// Hands on: nothing; a decoded instruction has a sound length and operand, and its execution stays
// within bounded accesses and leaves the registers when it is refused. Owns: nothing.
// Input: 1 byte what the memory refuses, 15 bytes code, then 8 bytes per register.
#include "fuzz/fuzz.hpp"

#include <cstring>

extern "C" {
#include "decode.h"
}

using farlane::fuzz::Input;
using farlane::fuzz::require;

namespace {

struct Memory {
    std::uint64_t bytes = 0;
    unsigned accesses = 0;
    unsigned refuse_at = 0;  // which access; 0: none
    enum fl_atomic_result atomic = FL_ATOMIC_SPLIT;

    bool access(std::size_t length, std::size_t most) {
        require(length >= 1 && length <= most, "an access has a sound length");
        bytes += length;
        return ++accesses != refuse_at;
    }
};

Memory& memory(void* context) {
    return *static_cast<Memory*>(context);
}

const fl_memory_ops kOps{
    [](void* context, __u64 address, void* into, unsigned bytes) {
        const bool fine = memory(context).access(bytes, 8);
        std::memcpy(into, &address, bytes);
        return fine;
    },
    [](void* context, __u64, const void* from, unsigned bytes) {
        static volatile unsigned sum;
        for (unsigned i = 0; i < bytes; ++i) sum = sum + static_cast<const unsigned char*>(from)[i];
        return memory(context).access(bytes, FL_BURST_BYTES);
    },
    [](void* context, __u64, __u64, unsigned bytes) { return memory(context).access(bytes, FL_BURST_BYTES); },
    [](void* context, enum fl_atomic, __u64 address, unsigned bytes, __u64, __u64 compare, __u64* old) {
        require(bytes == 4 || bytes == 8, "an atomic has 4 or 8 bytes");
        require(address % bytes == 0, "an atomic is aligned");
        *old = compare;
        return memory(context).access(bytes, 8) ? memory(context).atomic : FL_ATOMIC_FAULT;
    }};

void check_operand(const fl_insn& insn) {
    require(insn.width == 1 || insn.width == 2 || insn.width == 4 || insn.width == 8, "a width is one of four");
    require(insn.reg < FL_REGISTERS && insn.scale < 4 && insn.condition < 16, "fields are in their ranges");
    require(insn.base <= FL_NO_REGISTER && insn.index <= FL_NO_REGISTER, "address registers are registers");
    require(insn.index != FL_RSP, "rsp is no index");
    require(!insn.locked || !insn.to_register, "a locked instruction writes memory");
}

void check_prefixes_of(const std::uint8_t* code, std::size_t available, const fl_insn& insn) {
    fl_insn again;
    require(insn.bytes >= 1 && insn.bytes <= available, "an instruction lies within its bytes");
    require(fl_insn_decode(code, insn.bytes, &again) == FL_DECODE_OK, "its bytes alone are the instruction");
    require(again.bytes == insn.bytes, "the length does not depend on what follows");
    for (std::size_t part = 0; part < insn.bytes; ++part)
        require(fl_insn_decode(code, part, &again) == FL_DECODE_TRUNCATED, "a part of it is truncated");
}

void check_execution(const fl_insn& insn, fl_cpu cpu, Memory& memory) {
    const fl_cpu before = cpu;
    const auto result = fl_insn_execute(&insn, &cpu, &kOps, &memory);
    require(memory.bytes <= 3 * FL_BURST_BYTES, "one turn is bounded");
    if (result == FL_EXECUTE_DONE)
        require(cpu.ip == before.ip + insn.bytes, "done: behind the instruction");
    else
        require(cpu.ip == before.ip, "not done: still at the instruction");
    if (result == FL_EXECUTE_FAULT && !fl_insn_is_string(&insn))
        require(std::memcmp(&before, &cpu, sizeof(cpu)) == 0, "a refused access changes nothing");
    if (result == FL_EXECUTE_AGAIN && !fl_insn_is_string(&insn))
        require(insn.locked, "only strings and locked instructions take several turns");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    Memory memory;
    const unsigned what = input.byte();
    memory.refuse_at = what & 15;
    memory.atomic = (what & 16) != 0 ? FL_ATOMIC_DONE : FL_ATOMIC_SPLIT;
    const auto code = input.bytes(FL_INSN_MAX_BYTES);
    fl_cpu cpu{};
    for (auto& reg : cpu.gpr) reg = input.number<std::uint64_t>();
    cpu.flags = input.number<std::uint64_t>();
    fl_insn insn;
    const auto decoded = fl_insn_decode(code.data(), code.size(), &insn);
    require(std::strcmp(fl_decode_text(decoded), "unknown") != 0, "every outcome has a text");
    if (decoded != FL_DECODE_OK) return 0;
    check_operand(insn);
    check_prefixes_of(code.data(), code.size(), insn);
    check_execution(insn, cpu, memory);
    return 0;
}
