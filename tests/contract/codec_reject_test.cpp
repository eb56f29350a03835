// SPDX-License-Identifier: Apache-2.0
// Receives: valid frames. Hands on: the drop reason of each single field damaged.
// Owns: nothing. docs/wire.md, "Transaction rules", "Control records" and "Bad input".
#include <gtest/gtest.h>

#include "contract/codec_frames.hpp"

namespace farlane::test {
namespace {

using proto::Drop;
using proto::kNoDrop;

Frame frame_of(const Tlp& t) {
    return Frame([&](FrameWriter& w) { ASSERT_TRUE(put(w, t)); });
}

template <class T>
Frame control_frame(std::uint8_t type, std::uint32_t sequence, const T& body) {
    return Frame([&](FrameWriter& w) { ASSERT_TRUE(w.control(type, sequence, body)); });
}

// Verdict after `damage` has changed the record's struct in place.
template <class Raw>
Drop verdict(Frame frame, const std::function<void(Raw&)>& damage) {
    EXPECT_EQ(frame.first_drop(), kNoDrop) << "the undamaged record must be good";
    Raw raw;
    std::byte* place = frame.bytes().data() + sizeof(fl_frame_header);
    std::memcpy(&raw, place, sizeof(raw));
    damage(raw);
    std::memcpy(place, &raw, sizeof(raw));
    return frame.first_drop();
}

Drop tlp_verdict(TlpType type, const std::function<void(fl_tlp&)>& damage) {
    return verdict<fl_tlp>(frame_of(sample(type)), damage);
}

TEST(Reject, FrameHeader) {
    Frame good = frame_of(sample(TlpType::msi));
    ASSERT_EQ(good.header_drop(), kNoDrop);
    Frame f = good;
    f.bytes().resize(FL_FRAME_MIN_BYTES - 1);
    EXPECT_EQ(f.header_drop(), Drop::frame_short);
    f.bytes().clear();
    EXPECT_EQ(f.header_drop(), Drop::frame_short);
    f = good;
    f.bytes().resize(good.bytes().size() - 1);
    EXPECT_EQ(f.header_drop(), Drop::frame_length);
    f = good;
    f.set(offsetof(fl_frame_header, frame_bytes), FL_FRAME_MIN_BYTES - 1);
    EXPECT_EQ(f.header_drop(), Drop::frame_length);
    f.set(offsetof(fl_frame_header, frame_bytes), FL_FRAME_MIN_BYTES + 4);  // records are multiples of 8
    EXPECT_EQ(f.header_drop(), Drop::frame_length);
    f = good;
    f.set(offsetof(fl_frame_header, flags), FL_FRAME_SEALED);  // a tag of 16 does not leave whole records here
    EXPECT_EQ(f.header_drop(), Drop::frame_length);
    f = good;
    f.set(offsetof(fl_frame_header, version), FL_WIRE_VERSION + 1);
    EXPECT_EQ(f.header_drop(), Drop::frame_version);
    f = good;
    f.set(offsetof(fl_frame_header, flags), 0x08);
    EXPECT_EQ(f.header_drop(), Drop::frame_flags);
    f = good;
    f.set(offsetof(fl_frame_header, reserved), 1);
    EXPECT_EQ(f.header_drop(), Drop::frame_flags);
    f = good;
    f.set(offsetof(fl_frame_header, packet_number), 0);
    EXPECT_EQ(f.header_drop(), Drop::packet_old);
    f.set(offsetof(fl_frame_header, packet_number) + 7, 0x40);  // 2^62
    EXPECT_EQ(f.header_drop(), Drop::packet_old);
}

TEST(Reject, FrameBeyondTheLargest) {
    Frame f([](FrameWriter& w) { ASSERT_TRUE(w.pad(w.room())); });
    EXPECT_EQ(f.header_drop(), kNoDrop);
    f.bytes().resize(FL_FRAME_MAX_BYTES + 100);
    fl_le16 bytes(FL_FRAME_MAX_BYTES + 4);
    std::memcpy(f.bytes().data() + offsetof(fl_frame_header, frame_bytes), &bytes, sizeof(bytes));
    EXPECT_EQ(f.header_drop(), Drop::frame_length);
}

TEST(Reject, RecordFraming) {
    for (const unsigned bytes : {0u, 4u, 7u, 49u, 56u, 64u}) {  // the frame has 56 bytes of records
        Frame f = frame_of(sample(TlpType::msi));
        f.set_record(offsetof(fl_record_header, record_bytes), bytes);
        if (bytes == 56) {
            EXPECT_EQ(f.first_drop(), kNoDrop);
        } else {
            EXPECT_EQ(f.first_drop(), Drop::record_truncated) << bytes;
        }
    }
    Frame f = frame_of(sample(TlpType::msi));
    f.set_record(offsetof(fl_record_header, record_bytes), 40);  // a whole record, but no transaction
    EXPECT_EQ(f.first_drop(), Drop::record_truncated);
    for (const unsigned family : {0u, 6u, 255u}) {
        f = frame_of(sample(TlpType::msi));
        f.set_record(offsetof(fl_record_header, family), family);
        EXPECT_EQ(f.first_drop(), Drop::record_family);
    }
}

TEST(Reject, TypesThatAreNone) {
    for (unsigned type = 0; type < 256; ++type) {
        if (type >= FL_TLP_MRD && type <= FL_TLP_MSG) continue;
        EXPECT_EQ(tlp_verdict(TlpType::msi, [&](fl_tlp& t) { t.type = static_cast<__u8>(type); }), Drop::record_type);
    }
    for (const unsigned type : {0u, unsigned{FL_CONTROL_KEY_PHASE}, 15u, 255u}) {
        Frame f = control_frame(FL_CONTROL_KEEPALIVE, 0, fl_control{});
        f.set_record(offsetof(fl_record_header, type), type);
        EXPECT_EQ(f.first_drop(), Drop::record_type);
    }
    Frame pad([](FrameWriter& w) { ASSERT_TRUE(w.pad(8)); });
    pad.set_record(offsetof(fl_record_header, type), 1);
    EXPECT_EQ(pad.first_drop(), Drop::record_type);
}

TEST(Reject, Sequences) {
    for (const TlpType type : kTypes) {
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.sequence.set(0); }), Drop::record_field);
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.sequence.set(proto::kMaxSequence + 1); }), Drop::record_field);
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.follows_posted.set(proto::kMaxSequence + 1); }),
                  Drop::record_field);
        const bool posted = proto::class_of(type) == FL_CLASS_POSTED;
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.follows_posted.set(1); }), posted ? Drop::record_field : kNoDrop);
    }
}

