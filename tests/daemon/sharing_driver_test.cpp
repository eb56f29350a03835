// SPDX-License-Identifier: Apache-2.0
// Receives: the driver of a shared accelerator over a fake device. Hands on: proof of whose a lost context is, and of
// who counts as one. Owns: the device's registers.
#include "daemon/sharing.hpp"

#include <cstring>

#include <gtest/gtest.h>

#include "daemon/fake_attachment.hpp"

namespace farlane::daemon {
namespace {

constexpr std::uint32_t kContexts = 16, kQueues = 80;

struct SharingDriver : testing::Test {
    test::FakeAttachment device;
    std::unique_ptr<SavedState> state = std::make_unique<SavedState>();
    Ledger ledger{*state};
    OwnRequests own{ledger};
    lane::Lane lane;
    std::vector<std::string> log;
    Sharing sharing{lane, device, own, kSharePlaces, [this](const std::string& line) { log.push_back(line); }};
    fl_accel_registers registers{};
    std::array<std::uint32_t, kQueues> enabled{};
    std::vector<std::unique_ptr<Share>> shares;

    SharingDriver() {
        device.description.name = "accel0";
        device.description.target = "box";
        device.description.class_code = FL_ACCEL_CLASS_CODE;
        registers.magic.set(FL_ACCEL_MAGIC);
        registers.version.set(FL_ACCEL_VERSION);
        registers.capabilities.set(FL_ACCEL_CAP_PASID | FL_ACCEL_CAP_CONTEXT_PART);
        registers.memory_address.set(1 << 20);
        registers.memory_bytes.set(16 << 20);
        registers.aperture_bytes.set(17 << 20);
        registers.page_bytes.set(FL_ACCEL_PAGE_BYTES);
        registers.max_queues.set(kQueues);
        registers.max_sq_entries.set(1024);
        registers.max_cq_entries.set(1024);
        registers.max_contexts.set(kContexts);
        registers.status.set(FL_ACCEL_STATUS_READY);
        sharing.open();
        answer_all();
        bool ready = false;
        sharing.when_ready([&](const Result<bool>& r) { ready = r.ok(); });
        EXPECT_TRUE(ready);
    }

    void answer(const test::FakeAttachment::Record& r) {
        std::ranges::fill(r.into, std::byte{0});
        if (r.tlp.type == proto::TlpType::memory_read && r.tlp.address < sizeof registers) {
            std::memcpy(r.into.data(), reinterpret_cast<const std::byte*>(&registers) + r.tlp.address, r.into.size());
        } else if (r.tlp.type == proto::TlpType::memory_read && r.tlp.address >= FL_ACCEL_QUEUE_OFFSET) {
            fl_accel_queue_registers q{};
            q.sq_address.set(64 << 10);
            q.state.set(enabled.at((r.tlp.address - FL_ACCEL_QUEUE_OFFSET) / FL_ACCEL_QUEUE_STRIDE));
            std::memcpy(r.into.data(), &q, std::min(r.into.size(), sizeof q));
        }
        if (OwnRequests::mine(r.cookie)) return own.on_completion(r.cookie, Status::ok);
        sharing.on_completion(r.cookie, Status::ok);
    }
    /// What the device was asked so far, in order, and what follows from it.
    void answer_all() {
        while (!device.requests.empty() || !device.posted.empty()) {
            for (const auto& w : std::exchange(device.posted, {})) take(w);
            const auto asked = std::exchange(device.requests, {});
            for (const auto& r : asked) answer(r);
            (void)sharing.turn(lane.now());
        }
    }
    void take(const test::FakeAttachment::Record& w) {
        constexpr std::size_t kControl = offsetof(fl_accel_queue_registers, control);
        if (w.tlp.bar != FL_ACCEL_BAR_REGISTERS || w.tlp.address < FL_ACCEL_QUEUE_OFFSET) return;
        const std::uint64_t at = w.tlp.address - FL_ACCEL_QUEUE_OFFSET;
        if (at / FL_ACCEL_QUEUE_STRIDE < kQueues && at % FL_ACCEL_QUEUE_STRIDE == kControl)
            enabled[at / FL_ACCEL_QUEUE_STRIDE] = std::to_integer<std::uint32_t>(w.payload[0]) & FL_ACCEL_QUEUE_ENABLE;
    }

