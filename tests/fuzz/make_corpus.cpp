// SPDX-License-Identifier: Apache-2.0
// Receives: a folder. Hands on: the corpus of every fuzz target as small files in it, valid
// inputs and nearly valid ones. Owns: nothing. The result is committed; run it again when a
// format changes: make_corpus tests/fuzz/corpus
#include <filesystem>
#include <fstream>
#include <iostream>

#include "contract/codec_frames.hpp"

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

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: make_corpus FOLDER\n";
        return 2;
    }
    g_root = argv[1];
    try {
        frame_corpus();
    } catch (const std::exception& e) {
        std::cerr << "make_corpus: " << e.what() << "\n";
        return 1;
    }
    return 0;
}
