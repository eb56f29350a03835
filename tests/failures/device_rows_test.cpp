// SPDX-License-Identifier: Apache-2.0
// Receives: devices that misbehave and commands to detach them, between two farlaned. Hands on: the rows of the failure
// contract that this makes true, measured. Owns: processes.
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include <unistd.h>

#include "failures/pair.hpp"
#include "failures/row.hpp"

namespace farlane::test {
namespace {

constexpr const char* kDma = "[[export]]\nname = \"dma0\"\ndevice = \"dma_test\"\n";
// Hangs at the hundredth register read; its driver, and this test, need less until they want it.
constexpr const char* kHangs =
    "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"1M\"\nfaults = \"hang_after_reads=100\"\n";
constexpr std::uint64_t kVersion = 0x08;  // NVMe 1.4, 3.1.2

Status refused(control::ControlClient& c, const control::Json& args, control::Json* error = nullptr) {
    try {
        (void)c.call("detach", args, 60s);
    } catch (const control::CallError& e) {
        if (error != nullptr) *error = e.extra();
        return e.status();
    }
    return Status::ok;
}

TEST(DeviceRow, FirmwareHangsIsReportedAndAResetHelps) {
    const Times times{.completion_timeout_ms = 500};
    LinkedPair pair(std::string(kHangs) + tally::kExport, times);
    Fabric fabric = pair.open(2);
    Device nvme = attach(fabric, "nvme0"), other = attach(fabric, "tally0");
    auto here = pair.initiator.client(), there = pair.target.client();
    here.subscribe();
    there.subscribe();
    Milliseconds read_took{0};
    Stopwatch watch;
    auto hanging = std::async(std::launch::async, [&] {
        Status status = Status::ok;
        for (int i = 0; i < 1000 && status == Status::ok; ++i) {
            watch.start();
            status = status_of([&] { (void)nvme.read32(0, kVersion); });
        }
        read_took = watch.took();
        return status;
    });
    ASSERT_TRUE(wait_event(there, {{"kind", "failed"}, {"function", "nvme0"}}));
    const auto told = wait_event(here, {{"kind", "error"}, {"function", "nvme0"}});
    const Milliseconds reported = watch.took();
    ASSERT_TRUE(told);
    EXPECT_NE(told->at("detail").get<std::string>().find("function level reset"), std::string::npos) << told->dump();
    EXPECT_EQ(other.read64(0, tally::kTicket), 1U) << "other functions go on";
    EXPECT_EQ(fabric.list().at(0).state, FunctionState::failed);
    EXPECT_EQ(hanging.get(), Status::timeout);
    row("firmware_hang_reported", reported, 1000ms);
    row("request_never_answered", read_took, Milliseconds(times.completion_timeout_ms) + kAtOnce);
    EXPECT_TRUE(wait_event(here, {{"kind", "timeout"}, {"function", "nvme0"}}));
    watch.start();
    nvme.reset();
    nvme.enable();
    EXPECT_NE(nvme.read32(0, kVersion), 0xffffffffU);
    row("firmware_hang_reset", watch.took(), 1000ms);
    EXPECT_EQ(fabric.list().at(0).state, FunctionState::attached);
}

TEST(DeviceRow, DmaOutsideIsRefusedAndTold) {
    constexpr std::uint64_t kSource = 0x10, kTarget = 0x18, kBytes = 0x20, kGo = 0x28, kStatus = 0x2c;
    constexpr std::uint32_t kRefused = 3;
    LinkedPair pair(kDma);
    Fabric fabric = pair.open(1);
    Device dma = attach(fabric, "dma0");
    DmaBuffer buffer = dma.domain().allocate(64 * 1024);
    std::ranges::fill(buffer.bytes(), std::byte{0x5a});
    const Mapping mapping = dma.domain().map(buffer, 4096, 4096, DmaDirection::bidirectional);
    auto there = pair.target.client();
    there.subscribe();
    dma.write64(0, kSource, mapping.iova());
    dma.write64(0, kTarget, mapping.iova() + 4096 - 8);
    dma.write32(0, kBytes, 9);  // one byte beyond
    const Stopwatch watch;
    dma.write32(0, kGo, 1);
    const auto told = wait_event(there, {{"role", "target"}, {"kind", "dma_refused"}, {"function", "dma0"}});
    const Milliseconds took = watch.took();
    ASSERT_TRUE(told);
    while (dma.read32(0, kStatus) != kRefused) {
    }
    for (const std::byte b : buffer.bytes()) ASSERT_EQ(b, std::byte{0x5a}) << "memory is untouched";
    EXPECT_EQ(pair.target.client().call("stats").at("exports").at(0).at("dma_refused"), 1);
    row("dma_outside_a_mapping", took, kAtOnce);
}

TEST(DetachRow, BySurpriseWhileBusy) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    std::atomic<bool> working = false;
    auto user = std::async(std::launch::async, [&] {
        Status status = Status::ok;
        while (status == Status::ok) {
            status = status_of([&] { (void)device.read64(0, tally::kTicket); });
            working = true;
        }
        return std::pair(status, Stopwatch::Clock::now());
    });
    while (!working) std::this_thread::yield();
    const auto begin = Stopwatch::Clock::now();
    auto c = pair.initiator.client();
    EXPECT_EQ(refused(c, {{"name", "tally0"}, {"force", true}}), Status::ok);
    const auto [status, end] = user.get();
    EXPECT_EQ(status, Status::device_lost);
    row("surprise_detach_while_busy", end - begin, 1000ms);
    device = Device();
    EXPECT_EQ(attach(fabric, "tally0").read64(0, tally::kWords), 0U) << "it can be attached again";
}

TEST(DetachRow, OrderlyWhileBusyIsRefusedWithTheHolders) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    const Device device = attach(fabric, "tally0");
    auto c = pair.initiator.client();
    control::Json error;
    const Stopwatch watch;
    EXPECT_EQ(refused(c, {{"name", "tally0"}}, &error), Status::busy);
    row("orderly_detach_while_busy", watch.took(), kAtOnce);
    EXPECT_EQ(error.at("holders").at(0).at("pid"), ::getpid());
}

