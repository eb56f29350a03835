// SPDX-License-Identifier: Apache-2.0
// Receives: a folder. Hands on: the corpus of every fuzz target as small files in it, valid
// inputs and nearly valid ones. Owns: nothing. The result is committed; run it again when a
// format changes: make_corpus tests/fuzz/corpus
#include <filesystem>
#include <fstream>
#include <iostream>

#include <farlane/uapi/accel.h>
#include <farlane/uapi/ring.h>

#include "contract/codec_frames.hpp"
#include "fldump/capture_files.hpp"

using namespace farlane;
using test::Frame;

namespace {

std::filesystem::path g_root;

void write(const std::string& target, const std::string& name, std::span<const std::byte> bytes) {
    std::filesystem::create_directories(g_root / target);
    std::ofstream out(g_root / target / name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!out) throw std::runtime_error("can not write " + (g_root / target / name).string());
}

void must(bool written) {
    if (!written) throw std::runtime_error("a sample does not fit its frame");
}

fl_control_hello sample_hello() {
    fl_control_hello h{};
    h.session.set(7);
    h.version_min = h.version_max = FL_WIRE_VERSION;
    h.incarnation.set(3);
    h.nonce.set(0x0123456789abcdef);
    h.features.set(FL_FEATURE_RELAXED_ORDERING | FL_FEATURE_MAPS);
    h.max_frame_bytes.set(9000);
    h.keepalive_ms.set(1000);
    h.grace_ms.set(10000);
    proto::write_name(h.name, "initiator");
    return h;
}

// One frame per record family and type, and a few mixed ones.
std::vector<std::pair<std::string, Frame>> sample_frames() {
    std::vector<std::pair<std::string, Frame>> out;
    const auto add = [&](const std::string& name, const std::function<void(proto::FrameWriter&)>& fill,
                         std::size_t capacity = 1500) { out.emplace_back(name, Frame(fill, capacity)); };
    for (const proto::TlpType type : test::kTypes)
        add("tlp_" + std::to_string(static_cast<int>(type)), [&](auto& w) { must(test::put(w, test::sample(type))); });
    add("fragments", [](auto& w) {
        proto::Tlp t = test::sample(proto::TlpType::memory_write);
        t.address = 0x2000;
        t.length_bytes = 400;
        for (const auto [offset, bytes] : {std::pair{0u, 128u}, std::pair{128u, 192u}, std::pair{320u, 80u}})
            must(w.tlp(t, {5, 9}, offset, bytes) != nullptr);
    });
    proto::AckRecord ack;
    ack.largest = 1000;
    ack.first_length = 10;
    ack.path = 3;
    add("ack", [&](auto& w) {
        const std::array<proto::AckRange, 3> ranges = {proto::AckRange{1, 5}, {7, 100}, {2, 1}};
        must(w.ack(ack, ranges));
    });
    add("credit", [](auto& w) { must(w.credit({{5, 9}, {1, 2, 3}, {100, 200, 300}, {1000, 2000, 3000}})); });
    add("hello", [](auto& w) { must(w.control(FL_CONTROL_HELLO, 0, sample_hello())); });
    add("hello_ack", [](auto& w) { must(w.control(FL_CONTROL_HELLO_ACK, 0, sample_hello())); });
    add("bye", [](auto& w) { must(w.control(FL_CONTROL_BYE, 0, fl_control_status{})); });
    add("list", [](auto& w) { must(w.control(FL_CONTROL_LIST, 1, fl_control_status{})); });
    add("keepalive_probe", [](auto& w) {
        must(w.control(FL_CONTROL_KEEPALIVE, 0, fl_control{}) && w.control(FL_CONTROL_PROBE, 0, fl_control{}));
        must(w.pad(64));
    });
    add("list_reply", [](auto& w) {
        fl_control_list_reply r{};
        r.count.set(1);
        r.desc = test::sample_description();
        must(w.control(FL_CONTROL_LIST_REPLY, 1, r));
    });
    add("attach", [](auto& w) {
        fl_control_attach a{};
        proto::write_name(a.name, "accel0");
        must(w.control(FL_CONTROL_ATTACH, 2, a));
    });
    add("attach_reply", [](auto& w) {
        fl_control_attach_reply r{};
        r.desc = test::sample_description();
        must(w.control(FL_CONTROL_ATTACH_REPLY, 2, r));
    });
    add("detach", [](auto& w) { must(w.control(FL_CONTROL_DETACH, 3, fl_control_detach{})); });
    add("event", [](auto& w) {
        fl_control_event e{};
        e.code.set(FL_EVENT_RESET);
        e.desc = test::sample_description();
        must(w.control(FL_CONTROL_EVENT, 4, e));
    });
    add("mixed", [&](auto& w) {
        must(w.ack(ack, {}));
        must(w.credit({{5, 9}, {1, 2, 3}, {100, 200, 300}, {1000, 2000, 3000}}));
        for (const proto::TlpType type :
             {proto::TlpType::memory_write, proto::TlpType::msi, proto::TlpType::completion})
            must(test::put(w, test::sample(type)));
    });
    return out;
}

void frame_corpus() {
    for (auto& [name, frame] : sample_frames()) write("frame", name, frame.bytes());
}

// A step of session.cpp: the records of a frame.
void session_records(test::ByteVector& out, Frame& frame) {
    const auto records =
        std::span(frame.bytes()).subspan(sizeof(fl_frame_header), frame.bytes().size() - FL_FRAME_MIN_BYTES);
    test::append(out, {5, unsigned(records.size() & 0xff), unsigned(records.size() >> 8)});
    test::append(out, records);
}

Frame transactions(std::initializer_list<std::pair<proto::TlpType, std::uint64_t>> list, std::uint8_t attr = 0) {
    return Frame([&](proto::FrameWriter& w) {
        for (const auto& [type, sequence] : list) {
            proto::Tlp t = test::sample(type);
            t.sequence = sequence;
            t.attr = attr;
            t.pasid = 0;
            if (t.length_bytes > 1000) t.length_bytes = 1000;
            if (t.follows_posted != 0) t.follows_posted = 2;
            must(test::put(w, t));
        }
    });
}

void session_corpus() {
    using proto::TlpType;
    for (auto& [name, frame] : sample_frames()) {
        if (frame.bytes().size() > 900 || name.starts_with("hello")) continue;
        test::ByteVector out;
        session_records(out, frame);
        if (!name.starts_with("tlp")) write("session", name, out);
    }
    Frame early = transactions({{TlpType::memory_read, 1}, {TlpType::memory_write, 2}, {TlpType::swap, 2}});
    Frame late = transactions({{TlpType::memory_write, 1}, {TlpType::msi, 3}});
    Frame relaxed = transactions({{TlpType::memory_write, 2}, {TlpType::memory_write, 1}}, FL_ATTR_RO);
    test::ByteVector out;
    session_records(out, early);
    session_records(out, late);
    write("session", "reordered", out);
    out.clear();
    session_records(out, relaxed);
    session_records(out, relaxed);
    write("session", "relaxed_twice", out);
    out.clear();
    for (const unsigned what : {1u, 3u, 0u, 7u}) test::append(out, {2, what, 0x00, 0x02, 0, 0x10, 0, 0});
    Frame answers([](proto::FrameWriter& w) {
        proto::AckRecord ack;
        ack.path = 3;
        ack.largest = 3;
        ack.first_length = 1;
        must(w.ack(ack, {}));
        must(w.credit({{5, 9}, {2, 1, 0}, {100, 100, 100}, {10000, 1, 1}}));
        proto::Tlp t = test::sample(TlpType::completion);
        t.tag = 0;
        t.sequence = 1;
        t.follows_posted = 0;
        must(test::put(w, t));
    });
    session_records(out, answers);
    test::append(out, {3, 14, 3, 20, 3, 23, 3, 23});
    write("session", "own_traffic", out);
}

void hello_corpus() {
    Frame good([](auto& w) { must(w.control(FL_CONTROL_HELLO, 0, sample_hello())); });
    const auto as_first = [](Frame f) {
        for (unsigned i = 0; i < 4; ++i) f.set(offsetof(fl_frame_header, session) + i, 0);
        f.set(offsetof(fl_frame_header, path), 0);
        f.reseal();
        return f;
    };
    Frame first = as_first(good);
    write("hello", "good", first.bytes());
    fl_control_hello h = sample_hello();
    h.version_min = h.version_max = 9;
    Frame other = as_first(Frame([&](auto& w) { must(w.control(FL_CONTROL_HELLO, 0, h)); }));
    write("hello", "other_version", other.bytes());
    Frame padded = as_first(Frame([](auto& w) {
        must(w.control(FL_CONTROL_HELLO, 0, sample_hello()));
        must(w.pad(64));
    }));
    write("hello", "padded", padded.bytes());
    write("hello", "of_a_session", good.bytes());
}

void text_corpus(const std::string& target, std::initializer_list<std::string_view> texts) {
    unsigned number = 0;
    for (const std::string_view text : texts)
        write(target, "text_" + std::to_string(++number), std::as_bytes(std::span(text)));
}

void port_url_corpus() {
    text_corpus("port_url",
                {"loop:a", "loop:b?seed=7&loss=30%&delay=200ms&jitter=10us&reorder=0.5&dup=1%&corrupt=0.001&mtu=1500",
                 "udp:", "udp:127.0.0.1:4793", "udp:[::1]:0?mtu=9000&batch=32&buffer=4M",
                 "dpdk:net_vhost0,iface=/run/x.sock,client=1?mtu=9000&eal=--no-huge",
                 "fault+udp:10.0.0.1:4793?loss=1%&seed=3&delay=100ns", "fault+loop:c?rate=100G&depth=64&mode=two",
                 "loop:?", "udp:?loss", "udp:?=", "udp:?a=1&a=2", "x+udp:", "fault+fault+loop:", "udp:?delay=5",
                 "udp:?loss=101%", "udp:?seed=18446744073709551616", ":", ""});
}

void config_corpus() {
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

// A space with every capability that is decoded, one whose lists loop, and a short one.
void config_space_corpus() {
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

void channel_slot_corpus() {
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

// The first byte picks the kind, see capture.cpp.
void capture_file(const std::string& name, unsigned how, std::span<const std::byte> file) {
    test::ByteVector out;
    test::append(out, {how});
    test::append(out, file);
    write("capture", name, out);
}

void capture_corpus() {
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

// A command of the accelerator behind the byte that picks the queue and the one that counts slots.
template <class Body>
void accel_op(test::ByteVector& out, unsigned opcode, const Body& body, std::span<const std::byte> payload = {}) {
    static_assert(sizeof(Body) == 48);
    const std::size_t slots = 1 + (payload.size() + FL_ACCEL_COMMAND_BYTES - 1) / FL_ACCEL_COMMAND_BYTES;
    fl_accel_header head{};
    head.opcode = static_cast<__u8>(opcode);
    head.slots = static_cast<__u8>(slots);
    head.command_id.set(static_cast<__u32>(out.size()));
    test::append(out, {0, static_cast<unsigned>(slots - 1)});
    test::append(out, std::as_bytes(std::span(&head, 1)));
    test::append(out, std::as_bytes(std::span(&body, 1)));
    test::append(out, payload);
    out.resize(out.size() + (slots - 1) * FL_ACCEL_COMMAND_BYTES - payload.size());
}

constexpr std::uint64_t kAccelMemory = (std::uint64_t{1} << 40) + (8u << 20);

void accel_allocate(test::ByteVector& out) {
    fl_accel_alloc alloc{};
    alloc.address.set(kAccelMemory);
    alloc.bytes.set(0x10000);
    accel_op(out, FL_ACCEL_OP_ALLOC, alloc);
}

void accel_kernel(const std::string& name, std::span<const std::byte> arguments) {
    test::ByteVector out;
    accel_allocate(out);
    fl_accel_module module{};
    module.module.set(1);
    module.kind.set(FL_ACCEL_MODULE_BUILTIN);
    accel_op(out, FL_ACCEL_OP_MODULE_LOAD, module);
    fl_accel_bind bind{};
    bind.kernel.set(1);
    bind.module.set(1);
    bind.name_bytes.set(static_cast<__u32>(name.size()));
    accel_op(out, FL_ACCEL_OP_KERNEL_BIND, bind, std::as_bytes(std::span(name)));
    fl_accel_launch launch{};
    launch.kernel.set(1);
    launch.argument_bytes.set(static_cast<__u32>(arguments.size()));
    accel_op(out, FL_ACCEL_OP_LAUNCH, launch, arguments);
    write("accel_command", "launch_" + name, out);
}

void accel_kernels() {
    fl_accel_args_axpy_f32 axpy{};
    axpy.x.set(kAccelMemory);
    axpy.y.set(kAccelMemory + 0x1000);
    axpy.count.set(100);
    accel_kernel(FL_ACCEL_KERNEL_AXPY_F32, std::as_bytes(std::span(&axpy, 1)));
    fl_accel_args_gemm_f32 gemm{};
    gemm.a.set(kAccelMemory);
    gemm.b.set(kAccelMemory + 0x1000);
    gemm.c.set(kAccelMemory + 0x2000);
    for (fl_le32* n : {&gemm.m, &gemm.n, &gemm.k, &gemm.lda, &gemm.ldb, &gemm.ldc}) n->set(16);
    accel_kernel(FL_ACCEL_KERNEL_GEMM_F32, std::as_bytes(std::span(&gemm, 1)));
    fl_accel_args_conv2d_rgba8 conv{};
    conv.destination.set(kAccelMemory);
    conv.source.set(kAccelMemory + 0x1000);
    conv.weights.set(kAccelMemory + 0x2000);
    conv.width.set(16);
    conv.height.set(8);
    conv.destination_pitch_bytes.set(64);
    conv.source_pitch_bytes.set(64);
    conv.size.set(3);
    conv.border.set(FL_ACCEL_BORDER_CLAMP);
    accel_kernel(FL_ACCEL_KERNEL_CONV2D_RGBA8, std::as_bytes(std::span(&conv, 1)));
    fl_accel_args_sha256 sha{};
    sha.destination.set(kAccelMemory);
    sha.source.set(kAccelMemory + 0x1000);
    sha.message_bytes.set(100);
    sha.message_stride_bytes.set(128);
    sha.count.set(3);
    accel_kernel(FL_ACCEL_KERNEL_SHA256, std::as_bytes(std::span(&sha, 1)));
    fl_accel_args_reduce_f32 reduce{};
    reduce.destination.set(kAccelMemory);
    reduce.source.set(kAccelMemory + 0x1000);
    reduce.count.set(100);
    reduce.operation.set(FL_ACCEL_REDUCE_MAX);
    accel_kernel(FL_ACCEL_KERNEL_REDUCE_F32, std::as_bytes(std::span(&reduce, 1)));
    fl_accel_args_copy copy{};
    copy.destination.set(kAccelMemory);
    copy.source.set(kAccelMemory + 0x4000);
    copy.destination_pitch_bytes.set(64);
    copy.source_pitch_bytes.set(128);
    copy.row_bytes.set(60);
    copy.rows.set(10);
    accel_kernel(FL_ACCEL_KERNEL_COPY, std::as_bytes(std::span(&copy, 1)));
}

void accel_corpus() {
    test::ByteVector out;
    accel_allocate(out);
    for (const unsigned kind : {1u, 2u, 3u}) {
        fl_accel_copy copy{};
        copy.destination.set(kind == FL_ACCEL_COPY_DEVICE_TO_HOST ? 0x10000 : kAccelMemory);
        copy.source.set(kind == FL_ACCEL_COPY_HOST_TO_DEVICE ? 0x10000 : kAccelMemory + 0x8000);
        copy.bytes.set(0x2100);
        copy.kind.set(kind);
        accel_op(out, FL_ACCEL_OP_COPY, copy);
    }
    write("accel_command", "copies", out);
    out.clear();
    accel_allocate(out);
    fl_accel_fill fill{};
    fill.destination.set(kAccelMemory);
    fill.bytes.set(4096);
    fill.pattern_bytes.set(4);
    accel_op(out, FL_ACCEL_OP_FILL, fill);
    fl_accel_alloc release{};
    release.address.set(kAccelMemory);
    accel_op(out, FL_ACCEL_OP_FREE, release);
    accel_op(out, FL_ACCEL_OP_FENCE, fl_accel_query{});
    write("accel_command", "fill_free", out);
    out.clear();
    fl_accel_event event{};
    event.event.set(1);
    event.value.set(1);
    accel_op(out, FL_ACCEL_OP_EVENT_RECORD, event);
    accel_op(out, FL_ACCEL_OP_EVENT_WAIT, event);
    for (unsigned property = 1; property <= 8; ++property) {
        fl_accel_query query{};
        query.property.set(property);
        accel_op(out, FL_ACCEL_OP_QUERY, query);
    }
    accel_op(out, FL_ACCEL_OP_TIMESTAMP, fl_accel_query{});
    accel_op(out, FL_ACCEL_OP_NOP, fl_accel_query{});
    write("accel_command", "events", out);
    accel_kernels();
}

struct NvmeEntry {
    unsigned opcode = 0;
    std::uint32_t nsid = 0;
    std::uint64_t prp1 = 0, prp2 = 0;
    std::array<std::uint32_t, 6> dwords{};  // 10..15
};

void nvme_op(test::ByteVector& out, bool io, const NvmeEntry& e) {
    test::append(out, {io ? 3u : 0u});
    test::little32(out, e.opcode | static_cast<std::uint32_t>(out.size()) << 16);
    test::little32(out, e.nsid);
    for (unsigned i = 0; i < 4; ++i) test::little32(out, 0);
    for (const std::uint64_t prp : {e.prp1, e.prp2}) {
        test::little32(out, static_cast<std::uint32_t>(prp));
        test::little32(out, static_cast<std::uint32_t>(prp >> 32));
    }
    for (const std::uint32_t d : e.dwords) test::little32(out, d);
}

void nvme_corpus() {
    const auto one = [](const std::string& name, bool io, std::initializer_list<NvmeEntry> entries) {
        test::ByteVector out;
        for (const NvmeEntry& e : entries) nvme_op(out, io, e);
        write("nvme_command", name, out);
    };
    one("identify", false,
        {{0x06, 0, 0x10000, 0, {1}},
         {0x06, 1, 0x10000, 0, {0}},
         {0x06, 0, 0x10000, 0, {2}},
         {0x06, 1, 0x10000, 0, {3}}});
    one("features", false,
        {{0x0a, 0, 0, 0, {7}},
         {0x09, 0, 0, 0, {7, 0x00030003}},
         {0x09, 1, 0x10000, 0, {0x0e}},
         {0x0a, 0, 0x10000, 0, {0x0e}},
         {0x09, 0, 0, 0, {0x0b, 0xff}}});
    one("logs", false,
        {{0x02, 0xffffffff, 0x10000, 0, {0x007f0002}},
         {0x02, 0, 0x10000, 0, {0x000f0001}},
         {0x02, 0, 0x10000, 0, {0x007f0003}}});
    one("queues", false,
        {{0x05, 0, 0x20000, 0, {0x001f0002, 1}},
         {0x01, 0, 0x21000, 0, {0x001f0002, 0x00020001}},
         {0x00, 0, 0, 0, {2}},
         {0x04, 0, 0, 0, {2}}});
    one("admin", false, {{0x0c}, {0x08, 0, 0, 0, {0x00410000}}, {0x80, 1, 0, 0, {0}}});
    one("write_read", true,
        {{0x01, 1, 0x10000, 0, {0, 0, 7}},
         {0x02, 1, 0x12000, 0, {0, 0, 7}},
         {0x05, 1, 0x10000, 0, {0, 0, 7}},
         {0x00, 1}});
    one("prp_list", true, {{0x01, 1, 0x10200, 0x18000, {64, 0, 63}}, {0x02, 1, 0x10000, 0x11000, {8, 0, 15}}});
    one("zeroes_trim", true, {{0x08, 1, 0, 0, {0, 0, 15}}, {0x09, 1, 0x10000, 0, {3, 4}}});
    test::ByteVector odd;
    test::append(odd, {7, 3, 0x00, 0x80, 0x01, 0x00});  // host memory at 0x18000: a PRP list
    for (unsigned i = 0; i < 8; ++i) {
        test::little32(odd, 0x10000 + i * 0x1000);
        test::little32(odd, 0);
    }
    nvme_op(odd, true, {0x01, 1, 0x10200, 0x18000, {64, 0, 63}});
    test::append(odd, {7, 0, 0x14, 0, 0, 0, 0, 0, 0x46, 0});  // CC: disabled
    test::append(odd, {7, 1, 0x1c, 0, 0, 0, 3});
    write("nvme_command", "odd", odd);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: make_corpus FOLDER\n";
        return 2;
    }
    g_root = argv[1];
    try {
        accel_corpus();
        capture_corpus();
        channel_slot_corpus();
        config_corpus();
        config_space_corpus();
        frame_corpus();
        hello_corpus();
        nvme_corpus();
        port_url_corpus();
        session_corpus();
    } catch (const std::exception& e) {
        std::cerr << "make_corpus: " << e.what() << "\n";
        return 1;
    }
    return 0;
}
