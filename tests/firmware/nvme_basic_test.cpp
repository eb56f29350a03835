// SPDX-License-Identifier: Apache-2.0
// Receives: commands of the user-space driver. Hands on: whether controller and driver agree. Owns: nothing.
#include <cstring>

#include "firmware/rig.hpp"

namespace farlane::firmware::test {
namespace {

using nvme_user::Controller;

void pattern(std::span<std::byte> b, unsigned seed) {
    std::mt19937 r(seed);
    for (std::byte& x : b) x = static_cast<std::byte>(r());
}

TEST(NvmeBasic, IdentifiesItself) {
    Rig rig({{"size", "4M"}, {"serial", "SN-1"}, {"model", "Test drive"}, {"lba", "512"}});
    Controller c(rig.host, {});
    EXPECT_EQ(c.info().serial, "SN-1");
    EXPECT_EQ(c.info().model, "Test drive");
    EXPECT_EQ(c.info().version, 0x00010400u);
    EXPECT_EQ(c.info().namespaces, 1u);
    EXPECT_EQ(c.info().max_transfer_bytes, 256u << 10);
    EXPECT_FALSE(c.info().volatile_cache);
    EXPECT_TRUE(c.info().nqn.starts_with("nqn.2014-08.org.nvmexpress:uuid:"));
    EXPECT_EQ(c.info().nqn.size(), 68u);
    EXPECT_EQ(c.space().block_bytes, 512u);
    EXPECT_EQ(c.space().bytes(), 4u << 20);
}

class NvmeData : public testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(NvmeData, WritesAndReadsBack) {
    const auto& [lba, interrupts] = GetParam();
    Rig rig({{"size", "4M"}, {"lba", lba}});
    Controller c(rig.host, {.io_queues = 2, .queue_depth = 16, .interrupts = interrupts});
    const auto out = c.allocate(4u << 20), in = c.allocate(4u << 20);
    pattern(out.bytes, 7);
    c.write(0, out, 0, out.bytes.size());
    c.flush();
    c.read(0, in, 0, in.bytes.size());
    EXPECT_EQ(std::memcmp(out.bytes.data(), in.bytes.data(), out.bytes.size()), 0);
    EXPECT_LE(rig.host.max_record_bytes, 4096u);
    EXPECT_EQ(rig.host.crossed_pages, 0u);
    EXPECT_GT(rig.host.relaxed_writes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Formats, NvmeData, testing::Combine(testing::Values("512", "4096"), testing::Bool()));

}  // namespace
}  // namespace farlane::firmware::test
