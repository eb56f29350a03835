// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned whose link is cut, and that are killed. Hands on: the rows of the failure contract that this
// makes true, measured. Owns: processes.
#include <csignal>
#include <cstddef>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include <farlane/uapi/accel.h>

#include "failures/pair.hpp"
#include "failures/row.hpp"

namespace farlane::test {
namespace {

constexpr const char* kNvme = "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
constexpr const char* kAccel = "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n";
constexpr std::uint64_t kAsq = 0x28;  // NVMe 1.4, 3.1.9: keeps what is written

TEST(OutageRow, ShorterThanTheGraceWorkGoesOn) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    auto events = pair.initiator.client();
    events.subscribe();
    std::uint64_t words = 0;
    Milliseconds longest{0};
    for (int round = 0; round < 5; ++round) {
        tally::count_to(device, words, words + 100);
        ASSERT_EQ(device.read64(0, tally::kWords), words);
        pair.cut(true);
        tally::count_to(device, words, words + 100);  // wait in the ring
        auto read = std::async(std::launch::async, [&] { return device.read64(0, tally::kWords); });
        ASSERT_TRUE(wait_event(events, {{"kind", "link_down"}})) << "the outage is noticed";
        const auto some_more = 40ms * round;  // in other places between two attempts to go on
        std::this_thread::sleep_for(some_more);
        const Stopwatch watch;
        pair.cut(false);
        EXPECT_EQ(read.get(), words) << "the read, and every write before it";
        longest = std::max(longest, watch.took());
        ASSERT_TRUE(wait_event(events, {{"kind", "link_up"}}));
    }
    EXPECT_EQ(device.read64(0, tally::kErrors), 0U);
    EXPECT_EQ(device.read64(0, tally::kRepeats), 0U);
    const auto paths = pair.initiator.client().call("stats").at("sessions").at(0).at("paths");
    const Milliseconds rtt = std::chrono::nanoseconds(paths.at(0).at("smoothed_rtt_ns").get<std::int64_t>());
    row("outage_work_goes_on", longest, kAtOnce + rtt);
}

// 40 RTT are what docs/failures.md wants of a completion timeout for every read to be answered.
TEST(OutageRow, DisturbedLinkIsNothingButDelay) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    pair.link.set({{"loss", "10%"}, {"dup", "5%"}, {"reorder", "10%"}, {"corrupt", "2%"}, {"delay", "5ms"}});
    std::uint64_t words = 0;
    Milliseconds longest{0};
    for (int i = 0; i < 100; ++i) {
        tally::count_to(device, words, words + 50);
        const Stopwatch watch;
        ASSERT_EQ(device.read64(0, tally::kWords), words);
        longest = std::max(longest, watch.took());
    }
    EXPECT_EQ(device.read64(0, tally::kErrors), 0U);
    EXPECT_EQ(device.read64(0, tally::kRepeats), 0U);
    row("disturbed_link_longest_read", longest, 40 * 10ms);
}

TEST(OutageRow, ReadTimesOutAndTheNextDoNotWait) {
    const Times times{.completion_timeout_ms = 500};
    LinkedPair pair(tally::kExport, times);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    auto events = pair.initiator.client();
    events.subscribe();
    (void)device.read64(0, tally::kWords);
    pair.cut(true);
    const Stopwatch watch;
    EXPECT_EQ(status_of([&] { (void)device.read64(0, tally::kWords); }), Status::timeout);
    row("outage_read_times_out", watch.took(), Milliseconds(times.completion_timeout_ms) + kAtOnce);
    EXPECT_TRUE(wait_event(events, {{"kind", "timeout"}, {"function", "tally0"}}));
    const Stopwatch next;
    EXPECT_NE(status_of([&] { (void)device.read64(0, tally::kWords); }), Status::ok);
    row("outage_next_read_fails", next.took(), kAtOnce);
    pair.cut(false);
    EXPECT_EQ(until(Status::ok, [&] { (void)device.read64(0, tally::kWords); }), Status::ok);
}

