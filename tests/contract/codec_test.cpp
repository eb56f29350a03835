// SPDX-License-Identifier: Apache-2.0
// Receives: values. Hands on: proof that what the writer writes the reader reads, bit by bit.
// Owns: nothing. docs/wire.md, "Frame" and "Records".
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contract/codec_frames.hpp"

namespace farlane::test {
namespace {

using proto::AckRange;
using proto::Drop;
using proto::kNoDrop;
using proto::Record;

void expect_same(const Tlp& a, const Tlp& b) {
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.attr, b.attr);
    EXPECT_EQ(a.byte_enables, b.byte_enables);
    EXPECT_EQ(a.bar, b.bar);
    EXPECT_EQ(a.code, b.code);
    EXPECT_EQ(a.length_bytes, b.length_bytes);
    EXPECT_EQ(a.tag, b.tag);
    EXPECT_EQ(a.pasid, b.pasid);
    EXPECT_EQ(a.address, b.address);
    EXPECT_EQ(a.sequence, b.sequence);
    EXPECT_EQ(a.follows_posted, b.follows_posted);
}

TEST(Codec, HeaderRoundTrip) {
    Frame f([](FrameWriter&) {});
    proto::Header h;
    ASSERT_EQ(f.header_drop(h), kNoDrop);
    EXPECT_EQ(h.session, 0x11223344u);
    EXPECT_EQ(h.path, 3);
    EXPECT_EQ(h.packet_number, 99u);
    EXPECT_EQ(h.sent_ns, 0xabcdef01u);
    EXPECT_EQ(h.frame_bytes, FL_FRAME_MIN_BYTES);
    EXPECT_TRUE(f.authentic());
    EXPECT_TRUE(f.records().empty());
}

TEST(Codec, HeaderBytesAreLittleEndianAtTheirOffsets) {
    Frame f([](FrameWriter&) {});
    const std::array<unsigned, 24> expected = {1, 0, 28, 0, 0x44, 0x33, 0x22, 0x11, 99,   0,    0,    0,
                                               0, 0, 0,  0, 3,    0,    0,    0,    0x01, 0xef, 0xcd, 0xab};
    for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_EQ(std::to_integer<unsigned>(f.bytes()[i]), expected[i]) << "byte " << i;
}

TEST(Codec, TrailingBytesOfThePortAreIgnored) {
    Frame f([](FrameWriter& w) { ASSERT_TRUE(put(w, sample(TlpType::msi))); });
    f.bytes().resize(f.bytes().size() + 18, std::byte{0xee});  // Ethernet pads short frames
    EXPECT_EQ(f.header_drop(), kNoDrop);
    EXPECT_EQ(f.records().size(), 1u);
}

TEST(Codec, EveryTransactionTypeRoundTrips) {
    for (const TlpType type : kTypes) {
        SCOPED_TRACE(static_cast<int>(type));
        const Tlp t = sample(type);
        ASSERT_EQ(proto::check_tlp(t), kNoDrop);
        Frame f([&](FrameWriter& w) { ASSERT_TRUE(put(w, t)); });
        ASSERT_EQ(f.first_drop(), kNoDrop);
        const auto records = f.records();
        ASSERT_EQ(records.size(), 1u);
        ASSERT_EQ(records[0].family, FL_FAMILY_TLP);
        expect_same(records[0].tlp.tlp, t);
        EXPECT_EQ(records[0].tlp.handle, (FunctionHandle{5, 9}));
        EXPECT_EQ(static_cast<int>(records[0].tlp.record_class), proto::class_of(type));
        EXPECT_FALSE(records[0].tlp.fragment);
        const auto payload = sample_payload(t);
        EXPECT_TRUE(
            std::equal(payload.begin(), payload.end(), records[0].tlp.payload.begin(), records[0].tlp.payload.end()));
    }
}

TEST(Codec, EveryPayloadLengthRoundTripsWithZeroPadding) {
    for (unsigned length = 1; length <= FL_TLP_MAX_PAYLOAD_BYTES; length += length < 80 ? 1 : 97) {
        Tlp t = sample(TlpType::completion_data);
        t.length_bytes = static_cast<std::uint16_t>(length);
        Frame f([&](FrameWriter& w) { ASSERT_TRUE(put(w, t)); });
        EXPECT_EQ(f.bytes().size(), FL_FRAME_MIN_BYTES + sizeof(fl_tlp) + (length + 7) / 8 * 8);
        const auto records = f.records();
        ASSERT_EQ(records.size(), 1u) << length;
        EXPECT_EQ(records[0].tlp.payload.size(), length);
    }
}

TEST(Codec, FragmentsCoverTheWholePayload) {
    Tlp t = sample(TlpType::memory_write);
    t.address = 0x100000;
    for (const unsigned length : {65u, 128u, 1000u, 1500u, 4095u, 4096u}) {
        for (const std::size_t capacity : {200u, 256u, 1200u, 1500u}) {
            t.length_bytes = static_cast<std::uint16_t>(length);
            const auto payload = sample_payload(t);
            std::vector<std::byte> seen(length);
            std::size_t offset = 0;
            while (offset < length) {
                std::size_t part = 0;
                Frame f(
                    [&](FrameWriter& w) {
                        part = proto::fragment_bytes(t.type, length - offset, w.room());
                        ASSERT_GT(part, 0u);
                        std::byte* place = w.tlp(t, {1, 1}, offset, part);
                        ASSERT_NE(place, nullptr);
                        std::memcpy(place, payload.data() + offset, part);
                    },
                    capacity);
                ASSERT_EQ(f.first_drop(), kNoDrop) << length << " at " << offset << " part " << part;
                const auto records = f.records();
                ASSERT_EQ(records.size(), 1u);
                const auto& r = records[0].tlp;
                EXPECT_EQ(r.tlp.length_bytes, length);
                EXPECT_EQ(r.fragment, part != length);
                EXPECT_EQ(r.offset_bytes, offset);
                ASSERT_EQ(r.payload.size(), part);
                std::memcpy(seen.data() + r.offset_bytes, r.payload.data(), part);
                offset += part;
            }
            EXPECT_EQ(seen, payload);
        }
    }
}

TEST(Codec, ShortPayloadsAndAtomicsAreNeverCut) {
    EXPECT_EQ(proto::fragment_bytes(TlpType::memory_write, 8, sizeof(fl_tlp) + 7), 0u);
    EXPECT_EQ(proto::fragment_bytes(TlpType::memory_write, 64, sizeof(fl_tlp) + 63), 0u);
    EXPECT_EQ(proto::fragment_bytes(TlpType::compare_swap, 16, sizeof(fl_tlp) + 8), 0u);
    EXPECT_EQ(proto::fragment_bytes(TlpType::memory_write, 100, sizeof(fl_tlp) + 100), 64u);
    EXPECT_EQ(proto::fragment_bytes(TlpType::memory_write, 100, sizeof(fl_tlp) + 104), 100u);
    EXPECT_EQ(proto::fragment_bytes(TlpType::completion_data, 4096, 10), 0u);
}

TEST(Codec, AckRoundTripAndRuns) {
    const std::array<AckRange, 2> ranges = {AckRange{2, 3}, AckRange{1, 4}};
    proto::AckRecord a;
    a.path = 3;
    a.echo_sent_ns = 17;
    a.hold_ns = 19;
    a.largest = 100;
    a.first_length = 5;
    Frame f([&](FrameWriter& w) { ASSERT_TRUE(w.ack(a, ranges)); });
    const auto records = f.records();
    ASSERT_EQ(records.size(), 1u);
    const auto& got = records[0].ack;
    EXPECT_EQ(got.path, 3);
    EXPECT_EQ(got.echo_sent_ns, 17u);
    EXPECT_EQ(got.hold_ns, 19u);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> runs;
    got.for_each_run([&](std::uint64_t low, std::uint64_t high) { runs.emplace_back(low, high); });
    EXPECT_THAT(runs, testing::ElementsAre(std::pair(96ul, 100ul), std::pair(91ul, 93ul), std::pair(86ul, 89ul)));
}

TEST(Codec, AckDownToPacketOneIsAllowed) {
    const std::array<AckRange, 1> ranges = {AckRange{1, 1}};
    proto::AckRecord a;
    a.largest = 3;
    a.first_length = 1;
    Frame f([&](FrameWriter& w) { ASSERT_TRUE(w.ack(a, ranges)); });
    EXPECT_EQ(f.first_drop(), kNoDrop);
}

TEST(Codec, AckWritesAsManyRangesAsFit) {
    std::vector<AckRange> ranges(100, AckRange{1, 1});
    proto::AckRecord a;
    a.largest = 100000;
    a.first_length = 1;
    Frame all([&](FrameWriter& w) { ASSERT_TRUE(w.ack(a, ranges)); });
    ASSERT_EQ(all.records().size(), 1u);
    EXPECT_EQ(all.records()[0].ack.range_count, FL_ACK_MAX_RANGES);
    Frame few([&](FrameWriter& w) { ASSERT_TRUE(w.ack(a, ranges)); }, FL_FRAME_MIN_BYTES + sizeof(fl_ack) + 3 * 8);
    ASSERT_EQ(few.records().size(), 1u);
    EXPECT_EQ(few.records()[0].ack.range_count, 3);
}

TEST(Codec, CreditRoundTrip) {
    proto::CreditRecord c;
    c.handle = {300, 65535};
    c.released = {1, 2, 3};
    c.header_limit = {10, 20, proto::kMaxSequence};
    c.data_limit = {100, 200, UINT64_MAX};
    Frame f([&](FrameWriter& w) { ASSERT_TRUE(w.credit(c)); });
    const auto records = f.records();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].credit.handle, c.handle);
    EXPECT_EQ(records[0].credit.released, c.released);
    EXPECT_EQ(records[0].credit.header_limit, c.header_limit);
    EXPECT_EQ(records[0].credit.data_limit, c.data_limit);
}

