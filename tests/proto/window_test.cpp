// SPDX-License-Identifier: Apache-2.0
// The small parts, one by one: granules, packet windows, control stream, reorder memory, path
// MTU, round-trip time, congestion window.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "proto/congestion.hpp"
#include "proto/control_stream.hpp"
#include "proto/function_table.hpp"
#include "proto/granules.hpp"
#include "proto/incoming_posted.hpp"
#include "proto/intrusive_list.hpp"
#include "proto/mtu_probe.hpp"
#include "proto/outgoing_posted.hpp"
#include "proto/outgoing_requests.hpp"
#include "proto/packet_window.hpp"
#include "proto/receive_window.hpp"
#include "proto/reorder_pool.hpp"
#include "proto/resend_queue.hpp"
#include "proto/rtt.hpp"
#include "proto/sim.hpp"

namespace farlane::proto {
namespace {

using sim::Random;
using namespace std::chrono_literals;

TEST(FunctionTable, BeginsWhereItIsUsedAndGrowsBothWays) {
    FunctionTable t;
    auto* const some = reinterpret_cast<FunctionCore*>(&t);  // never looked at
    for (const unsigned index : {0U, 9000U, 65535U}) EXPECT_EQ(t.at(static_cast<std::uint16_t>(index)), nullptr);
    t.put(9000, some);
    EXPECT_EQ(t.size(), 1u) << "no places below it";
    EXPECT_EQ(t.at(9000), some);
    for (const unsigned index : {0U, 8999U, 9001U, 65535U}) {
        EXPECT_EQ(t.at(static_cast<std::uint16_t>(index)), nullptr);
        EXPECT_EQ(t.past(static_cast<std::uint16_t>(index)), 0u);
    }
    t.take_out(9000, 7);
    t.put(8990, some);
    t.put(9003, some);
    EXPECT_EQ(t.size(), 14u);
    EXPECT_EQ(t.index_of(0), 8990u);
    EXPECT_EQ(t.at(8990), some);
    EXPECT_EQ(t.at(9003), some);
    EXPECT_EQ(t.at(9000), nullptr);
    EXPECT_EQ(t.past(9000), FunctionTable::kPastBit | 7u);
}

TEST(Granules, CoverPayloads) {
    EXPECT_EQ(all_granules(0), 1u);
    EXPECT_EQ(all_granules(1), 1u);
    EXPECT_EQ(all_granules(64), 1u);
    EXPECT_EQ(all_granules(65), 3u);
    EXPECT_EQ(all_granules(4096), ~std::uint64_t{0});
    EXPECT_EQ(granule_mask({63, 1}), std::uint64_t{1} << 63);
    EXPECT_EQ(run_bytes({1, 2}, 150), 86u);
    EXPECT_EQ(run_bytes({0, 64}, 4096), 4096u);
    EXPECT_EQ(run_bytes({2, 1}, 100), 0u);
    for (unsigned length = 1; length <= 4096; ++length) {
        std::uint64_t rest = all_granules(length);
        unsigned bytes = 0;
        while (rest != 0) {
            const GranuleRun r = first_run(rest);
            bytes += run_bytes(r, length);
            rest &= ~granule_mask(r);
        }
        ASSERT_EQ(bytes, length);
    }
}

// --- sent packets

struct Sender {
    PacketWindow w{1 << 16};
    std::set<std::uint64_t> acked, lost;
    void send(Time now, unsigned refs = 1, bool waited = true) {
        ASSERT_TRUE(w.make_room(refs));
        std::vector<RecordRef> r(refs);
        for (auto& x : r) x = RecordRef(RefKind::posted, w.next());
        w.sent(now, 100, 100, r, waited);
    }
    void ack(std::uint64_t low, std::uint64_t high) {
        w.acknowledge(low, high, [&](std::uint64_t n, const SentPacket& p) {
            EXPECT_TRUE(acked.insert(n).second);
            for (unsigned i = 0; i < p.ref_count; ++i) EXPECT_EQ(w.ref(p, i).sequence(), n);
        });
    }
    void lose_below(std::uint64_t n) {
        w.find_lost(
            w.next(), [&](std::uint64_t x, const SentPacket&) { return x < n; },
            [&](std::uint64_t x, const SentPacket&) { EXPECT_TRUE(lost.insert(x).second); });
    }
};

TEST(PacketWindow, AcknowledgesEachOnce) {
    Sender s;
    for (unsigned i = 0; i < 1000; ++i) s.send(Time{}, i % 5);
    EXPECT_EQ(s.w.in_flight_packets(), 1000u);
    s.ack(10, 700);
    s.ack(500, 900);
    s.ack(1, 1);
    EXPECT_EQ(s.acked.size(), 892u);
    EXPECT_EQ(s.w.in_flight_bytes(), 108u * 100);
    s.w.retire(Time{});
    EXPECT_EQ(s.w.oldest(), 2u);
    s.ack(1, 1000);
    EXPECT_EQ(s.acked.size(), 1000u);
    s.w.retire(Time{});
    EXPECT_EQ(s.w.oldest(), 1001u);
}

TEST(PacketWindow, LostOnesMayStillArrive) {
    Sender s;
    for (unsigned i = 0; i < 20; ++i) s.send(Time{} + 1us * i);
    s.ack(20, 20);
    s.lose_below(10);
    EXPECT_EQ(s.lost.size(), 9u);
    EXPECT_EQ(s.w.first_unresolved(), 10u);
    EXPECT_EQ(s.w.in_flight_packets(), 10u);
    s.ack(5, 5);
    EXPECT_TRUE(s.acked.contains(5));
    EXPECT_EQ(s.w.in_flight_packets(), 10u) << "a lost packet is not counted twice";
    s.w.retire(Time{} + 4us);
    EXPECT_EQ(s.w.oldest(), 6u) << "1..4 are too old to be waited for, 5 has arrived";
}

TEST(PacketWindow, NotWaitedForIsResolvedAtOnce) {
    Sender s;
    for (unsigned i = 0; i < 10; ++i) s.send(Time{}, 0, false);
    EXPECT_EQ(s.w.in_flight_packets(), 0u);
    EXPECT_EQ(s.w.first_unresolved(), 11u);
    s.ack(1, 10);
    EXPECT_TRUE(s.acked.empty());
}

TEST(PacketWindow, GrowsToItsLimitAndSaysSo) {
    PacketWindow w(1024);
    std::array<RecordRef, 3> refs;
    std::uint64_t sent = 0;
    while (w.make_room(refs.size())) {
        w.sent(Time{}, 10, 10, refs, true);
        ++sent;
    }
    EXPECT_EQ(sent, 1024u);
    w.find_lost(
        2, [](std::uint64_t, const SentPacket&) { return true; }, [](std::uint64_t, const SentPacket&) {});
    w.drop_oldest();
    EXPECT_TRUE(w.make_room(refs.size()));
    PacketWindow many(256);  // references are bounded as well
    std::vector<RecordRef> big(200);
    sent = 0;
    while (many.make_room(big.size())) {
        many.sent(Time{}, 10, 10, big, true);
        ++sent;
    }
    EXPECT_EQ(sent, 5u);
}

TEST(PacketWindow, AgreesWithASimpleModel) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Random r(seed);
        Sender s;
        std::set<std::uint64_t> open;
        for (unsigned step = 0; step < 400; ++step) {
            for (std::uint64_t n = r.below(20); n > 0; --n) {
                open.insert(s.w.next());
                s.send(Time{} + 1us * step, static_cast<unsigned>(r.below(4)));
            }
            if (s.w.next() == 1) continue;
            const std::uint64_t high = 1 + r.below(s.w.next() - 1);
            const std::uint64_t low = 1 + r.below(high);
            if (r.chance(0.5)) {
                s.ack(low, high);
                for (std::uint64_t n = low; n <= high; ++n) open.erase(n);
            }
            std::uint64_t bytes = 0;
            for (const std::uint64_t n : open) bytes += s.lost.contains(n) ? 0 : 100;
            ASSERT_EQ(s.w.in_flight_bytes(), bytes);
            if (r.chance(0.1)) s.lose_below(low);
            if (r.chance(0.3)) {
                s.w.retire(Time{} + 1us * (step > 50 ? step - 50 : 0));
                for (auto it = open.begin(); it != open.end();) it = *it < s.w.oldest() ? open.erase(it) : ++it;
            }
        }
    }
}

