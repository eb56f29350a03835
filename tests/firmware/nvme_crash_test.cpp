// SPDX-License-Identifier: Apache-2.0
// Receives: a place at which the device is killed. Hands on: whether its next life goes on as if nothing had been.
// Owns: nothing. The places are listed in firmware_sim/devices/nvme/queues.cpp.
#include <set>
#include <string>

#include "firmware/random_io.hpp"

namespace farlane::firmware::test {
namespace {

using namespace nvme_user;

void expect_zero(std::span<const std::byte> b) {
    for (const std::byte x : b) ASSERT_EQ(x, std::byte{0});
}

// Every kind of command once, results checked. The driver throws for a completion that comes twice or not at all.
void everything_once(Rig& rig) {
    Controller c(rig.host, {.io_queues = 2, .queue_depth = 4});
    rig.host.watch_completions(rig.host.read64(0x30), 512);
    const Memory a = c.allocate(65536), b = c.allocate(65536);
    fill(a.bytes, 1);
    c.write(0, a, 0, 65536);
    c.read(0, b, 0, 65536);
    ASSERT_TRUE(same(a.bytes, b.bytes));
    EXPECT_TRUE(c.io({.opcode = kCompare, .nsid = 1, .dw10 = 0, .dw12 = 3}, a, 0, 16384, 1).ok());
    EXPECT_EQ(c.io({.opcode = kCompare, .nsid = 1, .dw10 = 1, .dw12 = 0}, a, 0, 4096, 1).code(),
              unsigned{kCompareFailure});
    EXPECT_TRUE(c.io({.opcode = kWriteZeroes, .nsid = 1, .dw10 = 2, .dw12 = 1}).ok());
    std::memset(b.bytes.data(), 0, 16);
    b.bytes[4] = std::byte{1};
    b.bytes[8] = std::byte{5};
    EXPECT_TRUE(c.io({.opcode = kDatasetManagement, .nsid = 1, .dw10 = 0, .dw11 = 4}, b, 0, 16).ok());
    c.flush();
    c.read(0, b, 0, 65536);
    expect_zero(b.bytes.subspan(2 * 4096, 2 * 4096));
    expect_zero(b.bytes.subspan(5 * 4096, 4096));
    ASSERT_TRUE(same(a.bytes.subspan(6 * 4096), b.bytes.subspan(6 * 4096)));

    EXPECT_TRUE(c.admin({.opcode = kSetFeatures, .dw10 = 0x0b, .dw11 = 0x100}).ok());
    EXPECT_EQ(c.admin({.opcode = kGetFeatures, .dw10 = 0x0b}).dw0, 0x100u);
    EXPECT_TRUE(c.admin({.opcode = kGetLogPage, .nsid = 0xffffffff, .dw10 = 127u << 16 | 2}, b, 512).ok());
    EXPECT_EQ(c.admin({.opcode = kIdentify, .nsid = 9, .dw10 = 0}, b, 4096).code(), unsigned{kInvalidNamespace});
    // An event that waits over kills, then is told
    const std::uint16_t event = c.admin_queue().submit({.opcode = kAsyncEvent});
    c.admin_queue().ring();
    EXPECT_TRUE(c.admin({.opcode = kDeleteSq, .dw10 = 2}).ok());
    EXPECT_TRUE(c.admin({.opcode = kDeleteCq, .dw10 = 2}).ok());
    EXPECT_TRUE(c.admin({.opcode = kCreateCq, .prp1 = c.queue(1).cq_iova(), .dw10 = 3u << 16 | 2, .dw11 = 1}).ok());
    EXPECT_EQ(c.admin({.opcode = kDeleteCq, .dw10 = 1}).code(), unsigned{kDeletion});
    c.admin_queue().submit({.opcode = kFormat, .nsid = 1, .dw10 = 0});
    const Completion x = c.wait(c.admin_queue()), y = c.wait(c.admin_queue());
    EXPECT_TRUE(x.ok() && y.ok());
    EXPECT_EQ(x.cid == event ? x.dw0 : y.dw0, 0x00040002u);
    c.identify_namespace();
    EXPECT_EQ(c.space().block_bytes, 512u);
    c.read(0, b, 0, 65536);
    expect_zero(b.bytes);
    c.reset();
    c.write(7, a, 0, 512);
    c.read(7, b, 0, 512);
    ASSERT_TRUE(same(a.bytes.first(512), b.bytes.first(512)));
    c.shutdown();
    EXPECT_EQ(rig.host.repeated_completions, 0u);
}

Options options(const std::string& file = {}) {
    Options o = {{"size", "1M"}, {"lba", "4096"}, {"queues", "4"}};
    if (!file.empty()) o.push_back({"file", file});
    return o;
}

// kill -9 at the first, second, third... place that is passed, until the whole job passes without.
TEST(NvmeCrash, AtEveryPlaceOfEveryCommand) {
    std::set<std::string> places;
    unsigned kill_at = 1;
    for (;; ++kill_at) {
        Rig rig(options());
        unsigned passed = 0;
        bool killed = false;
        std::string where;
        rig.watch_points([&](const char* place) {
            places.insert(place);
            if (++passed != kill_at) return;
            killed = true;
            where = place;
            rig.host.kill_here();
        });
        try {
            everything_once(rig);
        } catch (const Error& e) {
            ADD_FAILURE() << e.what();
        }
        if (testing::Test::HasFailure()) FAIL() << "killed at place number " << kill_at << ", " << where;
        if (!killed) break;
    }
    EXPECT_GT(kill_at, 300u);
    for (const char* place : {"1 entries read",           "2 command recorded",
                              "3 head advanced",          "4 executed",
                              "5 result recorded",        "6 completion recorded",
                              "7 completion given",       "8 tail advanced",
                              "9 completion released",    "applying",
                              "completion queue made",    "submission queue made",
                              "submission queue deleted", "format begun",
                              "format: erased",           "format: done",
                              "enable: session clear",    "enable: admin queue made",
                              "disable: session clear",   "shutdown begun",
                              "restore: queues adopted",  "restore: command adopted"})
        EXPECT_TRUE(places.contains(place)) << place << " was never passed";
}

class NvmeCrashRandom : public testing::TestWithParam<unsigned> {};

// Killed again and again, restores included, under random load and a host on a bad day.
TEST_P(NvmeCrashRandom, DataIsRight) {
    const unsigned seed = GetParam();
    Rig rig(options(), {.seed = seed,
                        .would_block_percent = seed * 11 % 50,
                        .place_relaxed_early = seed % 2 != 0,
                        .slow_percent = seed * 17 % 60,
                        .lag_percent = seed * 23 % 80,
                        .answer_reads_in_any_order = true});
    std::mt19937 random(seed);
    unsigned until_kill = 0;
    const unsigned pace = seed % 3 == 0 ? 200 : 600;  // a recovery alone passes up to 45
    rig.watch_points([&](const char*) {
        if (until_kill-- != 0) return;
        until_kill = 1 + random() % pace;
        rig.host.kill_here();
    });
    until_kill = 1000;
    Controller c(rig.host, {.io_queues = 3, .queue_depth = 16});
    for (unsigned q = 0; q < c.queues(); ++q) rig.host.watch_completions(c.queue(q).cq_iova(), 4096);
    RandomIo io(rig.host, c, seed);
    io.run(1500);
    EXPECT_GT(rig.lives, 10u);
    io.verify_all();
    EXPECT_EQ(rig.host.repeated_completions, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, NvmeCrashRandom, testing::Range(1u, 17u));

TEST(NvmeCrash, InterruptsAreRepeatedNotLost) {
    Rig rig(options());
    Controller c(rig.host, {.interrupts = true});
    rig.host.hold_writes = true;
    c.queue().submit({.opcode = kFlush, .nsid = 1});
    c.queue().ring();
    for (unsigned i = 0; i < 10; ++i) rig.host.step();
    rig.host.interrupts.clear();
    rig.host.hold_writes = false;
    ASSERT_TRUE(rig.kill_and_restore());
    rig.host.settle();
    EXPECT_GE(rig.host.interrupts[1], 1u);
    EXPECT_TRUE(c.queue().poll().has_value());
    EXPECT_FALSE(c.queue().poll().has_value());
}

TEST(NvmeCrash, ConfigurationSpaceAndVectorsSurvive) {
    Rig rig(options());
    rig.host.enable_interrupts(2);
    rig.host.config_write(0x10, 0xfe000000, 4);
    std::vector<std::uint32_t> before, after;
    for (std::uint32_t at = 0; at < 4096; at += 4) before.push_back(rig.host.config_read32(at));
    ASSERT_TRUE(rig.kill_and_restore());
    for (std::uint32_t at = 0; at < 4096; at += 4) after.push_back(rig.host.config_read32(at));
    EXPECT_EQ(before, after);
    EXPECT_EQ(rig.host.read32(0x2000 + 8 + 16), 1u);
}

TEST(NvmeCrash, IdentityIsKept) {
    Rig rig(options());
    const auto serial = rig.device->describe().serial.get();
    std::string nqn;
    {
        Controller c(rig.host, {});
        nqn = c.info().nqn;
    }
    ASSERT_TRUE(rig.kill_and_restore());
    EXPECT_EQ(rig.device->describe().serial.get(), serial);
    Controller c(rig.host, {});
    EXPECT_EQ(c.info().nqn, nqn);
}

TEST(NvmeCrash, NamespaceOutlivesAttachments) {
    Rig rig(options());
    std::vector<std::byte> expected(65536);
    fill(expected, 4);
    {
        Controller c(rig.host, {});
        const Memory m = c.allocate(65536);
        std::memcpy(m.bytes.data(), expected.data(), 65536);
        c.write(3, m, 0, 65536);
    }
    rig.host.detach();
    rig.device.reset();
    rig.make();  // killed while nobody had it
    rig.host.attach(*rig.device);
    Controller c(rig.host, {});
    const Memory m = c.allocate(65536);
    c.read(3, m, 0, 65536);
    EXPECT_TRUE(same(m.bytes, expected));
}

TEST(NvmeCrash, DetachedStateIsNotRestored) {
    Rig rig(options());
    rig.host.detach();
    rig.device.reset();
    rig.make();
    EXPECT_FALSE(rig.host.restore(*rig.device));
    rig.host.config_write(0x04, 0x0006, 2);
    Controller c(rig.host, {});  // usable from the start, nevertheless
    c.flush();
}

}  // namespace
}  // namespace farlane::firmware::test
