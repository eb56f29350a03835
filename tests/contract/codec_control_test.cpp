// SPDX-License-Identifier: Apache-2.0
// Receives: valid control records. Hands on: the drop reason of each single field damaged.
// Owns: nothing. docs/wire.md, "Control records".
#include <gtest/gtest.h>

#include "contract/codec_frames.hpp"

namespace farlane::test {
namespace {

using proto::Drop;
using proto::kNoDrop;

template <class T>
Drop verdict(std::uint8_t type, std::uint32_t sequence, const T& body) {
    return Frame([&](FrameWriter& w) { ASSERT_TRUE(w.control(type, sequence, body)); }).first_drop();
}

template <class T>
Drop damaged(std::uint8_t type, std::uint32_t sequence, T body, const std::function<void(T&)>& damage) {
    EXPECT_EQ(verdict(type, sequence, body), kNoDrop) << "the undamaged record must be good";
    damage(body);
    return verdict(type, sequence, body);
}

fl_control_hello hello() {
    fl_control_hello h{};
    h.session.set(7);
    h.version_min = h.version_max = FL_WIRE_VERSION;
    h.incarnation.set(3);
    h.nonce.set(0x1234);
    h.max_frame_bytes.set(9000);
    h.keepalive_ms.set(1000);
    h.grace_ms.set(10000);
    proto::write_name(h.name, "initiator");
    return h;
}

TEST(RejectControl, Hello) {
    const auto with = [](std::uint8_t type, const std::function<void(fl_control_hello&)>& damage) {
        return damaged<fl_control_hello>(type, 0, hello(), damage);
    };
    for (const std::uint8_t type : {FL_CONTROL_HELLO, FL_CONTROL_HELLO_ACK}) {
        EXPECT_EQ(with(type, [](auto& h) { h.session.set(0); }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.version_min = 0; }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.version_max = 0; }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.incarnation.set(0); }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.max_frame_bytes.set(FL_FRAME_BASE_BYTES - 1); }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.keepalive_ms.set(0); }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { std::memset(h.name, 'x', sizeof(h.name)); }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.name[0] = '\n'; }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.name[63] = 'x'; }), Drop::record_field);
        EXPECT_EQ(with(type, [](auto& h) { h.features.set(0xffffffff); }), kNoDrop);  // later features
    }
    EXPECT_EQ(with(FL_CONTROL_HELLO, [](auto& h) { h.version_max = 9; }), kNoDrop);
    EXPECT_EQ(with(FL_CONTROL_HELLO_ACK, [](auto& h) { h.version_max = 9; }), Drop::record_field);
}

TEST(RejectControl, Sequences) {
    for (const unsigned sequence : {0u, 1u}) {
        const bool zero = sequence == 0;
        const Drop alone = zero ? kNoDrop : Drop::control_sequence;
        const Drop ordered = zero ? Drop::control_sequence : kNoDrop;
        EXPECT_EQ(verdict(FL_CONTROL_HELLO, sequence, hello()), alone);
        EXPECT_EQ(verdict(FL_CONTROL_HELLO_ACK, sequence, hello()), alone);
        EXPECT_EQ(verdict(FL_CONTROL_HELLO_REJECT, sequence, fl_control_status{}), alone);
        EXPECT_EQ(verdict(FL_CONTROL_KEEPALIVE, sequence, fl_control{}), alone);
        EXPECT_EQ(verdict(FL_CONTROL_PROBE, sequence, fl_control{}), alone);
        EXPECT_EQ(verdict(FL_CONTROL_BYE, sequence, fl_control_status{}), kNoDrop);
        EXPECT_EQ(verdict(FL_CONTROL_LIST, sequence, fl_control_status{}), ordered);
        EXPECT_EQ(verdict(FL_CONTROL_DETACH, sequence, fl_control_detach{}), ordered);
        EXPECT_EQ(verdict(FL_CONTROL_DETACH_REPLY, sequence, fl_control_detach{}), ordered);
    }
}

