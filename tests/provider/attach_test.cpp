// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof of list, attach, detach, who holds what, and events.
// Owns: a fabric per test.
#include <algorithm>

#include "provider/application.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

using namespace std::chrono_literals;
using ProviderAttach = ProviderTest;

FunctionInfo info_of(Fabric& fabric) {
    for (FunctionInfo& f : fabric.list())
        if (f.name == kAccelerator) return f;
    throw std::runtime_error("the accelerator is not in the list");
}

/// Until an event of that kind about the accelerator; false: there is none.
bool sees(Fabric& fabric, EventKind kind) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < until)
        if (const auto e = fabric.next_event(100ms); e && e->kind == kind && e->function == kAccelerator) return true;
    return false;
}

TEST_P(ProviderAttach, ListsWhatTheTargetExports) {
    Fabric fabric = open();
    const auto all = fabric.list();
    ASSERT_EQ(all.size(), 2U);
    EXPECT_TRUE(std::ranges::any_of(all, [](const auto& f) { return f.name == "nvme0"; }));
    const FunctionInfo f = info_of(fabric);
    EXPECT_FALSE(f.target.empty());
    EXPECT_FALSE(f.model.empty());
    EXPECT_EQ(f.class_code, 0x120000U);
    EXPECT_EQ(f.bars[0].size_bytes, 1U << 20);
    EXPECT_GE(f.bars[2].size_bytes, 64U << 20);
    EXPECT_TRUE(f.bars[2].is_64bit);
    EXPECT_TRUE(f.bars[2].prefetchable);
    EXPECT_EQ(f.bars[1].size_bytes, 0U);
    EXPECT_GE(f.msix_vectors, 2U);
}

TEST_P(ProviderAttach, AttachesDetachesAndAttachesAgain) {
    Fabric fabric = open();
    for (int round = 0; round < 5; ++round) {
        Device device = attach(fabric);
        ASSERT_TRUE(device.valid());
        EXPECT_EQ(device.info().name, kAccelerator);
        EXPECT_EQ(device.config_read16(4) & 6, 6) << round;
        EXPECT_EQ(device.read32(0, 0), 0x43414c46U) << round;
        const FunctionInfo f = info_of(fabric);
        EXPECT_EQ(f.state, FunctionState::attached);
        EXPECT_FALSE(f.holder.empty());
        device.detach();
        EXPECT_FALSE(device.valid());
        device.detach();  // says nothing
        expect_refused(Status::device_lost, "attach", [&] { (void)device.read32(0, 0); });
    }
}

TEST_P(ProviderAttach, ADeviceIsDetachedWithItsObject) {
    Fabric fabric = open();
    { const Device device = attach(fabric); }
    Device first = attach(fabric);
    first = Device();
    Device second = attach(fabric);
    EXPECT_EQ(second.read32(0, 0), 0x43414c46U);
}

TEST_P(ProviderAttach, AnUnknownNameIsRefusedWithTheNamesThereAre) {
    Fabric fabric = open();
    expect_refused(Status::not_found, "accel0", [&] { (void)fabric.attach("accel9"); });
    expect_refused(Status::not_found, "nvme0", [&] { (void)fabric.attach("accel9"); });
    EXPECT_NE(refusal_of([&] { (void)fabric.attach(""); }).status, Status::ok);
    EXPECT_NE(refusal_of([&] { (void)fabric.attach(std::string(5000, 'x')); }).status, Status::ok);
    EXPECT_NE(refusal_of([&] { (void)fabric.attach("../accel0"); }).status, Status::ok);
    Device device = attach(fabric);
    EXPECT_EQ(device.read32(0, 0), 0x43414c46U);
}

TEST_P(ProviderAttach, ASecondUserIsToldWhoHoldsIt) {
    Fabric fabric = open();
    {
        const Device warm = attach(fabric);  // nobody of an earlier test holds it any more
    }
    Application other(Role::hold, stage().options());
    ASSERT_EQ(other.line(), "ready");
    expect_refused(Status::busy, std::to_string(other.pid()), [&] { (void)fabric.attach(kAccelerator); });
    EXPECT_EQ(info_of(fabric).state, FunctionState::attached);
    EXPECT_EQ(other.end(), 0);
    Device device = attach(fabric);
    expect_refused(Status::busy, std::to_string(::getpid()), [&] { (void)fabric.attach(kAccelerator); });
    Fabric second = open();
    expect_refused(Status::busy, std::to_string(::getpid()), [&] { (void)second.attach(kAccelerator); });
    Application third(Role::attempt, stage().options());
    const std::string answer = third.line();
    EXPECT_TRUE(answer.starts_with("busy ")) << answer;
    EXPECT_NE(answer.find(std::to_string(::getpid())), std::string::npos) << answer;
    EXPECT_EQ(device.read32(0, 0), 0x43414c46U) << "none of them did it harm";
}

// `kernel` leaves the function on the bus when its application ends: it was attached once, before this test.
TEST_P(ProviderAttach, EventsTellOfTheFunction) {
    if (stage().kind() == ProviderKind::kernel) GTEST_SKIP() << "the function stays attached between applications";
    Fabric fabric = open();
    Device device = attach(fabric);
    device.detach();
    EXPECT_TRUE(sees(fabric, EventKind::attached));
    EXPECT_TRUE(sees(fabric, EventKind::detached));
}

TEST_P(ProviderAttach, NoEventIsNoError) {
    Fabric fabric = open();
    while (fabric.next_event(50ms)) {
    }
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(fabric.next_event(30ms));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 30ms);
    EXPECT_FALSE(fabric.next_event(0ms));
}

TEST_P(ProviderAttach, OptionsOfAnotherProviderAreRefused) {
    FabricOptions o = stage().options();
    if (stage().kind() == ProviderKind::embedded)
        o.peer.clear();
    else
        o.port = "udp:";
    expect_refused(Status::invalid, "peer", [&] { (void)Fabric::open(o); });
}

TEST_P(ProviderAttach, NobodyThereIsUnreachable) {
    FabricOptions o = stage().options();
    std::string where = "/nowhere/farlaned.sock";
    if (stage().kind() == ProviderKind::embedded)
        o.peer = where = "127.0.0.1:9";
    else
        o.socket = where;
    o.connect_timeout = 100ms;
    expect_refused(Status::unreachable, where, [&] { (void)Fabric::open(o); });
}

FARLANE_PROVIDER_SUITE(ProviderAttach);

}  // namespace
}  // namespace farlane::test
