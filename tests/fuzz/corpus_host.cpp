// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what users, applications and capture programs write.
// Owns: nothing.
#include <farlane/uapi/ring.h>

#include "contract/codec_frames.hpp"
#include "fldump/capture_files.hpp"
#include "fuzz/make_corpus.hpp"

using namespace farlane;
using namespace farlane::fuzz;

namespace {

using test::Frame;

void text_corpus(const std::string& target, std::initializer_list<std::string_view> texts) {
    unsigned number = 0;
    for (const std::string_view text : texts)
        write(target, "text_" + std::to_string(++number), std::as_bytes(std::span(text)));
}

}  // namespace

void fuzz::port_url_corpus() {
    text_corpus("port_url",
                {"loop:a", "loop:b?seed=7&loss=30%&delay=200ms&jitter=10us&reorder=0.5&dup=1%&corrupt=0.001&mtu=1500",
                 "udp:", "udp:127.0.0.1:4793", "udp:[::1]:0?mtu=9000&batch=32&buffer=4M",
                 "dpdk:net_vhost0,iface=/run/x.sock,client=1?mtu=9000&eal=--no-huge",
                 "fault+udp:10.0.0.1:4793?loss=1%&seed=3&delay=100ns", "fault+loop:c?rate=100G&depth=64&mode=two",
                 "loop:?", "udp:?loss", "udp:?=", "udp:?a=1&a=2", "x+udp:", "fault+fault+loop:", "udp:?delay=5",
                 "udp:?loss=101%", "udp:?seed=18446744073709551616", ":", ""});
}

void fuzz::config_corpus() {
    text_corpus(
        "config",
        {"[daemon]\nname = \"target\"\nsocket = \"/run/farlane/t.sock\"\nsocket_mode = \"0660\"\nlog_level = \"info\"\n"
         "instance = \"00112233445566778899aabbccddeeff\"\n[lane]\nspin_us = 50\n[session]\nkeepalive_ms = 1000\n"
         "grace_ms = 10000\nintegrity = true\n",
         "[[port]]\nname = \"p0\"\nurl = \"udp:127.0.0.1:4793\"\nlisten = true\n"
         "[[peer]]\nport = \"p0\"\naddress = \"10.0.0.2:4793\"\n"
         "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\n",
         "[daemon]\nname = 5\n", "[daemon]\nsocket = \"relative\"\n", "[nothing]\nx = 1\n", "[[export]]\n",
         "[session]\nkeepalive_ms = -1\n", "[daemon\n", "a.b.c = [1, 2, {x = 1979-05-27T07:32:00Z}]\n", "= 1\n", ""});
}

namespace {

// The first byte: 0 = to the daemon, 1 = to a client, see control.cpp.
}  // namespace

void fuzz::control_corpus() {
    unsigned number = 0;
    for (const std::string_view text :
         {R"({"id":1,"verb":"hello","args":{"protocol":1}})", R"({"id":2,"verb":"list"})",
          R"({"id":3,"verb":"show","args":{"name":"accel0","attach":false}})",
          R"({"id":4,"verb":"attach","args":{"name":"t/accel0","persistent":true}})",
          R"({"id":5,"verb":"detach","args":{"attachment":1,"force":true}})",
          R"({"id":6,"verb":"open_channel","args":{"attachment":1,"submit_entries":64,"staging_bytes":65536}})",
          R"({"id":7,"verb":"map","args":{"attachment":1,"buffer":1,"offset":0,"bytes":4096,"direction":3}})",
          R"({"id":8,"verb":"register_buffer","args":{"attachment":1,"bytes":4096},"fds":1})",
          R"({"id":9,"verb":"enable_interrupts","args":{"attachment":1,"count":1,"first":0}})",
          R"({"id":10,"verb":"resume_attachment","args":{"token":"00112233445566778899aabbccddeeff"}})",
          R"({"id":11,"verb":"nonsense"})", R"({"id":-1,"verb":"list"})", R"([[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]])",
          R"({"id":12,"verb":"events"}{"id":13)", R"({"id":14,"verb":"stats"})", R"({"id":15,"verb":"doctor"})"}) {
        test::ByteVector out;
        test::append(out, {0});
        test::append(out, std::as_bytes(std::span(text)));
        test::append(out, {'\n'});
        write("control", "request_" + std::to_string(++number), out);
    }
    for (
        const std::string_view text :
        {R"({"name":"accel0","target":"t","model":"m","holder":"","vendor_id":1,"device_id":2,"subsystem_vendor_id":1,)"
         R"("subsystem_id":1,"class_code":1179648,"revision":1,"msix_vectors":16,"serial":"0x2a","state":"free",)"
         R"("bars":[{"index":0,"size_bytes":65536,"is_64bit":false,"prefetchable":false}]})",
         R"({"role":"initiator","kind":"added","function":"accel0","target":"t","detail":"","when":"2026-11-20T10:31:00.120Z"})"}) {
        test::ByteVector out;
        test::append(out, {1});
        test::append(out, std::as_bytes(std::span(text)));
        write("control", "object_" + std::to_string(++number), out);
    }
}