TEST(Reject, AttributesPerType) {
    const auto with = [](TlpType type, unsigned attr) {
        return tlp_verdict(type, [&](fl_tlp& t) { t.attr = static_cast<__u8>(attr); });
    };
    for (const TlpType type : kTypes) {
        EXPECT_EQ(with(type, 0x20), Drop::record_field);
        EXPECT_EQ(with(type, 0x80), Drop::record_field);
        EXPECT_EQ(with(type, FL_ATTR_EP),
                  proto::carries_payload(type) && type != TlpType::msi && type != TlpType::message ? kNoDrop
                                                                                                   : Drop::record_field)
            << static_cast<int>(type);
    }
    for (const TlpType strict : {TlpType::config_read, TlpType::config_write, TlpType::msi, TlpType::message}) {
        EXPECT_EQ(with(strict, FL_ATTR_RO), Drop::record_field);
        EXPECT_EQ(with(strict, FL_ATTR_NS), Drop::record_field);
    }
    for (const TlpType loose : {TlpType::memory_read, TlpType::memory_write, TlpType::completion_data, TlpType::swap})
        EXPECT_EQ(with(loose, FL_ATTR_RO | FL_ATTR_NS | FL_ATTR_IDO), kNoDrop);
}

TEST(Reject, BarPasidCodeAddressPerType) {
    for (const TlpType type : kTypes) {
        SCOPED_TRACE(static_cast<int>(type));
        const bool memory = type == TlpType::memory_read || type == TlpType::memory_write ||
                            type == TlpType::fetch_add || type == TlpType::swap || type == TlpType::compare_swap;
        const auto field = [](bool allowed) { return allowed ? kNoDrop : Drop::record_field; };
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.bar = 0; }), field(memory));
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.bar = FL_BAR_ROM; }), field(memory));
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.bar = FL_BAR_ROM + 1; }), Drop::record_field);
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.pasid.set(FL_PASID_MAX); }),
                  field(memory || type == TlpType::message));
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.pasid.set(FL_PASID_MAX + 1); }), Drop::record_field);
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.code = 5; }), Drop::record_field);
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.code = 255; }), Drop::record_field);
    }
    for (const TlpType type : {TlpType::completion, TlpType::completion_data, TlpType::message})
        EXPECT_EQ(tlp_verdict(type, [](fl_tlp& t) { t.address.set(8); }), Drop::record_field);
    for (const unsigned code : {FL_STATUS_SC, FL_STATUS_UR, FL_STATUS_CRS, FL_STATUS_CA})
        EXPECT_EQ(tlp_verdict(TlpType::completion, [&](fl_tlp& t) { t.code = static_cast<__u8>(code); }), kNoDrop);
    EXPECT_EQ(tlp_verdict(TlpType::completion_data, [](fl_tlp& t) { t.code = FL_STATUS_UR; }), Drop::record_field);
}