TEST(RejectControl, StatusBodies) {
    const auto with = [](std::uint8_t type, std::uint32_t sequence, const std::function<void(fl_control_status&)>& d) {
        return damaged<fl_control_status>(type, sequence, {}, d);
    };
    EXPECT_EQ(with(FL_CONTROL_HELLO_REJECT, 0, [](auto& s) { s.request.set(1); }), Drop::record_field);
    EXPECT_EQ(with(FL_CONTROL_HELLO_REJECT, 0, [](auto& s) { s.nonce.set(1); }), kNoDrop);
    EXPECT_EQ(with(FL_CONTROL_BYE, 0, [](auto& s) { s.request.set(1); }), Drop::record_field);
    EXPECT_EQ(with(FL_CONTROL_BYE, 0, [](auto& s) { s.nonce.set(1); }), Drop::record_field);
    EXPECT_EQ(with(FL_CONTROL_LIST, 1, [](auto& s) { s.request.set(1); }), kNoDrop);
    EXPECT_EQ(with(FL_CONTROL_LIST, 1, [](auto& s) { s.status.set(1); }), Drop::record_field);
    EXPECT_EQ(with(FL_CONTROL_LIST, 1, [](auto& s) { s.nonce.set(1); }), Drop::record_field);
}

TEST(RejectControl, WrongSizeForTheType) {
    Frame f([](FrameWriter& w) { ASSERT_TRUE(w.control(FL_CONTROL_HELLO, 0, hello())); });
    f.set_record(offsetof(fl_record_header, type), FL_CONTROL_KEEPALIVE);
    EXPECT_EQ(f.first_drop(), Drop::record_field);
    f.set_record(offsetof(fl_record_header, type), FL_CONTROL_LIST_REPLY);
    EXPECT_EQ(f.first_drop(), Drop::record_truncated);
}

TEST(RejectControl, ListReply) {
    fl_control_list_reply good{};
    good.count.set(1);
    good.desc = sample_description();
    const auto with = [&](const std::function<void(fl_control_list_reply&)>& d) {
        return damaged<fl_control_list_reply>(FL_CONTROL_LIST_REPLY, 1, good, d);
    };
    EXPECT_EQ(with([](auto& r) { r.index.set(1); }), Drop::record_field);
    EXPECT_EQ(with([](auto& r) { r.count.set(0); }), Drop::record_field);  // none, and yet a description
    EXPECT_EQ(with([](auto& r) { r = fl_control_list_reply{}, r.head.sequence.set(1); }), kNoDrop);
    EXPECT_EQ(with([](auto& r) { r.desc.name[0] = '\0'; }), Drop::record_field);
}

TEST(RejectControl, Descriptions) {
    const auto valid = [](const std::function<void(fl_function_desc&)>& damage) {
        fl_function_desc d = sample_description();
        EXPECT_TRUE(proto::valid_description(d));
        damage(d);
        return proto::valid_description(d);
    };
    EXPECT_FALSE(valid([](auto& d) { std::memset(d.name, 0, sizeof(d.name)); }));
    EXPECT_FALSE(valid([](auto& d) { d.model[1] = '\x7f'; }));
    EXPECT_FALSE(valid([](auto& d) { d.holder[63] = 'x'; }));
    EXPECT_FALSE(valid([](auto& d) { d.state.set(FL_FUNCTION_FAILED + 1); }));
    EXPECT_FALSE(valid([](auto& d) { d.msix_vectors.set(proto::kMaxMsixVectors + 1); }));
    EXPECT_FALSE(valid([](auto& d) { d.bar[0].size_bytes.set(3000); }));  // not a power of two
    EXPECT_FALSE(valid([](auto& d) { d.bar[0].size_bytes.set(8); }));     // too small
    EXPECT_FALSE(valid([](auto& d) { d.bar[1].size_bytes.set(4096); }));  // upper half of BAR 0
    EXPECT_FALSE(valid([](auto& d) { d.bar[5].size_bytes.set(4096), d.bar[5].flags.set(FL_BAR_64BIT); }));
    EXPECT_FALSE(valid([](auto& d) { d.bar[2].size_bytes.set(1ull << 32); }));  // needs 64 bits
    EXPECT_FALSE(valid([](auto& d) { d.bar[2].flags.set(1); }));
    EXPECT_FALSE(valid([](auto& d) { d.bar[3].flags.set(FL_BAR_PREFETCHABLE); }));  // of no BAR
    EXPECT_FALSE(valid([](auto& d) { d.bar[4].reserved.set(1); }));
    EXPECT_TRUE(valid([](auto& d) { d.bar[0].size_bytes.set(1ull << 40); }));
}

