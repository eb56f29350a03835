// SPDX-License-Identifier: Apache-2.0
// Receives: frames that are good but for one thing that only a session can know. Hands on: its
// drop reason, and that nothing else happened. Owns: nothing. docs/wire.md, "Bad input".
#include <gtest/gtest.h>

#include "contract/codec_frames.hpp"
#include "contract/open_session.hpp"

namespace farlane::test {
namespace {

using proto::SessionState;

Tlp write(std::uint64_t sequence) {
    Tlp t = sample(TlpType::memory_write);
    t.address = 0x1000;
    t.sequence = sequence;
    return t;
}

// Feeds what `fill` writes and expects exactly one drop, of this reason.
template <class Fill>
void expect_drop(OpenSession& s, Drop reason, Fill&& fill) {
    const auto before = s.session().counters().drops;
    s.feed(fill);
    for (unsigned d = 0; d < proto::kDrops; ++d) {
        const bool wanted = d == static_cast<unsigned>(reason);
        EXPECT_EQ(s.session().counters().drops[d] - before[d], wanted ? 1u : 0u) << drop_name(static_cast<Drop>(d));
    }
    EXPECT_EQ(s.watcher.broken, nullptr) << s.watcher.broken;
}

TEST(SessionDrops, GoodRecordsAreTaken) {
    OpenSession s;
    s.feed([](FrameWriter& w) { put(w, write(1)); });
    EXPECT_EQ(s.watcher.posted, 1u);
    EXPECT_EQ(s.session().state(), SessionState::open);
    for (unsigned d = 0; d < proto::kDrops; ++d) EXPECT_EQ(s.session().counters().drops[d], 0u);
    EXPECT_EQ(s.drain(), nullptr);
}

TEST(SessionDrops, Frames) {
    OpenSession s;
    const auto damaged = [&](Drop reason, const std::function<void(std::vector<std::byte>&)>& damage, bool reseal) {
        auto frame = s.frame([](FrameWriter& w) { put(w, write(1)); });
        damage(frame);
        if (reseal) OpenSession::reseal(frame);
        const std::uint64_t before = s.drops(reason);
        s.arrive(frame);
        EXPECT_EQ(s.drops(reason), before + 1) << drop_name(reason);
        EXPECT_EQ(s.watcher.posted, 0u);
    };
    damaged(
        Drop::frame_short, [](auto& f) { f.resize(10); }, false);
    damaged(
        Drop::frame_length, [](auto& f) { f.resize(f.size() - 8); }, false);
    damaged(
        Drop::frame_version, [](auto& f) { f[0] = std::byte{9}; }, true);
    damaged(
        Drop::frame_flags, [](auto& f) { f[1] = std::byte{0x80}; }, true);
    damaged(
        Drop::frame_crc, [](auto& f) { f[60] ^= std::byte{1}; }, false);
    damaged(
        Drop::frame_session, [](auto& f) { f[offsetof(fl_frame_header, session)] ^= std::byte{1}; }, true);
    damaged(
        Drop::frame_path, [](auto& f) { f[offsetof(fl_frame_header, path)] ^= std::byte{1}; }, true);
    damaged(
        Drop::packet_old, [](auto& f) { std::fill_n(f.begin() + 8, 8, std::byte{0}); }, true);
}

TEST(SessionDrops, PacketsSeenBefore) {
    OpenSession s;
    const auto frame = s.frame([](FrameWriter& w) { put(w, write(1)); });
    s.arrive(frame);
    s.arrive(frame);
    EXPECT_EQ(s.drops(Drop::packet_duplicate), 1u);
    EXPECT_EQ(s.watcher.posted, 1u);
}

TEST(SessionDrops, FunctionsThatAreNotThere) {
    OpenSession s;
    expect_drop(s, Drop::function_unknown, [](FrameWriter& w) { put(w, write(1), {6, 9}); });
    expect_drop(s, Drop::function_unknown, [](FrameWriter& w) { put(w, write(1), {65535, 9}); });
    expect_drop(s, Drop::function_stale, [](FrameWriter& w) { put(w, write(1), {5, 8}); });
    EXPECT_EQ(s.watcher.posted, 0u);
}

TEST(SessionDrops, Sequences) {
    OpenSession s;
    s.feed([](FrameWriter& w) { put(w, write(1)); });
    expect_drop(s, Drop::retransmit_duplicate, [](FrameWriter& w) { put(w, write(1)); });
    expect_drop(s, Drop::sequence_beyond, [](FrameWriter& w) { put(w, write(1 + 16384 + 1)); });
    expect_drop(s, Drop::sequence_beyond, [](FrameWriter& w) { put(w, write(proto::kMaxSequence)); });
    EXPECT_EQ(s.watcher.posted, 1u);
    Tlp read = sample(TlpType::memory_read);
    read.sequence = 1;
    read.follows_posted = 0;
    s.feed([&](FrameWriter& w) { put(w, read); });
    EXPECT_EQ(s.watcher.requests, 1u);
    expect_drop(s, Drop::retransmit_duplicate, [&](FrameWriter& w) { put(w, read); });
    read.sequence = 1 + proto::kRequestWindow + 1;
    expect_drop(s, Drop::sequence_beyond, [&](FrameWriter& w) { put(w, read); });
    EXPECT_EQ(s.watcher.requests, 1u);
}

TEST(SessionDrops, FragmentsThatDisagree) {
    OpenSession s;
    Tlp t = write(1);
    t.length_bytes = 1000;
    const auto part = [&](std::size_t offset) {
        return [&t, offset](FrameWriter& w) {
            std::byte* place = w.tlp(t, OpenSession::kHandle, offset, 64);
            if (place != nullptr) std::memset(place, 0x11, 64);
        };
    };
    s.feed(part(64));
    expect_drop(s, Drop::retransmit_duplicate, part(64));
    t.address += 8;
    expect_drop(s, Drop::fragment_mismatch, part(128));
    EXPECT_EQ(s.watcher.posted, 0u);
}

TEST(SessionDrops, CompletionsNobodyWaitsFor) {
    OpenSession s;
    Tlp t = sample(TlpType::completion);
    t.sequence = 1;
    t.follows_posted = 0;
    expect_drop(s, Drop::completion_unexpected, [&](FrameWriter& w) { put(w, t); });
}

TEST(SessionDrops, CreditsThatCanNotBe) {
    OpenSession s;
    proto::CreditRecord c;
    c.handle = OpenSession::kHandle;
    c.released[0] = 1;  // nothing was ever sent
    expect_drop(s, Drop::credit_backwards, [&](FrameWriter& w) { (void)w.credit(c); });
}

TEST(SessionDrops, AnImpossibleAcknowledgementEndsTheSession) {
    OpenSession s;
    proto::AckRecord a;
    a.path = OpenSession::kPath;
    a.largest = 1u << 20;
    a.first_length = 1;
    expect_drop(s, Drop::ack_impossible, [&](FrameWriter& w) { (void)w.ack(a, {}); });
    EXPECT_EQ(s.session().state(), SessionState::closed);
    EXPECT_EQ(s.drain(), nullptr);
}

TEST(SessionDrops, ControlRecordsInTheWrongPlace) {
    OpenSession s;
    expect_drop(s, Drop::control_sequence,
                [](FrameWriter& w) { (void)w.control(FL_CONTROL_LIST, 1000, fl_control_status{}); });
    EXPECT_EQ(s.session().state(), SessionState::open);
    // An initiator describes no functions: no honest peer does that.
    fl_control_event event{};
    event.code.set(FL_EVENT_ADDED);
    event.desc = sample_description();
    expect_drop(s, Drop::control_state, [&](FrameWriter& w) { (void)w.control(FL_CONTROL_EVENT, 1, event); });
    EXPECT_EQ(s.session().state(), SessionState::closed);
}

TEST(SessionDrops, ABadRecordLeavesTheOthers) {
    OpenSession s;
    auto frame = s.frame([](FrameWriter& w) {
        put(w, write(1));
        put(w, write(2));
    });
    frame[sizeof(fl_frame_header) + offsetof(fl_tlp, attr)] = std::byte{0x80};
    OpenSession::reseal(frame);
    s.arrive(frame);
    EXPECT_EQ(s.drops(Drop::record_field), 1u);
    EXPECT_EQ(s.watcher.posted, 0u);  // record 2 waits for record 1
    s.feed([](FrameWriter& w) { put(w, write(1)); });
    EXPECT_EQ(s.watcher.posted, 2u);
    EXPECT_EQ(s.watcher.broken, nullptr);
}

}  // namespace
}  // namespace farlane::test
