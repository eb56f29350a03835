// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: frames, and what a peer does to a session.
// Owns: nothing.
#include "contract/codec_frames.hpp"
#include "fldump/capture_files.hpp"
#include "fuzz/make_corpus.hpp"

using namespace farlane;
using namespace farlane::fuzz;

namespace {

using test::Frame;

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
        for (const auto& [offset, bytes] : {std::pair{0u, 128u}, std::pair{128u, 192u}, std::pair{320u, 80u}})
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

}  // namespace

void fuzz::frame_corpus() {
    for (auto& [name, frame] : sample_frames()) write("frame", name, frame.bytes());
}

namespace {

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

}  // namespace

void fuzz::session_corpus() {
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

void fuzz::hello_corpus() {
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
