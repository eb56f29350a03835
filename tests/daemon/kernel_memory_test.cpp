// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of a device. Hands on: proof that they reach the module in order, in few
// calls, and that a daemon killed at any point loses none and repeats none. Owns: a module that counts.
#include "daemon/kernel_memory.hpp"

#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace farlane::daemon {
namespace {

struct CountingModule final : KernelModule {
    struct Write {
        std::uint64_t iova;
        std::vector<std::byte> bytes;
        friend bool operator==(const Write&, const Write&) = default;
    };
    std::vector<Write> writes;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> interrupts;
    unsigned calls = 0;
    std::uint32_t stop_after = ~0U;  ///< executes so many, then the daemon is killed in the call

    struct Killed {};

    Result<fl_ioc_info> info() override { return fl_ioc_info{}; }
    Result<std::uint32_t> become(const proto::Instance&, std::uint32_t) override { return 0U; }
    Result<KernelFunction> add(const KernelFunctionSpec&) override { return KernelFunction{}; }
    Status remove(std::uint32_t, bool) override { return Status::ok; }
    Result<KernelFunction> get(std::uint32_t) override { return {Status::not_found, ""}; }
    Status recover(std::uint32_t, int) override { return Status::ok; }
    Result<std::shared_ptr<SharedMemory>> map_channel(const KernelFunction&) override { return {Status::io, ""}; }
    int event_fd() const noexcept override { return -1; }
    std::vector<std::uint32_t> events() override { return {}; }
    Result<KernelChannel> channel(std::uint32_t) override { return {Status::not_found, ""}; }
    Status release_channel(std::uint32_t, std::uint32_t) override { return Status::ok; }
    Status ring_application(std::uint32_t) noexcept override { return Status::ok; }
    Status set_state(std::uint32_t, fl_function_state) override { return Status::ok; }
    Status error(std::uint32_t, std::uint32_t, std::uint32_t) override { return Status::ok; }
    Status interrupt(std::uint32_t, std::uint32_t first, std::uint64_t mask) noexcept override {
        interrupts.emplace_back(first, mask);
        return Status::ok;
    }
    Status poke(std::uint32_t) noexcept override { return Status::ok; }
    Status dma(std::uint32_t, std::span<fl_dma_op> ops, std::uint32_t& failed) noexcept override {
        ++calls;
        for (fl_dma_op& op : ops) {
            if (stop_after == 0) return Status::ok;
            --stop_after;
            const auto* at = reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(op.address));
            if (op.kind == FL_DMA_WRITE) writes.push_back({op.iova, {at, at + op.length_bytes}});
            op.status = op.iova < 0x1000 ? FL_STATUS_UR : FL_STATUS_SC;
            if (op.status != FL_STATUS_SC) ++failed;
        }
        return Status::ok;
    }
};

struct KernelMemoryTest : testing::Test {
    std::unique_ptr<DmaJournal> journal = std::make_unique<DmaJournal>();
    CountingModule module;
    std::unique_ptr<KernelMemory> memory = std::make_unique<KernelMemory>(*journal);

    KernelMemoryTest() {
        memory->clear();
        memory->open(module, 1);
    }
    void write(std::uint64_t iova, std::size_t bytes, int fill) {
        const std::vector<std::byte> data(bytes, static_cast<std::byte>(fill));
        memory->write(iova, 0, data);
    }
    /// Another daemon on the same journal.
    void restart() {
        memory = std::make_unique<KernelMemory>(*journal);
        memory->open(module, 1);
    }
};

TEST_F(KernelMemoryTest, WritesOfATurnGoInOneCall) {
    for (int i = 0; i < 40; ++i) write(0x10000 + 4096U * static_cast<unsigned>(i), 1400, i);
    EXPECT_EQ(module.calls, 0U);
    memory->interrupt(3);
    memory->interrupt(3);
    memory->interrupt(70);
    EXPECT_TRUE(memory->flush());
    EXPECT_EQ(module.calls, 1U);
    ASSERT_EQ(module.writes.size(), 40U);
    for (unsigned i = 0; i < 40; ++i) {
        EXPECT_EQ(module.writes[i].iova, 0x10000 + 4096U * i);
        EXPECT_EQ(module.writes[i].bytes, std::vector<std::byte>(1400, static_cast<std::byte>(i)));
    }
    using Raised = std::vector<std::pair<std::uint32_t, std::uint64_t>>;
    EXPECT_EQ(module.interrupts, (Raised{{0, 8}, {64, 64}})) << "a vector once a turn";
    EXPECT_FALSE(memory->flush());
}

