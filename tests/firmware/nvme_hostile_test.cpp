// SPDX-License-Identifier: Apache-2.0
// Receives: random bytes as queue entries, registers and kept state. Hands on: whether the device stays within its
// memory and comes to rest. Owns: nothing. tests/fuzz/nvme_command.cpp goes on where this ends.
#include "devices/nvme/state.hpp"
#include "firmware/nvme_fixture.hpp"

namespace farlane::firmware::test {
namespace {

using namespace nvme_user;

class NvmeHostile : public testing::TestWithParam<unsigned> {};

TEST_P(NvmeHostile, RandomEntries) {
    std::mt19937 random(GetParam());
    Rig rig({{"size", "1M"}, {"queues", "3"}});
    const Memory m = rig.host.allocate(1u << 20);
    const auto enable = [&] {
        rig.host.write32(0x14, 0);
        rig.host.write32(0x24, 0x003f003f);
        rig.host.write64(0x28, m.iova);
        rig.host.write64(0x30, m.iova + 4096);
        rig.host.write32(0x14, 0x00460001);
    };
    enable();
    for (unsigned round = 0; round < 300; ++round) {
        for (std::size_t at = 0; at < 4096; at += 64) {
            for (unsigned i = 0; i < 64; ++i) m.bytes[at + i] = static_cast<std::byte>(random());
            // Plausible enough to get somewhere: known opcodes, small numbers, addresses that are mapped
            static constexpr std::uint8_t kOps[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 128};
            if (random() % 4 != 0) m.bytes[at] = static_cast<std::byte>(kOps[random() % std::size(kOps)]);
            if (random() % 4 != 0) m.bytes[at + 1] = std::byte{0};
            if (random() % 2 != 0) std::memcpy(&m.bytes[at + 4], "\1\0\0\0", 4);
            for (const std::size_t prp : {24u, 32u}) {
                const std::uint64_t iova = m.iova + random() % (1u << 20) / (random() % 2 != 0 ? 1 : 4096) * 4096;
                if (random() % 3 != 0) std::memcpy(&m.bytes[at + prp], &iova, 8);
            }
            for (std::size_t dword = 40; dword < 64; dword += 4)
                if (random() % 2 != 0) std::memset(&m.bytes[at + dword + random() % 3 + 1], 0, 1);
            if (random() % 2 != 0) std::memset(&m.bytes[at + 41], 0, 3);
        }
        for (unsigned i = 0; i < 4; ++i) rig.host.write32(0x1000 + random() % 8 * 4, random() % 70);
        if (random() % 8 == 0) rig.host.write32(random() % 0x1040 & ~3u, random());
        for (unsigned i = 0; i < 50; ++i) rig.host.step();
        rig.host.write32(0x1004, random() % 64);
        if (rig.host.read32(0x1c) != 1 || random() % 16 == 0) enable();
    }
    rig.host.write32(0x14, 0);
    rig.host.settle();
    EXPECT_EQ(rig.host.crossed_pages, 0u);
    // And it is still a controller
    Controller c(rig.host, {});
    c.flush();
}

// What an earlier life left is not trusted: every answer is fine as long as it is one.
TEST_P(NvmeHostile, RandomState) {
    std::mt19937 random(GetParam());
    for (unsigned round = 0; round < 40; ++round) {
        Rig rig({{"size", "1M"}, {"queues", "3"}});
        std::size_t bytes = 0;
        {
            Controller c(rig.host, {.io_queues = 2});
            const Memory m = c.allocate(65536);
            for (unsigned i = 0; i < 20; ++i) c.queue().submit(NvmeFixture::command(kRead, i, 2), m, 0, 8192);
            c.queue().ring();
            for (unsigned i = 0; i < random() % 8; ++i) rig.host.step();
            rig.host.lose_device();
            rig.device.reset();
            bool fresh = true;
            const auto state = rig.memory->region("nvme0.nvme", sizeof(nvme::State), fresh).take();
            ASSERT_FALSE(fresh);
            bytes = state.size();
            for (unsigned n = 1 + random() % 64; n != 0; --n) {
                const std::size_t at = random() % 3 == 0 ? random() % bytes : 4096 + random() % 8192;
                state[at] = static_cast<std::byte>(random() % 2 != 0 ? random() : 0);
            }
            rig.make();
            const bool restored = rig.host.restore(*rig.device);
            for (unsigned i = 0; i < 200; ++i) rig.host.step();
            for (unsigned i = 0; i < 8; ++i) rig.host.write32(0x1000 + i * 4, random() % 64);
            for (unsigned i = 0; i < 200; ++i) rig.host.step();
            (void)restored;
            rig.host.detach();
            rig.host.attach(*rig.device);
        }
        Controller c(rig.host, {});
        c.flush();
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, NvmeHostile, testing::Range(1u, 9u));

}  // namespace
}  // namespace farlane::firmware::test