// --- received packets

std::set<std::uint64_t> reported(const ReceiveWindow& w, unsigned* count = nullptr) {
    std::array<AckRange, FL_ACK_MAX_RANGES> ranges;
    AckRecord a;
    a.range_count = static_cast<std::uint16_t>(w.report(a, ranges, Time{}));
    if (count != nullptr) *count = a.range_count;
    std::vector<std::byte> raw(a.range_count * sizeof(fl_ack_range));
    for (unsigned i = 0; i < a.range_count; ++i) {
        fl_ack_range r;
        r.gap.set(ranges[i].gap);
        r.length.set(ranges[i].length);
        std::memcpy(raw.data() + i * sizeof(r), &r, sizeof(r));
    }
    a.ranges = raw.data();
    std::set<std::uint64_t> out;
    a.for_each_run([&](std::uint64_t low, std::uint64_t high) {
        for (std::uint64_t n = low; n <= high; ++n) out.insert(n);
    });
    return out;
}

TEST(ReceiveWindow, ReportsExactlyWhatArrived) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Random r(seed);
        auto w = std::make_unique<ReceiveWindow>();
        std::set<std::uint64_t> got;
        std::uint64_t top = 1 + r.below(5);
        for (unsigned i = 0; i < 300; ++i) {
            const std::uint64_t n = r.chance(0.7) ? top++ : 1 + r.below(top);
            if (r.chance(0.1)) top += r.below(seed % 2 == 0 ? 4 : 900);
            EXPECT_EQ(w->check(n), got.contains(n) ? Drop::packet_duplicate : kNoDrop);
            if (got.contains(n)) continue;
            w->take(n, 0, Time{});
            got.insert(n);
            unsigned ranges = 0;
            const auto said = reported(*w, &ranges);
            for (const std::uint64_t x : said) ASSERT_TRUE(got.contains(x)) << x;
            // Complete as far down as it reaches.
            for (auto it = got.lower_bound(*said.begin()); it != got.end(); ++it) ASSERT_TRUE(said.contains(*it));
            const bool all_in_reach = *got.begin() + ReceiveWindow::kReportDepth > *got.rbegin();
            ASSERT_TRUE(ranges == FL_ACK_MAX_RANGES || !all_in_reach || said.size() == got.size());
        }
    }
}

