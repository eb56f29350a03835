// SPDX-License-Identifier: Apache-2.0
// What the decoder says of single instructions: operands, lengths, and why it refuses one.
#include <gmock/gmock.h>

#include <vector>

#include "kmod/emulator.hpp"

namespace farlane::kmod {
namespace {

using Bytes = std::vector<std::uint8_t>;

fl_decode decode(const Bytes& bytes, fl_insn& insn) {
    return fl_insn_decode(bytes.data(), bytes.size(), &insn);
}
fl_decode decode(const Bytes& bytes) {
    fl_insn insn;
    return decode(bytes, insn);
}

TEST(Decoder, OperandsOfRegisterRead) {  // mov 0x1c(%rbx,%r9,4),%eax
    fl_insn insn;
    ASSERT_EQ(decode({0x42, 0x8b, 0x44, 0x8b, 0x1c}, insn), FL_DECODE_OK);
    EXPECT_EQ(insn.op, FL_OP_MOV);
    EXPECT_TRUE(insn.to_register);
    EXPECT_EQ(insn.width, 4);
    EXPECT_EQ(insn.base, FL_RBX);
    EXPECT_EQ(insn.index, FL_R9);
    EXPECT_EQ(insn.reg, FL_RAX);
    fl_cpu cpu{};
    cpu.gpr[FL_RBX] = 0x8000000000001000;
    cpu.gpr[FL_R9] = 3;
    EXPECT_EQ(fl_insn_address(&insn, &cpu), 0x8000000000001028);
}

TEST(Decoder, AddressOfBitInRegisterCountsWholeOperands) {  // bts %ecx,(%rax)
    fl_insn insn;
    ASSERT_EQ(decode({0x0f, 0xab, 0x08}, insn), FL_DECODE_OK);
    fl_cpu cpu{};
    cpu.gpr[FL_RAX] = 0x1000;
    cpu.gpr[FL_RCX] = 70;
    EXPECT_EQ(fl_insn_address(&insn, &cpu), 0x1008U);
    cpu.gpr[FL_RCX] = 0xffffffff;  // -1
    EXPECT_EQ(fl_insn_address(&insn, &cpu), 0xffcU);
}

TEST(Decoder, AddressSizePrefixCutsTheAddress) {  // addr32 mov (%eax),%eax
    fl_insn insn;
    ASSERT_EQ(decode({0x67, 0x8b, 0x00}, insn), FL_DECODE_OK);
    fl_cpu cpu{};
    cpu.gpr[FL_RAX] = 0x8000000012345678;
    EXPECT_EQ(fl_insn_address(&insn, &cpu), 0x12345678U);
}

TEST(Decoder, SegmentOfPerCpuData) {  // mov %gs:(%rax),%eax
    fl_insn insn;
    ASSERT_EQ(decode({0x65, 0x8b, 0x00}, insn), FL_DECODE_OK);
    EXPECT_EQ(insn.segment, FL_SEGMENT_GS);
    ASSERT_EQ(decode({0x8b, 0x00}, insn), FL_DECODE_OK);
    EXPECT_EQ(insn.segment, FL_SEGMENT_FLAT);
}

TEST(Decoder, RexCountsRightBeforeTheOpcodeOnly) {
    fl_insn insn;
    ASSERT_EQ(decode({0x48, 0x66, 0x89, 0x10}, insn), FL_DECODE_OK);
    EXPECT_EQ(insn.width, 2);
    ASSERT_EQ(decode({0x66, 0x48, 0x89, 0x10}, insn), FL_DECODE_OK);
    EXPECT_EQ(insn.width, 8);
}

TEST(Decoder, RefusesWithItsReason) {
    const struct {
        const char* what;
        Bytes bytes;
        fl_decode result;
    } rows[] = {
        {"mov %eax,%edx", {0x89, 0xc2}, FL_DECODE_NO_MEMORY},
        {"movups (%rax),%xmm0", {0x0f, 0x10, 0x00}, FL_DECODE_VECTOR},
        {"movaps %xmm0,(%rax)", {0x0f, 0x29, 0x00}, FL_DECODE_VECTOR},
        {"movq (%rax),%mm0", {0x0f, 0x6f, 0x00}, FL_DECODE_VECTOR},
        {"movdqu (%rax),%xmm0", {0xf3, 0x0f, 0x6f, 0x00}, FL_DECODE_VECTOR},
        {"vmovdqu (%rax),%ymm0", {0xc5, 0xfe, 0x6f, 0x00}, FL_DECODE_VECTOR},
        {"vmovdqu64 (%rax),%zmm0", {0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x00}, FL_DECODE_VECTOR},
        {"fldl (%rax)", {0xdd, 0x00}, FL_DECODE_VECTOR},
        {"push (%rax)", {0xff, 0x30}, FL_DECODE_CONTROL},
        {"call *(%rax)", {0xff, 0x10}, FL_DECODE_CONTROL},
        {"jmp *(%rax)", {0xff, 0x20}, FL_DECODE_CONTROL},
        {"pop (%rax)", {0x8f, 0x00}, FL_DECODE_CONTROL},
        {"lock mov", {0xf0, 0x89, 0x10}, FL_DECODE_UNSUPPORTED},
        {"lock cmp", {0xf0, 0x39, 0x10}, FL_DECODE_UNSUPPORTED},
        {"lock add to register", {0xf0, 0x03, 0x10}, FL_DECODE_UNSUPPORTED},
        {"movs from gs", {0x65, 0xa4}, FL_DECODE_UNSUPPORTED},
        {"in", {0xec}, FL_DECODE_UNSUPPORTED},
        {"ud2", {0x0f, 0x0b}, FL_DECODE_UNSUPPORTED},
        {"breakpoint", {0xcc}, FL_DECODE_UNSUPPORTED},
        {"nothing", {}, FL_DECODE_TRUNCATED},
        {"prefix only", {0x66}, FL_DECODE_TRUNCATED},
        {"no displacement", {0x8b, 0x80, 0x00, 0x00}, FL_DECODE_TRUNCATED},
        {"no immediate", {0xc7, 0x00, 0x01}, FL_DECODE_TRUNCATED},
        {"prefixes without end", Bytes(15, 0x66), FL_DECODE_UNSUPPORTED},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(decode(row.bytes), row.result) << row.what;
        EXPECT_STRNE(fl_decode_text(row.result), "unknown");
    }
}

}  // namespace
}  // namespace farlane::kmod