    Share& attach(pid_t pid) {
        auto share = sharing.admit({0, pid, 0, 0, "app", Role::operate});
        if (!share.ok()) throw std::runtime_error(share.failure().detail);
        shares.push_back(std::move(*share));
        return *shares.back();
    }
    Status open_context(Share& share) {
        Status status = Status::timeout;
        sharing.open_context(share, [&](const Reply& r) { status = r.status; });
        return status;
    }
    Status close_context(Share& share, std::uint32_t context) {
        Status status = Status::timeout;
        sharing.close_context(share, context, [&](const Reply& r) { status = r.status; });
        return status;
    }
    /// The device says which contexts are lost.
    void lose(std::uint32_t contexts) {
        registers.lost_contexts.set(contexts);
        sharing.on_interrupt(0);
    }
};

TEST_F(SharingDriver, ALostContextIsToldOnceAndWhoseItWas) {
    Share& a = attach(100);
    Share& b = attach(200);
    ASSERT_EQ(open_context(a), Status::ok);
    ASSERT_EQ(open_context(b), Status::ok);
    answer_all();
    lose(2);
    sharing.on_interrupt(0);
    answer_all();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log[0],
              "context 1 of accelerator 'accel0' at 'box' is lost: that of app (pid 200); the log of its target says "
              "why");
    lose(3);
    answer_all();
    ASSERT_EQ(log.size(), 2U);
    EXPECT_NE(log[1].find("(pid 100)"), std::string::npos) << log[1];
}

TEST_F(SharingDriver, IsLookedForWhenThereIsRoomAgain) {
    Share& a = attach(100);
    ASSERT_EQ(open_context(a), Status::ok);
    answer_all();
    device.window = 0;
    Status last = Status::ok;
    std::size_t asked = 0;
    for (; last == Status::ok && asked < kQueues; ++asked)
        sharing.make_queue(a, {0, 64, 4096}, [&](const Reply& r) { last = r.status; });
    ASSERT_EQ(last, Status::would_block) << "farlaned's accesses wait for the device";
    lose(1);
    (void)sharing.turn(lane.now());
    EXPECT_TRUE(log.empty());
    device.window = 1 << 20;
    (void)sharing.turn(lane.now());
    answer_all();
    EXPECT_EQ(log.size(), 1U) << "without another interrupt";
}

// The answer was on its way when the context changed hands.
TEST_F(SharingDriver, TheNextOwnerIsNotBlamed) {
    Share& a = attach(100);
    Share& b = attach(200);
    ASSERT_EQ(open_context(a), Status::ok);
    answer_all();
    lose(1);
    ASSERT_EQ(device.requests.size(), 1U);
    ASSERT_EQ(close_context(a, 0), Status::ok);
    ASSERT_EQ(open_context(b), Status::ok);
    const auto asked = std::exchange(device.requests, {});
    answer(asked[0]);
    EXPECT_TRUE(log.empty()) << log[0];
    EXPECT_EQ(device.requests.size(), 1U) << "asked once more";
    registers.lost_contexts.set(0);
    answer_all();
    EXPECT_TRUE(log.empty()) << log[0];
    lose(1);
    answer_all();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_NE(log[0].find("(pid 200)"), std::string::npos) << log[0];
}

// Its own loss, while the answer about the one before was on its way.
TEST_F(SharingDriver, TheNextOwnersOwnLossIsTold) {
    Share& a = attach(100);
    Share& b = attach(200);
    ASSERT_EQ(open_context(a), Status::ok);
    answer_all();
    lose(1);
    ASSERT_EQ(close_context(a, 0), Status::ok);
    ASSERT_EQ(open_context(b), Status::ok);
    answer_all();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_NE(log[0].find("(pid 200)"), std::string::npos) << log[0];
}

TEST_F(SharingDriver, AProcessCountsOnceAndAnUnknownOneByItsAttachments) {
    const auto most = [this](Share& one, Share& two) {
        std::size_t n = 0;
        while (open_context(one) == Status::ok) ++n;
        while (open_context(two) == Status::ok) ++n;
        answer_all();
        for (std::uint32_t c = 0; c < kContexts; ++c) (void)(close_context(one, c), close_context(two, c));
        answer_all();
        return n;
    };
    Share& a = attach(100);
    Share& again = attach(100);
    EXPECT_EQ(most(a, again), 9U);
    Share& b = attach(200);
    EXPECT_EQ(most(a, b), 10U) << "one for the other process";
    Share& unknown = attach(0);
    Share& another = attach(0);
    EXPECT_EQ(most(unknown, another), 10U) << "they may be two";
}

}  // namespace
}  // namespace farlane::daemon