TEST(ReceiveWindow, FarJumpsAndOldOnes) {
    auto w = std::make_unique<ReceiveWindow>();
    EXPECT_TRUE(w->take(1, 0, Time{}));
    EXPECT_FALSE(w->take(5, 0, Time{}));
    EXPECT_FALSE(w->take(1'000'000'000'000, 0, Time{}));
    EXPECT_EQ(w->check(5), Drop::packet_old);
    EXPECT_EQ(w->check(1'000'000'000'000 - 1), kNoDrop);
    EXPECT_EQ(w->check(1'000'000'000'000 - 65535), kNoDrop);
    EXPECT_EQ(w->check(1'000'000'000'000 - 65536), Drop::packet_old);
    EXPECT_EQ(reported(*w).size(), 1u);
    for (std::uint64_t i = 1; i <= 200'000; ++i) ASSERT_TRUE(w->take(1'000'000'000'000 + i, 0, Time{}));
    EXPECT_EQ(w->check(1'000'000'000'000 + 150'000), Drop::packet_duplicate);
    EXPECT_EQ(w->check(1'000'000'000'000 + 1), Drop::packet_old);
}

TEST(ReceiveWindow, SixtyFourRangesNewestFirst) {
    auto w = std::make_unique<ReceiveWindow>();
    for (std::uint64_t n = 1; n <= 1000; n += 2) w->take(n, 0, Time{});
    unsigned ranges = 0;
    const auto said = reported(*w, &ranges);
    EXPECT_EQ(ranges, 64u);
    EXPECT_EQ(*said.rbegin(), 999u);
    EXPECT_EQ(said.size(), 65u);
}

// --- control stream

TEST(ControlStream, WindowOrderDuplicates) {
    ControlSender s;
    fl_control_status body{};
    for (unsigned i = 0; i < 40; ++i) s.push(FL_CONTROL_LIST, body);
    std::vector<std::vector<std::byte>> sent;
    std::uint32_t sequence = 0;
    for (auto r = s.next(sequence); !r.empty(); r = s.next(sequence)) {
        sent.emplace_back(r.begin(), r.end());
        s.sent(sequence);
    }
    EXPECT_EQ(sent.size(), ControlSender::kWindow);
    ControlReceiver c;
    const auto take = [&](std::uint32_t n) { return c.take({FL_CONTROL_LIST, n, sent[n - 1]}); };
    using V = ControlReceiver::Verdict;
    EXPECT_EQ(take(3), V::kept);
    EXPECT_EQ(take(3), V::duplicate);
    EXPECT_EQ(take(2), V::kept);
    EXPECT_EQ(take(1), V::deliver);
    EXPECT_FALSE(c.advance().empty());
    EXPECT_FALSE(c.advance().empty());
    EXPECT_TRUE(c.advance().empty());
    EXPECT_EQ(take(1), V::duplicate);
    EXPECT_EQ(take(4), V::deliver);
    EXPECT_EQ(c.take({FL_CONTROL_LIST, 4 + ControlSender::kWindow, sent[0]}), V::beyond);
    s.lost(2);
    EXPECT_FALSE(s.next(sequence).empty());
    EXPECT_EQ(sequence, 2u);
    s.acked(1);
    s.acked(2);
    EXPECT_FALSE(s.next(sequence).empty()) << "the window has moved";
    EXPECT_EQ(sequence, 33u);
    s.acked(77);  // never pushed
    s.lost(77);
}

// --- reorder memory

TEST(ReorderPool, BoundedAndReused) {
    ReorderPool p(65536);
    std::vector<std::byte*> blocks;
    for (unsigned i = 0; i < 16; ++i) {
        blocks.push_back(p.take(4096));
        ASSERT_NE(blocks.back(), nullptr);
    }
    EXPECT_EQ(p.take(1), nullptr);
    p.give(blocks.back(), 4096);
    EXPECT_EQ(p.take(4096), blocks.back());
    for (std::byte* b : blocks) p.give(b, 4096);
    EXPECT_EQ(p.used_bytes(), 0u);
    for (unsigned bytes : {1u, 128u, 129u, 256u, 257u, 2048u, 2049u, 4096u}) {
        std::byte* b = p.take(bytes);
        ASSERT_NE(b, nullptr);
        std::memset(b, 1, bytes);
        p.give(b, bytes);
    }
}

TEST(PostedIn, KeepsUntilItsTurn) {
    PostedIn in(0, 1024, 1 << 20);
    std::vector<std::byte> data(4096, std::byte{3});
    TlpRecord r;
    r.tlp.type = TlpType::memory_write;
    r.tlp.length_bytes = 4096;
    std::uint64_t fresh = 0;
    for (const std::uint64_t s : {500u, 2u}) {
        r.tlp.sequence = s;
        r.payload = data;
        r.offset_bytes = 0;
        EXPECT_EQ(in.take(r, true, fresh), PostedIn::Taken::news);
        EXPECT_EQ(fresh, ~std::uint64_t{0});
        EXPECT_EQ(in.take(r, true, fresh), PostedIn::Taken::duplicate);
    }
    EXPECT_EQ(in.ready(), nullptr);
    in.advance();
    ASSERT_NE(in.ready(), nullptr);
    EXPECT_EQ(in.ready()->payload().size(), 4096u);
    in.advance_kept();
    EXPECT_EQ(in.placed(), 2u);
    EXPECT_EQ(in.ready(), nullptr);
    EXPECT_FALSE(in.idle());
    EXPECT_TRUE(in.has_part(500));
    in.forget_pending();
    EXPECT_TRUE(in.idle());
    EXPECT_FALSE(in.has_part(500));
    EXPECT_TRUE(in.beyond(1027));
    EXPECT_FALSE(in.beyond(1026));
}

// --- outgoing windows: lost parts come back, cut anew, and nothing else does

TEST(PostedOut, LostPartsAreQueuedOnce) {
    PostedOut out(1, 1024);
    for (unsigned i = 0; i < 500; ++i) {
        PostedRecord* r = out.prepare();
        ASSERT_NE(r, nullptr);
        r->tlp = Tlp{};
        r->tlp.type = TlpType::memory_write;
        r->tlp.attr = FL_ATTR_RO;
        r->tlp.length_bytes = 4096;
        r->tlp.sequence = out.next();
        out.commit();
    }
    EXPECT_EQ(out.pick(), 0u) << "no credits";
    out.limits(400, 0);
    for (std::uint64_t s = 1; s <= 400; ++s) {
        ASSERT_EQ(out.pick(), s);
        out.sent(s, {0, 32});
        ASSERT_EQ(out.pick(), s);
        out.sent(s, {32, 32});
    }
    EXPECT_EQ(out.pick(), 0u);
    EXPECT_TRUE(out.blocked());
    out.acked(7, {0, 10});
    out.lost(7, {0, 32});
    out.lost(7, {0, 32});
    out.lost(3, {0, 32});
    EXPECT_EQ(out.pick(), 7u);
    EXPECT_TRUE(out.is_resend(7));
    EXPECT_EQ(first_run(out.at(7).queued).first, 10);
    EXPECT_EQ(first_run(out.at(7).queued).count, 22);
    out.sent(7, {10, 22});
    EXPECT_EQ(out.pick(), 3u);
    for (unsigned i = 0; i < 5; ++i) (void)out.release_one();
    EXPECT_EQ(out.pick(), 0u) << "released in the meantime";
    out.lost(4, {0, 1});
    out.lost(9999, {0, 1});
    EXPECT_EQ(out.pick(), 0u);
    EXPECT_EQ(out.room(), 1024u - 495);
    out.rewind();
    EXPECT_EQ(out.pick(), 0u);
    out.limits(400, 0);
    EXPECT_EQ(out.pick(), 6u);
}

TEST(RequestsOut, ReleasedOnesAreNotSentAgain) {
    RequestsOut out(1, 8);
    std::uint32_t slot = 0;
    for (unsigned i = 0; i < 8; ++i) {
        ASSERT_NE(out.prepare(slot), nullptr);
        out.commit(slot, Time{} + 1us * i);
    }
    EXPECT_EQ(out.prepare(slot), nullptr);
    out.limit(100);
    for (std::uint64_t s = 1; s <= 8; ++s) {
        ASSERT_EQ(out.pick(), s);
        out.sent(s);
    }
    out.lost(2);
    out.lost(5);
    out.acked(5);
    EXPECT_EQ(out.pick(), 2u);
    out.executed_to(3);
    EXPECT_EQ(out.pick(), 0u);
    const std::uint32_t s4 = out.find(4);
    EXPECT_EQ(out.waiting(out.slot(s4).tlp.tag), s4);
    EXPECT_EQ(out.waiting(out.slot(s4).tlp.tag + 8), RequestsOut::kNone);
    out.settle(s4, true);
    EXPECT_EQ(out.waiting(out.slot(s4).tlp.tag), RequestsOut::kNone);
    EXPECT_EQ(out.room(), 1u);
    const std::uint32_t s8 = out.find(8);
    out.settle(s8, false);  // given up: stays until the peer has executed it
    EXPECT_EQ(out.room(), 1u);
    out.executed_to(8);
    EXPECT_EQ(out.room(), 2u);
    EXPECT_EQ(out.oldest_waiting(), out.find(1));
}

// --- path MTU, time, congestion

TEST(MtuProbe, StepsTriesAndBlackHole) {
    MtuProbe m(9000, false);
    Time now{1s};
    EXPECT_EQ(m.frame_bytes(), 1200u);
    EXPECT_EQ(m.due(now), 1472u);
    m.probed(now, 1ms);
    EXPECT_EQ(m.due(now), 0u);
    m.arrived(1472);
    EXPECT_EQ(m.frame_bytes(), 1472u);
    EXPECT_EQ(m.due(now), 4096u);
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(m.due(now), 4096u);
        m.probed(now, 1ms);
        m.probe_lost(4096, now);
    }
    EXPECT_EQ(m.due(now + 59s), 0u);
    EXPECT_EQ(m.due(now + 60s), 4096u);
    m.arrived(100'000);
    EXPECT_EQ(m.frame_bytes(), 1472u);
    for (unsigned i = 0; i < 9; ++i) EXPECT_FALSE(m.large_lost(1400, now));
    m.large_arrived(1400);
    for (unsigned i = 0; i < 9; ++i) EXPECT_FALSE(m.large_lost(1400, now));
    EXPECT_FALSE(m.large_lost(1200, now));
    EXPECT_TRUE(m.large_lost(1400, now));
    EXPECT_EQ(m.frame_bytes(), 1200u);
}

TEST(Rtt, SmoothsAndForgetsTheMinimum) {
    Rtt r;
    EXPECT_FALSE(r.known());
    Time now{1s};
    for (unsigned i = 0; i < 100; ++i) r.sample(100us, now += 1ms);
    EXPECT_EQ(r.smoothed(), 100us);
    EXPECT_LT(r.variance(), 1us);
    r.sample(50us, now);
    EXPECT_EQ(r.min(), 50us);
    for (unsigned i = 0; i < 30'000; ++i) r.sample(200us, now += 1ms);
    EXPECT_EQ(r.min(), 200us) << "the path has changed";
}

TEST(Congestion, DelayShrinksTheWindowLossAlmostNot) {
    Time now{1s};
    Congestion c(1000);
    Rtt r;
    const std::uint64_t first = c.window_bytes();
    for (unsigned i = 0; i < 100; ++i) {
        r.sample(1ms, now += 1ms);
        c.acknowledged(10'000, c.window_bytes());
        c.sampled(r, now, now);
    }
    const std::uint64_t grown = c.window_bytes();
    EXPECT_EQ(grown, first + 1'000'000);
    c.acknowledged(10'000, 100);
    EXPECT_EQ(c.window_bytes(), grown) << "not used, not grown";
    for (unsigned i = 0; i < 3; ++i) {
        r.sample(10ms, now += 20ms);
        c.sampled(r, now, now);
    }
    EXPECT_LT(c.window_bytes(), grown / 4);
    for (unsigned i = 0; i < 100; ++i) {
        r.sample(100ms, now += 100ms);
        c.sampled(r, now, now);
    }
    EXPECT_GE(c.window_bytes(), 4'000u) << "never below 4 frames";
}

TEST(IntrusiveList, KeepsOrderAndForgets) {
    struct Item {
        int n;
        Link<Item> link;
    };
    Item a{1, {}}, b{2, {}}, c{3, {}};
    IntrusiveList<Item, &Item::link> l;
    l.push_back(a);
    l.push_back(b);
    l.push_back(c);
    l.push_back(a);
    EXPECT_EQ(l.front(), &a);
    l.rotate();
    EXPECT_EQ(l.front(), &b);
    l.remove(c);
    l.remove(c);
    l.rotate();
    EXPECT_EQ(l.front(), &a);
    l.push_front(b);
    EXPECT_EQ(l.front(), &b);
    l.push_front(c);
    EXPECT_EQ(l.front(), &c);
    l.rotate();
    EXPECT_EQ(l.front(), &b);
    l.remove(b);
    EXPECT_EQ(l.front(), &a);
    l.remove(a);
    l.remove(c);
    EXPECT_TRUE(l.empty());
}

}  // namespace
}  // namespace farlane::proto
