// SPDX-License-Identifier: Apache-2.0
// Which accesses an instruction makes, in which order and size; what is left when one is refused.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "kmod/emulator.hpp"

namespace farlane::kmod {
namespace {

using testing::ElementsAre;

/// Memory of a device: notes each access, and refuses those from `refuse_from` on.
struct Device {
    std::vector<std::string> log;
    std::uint64_t value = 0x1122334455667788;
    std::uint64_t refuse_from = ~std::uint64_t{0};
    enum fl_atomic_result atomic = FL_ATOMIC_SPLIT;
    std::uint64_t found = 0;  // what an atomic returns

    bool note(const char* what, __u64 address, unsigned bytes) {
        if (address >= refuse_from) return false;
        char text[64];
        std::snprintf(text, sizeof(text), "%s %llx %u", what, static_cast<unsigned long long>(address), bytes);
        log.emplace_back(text);
        return true;
    }
};

Device& device(void* context) {
    return *static_cast<Device*>(context);
}

const fl_memory_ops kOps{
    [](void* context, __u64 address, void* into, unsigned bytes) {
        std::memcpy(into, &device(context).value, bytes < 8 ? bytes : 8);
        return device(context).note("read", address, bytes);
    },
    [](void* context, __u64 address, const void* from, unsigned bytes) {
        if (!device(context).note("write", address, bytes)) return false;
        std::memcpy(&device(context).value, from, bytes < 8 ? bytes : 8);
        return true;
    },
    [](void* context, __u64 to, __u64 from, unsigned bytes) {
        return device(context).note("from", from, bytes) && device(context).note("to", to, bytes);
    },
    [](void* context, enum fl_atomic kind, __u64 address, unsigned bytes, __u64 operand, __u64 compare, __u64* old) {
        static const char* const names[] = {"add", "swap", "cas"};
        *old = device(context).found;
        if (device(context).atomic != FL_ATOMIC_DONE) return device(context).atomic;
        device(context).note(names[kind], address, bytes);
        device(context).value = kind == FL_ATOMIC_CAS ? compare : operand;
        return FL_ATOMIC_DONE;
    }};

class Emulator : public testing::Test {
protected:
    fl_execute run(const std::vector<std::uint8_t>& bytes) {
        fl_insn insn;
        EXPECT_EQ(fl_insn_decode(bytes.data(), bytes.size(), &insn), FL_DECODE_OK);
        return fl_insn_execute(&insn, &cpu_, &kOps, &device_);
    }
    Device device_;
    fl_cpu cpu_{};
};

TEST_F(Emulator, OneAccessOfTheWidthOfTheOperand) {
    cpu_.gpr[FL_RAX] = 0x1000;
    EXPECT_EQ(run({0x8b, 0x50, 0x04}), FL_EXECUTE_DONE);  // mov 4(%rax),%edx
    EXPECT_EQ(run({0x48, 0x89, 0x08}), FL_EXECUTE_DONE);  // mov %rcx,(%rax)
    EXPECT_EQ(run({0x80, 0x08, 0x01}), FL_EXECUTE_DONE);  // orb $1,(%rax)
    EXPECT_EQ(run({0x66, 0x3b, 0x08}), FL_EXECUTE_DONE);  // cmp (%rax),%cx
    EXPECT_THAT(device_.log, ElementsAre("read 1004 4", "write 1000 8", "read 1000 1", "write 1000 1", "read 1000 2"));
}

TEST_F(Emulator, StringsBecomeBursts) {
    cpu_.gpr[FL_RCX] = 1500;
    cpu_.gpr[FL_RSI] = 0x100000;
    cpu_.gpr[FL_RDI] = 0x200000;
    EXPECT_EQ(run({0xf3, 0xa5}), FL_EXECUTE_AGAIN);  // rep movsl: 6000 bytes
    EXPECT_EQ(cpu_.ip, 0U);
    EXPECT_EQ(cpu_.gpr[FL_RCX], 1500U - 1024U);
    EXPECT_EQ(run({0xf3, 0xa5}), FL_EXECUTE_DONE);
    EXPECT_THAT(device_.log, ElementsAre("from 100000 4096", "to 200000 4096", "from 101000 1904", "to 201000 1904"));
    EXPECT_EQ(cpu_.gpr[FL_RSI], 0x100000U + 6000U);
    EXPECT_EQ(cpu_.ip, 2U);
}

TEST_F(Emulator, DownwardStringsKeepTheirOrder) {
    cpu_.gpr[FL_RCX] = 3;
    cpu_.gpr[FL_RDI] = 0x1010;
    cpu_.flags = FL_FLAG_DF;
    EXPECT_EQ(run({0xf3, 0x48, 0xab}), FL_EXECUTE_DONE);  // std; rep stosq
    EXPECT_THAT(device_.log, ElementsAre("write 1010 8", "write 1008 8", "write 1000 8"));
}

TEST_F(Emulator, EmptyStringTouchesNothing) {
    EXPECT_EQ(run({0xf3, 0xa4}), FL_EXECUTE_DONE);
    EXPECT_EQ(run({0xf3, 0xaa}), FL_EXECUTE_DONE);
    EXPECT_EQ(run({0xf3, 0xa6}), FL_EXECUTE_DONE);
    EXPECT_TRUE(device_.log.empty());
}

TEST_F(Emulator, LockedAccessIsReadAndWriteWithoutAtomics) {
    cpu_.gpr[FL_RAX] = 0x1000;
    EXPECT_EQ(run({0xf0, 0x01, 0x08}), FL_EXECUTE_DONE);  // lock add %ecx,(%rax)
    EXPECT_THAT(device_.log, ElementsAre("read 1000 4", "write 1000 4"));
}

TEST_F(Emulator, LockedAccessIsOneTransactionWhereItFits) {
    device_.atomic = FL_ATOMIC_DONE;
    device_.found = 5;
    cpu_.gpr[FL_RBX] = 0x1000;
    cpu_.gpr[FL_RCX] = 2;
    EXPECT_EQ(run({0xf0, 0x0f, 0xc1, 0x0b}), FL_EXECUTE_DONE);  // lock xadd %ecx,(%rbx)
    EXPECT_EQ(cpu_.gpr[FL_RCX], 5U);
    EXPECT_EQ(run({0xf0, 0x29, 0x0b}), FL_EXECUTE_DONE);  // lock sub %ecx,(%rbx)
    EXPECT_EQ(static_cast<std::uint32_t>(device_.value), static_cast<std::uint32_t>(-5));
    EXPECT_EQ(run({0x48, 0x87, 0x0b}), FL_EXECUTE_DONE);  // xchg %rcx,(%rbx)
    cpu_.gpr[FL_RAX] = 7;
    EXPECT_EQ(run({0xf0, 0x0f, 0xb1, 0x0b}), FL_EXECUTE_DONE);  // lock cmpxchg %ecx,(%rbx)
    EXPECT_EQ(cpu_.gpr[FL_RAX], 5U);
    EXPECT_FALSE(cpu_.flags & FL_FLAG_ZF);
    EXPECT_THAT(device_.log, ElementsAre("add 1000 4", "add 1000 4", "swap 1000 8", "cas 1000 4"));
}

TEST_F(Emulator, NarrowAndUnalignedAtomicsAreSplit) {
    device_.atomic = FL_ATOMIC_DONE;
    cpu_.gpr[FL_RAX] = 0x1002;
    EXPECT_EQ(run({0xf0, 0x01, 0x08}), FL_EXECUTE_DONE);
    EXPECT_EQ(run({0xf0, 0x00, 0x08}), FL_EXECUTE_DONE);
    EXPECT_THAT(device_.log, ElementsAre("read 1002 4", "write 1002 4", "read 1002 1", "write 1002 1"));
}

TEST_F(Emulator, LockedOrRunsAgainWhenAnotherWroteInBetween) {
    device_.atomic = FL_ATOMIC_DONE;
    device_.value = 0x10;
    device_.found = 0x11;
    cpu_.gpr[FL_RAX] = 0x1000;
    cpu_.flags = FL_FLAG_CF;
    EXPECT_EQ(run({0xf0, 0x09, 0x08}), FL_EXECUTE_AGAIN);  // lock or %ecx,(%rax)
    EXPECT_EQ(cpu_.flags, FL_FLAG_CF);
    EXPECT_EQ(cpu_.ip, 0U);
    device_.value = device_.found = 0x11;
    EXPECT_EQ(run({0xf0, 0x09, 0x08}), FL_EXECUTE_DONE);
    EXPECT_EQ(cpu_.ip, 3U);
}

TEST_F(Emulator, RefusedAccessLeavesRegisters) {
    device_.refuse_from = 0x1000;
    cpu_.gpr[FL_RAX] = 0x1000;
    cpu_.gpr[FL_RCX] = 9;
    cpu_.flags = FL_FLAG_CF;
    const fl_cpu before = cpu_;
    for (const std::vector<std::uint8_t>& insn : std::vector<std::vector<std::uint8_t>>{
             {0x8b, 0x08}, {0x89, 0x08}, {0x01, 0x08}, {0x03, 0x08}, {0x0f, 0xc1, 0x08}, {0x0f, 0xb1, 0x08}}) {
        EXPECT_EQ(run(insn), FL_EXECUTE_FAULT);
        EXPECT_EQ(std::memcmp(&before, &cpu_, sizeof(cpu_)), 0);
    }
    device_.atomic = FL_ATOMIC_FAULT;
    EXPECT_EQ(run({0xf0, 0x01, 0x08}), FL_EXECUTE_FAULT);
    EXPECT_EQ(std::memcmp(&before, &cpu_, sizeof(cpu_)), 0);
}

TEST_F(Emulator, StringStopsAtTheRefusedElement) {
    device_.refuse_from = 0x1000;
    cpu_.gpr[FL_RCX] = 10;
    cpu_.gpr[FL_RSI] = 0x1000 - 16;
    EXPECT_EQ(run({0xf3, 0x48, 0xad}), FL_EXECUTE_FAULT);  // rep lodsq
    EXPECT_EQ(cpu_.gpr[FL_RCX], 8U);
    EXPECT_EQ(cpu_.gpr[FL_RSI], 0x1000U);
    EXPECT_EQ(cpu_.ip, 0U);
}

}  // namespace
}  // namespace farlane::kmod
