// SPDX-License-Identifier: Apache-2.0
// Receives: seeds. Hands on: whether random I/O, resets and detaches under load leave the right data. Owns: nothing.
#include "firmware/random_io.hpp"

namespace farlane::firmware::test {
namespace {

HostFaults bad_day(unsigned seed) {
    return {.seed = seed,
            .would_block_percent = seed * 7 % 60,
            .place_relaxed_early = seed % 2 == 0,
            .slow_percent = seed * 13 % 70,
            .lag_percent = seed * 29 % 90,
            .answer_reads_in_any_order = seed % 3 != 0};
}

class NvmeRandom : public testing::TestWithParam<unsigned> {};

TEST_P(NvmeRandom, EveryReadGivesWhatWasWritten) {
    const unsigned seed = GetParam();
    Rig rig({{"size", "2M"}, {"lba", seed % 2 != 0 ? "512" : "4096"}}, bad_day(seed));
    nvme_user::Controller c(rig.host, {.io_queues = 1 + seed % 4, .queue_depth = 2u << seed % 6});
    RandomIo io(rig.host, c, seed);
    io.run(600);
    io.verify_all();
    EXPECT_EQ(rig.host.crossed_pages, 0u);
    EXPECT_EQ(rig.host.refused, 0u);
    EXPECT_EQ(rig.counter("dma_failed"), 0u);
}

TEST_P(NvmeRandom, ControllerResetUnderLoad) {
    const unsigned seed = GetParam();
    Rig rig({{"size", "2M"}}, bad_day(seed));
    nvme_user::Controller c(rig.host, {.io_queues = 2, .queue_depth = 32});
    RandomIo io(rig.host, c, seed);
    for (unsigned round = 0; round < 6; ++round) {
        io.run(50);
        io.flood();
        for (unsigned i = 0; i < seed * round % 23; ++i) rig.host.step();
        io.forget_open();
        c.reset();
        io.rewrite_lost();
        io.verify_all();
    }
}

TEST_P(NvmeRandom, FunctionResetUnderLoad) {
    const unsigned seed = GetParam();
    Rig rig({{"size", "2M"}}, bad_day(seed));
    std::vector<std::byte> expected;
    for (unsigned round = 0; round < 4; ++round) {
        std::optional<nvme_user::Controller> c(std::in_place, rig.host, nvme_user::Options{.io_queues = 2});
        RandomIo io(rig.host, *c, seed + round);
        const auto m = c->allocate(c->space().bytes());
        c->write(0, m, 0, m.bytes.size());  // the reference begins with zeros
        io.run(50);
        io.flood();
        for (unsigned i = 0; i < seed * round % 19; ++i) rig.host.step();
        if (round % 2 == 0) {
            rig.device->reset();
            rig.host.config_write(0x04, 0x0006, 2);
        } else {
            rig.host.detach();  // surprise: the driver finds nothing
            EXPECT_THROW(c.emplace(rig.host, nvme_user::Options{}), Error);
            rig.host.attach(*rig.device);
        }
        EXPECT_EQ(rig.host.read32(0x14), 0u);
        EXPECT_EQ(rig.host.read32(0x1c), 0u);
        io.forget_open();
        c.reset();
        rig.host.settle();
        EXPECT_EQ(rig.counter("nvme_fatal_errors"), 0u);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, NvmeRandom, testing::Range(1u, 13u));

TEST(NvmeFatal, QueueThatCanNotBeRead) {
    Rig rig;
    nvme_user::Controller c(rig.host, {});
    rig.host.deny_reads = 1;
    EXPECT_THROW(c.flush(), Error);
    EXPECT_EQ(rig.host.read32(0x1c) & 2, 2u) << "CSTS.CFS";
    c.reset();
    c.flush();
}

TEST(NvmeFatal, QueueThatCanNotBeWritten) {
    Rig rig;
    nvme_user::Controller c(rig.host, {});
    rig.host.deny_writes = 1;
    EXPECT_THROW(c.flush(), Error);
    EXPECT_EQ(rig.host.read32(0x1c) & 2, 2u);
    c.reset();
    c.flush();
}

TEST(NvmeFatal, SettingsItDoesNotSupport) {
    for (const std::uint32_t cc : {0x00460011u, 0x00460081u, 0x00460801u}) {
        Rig rig;
        const auto m = rig.host.allocate(8192);
        rig.host.write32(0x24, 0x001f001f);
        rig.host.write64(0x28, m.iova);
        rig.host.write64(0x30, m.iova + 4096);
        rig.host.write32(0x14, cc);
        EXPECT_EQ(rig.host.read32(0x1c), 2u);
        rig.host.write32(0x14, 0);
        EXPECT_EQ(rig.host.read32(0x1c), 0u);
        rig.host.write32(0x14, 0x00460001);
        EXPECT_EQ(rig.host.read32(0x1c), 1u);
    }
    Rig rig;
    rig.host.write32(0x14, 0x00460001);  // no admin queue
    EXPECT_EQ(rig.host.read32(0x1c), 2u);
}

TEST(NvmeFault, DmaOutsideAMapping) {
    Rig rig;
    nvme_user::Controller c(rig.host, {});
    const auto m = c.allocate(4096);
    rig.function().faults().dma_outside_after = 2;  // the fetch of the entry, then the data
    EXPECT_EQ(c.io({.opcode = nvme_user::kRead, .nsid = 1}, m, 0, 4096).code(), unsigned{kDataTransfer});
    EXPECT_EQ(rig.host.refused, 1u);
    c.flush();
}

TEST(NvmeFault, HangingFirmware) {
    Rig rig;
    nvme_user::Controller c(rig.host, {.timeout = std::chrono::milliseconds(1)});
    rig.function().faults().hang_after_reads = 1;
    EXPECT_EQ(rig.host.read32(0x1c), 0xffffffffu);
    EXPECT_EQ(rig.host.read32(0x08), 0xffffffffu);
    rig.device->reset();
    EXPECT_EQ(rig.host.read32(0x08), 0x00010400u);
}

TEST(NvmeInterrupts, OneVectorPerQueue) {
    Rig rig;
    nvme_user::Controller c(rig.host, {.io_queues = 3, .interrupts = true});
    rig.host.interrupts.clear();
    for (unsigned q = 0; q < 3; ++q) {
        c.queue(q).submit({.opcode = nvme_user::kFlush, .nsid = 1});
        c.queue(q).ring();
        rig.host.settle();
        EXPECT_EQ(rig.host.interrupts[q + 1], 1u);
        EXPECT_TRUE(c.queue(q).poll().has_value()) << "the completion is there before its interrupt";
    }
    EXPECT_EQ(rig.host.interrupts[0], 0u);
}

TEST(NvmeInterrupts, BusMasterOffHoldsEverything) {
    Rig rig;
    nvme_user::Controller c(rig.host, {});
    c.queue().submit({.opcode = nvme_user::kFlush, .nsid = 1});
    rig.host.config_write(0x04, 0x0002, 2);
    c.queue().ring();
    rig.host.settle();
    EXPECT_FALSE(c.queue().poll().has_value());
    EXPECT_FALSE(rig.device->busy());
    rig.host.config_write(0x04, 0x0006, 2);
    EXPECT_TRUE(c.wait(c.queue()).ok());
}

}  // namespace
}  // namespace farlane::firmware::test