TEST_F(KernelMemoryTest, MoreThanAJournalHoldsKeepsItsOrder) {
    for (unsigned i = 0; i < 1000; ++i) write(0x10000 + i, 4096, static_cast<int>(i & 0xff));
    (void)memory->flush();
    ASSERT_EQ(module.writes.size(), 1000U);
    for (unsigned i = 0; i < 1000; ++i) {
        ASSERT_EQ(module.writes[i].iova, 0x10000U + i);
        ASSERT_EQ(module.writes[i].bytes[4095], static_cast<std::byte>(i & 0xff));
    }
}

TEST_F(KernelMemoryTest, WordThatIsPolledForComesLast) {
    write(0x20000, 16, 7);  // a completion queue entry
    (void)memory->flush();
    ASSERT_EQ(module.writes.size(), 2U);
    EXPECT_EQ(module.writes[0].bytes.size(), 12U);
    EXPECT_EQ(module.writes[1].iova, 0x2000cU);
    EXPECT_EQ(module.calls, 1U);
}

TEST_F(KernelMemoryTest, ReadsAndAtomicsComeBehindTheWrites) {
    write(0x20000, 100, 7);
    std::array<std::byte, 64> into{};
    EXPECT_EQ(memory->read(0x20000, 0, into), Status::ok);
    EXPECT_EQ(module.writes.size(), 1U);
    EXPECT_EQ(module.calls, 2U);
    write(0x20000, 100, 8);
    std::array<std::byte, 16> operand{};
    EXPECT_EQ(memory->atomic(proto::TlpType::compare_swap, 0x20000, 0, operand, std::span(into).first(8)), Status::ok);
    EXPECT_EQ(module.writes.size(), 2U);
    EXPECT_EQ(memory->read(0x20, 0, into), Status::unsupported_request) << "refused by the module";
    EXPECT_EQ(memory->counters().refused, 1U);
}

TEST_F(KernelMemoryTest, KilledBeforeTheCallNothingIsLost) {
    write(0x20000, 100, 1);
    write(0x30000, 4096, 2);
    memory->interrupt(5);
    restart();
    ASSERT_EQ(module.writes.size(), 2U);
    EXPECT_EQ(module.writes[1].bytes, std::vector<std::byte>(4096, std::byte{2}));
    EXPECT_EQ(module.interrupts.size(), 1U);
    restart();
    EXPECT_EQ(module.writes.size(), 2U) << "and once";
    EXPECT_EQ(module.interrupts.size(), 1U);
}

TEST_F(KernelMemoryTest, KilledInTheCallWhatWasExecutedIsNotRepeated) {
    for (std::uint32_t stop = 0; stop <= 8; ++stop) {
        module.writes.clear();
        for (unsigned i = 0; i < 8; ++i) write(0x20000 + 4096U * i, 100, static_cast<int>(i));
        // The call ends in the middle and the daemon with it: nothing behind the call runs.
        module.stop_after = stop;
        std::uint32_t failed = 0;
        (void)module.dma(1, std::span(journal->ops).first(journal->count), failed);
        module.stop_after = ~0U;
        restart();
        ASSERT_EQ(module.writes.size(), 8U) << stop;
        for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(module.writes[i].iova, 0x20000 + 4096U * i);
    }
}

TEST_F(KernelMemoryTest, JournalThatLiesIsHarmless) {
    journal->count = ~0U;
    journal->used_bytes = ~0U;
    for (std::size_t i = 0; i < journal->ops.size(); ++i) {
        journal->ops[i] = {i, ~std::uint64_t{0}, static_cast<std::uint32_t>(i * 4096),
                           0, FL_DMA_WRITE,      DmaJournal::kNotDone};
        journal->offset[i] = static_cast<std::uint32_t>(i * 2048);
    }
    journal->ops[1].kind = FL_DMA_READ;  // would write into this process
    restart();
    EXPECT_TRUE(module.writes.empty()) << "lengths and offsets that can not be, and a read";
    write(0x20000, 4096, 9);
    (void)memory->flush();
    EXPECT_EQ(module.writes.size(), 1U);
}

TEST_F(KernelMemoryTest, NothingGoesToAFunctionThatIsGone) {
    write(0x20000, 100, 1);
    memory->close();
    write(0x20000, 100, 1);
    memory->interrupt(1);
    (void)memory->flush();
    std::array<std::byte, 8> into{};
    EXPECT_EQ(memory->read(0x20000, 0, into), Status::device_lost);
    EXPECT_TRUE(module.writes.empty());
    EXPECT_TRUE(module.interrupts.empty());
}

}  // namespace
}  // namespace farlane::daemon