TEST(Reject, LengthsPerType) {
    const auto with = [](TlpType type, unsigned length) {
        return tlp_verdict(type, [&](fl_tlp& t) {
            t.length_bytes.set(static_cast<__u16>(length));
            t.address.set(0);
        });
    };
    EXPECT_EQ(with(TlpType::memory_read, 0), Drop::record_field);
    EXPECT_EQ(with(TlpType::memory_read, 4096), kNoDrop);
    EXPECT_EQ(with(TlpType::memory_read, 4097), Drop::record_field);
    EXPECT_EQ(with(TlpType::memory_write, 0), Drop::record_field);
    EXPECT_EQ(with(TlpType::memory_write, 17), Drop::record_field);  // 16 bytes are there
    EXPECT_EQ(with(TlpType::memory_write, 8), Drop::record_field);   // 16 bytes are there
    EXPECT_EQ(with(TlpType::memory_write, 0xffff), Drop::record_field);
    EXPECT_EQ(with(TlpType::completion, 1), Drop::record_field);
    EXPECT_EQ(with(TlpType::completion_data, 0), Drop::record_field);
    EXPECT_EQ(with(TlpType::config_read, 5), Drop::record_field);
    EXPECT_EQ(with(TlpType::msi, 8), Drop::record_field);
    EXPECT_EQ(with(TlpType::fetch_add, 4), Drop::record_field);  // 8 bytes are there
    EXPECT_EQ(with(TlpType::message, 8), Drop::record_field);
}

TEST(Reject, ConfigurationStaysInADword) {
    const auto with = [](std::uint64_t address, unsigned length) {
        Tlp t = sample(TlpType::config_read);
        t.address = address;
        t.length_bytes = static_cast<std::uint16_t>(length);
        return proto::check_tlp(t);
    };
    EXPECT_EQ(with(0, 4), kNoDrop);
    EXPECT_EQ(with(4092, 4), kNoDrop);
    EXPECT_EQ(with(4095, 1), kNoDrop);
    EXPECT_EQ(with(4096, 1), Drop::record_field);
    EXPECT_EQ(with(2, 4), Drop::record_field);
    EXPECT_EQ(with(3, 2), Drop::record_field);
    EXPECT_EQ(with(UINT64_MAX - 3, 4), Drop::record_field);
}

TEST(Reject, Atomics) {
    const auto with = [](TlpType type, std::uint64_t address, unsigned length) {
        Tlp t = sample(type);
        t.address = address;
        t.length_bytes = static_cast<std::uint16_t>(length);
        return proto::check_tlp(t);
    };
    for (const TlpType type : {TlpType::fetch_add, TlpType::swap}) {
        EXPECT_EQ(with(type, 4, 4), kNoDrop);
        EXPECT_EQ(with(type, 8, 8), kNoDrop);
        EXPECT_EQ(with(type, 4, 8), Drop::record_field);  // not naturally aligned
        EXPECT_EQ(with(type, 2, 4), Drop::record_field);
        for (const unsigned length : {1u, 2u, 5u, 6u, 7u, 16u}) EXPECT_EQ(with(type, 0, length), Drop::record_field);
    }
    EXPECT_EQ(with(TlpType::compare_swap, 4, 8), kNoDrop);
    EXPECT_EQ(with(TlpType::compare_swap, 8, 16), kNoDrop);
    EXPECT_EQ(with(TlpType::compare_swap, 4, 16), Drop::record_field);
    for (const unsigned length : {4u, 9u, 10u, 12u, 32u})
        EXPECT_EQ(with(TlpType::compare_swap, 0, length), Drop::record_field);
}

