// SPDX-License-Identifier: Apache-2.0
// Random instances of every form run on the real processor and in the emulator: registers, flags and memory are equal.
#include <gmock/gmock.h>

#include "kmod/insn_forms.hpp"
#include "kmod/native_processor.hpp"

namespace farlane::kmod {
namespace {

constexpr std::size_t kArenaBytes = 16384;
constexpr int kCases = 2500;  // of each form
constexpr int kStringCases = 600;
constexpr int kMostTurns = 20000;  // of one string instruction
constexpr std::uint64_t kStatusFlags =
    FL_FLAG_CF | FL_FLAG_PF | FL_FLAG_AF | FL_FLAG_ZF | FL_FLAG_SF | FL_FLAG_DF | FL_FLAG_OF;

std::string hex(std::span<const std::uint8_t> bytes) {
    std::string text;
    char buffer[4];
    for (const auto b : bytes) {
        std::snprintf(buffer, sizeof(buffer), "%02x ", b);
        text += buffer;
    }
    return text;
}

class Native : public testing::TestWithParam<std::size_t> {
protected:
    const Form& form() const { return forms()[GetParam()]; }

    void SetUp() override {
        // Runs of equal bytes, so that comparisons of strings go on for a while.
        auto arena = processor_.arena();
        for (std::size_t i = 0; i < arena.size(); ++i)
            arena[i] =
                form().string ? static_cast<std::uint8_t>(i / 48 % 3 == 0) : static_cast<std::uint8_t>(random_());
    }

    /// Operands that are equal or nearly so: cmpxchg, cmp and sub have their special cases there.
    void poke(const fl_insn& insn, Instance& instance) {
        if (fl_insn_is_string(&insn)) {
            const std::uint64_t choices[] = {0, 0x0101010101010101, instance.cpu.gpr[FL_RAX]};
            instance.cpu.gpr[FL_RAX] = choices[random_() % 3];
            return;
        }
        const unsigned from = random_() % 2 ? unsigned{FL_RAX} : insn.reg;
        const std::uint64_t value = instance.cpu.gpr[from] + random_() % 3 - 1;
        if (random_() % 2) return;
        std::memcpy(reinterpret_cast<void*>(fl_insn_address(&insn, &instance.cpu)), &value, sizeof(value));
    }

    static fl_execute emulate(const fl_insn& insn, fl_cpu& cpu, bool atomics) {
        const fl_memory_ops ops{plain_read, plain_write, plain_copy, atomics ? plain_atomic : nullptr};
        fl_execute result = FL_EXECUTE_AGAIN;
        for (int turn = 0; result == FL_EXECUTE_AGAIN && turn < kMostTurns; ++turn)
            result = fl_insn_execute(&insn, &cpu, &ops, nullptr);
        return result;
    }

    void compare(Instance instance, bool atomics) {
        fl_insn insn;
        ASSERT_EQ(fl_insn_decode(instance.bytes.data(), instance.bytes.size(), &insn), FL_DECODE_OK);
        ASSERT_EQ(insn.bytes, instance.bytes.size());
        poke(insn, instance);
        const auto arena = processor_.arena();
        const std::vector<std::uint8_t> before(arena.begin(), arena.end());
        fl_cpu native = instance.cpu, emulated = instance.cpu;
        processor_.run(instance.bytes, native);
        const std::vector<std::uint8_t> after(arena.begin(), arena.end());
        std::copy(before.begin(), before.end(), arena.begin());
        ASSERT_EQ(emulate(insn, emulated, atomics), FL_EXECUTE_DONE);
        const auto differs = std::mismatch(after.begin(), after.end(), arena.begin());
        ASSERT_TRUE(differs.first == after.end()) << "memory at " << differs.first - after.begin();
        for (unsigned reg = 0; reg < FL_REGISTERS; ++reg)
            ASSERT_EQ(emulated.gpr[reg], native.gpr[reg]) << "register " << reg;
        ASSERT_EQ(emulated.ip, native.ip);
        const std::uint64_t defined = kStatusFlags & ~form().undefined;
        ASSERT_EQ(emulated.flags & defined, native.flags & defined);
    }

    NativeProcessor processor_{kArenaBytes};
    Random random_{GetParam() + 1};
};

TEST_P(Native, EmulatorDoesTheSame) {
    const int cases = form().string ? kStringCases : kCases;
    for (int i = 0; i < cases; ++i) {
        auto instance = make_instance(form(), processor_.arena(), processor_.instruction_address(), random_);
        const std::string what = hex(instance.bytes);
        ASSERT_NO_FATAL_FAILURE(compare(std::move(instance), i % 2 == 0)) << form().name << ": " << what;
        ASSERT_FALSE(HasFailure()) << form().name << ", case " << i << ": " << what;
    }
}

INSTANTIATE_TEST_SUITE_P(EveryForm, Native, testing::Range<std::size_t>(0, forms().size()));

}  // namespace
}  // namespace farlane::kmod