TEST(RejectControl, Attach) {
    fl_control_attach fresh{};
    proto::write_name(fresh.name, "accel0");
    const auto with = [&](const std::function<void(fl_control_attach&)>& d) {
        return damaged<fl_control_attach>(FL_CONTROL_ATTACH, 2, fresh, d);
    };
    EXPECT_EQ(with([](auto& a) { a.name[0] = '\0', a.name[1] = '\0'; }), Drop::record_field);
    EXPECT_EQ(with([](auto& a) { std::memset(a.name, 0, sizeof(a.name)); }), Drop::record_field);
    EXPECT_EQ(with([](auto& a) { a.flags.set(4); }), Drop::record_field);
    EXPECT_EQ(with([](auto& a) { a.flags.set(FL_ATTACH_ORIGIN_LOST); }), Drop::record_field);  // only with resume
    EXPECT_EQ(with([](auto& a) { a.function_index.set(1); }), Drop::record_field);
    EXPECT_EQ(with([](auto& a) { a.released[2].set(1); }), Drop::record_field);
    const auto resume = [](fl_control_attach& a) {
        a.flags.set(FL_ATTACH_RESUME | FL_ATTACH_ORIGIN_LOST);
        a.function_index.set(3);
        a.released[2].set(17);
    };
    EXPECT_EQ(with(resume), kNoDrop);
    EXPECT_EQ(with([&](auto& a) { resume(a), a.released[0].set(proto::kMaxSequence + 1); }), Drop::record_field);
}

TEST(RejectControl, AttachReplyDetachEvent) {
    fl_control_attach_reply reply{};
    reply.desc = sample_description();
    const auto with_reply = [&](const std::function<void(fl_control_attach_reply&)>& d) {
        return damaged<fl_control_attach_reply>(FL_CONTROL_ATTACH_REPLY, 2, reply, d);
    };
    EXPECT_EQ(with_reply([](auto& r) { r.flags.set(4); }), Drop::record_field);
    EXPECT_EQ(with_reply([](auto& r) { r.desc = {}; }), Drop::record_field);
    EXPECT_EQ(with_reply([](auto& r) { r.desc = {}, r.status.set(FL_STATUS_BUSY); }), kNoDrop);
    EXPECT_EQ(with_reply([](auto& r) { r.released[1].set(UINT64_MAX); }), Drop::record_field);
    EXPECT_EQ(with_reply([](auto& r) { r.header_limit[1].set(UINT64_MAX); }), Drop::record_field);
    EXPECT_EQ(damaged<fl_control_detach>(FL_CONTROL_DETACH, 2, {}, [](auto& d) { d.reserved.set(1); }),
              Drop::record_field);

    fl_control_event event{};
    event.code.set(FL_EVENT_ADDED);
    event.desc = sample_description();
    const auto with_event = [&](const std::function<void(fl_control_event&)>& d) {
        return damaged<fl_control_event>(FL_CONTROL_EVENT, 2, event, d);
    };
    EXPECT_EQ(with_event([](auto& e) { e.code.set(0); }), Drop::record_field);
    EXPECT_EQ(with_event([](auto& e) { e.code.set(5); }), Drop::record_field);
    EXPECT_EQ(with_event([](auto& e) { e.reserved.set(1); }), Drop::record_field);
    EXPECT_EQ(with_event([](auto& e) { e.desc.name[0] = '\0'; }), Drop::record_field);
}

// Every way to cut a control record short is seen, whatever follows.
TEST(RejectControl, TruncatedAtEveryLength) {
    for (unsigned type = 1; type < 16; ++type) {
        const std::size_t bytes = proto::control_record_bytes(static_cast<std::uint8_t>(type));
        for (std::size_t cut = 8; cut < bytes; cut += 8) {
            Frame f([&](FrameWriter& w) { ASSERT_TRUE(w.pad(cut)); });
            f.set_record(offsetof(fl_record_header, family), FL_FAMILY_CONTROL);
            f.set_record(offsetof(fl_record_header, type), type);
            EXPECT_EQ(f.first_drop(), Drop::record_truncated);
        }
    }
}

}  // namespace
}  // namespace farlane::test