TEST(Reject, ByteEnables) {
    const auto with = [](TlpType type, unsigned length, unsigned enables) {
        Tlp t = sample(type);
        t.length_bytes = static_cast<std::uint16_t>(length);
        t.byte_enables = static_cast<std::uint8_t>(enables);
        t.address = 0;
        return proto::check_tlp(t);
    };
    EXPECT_EQ(with(TlpType::memory_write, 8, 0x81), kNoDrop);
    EXPECT_EQ(with(TlpType::memory_read, 3, 0x05), kNoDrop);
    EXPECT_EQ(with(TlpType::memory_write, 3, 0x08), Drop::record_field);
    EXPECT_EQ(with(TlpType::memory_write, 9, 0x01), Drop::record_field);
    EXPECT_EQ(with(TlpType::config_write, 4, 0x10), Drop::record_field);
    EXPECT_EQ(with(TlpType::completion_data, 4, 0x01), Drop::record_field);
    EXPECT_EQ(with(TlpType::fetch_add, 4, 0x01), Drop::record_field);
}

TEST(Reject, AddressesThatWrap) {
    Tlp t = sample(TlpType::memory_read);
    t.address = UINT64_MAX - 4095;
    EXPECT_EQ(proto::check_tlp(t), kNoDrop);  // up to the last byte
    t.address += 1;
    EXPECT_EQ(proto::check_tlp(t), Drop::record_field);
}

TEST(Reject, PaddingAndOffsetsThatAreNotZero) {
    Frame f = frame_of(sample(TlpType::memory_write));  // 13 bytes, 3 of padding
    f.set_record(sizeof(fl_tlp) + 15, 1);
    EXPECT_EQ(f.first_drop(), Drop::record_field);
    EXPECT_EQ(tlp_verdict(TlpType::memory_write, [](fl_tlp& t) { t.offset_bytes.set(64); }), Drop::record_field);
}

// 192 bytes at `offset` of 1000.
Frame fragment(unsigned offset, unsigned bytes, unsigned length = 1000, TlpType type = TlpType::memory_write) {
    Tlp t = sample(type);
    t.length_bytes = static_cast<std::uint16_t>(length);
    t.address = 0;
    return Frame([&](FrameWriter& w) {
        std::byte* place = w.tlp(t, {1, 1}, offset, bytes);
        ASSERT_NE(place, nullptr);
        std::memset(place, 0x5a, bytes);
    });
}

TEST(Reject, Fragments) {
    ASSERT_EQ(fragment(64, 192).first_drop(), kNoDrop);
    ASSERT_EQ(fragment(960, 40).first_drop(), kNoDrop);  // the last
    const auto at = [](unsigned offset) {
        return verdict<fl_tlp>(fragment(64, 192), [&](fl_tlp& t) { t.offset_bytes.set(static_cast<__u16>(offset)); });
    };
    EXPECT_EQ(at(65), Drop::record_field);
    EXPECT_EQ(at(32), Drop::record_field);
    EXPECT_EQ(at(832), Drop::record_field);   // reaches past the end
    EXPECT_EQ(at(1024), Drop::record_field);  // begins past the end
    EXPECT_EQ(at(65472), Drop::record_field);
    // A part that is not the last is a multiple of 64.
    EXPECT_EQ(verdict<fl_tlp>(fragment(960, 40), [](fl_tlp& t) { t.offset_bytes.set(896); }), Drop::record_field);
    // The whole payload is not a part.
    EXPECT_EQ(tlp_verdict(TlpType::memory_write, [](fl_tlp& t) { t.attr |= FL_ATTR_FRAGMENT; }), Drop::record_field);
    // Types that are never cut.
    EXPECT_EQ(verdict<fl_tlp>(fragment(64, 192), [](fl_tlp& t) { t.type = FL_TLP_MRD; }), Drop::record_field);
    EXPECT_EQ(tlp_verdict(TlpType::compare_swap, [](fl_tlp& t) { t.attr |= FL_ATTR_FRAGMENT; }), Drop::record_field);
    EXPECT_EQ(verdict<fl_tlp>(fragment(64, 192, 1000, TlpType::completion_data), [](fl_tlp&) {}), kNoDrop);
}