TEST(DetachRow, DrainWaitsUntilItsUsersAreDone) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    for (const bool kept_by_the_daemon : {false, true}) {
        auto c = pair.initiator.client();
        if (kept_by_the_daemon) (void)c.call("attach", {{"name", "tally0"}, {"persistent", true}});
        std::optional<Device> device = attach(fabric, "tally0");
        auto detached = std::async(std::launch::async, [&pair] {
            auto other = pair.initiator.client();
            return refused(other, {{"name", "tally0"}, {"drain_ms", 60'000}});
        });
        // Nobody else can come in once it is under way: that is how it shows.
        const auto being_detached = [&] {
            try {
                (void)c.call("attach", {{"name", "tally0"}});
            } catch (const control::CallError& e) {
                return std::string(e.what()).find("is being detached") != std::string::npos;
            }
            return false;
        };
        while (!being_detached()) std::this_thread::yield();
        EXPECT_GT(device->read64(0, tally::kTicket), 0U) << "its user works on";
        const Stopwatch watch;
        device->detach();
        device.reset();
        EXPECT_EQ(detached.get(), Status::ok);
        row(kept_by_the_daemon ? "drain_of_a_kept_attachment" : "drain_of_an_applications_own", watch.took(), 1000ms);
        EXPECT_EQ(refused(c, {{"name", "tally0"}}), Status::not_found);
        EXPECT_EQ(fabric.list().at(0).state, FunctionState::free);
    }
}

TEST(DetachRow, DrainEndsAtItsDeadline) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    Device device = attach(fabric, "tally0");
    auto c = pair.initiator.client();
    control::Json error;
    const Stopwatch watch;
    EXPECT_EQ(refused(c, {{"name", "tally0"}, {"drain_ms", 300}}, &error), Status::busy);
    row("drain_deadline", watch.took(), 300ms + kAtOnce);
    EXPECT_GE(watch.took(), 300ms);
    EXPECT_EQ(error.at("holders").at(0).at("pid"), ::getpid());
    EXPECT_EQ(status_of([&] { (void)device.read64(0, tally::kTicket); }), Status::ok) << "nothing happened to its user";
    EXPECT_EQ(refused(c, {{"name", "tally0"}, {"drain_ms", 10}, {"force", true}}), Status::ok);
    EXPECT_EQ(status_of([&] { (void)device.read64(0, tally::kTicket); }), Status::device_lost) << "as it was asked for";
    EXPECT_EQ(refused(c, {{"attachment", 1}, {"drain_ms", 10}}), Status::invalid);
}

// Who asked for it has gone: it is forgotten.
TEST(DetachRow, DrainThatNobodyWaitsForIsForgotten) {
    LinkedPair pair(tally::kExport);
    Fabric fabric = pair.open(1);
    const Device device = attach(fabric, "tally0");
    {
        auto gone = pair.initiator.client();
        EXPECT_THROW((void)gone.call("detach", {{"name", "tally0"}, {"drain_ms", 60'000}}, 100ms), Error);
    }
    auto c = pair.initiator.client();
    const auto give_up = Stopwatch::Clock::now() + 60s;
    std::string text = "is being drained already";
    while (text.find("drained") != std::string::npos && Stopwatch::Clock::now() < give_up) {
        control::Json error;
        EXPECT_EQ(refused(c, {{"name", "tally0"}, {"drain_ms", 0}}, &error), Status::busy);
        text = error.at("message");
    }
    EXPECT_EQ(text.find("drained"), std::string::npos) << text;
}

}  // namespace
}  // namespace farlane::test