namespace {

fl_slot slot_of(proto::Tlp t) {
    fl_slot slot{};
    t.tag = 0;
    t.sequence = t.follows_posted = 0;
    t.pasid = 0;
    t.bar = proto::class_of(t.type) == FL_CLASS_COMPLETION || t.type == proto::TlpType::config_read ||
                    t.type == proto::TlpType::config_write
                ? FL_BAR_NONE
                : 0;
    proto::encode_tlp(t, {}, slot.tlp);
    slot.tlp.record_bytes.set(0);
    slot.cookie = 17;
    return slot;
}

}  // namespace

// A space with every capability that is decoded, one whose lists loop, and a short one.
void fuzz::config_space_corpus() {
    std::vector<std::byte> space(4096);
    const auto put = [&space](std::size_t at, std::initializer_list<unsigned> bytes) {
        for (const unsigned b : bytes) space.at(at++) = static_cast<std::byte>(b);
    };
    put(0x00, {0x36, 0x1b, 0x10, 0x00, 0x06, 0x04, 0x10, 0x00, 0x02, 0x02, 0x08, 0x01});
    put(0x10, {0x04, 0x00, 0x00, 0xfe, 0x01});
    put(0x34, {0x40});
    put(0x40, {0x01, 0x50, 0x03, 0x00, 0x08});
    put(0x50, {0x05, 0x70, 0x81, 0x01});
    put(0x70, {0x10, 0xb0, 0x02, 0x00, 0x25, 0x80, 0x00, 0x10, 0x10, 0x28});
    put(0xb0, {0x11, 0x00, 0x0f, 0x80, 0x00, 0x20, 0x00, 0x00, 0x04, 0x30});
    put(0x100, {0x01, 0x00, 0x02, 0x15});
    put(0x150, {0x03, 0x00, 0x01, 0x00, 0x67, 0x45, 0x23, 0x01});
    write("config_space", "all", space);
    write("config_space", "short", std::span(space).first(256));
    put(0xb1, {0x40});
    put(0x152, {0x01, 0x10});
    write("config_space", "loops", space);
}

void fuzz::channel_slot_corpus() {
    for (const proto::TlpType type : test::kTypes) {
        proto::Tlp t = test::sample(type);
        t.address &= 0xff8;
        fl_slot slot = slot_of(t);
        const std::string name = "slot_" + std::to_string(static_cast<int>(type));
        write("channel_slot", name, std::as_bytes(std::span(&slot, 1)));
        slot.kind = FL_SLOT_REFERENCE;
        slot.u.ref = {type == proto::TlpType::memory_read ? 7u : unsigned{FL_BUFFER_STAGING}, 0, 64};
        write("channel_slot", name + "_reference", std::as_bytes(std::span(&slot, 1)));
    }
}

namespace {

// The first byte picks the kind, see capture.cpp.
void capture_file(const std::string& name, unsigned how, std::span<const std::byte> file) {
    test::ByteVector out;
    test::append(out, {how});
    test::append(out, file);
    write("capture", name, out);
}

}  // namespace

void fuzz::capture_corpus() {
    Frame frame([](auto& w) { must(test::put(w, test::sample(proto::TlpType::memory_write))); });
    const auto ip = test::ipv4(test::udp(frame.bytes()));
    capture_file("ethernet", 0x20, test::capture({test::ethernet(ip, 0x0800, 1), test::ethernet(ip, 0x0800)}));
    capture_file("ethernet6", 0x01,
                 test::capture({test::ethernet(test::ipv6(test::udp(frame.bytes()), true), 0x86dd)}));
    capture_file("raw_frame", 0x01, test::capture({test::ethernet(frame.bytes(), FL_ETHERTYPE)}));
    capture_file("raw_ip", 0x21, test::capture({ip, test::ipv6(test::udp(frame.bytes()))}, 101, true, true));
    capture_file("empty", 0x01, test::capture({}));
    capture_file("frame", 0x14, frame.bytes());
    const std::string_view hex = "# one\n0x01 00 1c 00\n01001c00:2200\nxyz\n";
    capture_file("hex", 0x23, std::as_bytes(std::span(hex)));
    fl_channel c{};
    c.magic = FL_CHANNEL_MAGIC;
    c.version = FL_CHANNEL_VERSION;
    c.submit_entries = c.complete_entries = FL_RING_MIN_ENTRIES;
    c.submit_offset = c.complete_offset = sizeof(fl_channel);  // one ring for both: the file stays small
    c.submit.head = 2;
    test::ByteVector memory(sizeof(c) + FL_RING_MIN_ENTRIES * sizeof(fl_slot));
    std::memcpy(memory.data(), &c, sizeof(c));
    for (const unsigned i : {0u, 1u}) {
        const fl_slot slot = slot_of(test::sample(i == 0 ? proto::TlpType::memory_read : proto::TlpType::swap));
        std::memcpy(memory.data() + sizeof(c) + i * sizeof(slot), &slot, sizeof(slot));
    }
    capture_file("channel", 0x22, memory);
}