TEST(Reject, Messages) {
    const auto map = [](const std::function<void(fl_msg_map&)>& damage) {
        Frame f = frame_of(sample(TlpType::message));
        EXPECT_EQ(f.first_drop(), kNoDrop);
        std::byte* place = f.bytes().data() + sizeof(fl_frame_header) + sizeof(fl_tlp);
        fl_msg_map m;
        std::memcpy(&m, place, sizeof(m));
        damage(m);
        std::memcpy(place, &m, sizeof(m));
        return f.first_drop();
    };
    EXPECT_EQ(map([](fl_msg_map& m) { m.direction.set(0); }), Drop::record_field);
    EXPECT_EQ(map([](fl_msg_map& m) { m.direction.set(3); }), kNoDrop);
    EXPECT_EQ(map([](fl_msg_map& m) { m.direction.set(4); }), Drop::record_field);
    EXPECT_EQ(map([](fl_msg_map& m) { m.reserved.set(1); }), Drop::record_field);
    EXPECT_EQ(map([](fl_msg_map& m) { m.length_bytes.set(0); }), Drop::record_field);
    EXPECT_EQ(map([](fl_msg_map& m) { m.iova.set(UINT64_MAX - 0xfff); }), Drop::record_field);
    Tlp t = sample(TlpType::message);
    t.code = FL_MSG_ERROR;
    t.length_bytes = sizeof(fl_msg_error);
    EXPECT_EQ(frame_of(t).first_drop(), kNoDrop);
    Frame f = frame_of(t);
    f.set_record(sizeof(fl_tlp), 3);  // severity
    EXPECT_EQ(f.first_drop(), Drop::record_field);
}

TEST(Reject, Acknowledgements) {
    proto::AckRecord a;
    a.largest = 10;
    a.first_length = 2;
    const std::array<proto::AckRange, 1> ranges = {proto::AckRange{3, 4}};
    const Frame good([&](FrameWriter& w) { ASSERT_TRUE(w.ack(a, ranges)); });
    const auto with = [&](const std::function<void(fl_ack&)>& damage) { return verdict<fl_ack>(good, damage); };
    EXPECT_EQ(with([](fl_ack& k) { k.head.type = 1; }), Drop::record_type);
    EXPECT_EQ(with([](fl_ack& k) { k.reserved.set(1); }), Drop::record_field);
    EXPECT_EQ(with([](fl_ack& k) { k.range_count.set(0); }), Drop::record_field);
    EXPECT_EQ(with([](fl_ack& k) { k.range_count.set(2); }), Drop::record_field);
    EXPECT_EQ(with([](fl_ack& k) { k.range_count.set(65535); }), Drop::record_field);
    EXPECT_EQ(with([](fl_ack& k) { k.first_length.set(0); }), Drop::record_field);
    EXPECT_EQ(with([](fl_ack& k) { k.first_length.set(11); }), Drop::ack_impossible);
    EXPECT_EQ(with([](fl_ack& k) { k.largest.set(0); }), Drop::ack_impossible);
    EXPECT_EQ(with([](fl_ack& k) { k.largest.set(proto::kMaxPacketNumber + 1); }), Drop::ack_impossible);
    EXPECT_EQ(with([](fl_ack& k) { k.largest.set(9); }), kNoDrop);               // the run 1..4 below 5..7
    EXPECT_EQ(with([](fl_ack& k) { k.largest.set(8); }), Drop::ack_impossible);  // would reach packet 0
    Frame f = good;
    f.set_record(sizeof(fl_ack), 0);  // gap
    EXPECT_EQ(f.first_drop(), Drop::record_field);
    f = good;
    f.set_record(sizeof(fl_ack) + 4, 0);  // length
    EXPECT_EQ(f.first_drop(), Drop::record_field);
    f = good;
    for (unsigned i = 0; i < 8; ++i) f.set_record(sizeof(fl_ack) + i, 0xff);
    EXPECT_EQ(f.first_drop(), Drop::ack_impossible);
}

TEST(Reject, Credits) {
    const Frame good([](FrameWriter& w) { ASSERT_TRUE(w.credit({})); });
    const auto with = [&](const std::function<void(fl_credit&)>& damage) { return verdict<fl_credit>(good, damage); };
    EXPECT_EQ(with([](fl_credit& c) { c.head.type = 9; }), Drop::record_type);
    EXPECT_EQ(with([](fl_credit& c) { c.released[1].set(proto::kMaxSequence + 1); }), Drop::record_field);
    EXPECT_EQ(with([](fl_credit& c) { c.header_limit[2].set(UINT64_MAX); }), Drop::record_field);
}

}  // namespace
}  // namespace farlane::test