TEST(Codec, ControlRoundTrip) {
    fl_control_list_reply reply{};
    reply.request.set(77);
    reply.index.set(1);
    reply.count.set(2);
    reply.desc = sample_description();
    Frame f([&](FrameWriter& w) {
        ASSERT_TRUE(w.control(FL_CONTROL_LIST_REPLY, 12, reply));
        ASSERT_TRUE(w.control(FL_CONTROL_KEEPALIVE, 0, fl_control{}));
    });
    const auto records = f.records();
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].control.type, FL_CONTROL_LIST_REPLY);
    EXPECT_EQ(records[0].control.sequence, 12u);
    const auto got = records[0].control.as<fl_control_list_reply>();
    EXPECT_EQ(got.request.get(), 77u);
    EXPECT_EQ(proto::read_name(got.desc.name), "accel0");
    EXPECT_EQ(records[1].control.type, FL_CONTROL_KEEPALIVE);
}

TEST(Codec, PaddingIsSkipped) {
    Frame f([](FrameWriter& w) {
        ASSERT_TRUE(w.pad(8));
        ASSERT_TRUE(put(w, sample(TlpType::msi)));
        ASSERT_TRUE(w.pad(800));
    });
    EXPECT_EQ(f.records().size(), 1u);
}

TEST(Codec, WriterRefusesWhatDoesNotFit) {
    std::array<std::byte, 128> buffer{};
    FrameWriter w;
    w.begin(buffer, 1, 0, 1, 0, 0, FL_FRAME_CRC_BYTES);
    EXPECT_TRUE(w.empty());
    EXPECT_EQ(w.room(), 96u);  // 100, cut to a multiple of 8
    EXPECT_EQ(w.tlp(sample(TlpType::completion_data), {}, 0, 100), nullptr);
    EXPECT_TRUE(w.empty());
    EXPECT_NE(w.tlp(sample(TlpType::completion), {}, 0, 0), nullptr);
    EXPECT_FALSE(w.credit({}));
    EXPECT_FALSE(w.control(FL_CONTROL_HELLO, 0, fl_control_hello{}));
    EXPECT_TRUE(w.pad(48));
    EXPECT_EQ(w.room(), 0u);
    EXPECT_FALSE(w.ack({}, {}));
    EXPECT_EQ(w.finish(), 124u);
}

