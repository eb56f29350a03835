// SPDX-License-Identifier: Apache-2.0
// Receives: captures and dumps made here. Hands on: whether fldump lists what is in them.
// Owns: nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <farlane/uapi/ring.h>

#include "contract/codec_frames.hpp"
#include "fldump/capture_files.hpp"
#include "tools/fldump/dump.hpp"

namespace farlane::test {
namespace {

using fldump::Json;
using fldump::Kind;
using testing::HasSubstr;

Frame write_frame() {
    return Frame([](FrameWriter& w) {
        ASSERT_TRUE(put(w, sample(TlpType::memory_write)));
        ASSERT_TRUE(put(w, sample(TlpType::completion)));
    });
}

struct Listing {
    fldump::Outcome outcome;
    std::string text;
    [[nodiscard]] Json json() const { return Json::parse(text); }
};

Listing list(std::span<const std::byte> file, bool json = true, Kind kind = Kind::automatic,
             std::uint16_t port = FL_UDP_PORT) {
    Listing out;
    fldump::Request request;
    request.kind = kind;
    request.json = json;
    request.udp_port = port;
    out.outcome = fldump::dump(file, request, [&](const std::string& s) { out.text += s; });
    return out;
}

TEST(Fldump, EthernetIpv4Udp) {
    Frame f = write_frame();
    const auto l = list(capture({ethernet(ipv4(udp(f.bytes())), 0x0800)}));
    EXPECT_EQ(l.outcome.status, Status::ok) << l.outcome.message;
    const Json j = l.json();
    ASSERT_EQ(j.size(), 1u);
    EXPECT_EQ(j[0]["number"], 1);
    EXPECT_EQ(j[0]["time"], "1700000000.123456000");
    EXPECT_EQ(j[0]["from"], "10.0.0.1:40000");
    EXPECT_EQ(j[0]["to"], "10.0.0.2:4793");
    EXPECT_EQ(j[0]["session"], "0x11223344");
    EXPECT_EQ(j[0]["packet"], 99);
    EXPECT_EQ(j[0]["integrity"], "ok");
    ASSERT_EQ(j[0]["records"].size(), 2u);
    EXPECT_EQ(j[0]["records"][0]["type"], "MWr");
    EXPECT_EQ(j[0]["records"][0]["length_bytes"], 13);
    EXPECT_EQ(j[0]["records"][0]["payload"], "01080f161d242b323940474e55");
    EXPECT_EQ(j[0]["records"][1]["status"], "completer_abort");
}

TEST(Fldump, EveryLinkTypeAndEncapsulation) {
    Frame f = write_frame();
    const ByteVector ip = ipv4(udp(f.bytes()));
    const auto with_front = [](std::initializer_list<unsigned> front, const ByteVector& rest) {
        ByteVector out;
        append(out, front);
        append(out, rest);
        return out;
    };
    const std::pair<unsigned, ByteVector> cases[] = {
        {1, ethernet(ip, 0x0800)},
        {1, ethernet(ip, 0x0800, 2)},
        {1, ethernet(ipv4(udp(f.bytes()), 3), 0x0800)},
        {1, ethernet(ipv6(udp(f.bytes())), 0x86dd)},
        {1, ethernet(ipv6(udp(f.bytes()), true), 0x86dd)},
        {1, ethernet(f.bytes(), FL_ETHERTYPE)},
        {101, ip},
        {101, ipv6(udp(f.bytes()))},
        {0, with_front({2, 0, 0, 0}, ip)},
        {108, with_front({0, 0, 0, 2}, ip)},
        {113, with_front({0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00}, ip)},
        {276, with_front({0x08, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ip)},
    };
    for (const auto& [link_type, packet] : cases) {
        const auto l = list(capture({packet}, link_type));
        EXPECT_EQ(l.outcome.status, Status::ok) << l.outcome.message;
        ASSERT_EQ(l.json().size(), 1u) << "link type " << link_type;
        EXPECT_EQ(l.json()[0]["records"].size(), 2u);
    }
}

TEST(Fldump, OtherTrafficIsPassedOver) {
    Frame f = write_frame();
    const auto l = list(capture({ethernet(ipv4(udp(f.bytes(), 1, 53)), 0x0800),
                                 ethernet(ipv4(udp(f.bytes()), 0, 0x2000), 0x0800),  // more fragments follow
                                 ethernet(ipv4(udp(f.bytes()), 0, 0x0010), 0x0800),  // not the first
                                 ethernet(ipv4(udp(f.bytes()), 0, 0, 6), 0x0800), ethernet(f.bytes(), 0x0806),
                                 ethernet(ipv4(udp(f.bytes(), FL_UDP_PORT, 40000)), 0x0800)}));
    EXPECT_EQ(l.outcome.status, Status::ok);
    ASSERT_EQ(l.json().size(), 1u);
    EXPECT_EQ(l.json()[0]["number"], 6);
    EXPECT_EQ(list(capture({ethernet(ipv4(udp(f.bytes(), 1, 5000)), 0x0800)}), true, Kind::pcap, 5000).json().size(),
              1u);
}

TEST(Fldump, ByteOrdersAndNanoseconds) {
    Frame f = write_frame();
    const ByteVector packet = ethernet(ipv4(udp(f.bytes())), 0x0800);
    EXPECT_EQ(list(capture({packet}, 1, true, false)).json()[0]["time"], "1700000000.000123456");
    EXPECT_EQ(list(capture({packet}, 1, false, true)).json()[0]["time"], "1700000000.123456000");
    EXPECT_EQ(list(capture({packet}, 1, true, true)).json()[0]["time"], "1700000000.000123456");
}

TEST(Fldump, EmptyCaptureIsAnEmptyList) {
    const auto l = list(capture({}));
    EXPECT_EQ(l.outcome.status, Status::ok);
    EXPECT_EQ(l.json(), Json::array());
}

TEST(Fldump, CutAtEveryByteItNeverReadsBeyond) {
    Frame f = write_frame();
    const ByteVector whole = capture({ethernet(ipv4(udp(f.bytes())), 0x0800)});
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
        const ByteVector cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
        const auto l = list(cut, true, Kind::pcap);
        EXPECT_EQ(l.outcome.status, bytes == 24 ? Status::ok : Status::malformed) << bytes;
    }
}

// A packet that the capture has cut short (snaplen) is shorter than its headers say.
TEST(Fldump, SnappedPackets) {
    Frame f = write_frame();
    const ByteVector whole = ethernet(ipv4(udp(f.bytes())), 0x0800);
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
        ByteVector packet(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
        const auto l = list(capture({packet}));
        if (bytes < 14 + 20 + 8)
            EXPECT_EQ(l.json().size(), 0u) << bytes;
        else
            EXPECT_EQ(l.outcome.status, Status::malformed) << bytes;
    }
}

TEST(Fldump, FramesThatMayWaitSaySo) {
    Frame plain = write_frame(), patient = write_frame();
    patient.set(offsetof(fl_frame_header, flags), FL_FRAME_PATIENT);
    patient.reseal();
    const auto l = list(capture({ethernet(plain.bytes(), FL_ETHERTYPE), ethernet(patient.bytes(), FL_ETHERTYPE)}));
    EXPECT_EQ(l.outcome.status, Status::ok) << l.outcome.message;
    EXPECT_FALSE(l.json()[0].contains("patient"));
    EXPECT_EQ(l.json()[1]["patient"], true);
}

TEST(Fldump, BadFramesAreListedWithTheReason) {
    Frame crc = write_frame();
    crc.set_record(sizeof(fl_tlp), 0xee);
    Frame type = write_frame();
    type.set_record(offsetof(fl_tlp, type), 60);
    type.reseal();
    Frame version = write_frame();
    version.set(0, 9);
    const auto l = list(capture({ethernet(crc.bytes(), FL_ETHERTYPE), ethernet(type.bytes(), FL_ETHERTYPE),
                                 ethernet(version.bytes(), FL_ETHERTYPE)}));
    EXPECT_EQ(l.outcome.status, Status::malformed);
    EXPECT_THAT(l.outcome.message, HasSubstr("3 of 3"));
    const Json j = l.json();
    ASSERT_EQ(j.size(), 3u);
    EXPECT_EQ(j[0]["drop"], "frame_crc");
    EXPECT_EQ(j[1]["drop"], "record_type");
    EXPECT_EQ(j[1]["records"][1]["type"], "Cpl");  // the good one behind is there
    EXPECT_EQ(j[2]["drop"], "frame_version");
}

TEST(Fldump, EveryRecordTypeHasText) {
    for (const TlpType type : kTypes) {
        Frame f([&](FrameWriter& w) { ASSERT_TRUE(put(w, sample(type))); });
        const auto l = list(f.bytes(), false, Kind::frame);
        EXPECT_EQ(l.outcome.status, Status::ok);
        EXPECT_THAT(l.text, HasSubstr("sequence=7"));
        EXPECT_THAT(l.text, testing::Not(HasSubstr("?")));
    }
    Frame f([](FrameWriter& w) {
        fl_control_event e{};
        e.code.set(FL_EVENT_ADDED);
        e.desc = sample_description();
        ASSERT_TRUE(w.control(FL_CONTROL_EVENT, 3, e));
    });
    EXPECT_THAT(list(f.bytes(), false, Kind::frame).text, HasSubstr("event=added"));
}

TEST(Fldump, HexadecimalLines) {
    Frame f = write_frame();
    const std::string line = fldump::hex_bytes(f.bytes(), f.bytes().size());
    const std::string text = "# a comment\n" + line + "\n0x" + line + "\n";
    const auto l = list(std::as_bytes(std::span(text)), true);
    EXPECT_EQ(l.outcome.status, Status::ok) << l.outcome.message;
    EXPECT_EQ(l.json().size(), 2u);
    const std::string wrong = line + "\nxyz\n";
    const auto bad = list(std::as_bytes(std::span(wrong)), true, Kind::hex);
    EXPECT_EQ(bad.outcome.status, Status::malformed);
    EXPECT_THAT(bad.outcome.message, HasSubstr("line 2"));
    EXPECT_EQ(bad.json().size(), 1u);
}

TEST(Fldump, WhatIsNoCaptureSaysWhatToDo) {
    ByteVector pcapng;
    append(pcapng, {0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 0});
    EXPECT_THAT(list(pcapng).outcome.message, HasSubstr("editcap"));
    EXPECT_THAT(list({}).outcome.message, HasSubstr("--kind"));
    EXPECT_EQ(list(capture({}, 147)).outcome.status, Status::unsupported);
}

// Memory of a channel with two slots in use in `submit`.
ByteVector channel_memory() {
    constexpr std::uint32_t kEntries = 64, kSubmit = 4096, kComplete = kSubmit + kEntries * sizeof(fl_slot);
    ByteVector memory(kComplete + kEntries * sizeof(fl_slot));
    fl_channel c{};
    c.magic = FL_CHANNEL_MAGIC;
    c.version = FL_CHANNEL_VERSION;
    c.channel_bytes = static_cast<__u32>(memory.size());
    c.submit_offset = kSubmit;
    c.submit_entries = c.complete_entries = kEntries;
    c.complete_offset = kComplete;
    c.submit.released = c.submit.tail = 0xffffffff;  // counts wrap
    c.submit.head = 1;
    std::memcpy(memory.data(), &c, sizeof(c));
    for (const std::uint32_t slot_number : {63u, 0u}) {
        fl_slot s{};
        Tlp t = sample(TlpType::msi);
        t.tag = slot_number;
        proto::encode_tlp(t, {5, 9}, s.tlp);
        s.cookie = slot_number;
        std::memcpy(memory.data() + kSubmit + slot_number * sizeof(s), &s, sizeof(s));
    }
    return memory;
}

TEST(Fldump, Channel) {
    const auto l = list(channel_memory());
    EXPECT_EQ(l.outcome.status, Status::ok) << l.outcome.message;
    const Json j = l.json();
    ASSERT_EQ(j["submit"].size(), 2u);
    EXPECT_EQ(j["submit"][0]["slot"], 63);
    EXPECT_EQ(j["submit"][1]["slot"], 0);
    EXPECT_EQ(j["submit"][1]["type"], "MSI");
    EXPECT_TRUE(j["complete"].empty());
    EXPECT_THAT(list(channel_memory(), false).text, HasSubstr("2 slots in use"));
}

TEST(Fldump, ChannelsThatCanNotBe) {
    const auto with = [](const std::function<void(fl_channel&)>& damage) {
        ByteVector memory = channel_memory();
        fl_channel c;
        std::memcpy(&c, memory.data(), sizeof(c));
        damage(c);
        std::memcpy(memory.data(), &c, sizeof(c));
        return list(memory, true, Kind::channel).outcome;
    };
    EXPECT_EQ(with([](fl_channel&) {}).status, Status::ok);
    EXPECT_EQ(with([](fl_channel& c) { c.magic = 1; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.version = 9; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.submit_entries = 65; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.submit_entries = 65536; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.complete_offset = 0xffffff80; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.submit_offset = 8; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.submit.head = 100; }).status, Status::malformed);
    EXPECT_EQ(with([](fl_channel& c) { c.submit.tail = 50; }).status, Status::malformed);
    ByteVector memory = channel_memory();
    memory[4096 + offsetof(fl_slot, tlp.type)] = std::byte{77};
    EXPECT_EQ(list(memory).outcome.status, Status::malformed);
    memory.resize(100);
    EXPECT_EQ(list(memory, true, Kind::channel).outcome.status, Status::malformed);
}

}  // namespace
}  // namespace farlane::test
