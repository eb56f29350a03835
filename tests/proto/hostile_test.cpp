// SPDX-License-Identifier: Apache-2.0
// A peer that says anything it likes, with valid checksums. The session may be closed, nothing
// else may happen: what its functions see stays in order and once. Sanitizers watch.
#include <gtest/gtest.h>

#include "proto/endpoint.hpp"
#include "proto/sim.hpp"

namespace farlane::proto::sim {
namespace {

constexpr FunctionHandle kHandle{3, 1};

class Liar {
public:
    explicit Liar(Random& random) : r_(random) { noise_.resize(4096, std::byte{0x77}); }

    std::span<std::byte> frame(std::uint32_t session, std::uint64_t number) {
        FrameWriter f;
        f.begin(std::span(out_).first(1200 + r_.below(8400)), session, static_cast<std::uint16_t>(r_.below(20) / 19),
                number, static_cast<std::uint32_t>(r_.next()), 0, FL_FRAME_CRC_BYTES);
        for (std::uint64_t n = 1 + r_.below(6); n > 0; --n) record(f);
        const std::size_t bytes = f.finish();
        ClearSeal{}.seal(std::span(out_).first(bytes), number);
        return std::span(out_).first(bytes);
    }

private:
    std::uint64_t count() {
        switch (r_.below(8)) {
            case 0: return r_.next();
            case 1: return kMaxSequence - r_.below(3);
            case 2: return r_.below(40'000);
            default: return r_.below(30);
        }
    }
    std::uint64_t sequence() { return std::max<std::uint64_t>(1, count() & kMaxSequence); }

    void record(FrameWriter& f) {
        switch (r_.below(10)) {
            case 0: ack(f); break;
            case 1: credit(f); break;
            case 2: control(f); break;
            case 3: raw(f); break;
            default: transaction(f); break;
        }
    }
    void transaction(FrameWriter& f) {
        constexpr TlpType kTypes[] = {TlpType::memory_read,  TlpType::memory_write, TlpType::memory_write,
                                      TlpType::memory_write, TlpType::completion,   TlpType::completion_data,
                                      TlpType::config_read,  TlpType::fetch_add,    TlpType::msi};
        Tlp t;
        t.type = kTypes[r_.below(std::size(kTypes))];
        const bool one = t.type == TlpType::completion;
        t.length_bytes = static_cast<std::uint16_t>(one ? 0 : r_.chance(0.3) ? 4096 : 1 + r_.below(300));
        if (t.type == TlpType::config_read || t.type == TlpType::msi) t.length_bytes = 4;
        if (t.type == TlpType::fetch_add) t.length_bytes = 8;
        t.attr = t.type == TlpType::memory_write && r_.chance(0.3) ? FL_ATTR_RO : 0;
        t.code = one ? static_cast<std::uint8_t>(std::array{0, 1, 2, 4}[r_.below(4)]) : 0;
        t.tag = static_cast<std::uint32_t>(r_.chance(0.8) ? r_.below(30) << 8 | r_.below(16) : r_.next());
        t.address = one || t.type == TlpType::completion_data ? 0 : r_.below(2) * 8;
        t.sequence = sequence();
        if (class_of(t.type) != FL_CLASS_POSTED) t.follows_posted = r_.chance(0.7) ? 0 : sequence();
        if (check_tlp(t) != kNoDrop) return;
        std::size_t offset = 0, bytes = carries_payload(t.type) ? t.length_bytes : 0;
        const bool cuttable = t.type == TlpType::memory_write || t.type == TlpType::completion_data;
        if (cuttable && bytes > 128 && r_.chance(0.5)) {
            offset = r_.below(bytes / 64) * 64;
            bytes = offset + 128 < bytes ? 64 : bytes - offset;
        }
        const FunctionHandle h{static_cast<std::uint16_t>(r_.chance(0.9) ? 3 : r_.below(70'000)),
                               static_cast<std::uint16_t>(r_.chance(0.95) ? 1 : 2)};
        std::byte* to = f.tlp(t, h, offset, bytes);
        if (to != nullptr && bytes != 0) std::memcpy(to, noise_.data(), bytes);
    }
    void ack(FrameWriter& f) {
        AckRecord a;
        a.path = static_cast<std::uint16_t>(r_.below(10) / 9);
        a.largest = r_.chance(0.95) ? 1 + r_.below(12) : count();
        a.first_length = 1 + static_cast<std::uint32_t>(r_.below(std::min<std::uint64_t>(a.largest + 1, 1u << 31)));
        a.hold_ns = static_cast<std::uint32_t>(r_.next());
        std::array<AckRange, 4> ranges;
        for (AckRange& x : ranges)
            x = {1 + static_cast<std::uint32_t>(r_.below(4)), 1 + static_cast<std::uint32_t>(r_.below(4))};
        (void)f.ack(a, std::span(ranges).first(r_.below(4)));
    }
    void credit(FrameWriter& f) {
        CreditRecord c;
        c.handle = kHandle;
        for (unsigned i = 0; i < kClasses; ++i) {
            c.released[i] = count() & kMaxSequence;
            c.header_limit[i] = count() & kMaxSequence;
            c.data_limit[i] = count();
        }
        (void)f.credit(c);
    }
    void control(FrameWriter& f) {
        fl_control_status status{};
        switch (r_.below(4)) {
            case 0: (void)f.control(FL_CONTROL_KEEPALIVE, 0, fl_control{}); break;
            case 1: (void)f.control(FL_CONTROL_PROBE, 0, fl_control{}); break;
            case 2: (void)f.control(FL_CONTROL_LIST, static_cast<std::uint32_t>(1 + r_.below(40)), status); break;
            default: {
                fl_control_detach d{};
                (void)f.control(FL_CONTROL_DETACH, static_cast<std::uint32_t>(1 + r_.below(40)), d);
            }
        }
    }
    void raw(FrameWriter& f) {
        std::array<std::byte, 64> bytes;
        for (auto& b : bytes) b = static_cast<std::byte>(r_.next());
        bytes[0] = static_cast<std::byte>(r_.below(7));
        bytes[2] = std::byte{64};
        bytes[3] = std::byte{0};
        (void)f.raw(bytes);
    }

    Random& r_;
    std::vector<std::byte> noise_;
    std::array<std::byte, FL_FRAME_MAX_BYTES> out_;
};

TEST(Hostile, AnythingWithAValidChecksum) {
    std::uint64_t closed = 0, executed = 0, told = 0;
    for (std::uint64_t seed = 1; seed <= 250; ++seed) {
        SCOPED_TRACE(seed);
        World w(seed);
        ASSERT_TRUE(w.connect());
        Port a(kHandle), b(kHandle);
        const FunctionLimits l{.posted_window = 1024, .reorder_bytes = 65536, .completion_timeout = 50ms};
        ASSERT_EQ(w.target().bind(b.start(l), {}, w.now), Status::ok);
        ASSERT_EQ(w.initiator().bind(a.start(l), {}, w.now), Status::ok);
        w.run_for(1ms);
        w.tap = [](unsigned, PathId, std::span<std::byte>) { return false; };  // from now on only lies arrive
        Liar liar(w.random);
        std::vector<std::byte> data(4096);
        std::array<std::byte, 4096> into{};
        for (std::uint64_t n = 0; n < 200; ++n) {
            for (Port* p : {&a, &b}) {
                if (p->function->session() == nullptr) continue;
                const auto some = static_cast<std::uint16_t>(1 + w.random.below(4096));
                (void)p->function->submit(write_tlp(0, some), std::span<const std::byte>(data).first(some), 0, false,
                                          w.now);
                (void)p->function->submit(write_tlp(0, 4096, n % 2 == 0), data, n + 1, true, w.now);
                (void)p->function->request(read_tlp(0, 64), {}, std::span(into).first(64), n * 2 + 1, w.now);
                (void)p->function->request(read_tlp(0, 4096), {}, into, n * 2 + 2, w.now);
            }
            for (unsigned side = 0; side < 2; ++side)
                w.sides[side].session->on_frame(liar.frame(100 + side, 1000 + n * 3 + w.random.below(4)), 0, w.now);
            w.run_for(Duration(static_cast<std::int64_t>(w.random.below(3'000'000))));
        }
        for (const Side& s : w.sides) closed += s.session->state() == SessionState::closed;
        executed += b.endpoint.posted + b.endpoint.requests;
        told += a.endpoint.completions;
        EXPECT_EQ(a.endpoint.complaint, "");
        EXPECT_EQ(b.endpoint.complaint, "");
    }
    EXPECT_GT(closed, 20u);
    EXPECT_GT(executed, 500u) << "lies that are true by accident";
    EXPECT_GT(told, 1000u);
}

}  // namespace
}  // namespace farlane::proto::sim