TEST(Codec, ABadRecordDoesNotHideTheNext) {
    Frame f([](FrameWriter& w) {
        ASSERT_TRUE(put(w, sample(TlpType::msi)));
        ASSERT_TRUE(put(w, sample(TlpType::completion)));
    });
    f.set_record(offsetof(fl_tlp, type), 60);
    proto::Header h;
    ASSERT_EQ(f.header_drop(h), kNoDrop);
    proto::RecordReader reader(proto::records_of(f.bytes(), h));
    Record r;
    EXPECT_EQ(reader.next(r), proto::Next::bad);
    EXPECT_EQ(reader.drop(), Drop::record_type);
    ASSERT_EQ(reader.next(r), proto::Next::record);
    EXPECT_EQ(r.tlp.tlp.type, TlpType::completion);
    EXPECT_EQ(reader.next(r), proto::Next::end);
}

TEST(Codec, Names) {
    char field[FL_NAME_BYTES];
    proto::write_name(field, "nvme0");
    EXPECT_EQ(proto::read_name(field), "nvme0");
    proto::write_name(field, std::string(200, 'x'));
    EXPECT_EQ(proto::read_name(field).size(), FL_NAME_BYTES - 1u);
    proto::write_name(field, "a\nb\x80");
    EXPECT_EQ(proto::read_name(field), "a?b?");
    proto::write_name(field, "a");
    field[5] = 'z';  // not zero-padded
    EXPECT_FALSE(proto::valid_name(field));
    EXPECT_EQ(proto::read_name(field), "");
}