TEST(OutageRow, LongerThanTheGraceIsASurpriseRemoval) {
    const Times times{.grace_ms = 1000};
    LinkedPair pair(tally::kExport, times);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    auto events = pair.initiator.client();
    events.subscribe();
    (void)device.read64(0, tally::kWords);
    const Stopwatch watch;
    pair.cut(true);
    EXPECT_EQ(until(Status::device_lost, [&] { (void)device.read64(0, tally::kWords); }), Status::device_lost);
    row("outage_beyond_the_grace", watch.took(), Milliseconds(times.grace_ms + 1000));
    EXPECT_EQ(status_of([&] { device.write64(0, tally::kWindow, 1); }), Status::device_lost);
    EXPECT_TRUE(wait_event(events, {{"kind", "device_lost"}, {"function", "tally0"}}));
    device = Device();
    pair.cut(false);
    EXPECT_EQ(until(Status::ok, [&] { device = attach(fabric, "tally0"); }), Status::ok);
    EXPECT_EQ(device.read64(0, tally::kWords), 0U);
}

TEST(KillRow, TargetWhoseDeviceKeepsItsState) {
    LinkedPair pair(kNvme);
    Fabric fabric = pair.open(1);
    Device nvme = attach(fabric, "nvme0");
    nvme.write64(0, kAsq, 0x1000);
    ASSERT_EQ(nvme.read64(0, kAsq), 0x1000U);
    const Stopwatch watch;
    pair.target.process().kill();
    nvme.write64(0, kAsq, 0x2000);  // waits in the ring
    pair.target.start();
    EXPECT_EQ(nvme.read64(0, kAsq), 0x2000U);
    row("target_killed_state_kept", watch.took(), 2000ms);
}

TEST(KillRow, TargetWhoseDeviceForgets) {
    LinkedPair pair(kAccel);
    Fabric fabric = pair.open(1);
    Device accel = attach(fabric, "accel0");
    accel.write32(2, 0, 7);
    ASSERT_EQ(accel.read32(2, 0), 7U);
    const Stopwatch watch;
    pair.target.process().kill();
    pair.target.start();
    EXPECT_EQ(until(Status::device_reset, [&] { (void)accel.read32(2, 0); }), Status::device_reset);
    accel.acknowledge_reset();
    accel.enable();
    while ((accel.read32(0, offsetof(fl_accel_registers, status)) & FL_ACCEL_STATUS_READY) == 0) {
    }
    row("target_killed_state_gone", watch.took(), 2000ms);
    EXPECT_EQ(accel.read32(2, 0), 0U) << "nothing of the old life";
}

TEST(KillRow, InitiatorDaemonStartsAgain) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    std::uint64_t words = 0;
    tally::count_to(device, words, 500);
    ASSERT_EQ(device.read64(0, tally::kWords), words);
    tally::count_to(device, words, 700);
    const Stopwatch watch;
    pair.initiator.process().kill();
    tally::count_to(device, words, 900);  // wait in the ring
    pair.initiator.start();
    EXPECT_EQ(device.read64(0, tally::kWords), words);
    row("initiator_daemon_killed", watch.took(), 2000ms);
    EXPECT_EQ(device.read64(0, tally::kErrors), 0U);
    EXPECT_EQ(device.read64(0, tally::kRepeats), 0U);
}

TEST(KillRow, InitiatorHostDies) {
    const Times times{.grace_ms = 1000};
    LinkedPair pair(tally::kExport, times);
    auto events = pair.target.client();
    events.subscribe();
    (void)pair.open(1);
    (void)pair.initiator.client().call("attach", {{"name", "tally0"}, {"persistent", true}});
    ASSERT_TRUE(wait_event(events, {{"kind", "attached"}}));
    const Stopwatch watch;
    pair.initiator.process().kill();
    EXPECT_TRUE(wait_event(events, {{"role", "target"}, {"kind", "released"}, {"function", "tally0"}}));
    row("initiator_host_dies", watch.took(), Milliseconds(Times::kSilenceMs + times.grace_ms) + kAtOnce);
}

}  // namespace
}  // namespace farlane::test
