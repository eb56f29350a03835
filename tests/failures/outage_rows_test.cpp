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

constexpr const char* kTally = "[[export]]\nname = \"tally0\"\ndevice = \"tally\"\n";
constexpr const char* kNvme = "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
constexpr const char* kAccel = "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n";
constexpr std::uint64_t kWords = 0x08, kErrors = 0x10, kRepeats = 0x18, kWindow = 0x8000;  // docs/devices.md, "tally"
constexpr std::uint64_t kAsq = 0x28;  // NVMe 1.4, 3.1.9: keeps what is written
constexpr Milliseconds kAtOnce{100};  // what "at once" means between two processes

Device attach(Fabric& fabric, const char* name) {
    Device device = fabric.attach(name);
    device.enable();
    return device;
}

// Writes words until there are `last`; the tally knows whether one was lost, repeated or overtaken.
void count_to(Device& tally, std::uint64_t& done, std::uint64_t last) {
    while (done < last) {
        ++done;
        tally.write64(0, kWindow + done % 64 * 8, done);
    }
}

Status status_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& e) {
        return e.status();
    }
    return Status::ok;
}

// Until a call gives this: its status, or whatever came last when that takes forever.
Status until(Status wanted, const std::function<void()>& call) {
    const auto give_up = Stopwatch::Clock::now() + 60s;
    Status status{};
    do {
        status = status_of(call);
    } while (status != wanted && Stopwatch::Clock::now() < give_up);
    return status;
}

TEST(OutageRow, ShorterThanTheGraceWorkGoesOn) {
    LinkedPair pair(kTally);
    Fabric fabric = pair.open(1);
    Device tally = attach(fabric, "tally0");
    auto events = pair.initiator.client();
    events.subscribe();
    std::uint64_t words = 0;
    Milliseconds longest{0};
    for (int round = 0; round < 5; ++round) {
        count_to(tally, words, words + 100);
        ASSERT_EQ(tally.read64(0, kWords), words);
        pair.cut(true);
        count_to(tally, words, words + 100);  // wait in the ring
        auto read = std::async(std::launch::async, [&] { return tally.read64(0, kWords); });
        ASSERT_TRUE(wait_event(events, {{"kind", "link_down"}})) << "the outage is noticed";
        const auto some_more = 40ms * round;  // in other places between two attempts to go on
        std::this_thread::sleep_for(some_more);
        const Stopwatch watch;
        pair.cut(false);
        EXPECT_EQ(read.get(), words) << "the read, and every write before it";
        longest = std::max(longest, watch.took());
        ASSERT_TRUE(wait_event(events, {{"kind", "link_up"}}));
    }
    EXPECT_EQ(tally.read64(0, kErrors), 0U);
    EXPECT_EQ(tally.read64(0, kRepeats), 0U);
    const auto paths = pair.initiator.client().call("stats").at("sessions").at(0).at("paths");
    const Milliseconds rtt = std::chrono::nanoseconds(paths.at(0).at("smoothed_rtt_ns").get<std::int64_t>());
    row("outage_work_goes_on", longest, kAtOnce + rtt);
}

// 40 RTT are what docs/failures.md wants of a completion timeout for every read to be answered.
TEST(OutageRow, DisturbedLinkIsNothingButDelay) {
    LinkedPair pair(kTally);
    Fabric fabric = pair.open(1);
    Device tally = attach(fabric, "tally0");
    pair.link.set({{"loss", "10%"}, {"dup", "5%"}, {"reorder", "10%"}, {"corrupt", "2%"}, {"delay", "5ms"}});
    std::uint64_t words = 0;
    Milliseconds longest{0};
    for (int i = 0; i < 100; ++i) {
        count_to(tally, words, words + 50);
        const Stopwatch watch;
        ASSERT_EQ(tally.read64(0, kWords), words);
        longest = std::max(longest, watch.took());
    }
    EXPECT_EQ(tally.read64(0, kErrors), 0U);
    EXPECT_EQ(tally.read64(0, kRepeats), 0U);
    row("disturbed_link_longest_read", longest, 40 * 10ms);
}

TEST(OutageRow, ReadTimesOutAndTheNextDoNotWait) {
    const Times times{.completion_timeout_ms = 500};
    LinkedPair pair(kTally, times);
    Fabric fabric = pair.open(1);
    Device tally = attach(fabric, "tally0");
    auto events = pair.initiator.client();
    events.subscribe();
    (void)tally.read64(0, kWords);
    pair.cut(true);
    const Stopwatch watch;
    EXPECT_EQ(status_of([&] { (void)tally.read64(0, kWords); }), Status::timeout);
    row("outage_read_times_out", watch.took(), Milliseconds(times.completion_timeout_ms) + kAtOnce);
    EXPECT_TRUE(wait_event(events, {{"kind", "timeout"}, {"function", "tally0"}}));
    const Stopwatch next;
    EXPECT_NE(status_of([&] { (void)tally.read64(0, kWords); }), Status::ok);
    row("outage_next_read_fails", next.took(), kAtOnce);
    pair.cut(false);
    EXPECT_EQ(until(Status::ok, [&] { (void)tally.read64(0, kWords); }), Status::ok);
}

TEST(OutageRow, LongerThanTheGraceIsASurpriseRemoval) {
    const Times times{.grace_ms = 1000};
    LinkedPair pair(kTally, times);
    Fabric fabric = pair.open(1);
    Device tally = attach(fabric, "tally0");
    auto events = pair.initiator.client();
    events.subscribe();
    (void)tally.read64(0, kWords);
    const Stopwatch watch;
    pair.cut(true);
    EXPECT_EQ(until(Status::device_lost, [&] { (void)tally.read64(0, kWords); }), Status::device_lost);
    row("outage_beyond_the_grace", watch.took(), Milliseconds(times.grace_ms + 1000));
    EXPECT_EQ(status_of([&] { tally.write64(0, kWindow, 1); }), Status::device_lost);
    EXPECT_TRUE(wait_event(events, {{"kind", "device_lost"}, {"function", "tally0"}}));
    tally = Device();
    pair.cut(false);
    EXPECT_EQ(until(Status::ok, [&] { tally = attach(fabric, "tally0"); }), Status::ok);
    EXPECT_EQ(tally.read64(0, kWords), 0U);
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
    LinkedPair pair(kTally);
    Fabric fabric = pair.open(1);
    Device tally = attach(fabric, "tally0");
    std::uint64_t words = 0;
    count_to(tally, words, 500);
    ASSERT_EQ(tally.read64(0, kWords), words);
    count_to(tally, words, 700);
    const Stopwatch watch;
    pair.initiator.process().kill();
    count_to(tally, words, 900);  // wait in the ring
    pair.initiator.start();
    EXPECT_EQ(tally.read64(0, kWords), words);
    row("initiator_daemon_killed", watch.took(), 2000ms);
    EXPECT_EQ(tally.read64(0, kErrors), 0U);
    EXPECT_EQ(tally.read64(0, kRepeats), 0U);
}

TEST(KillRow, InitiatorHostDies) {
    const Times times{.grace_ms = 1000};
    LinkedPair pair(kTally, times);
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