// RFC 3720, B.4.
TEST(Crc32c, KnownVectors) {
    std::array<std::byte, 32> data{};
    EXPECT_EQ(proto::crc32c(data), 0x8a9136aau);
    data.fill(std::byte{0xff});
    EXPECT_EQ(proto::crc32c(data), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; ++i) data[i] = static_cast<std::byte>(i);
    EXPECT_EQ(proto::crc32c(data), 0x46dd794eu);
    for (unsigned i = 0; i < 32; ++i) data[i] = static_cast<std::byte>(31 - i);
    EXPECT_EQ(proto::crc32c(data), 0x113fdb5cu);
    EXPECT_EQ(proto::crc32c(std::as_bytes(std::span("123456789", 9))), 0xe3069283u);
    EXPECT_EQ(proto::crc32c({}), 0u);
}

// Short and long inputs take different ways; both follow the polynomial, bit by bit.
TEST(Crc32c, AgreesWithTheDefinitionAtEveryLength) {
    std::vector<std::byte> data(1100);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 131 + (i >> 3));
    std::uint32_t expected = 0xffffffffu;
    for (std::size_t bytes = 0; bytes < data.size(); ++bytes) {
        EXPECT_EQ(proto::crc32c(std::span(data).first(bytes)), ~expected) << bytes;
        expected ^= std::to_integer<std::uint32_t>(data[bytes]);
        for (unsigned bit = 0; bit < 8; ++bit) expected = expected >> 1 ^ ((expected & 1) != 0 ? 0x82f63b78u : 0);
    }
}

TEST(Crc32c, EveryFlippedBitIsSeen) {
    Frame f([](FrameWriter& w) { ASSERT_TRUE(put(w, sample(TlpType::memory_write))); });
    for (std::size_t bit = 0; bit < f.bytes().size() * 8; ++bit) {
        f.bytes()[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
        EXPECT_FALSE(f.authentic()) << "bit " << bit;
        f.bytes()[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    }
    EXPECT_TRUE(f.authentic());
}

}  // namespace
}  // namespace farlane::test
