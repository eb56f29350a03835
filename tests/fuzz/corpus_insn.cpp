// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: corpus of the instruction emulator of the kernel module: instructions
// as kernel code contains them, and some that it must refuse. Owns: nothing.
#include <string>
#include <vector>

#include "fuzz/make_corpus.hpp"

namespace farlane::fuzz {

namespace {

constexpr std::size_t kCodeBytes = 15;
constexpr std::size_t kRegisters = 17;  // and flags

using Code = std::vector<unsigned char>;

void instruction(const std::string& name, unsigned char what, const Code& code) {
    std::vector<std::byte> bytes{std::byte{what}};
    for (std::size_t i = 0; i < kCodeBytes; ++i)
        bytes.push_back(std::byte{i < code.size() ? code[i] : Code::value_type{0x90}});
    for (std::size_t reg = 0; reg < kRegisters; ++reg)
        for (unsigned i = 0; i < 8; ++i)
            bytes.push_back(std::byte{static_cast<unsigned char>(i == 7 ? 0x80 : i == 1 ? reg : 0)});
    write("insn", name, bytes);
}

}  // namespace

void insn_corpus() {
    instruction("readl", 0, {0x8b, 0x00});
    instruction("readq_sib", 0, {0x4a, 0x8b, 0x84, 0x8b, 0x1c, 0x00, 0x00, 0x00});
    instruction("writel_ip", 0, {0x89, 0x05, 0x00, 0x10, 0x00, 0x00});
    instruction("writeb_high", 0, {0x88, 0x60, 0x10});
    instruction("store_immediate", 0, {0x66, 0xc7, 0x40, 0x08, 0x34, 0x12});
    instruction("absolute", 0, {0x48, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0x80});
    instruction("movzx", 0, {0x0f, 0xb6, 0x40, 0x01});
    instruction("movsxd", 0, {0x48, 0x63, 0x00});
    instruction("rep_movs", 0, {0xf3, 0xa5});
    instruction("rep_stos", 0, {0xf3, 0x48, 0xab});
    instruction("repne_scas", 0, {0xf2, 0xae});
    instruction("repe_cmps", 3, {0xf3, 0xa6});
    instruction("lock_or", 16, {0xf0, 0x83, 0x08, 0x01});
    instruction("lock_bts", 16, {0xf0, 0x0f, 0xba, 0x28, 0x05});
    instruction("bts_register", 1, {0x48, 0x0f, 0xab, 0x08});
    instruction("lock_xadd", 16, {0xf0, 0x48, 0x0f, 0xc1, 0x08});
    instruction("lock_cmpxchg", 17, {0xf0, 0x0f, 0xb1, 0x08});
    instruction("xchg", 16, {0x87, 0x08});
    instruction("cmov", 0, {0x0f, 0x44, 0x08});
    instruction("setcc", 0, {0x0f, 0x95, 0x00});
    instruction("gs", 0, {0x65, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0});
    instruction("vector", 0, {0xc5, 0xfe, 0x6f, 0x00});
    instruction("call", 0, {0xff, 0x10});
    instruction("prefixes", 0, Code(kCodeBytes, 0x66));
}

}  // namespace farlane::fuzz
