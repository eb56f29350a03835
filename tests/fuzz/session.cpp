// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as what a peer does to an open session: frames with valid headers and
// trailers, time, and this side's own transactions in between. Hands on: nothing; order, exactly
// once and the bounds must hold, and every frame the session builds must be good. Owns: both.
// Input: (1 byte what, then by it)...
#include "contract/open_session.hpp"
#include "fuzz/frame_mutator.hpp"

using namespace farlane;
using fuzz::require;
using test::OpenSession;

namespace {

// Bytes that any payload longer than 64 may come from, and all reads go to.
std::array<std::byte, 4096> g_source;
std::array<std::byte, 4096> g_into;

void records_arrive(OpenSession& s, fuzz::Input& input, bool repair) {
    const auto bytes = input.bytes(input.number<std::uint16_t>() % 2048);
    auto frame = s.frame([](auto&) {});
    const std::size_t records = bytes.size() & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
    frame.resize(FL_FRAME_MIN_BYTES + records);
    std::memcpy(frame.data() + sizeof(fl_frame_header), bytes.data(), records);
    auto* raw = reinterpret_cast<std::uint8_t*>(frame.data());
    if (repair) fuzz::repair_chain({raw + sizeof(fl_frame_header), records});
    (void)fuzz::repair_frame({raw, frame.size()});
    s.arrive(std::move(frame));
}

// A frame of which nothing is repaired.
void bytes_arrive(OpenSession& s, fuzz::Input& input) {
    const auto bytes = input.bytes(input.number<std::uint16_t>() % 2048);
    const auto* raw = reinterpret_cast<const std::byte*>(bytes.data());
    s.arrive({raw, raw + bytes.size()});
}

void own_transaction(OpenSession& s, fuzz::Input& input, std::uint64_t cookie) {
    proto::Tlp t;
    const unsigned what = input.byte();
    t.length_bytes = static_cast<std::uint16_t>(1 + input.number<std::uint16_t>() % g_source.size());
    t.address = input.number<std::uint32_t>();
    if ((what & 1) != 0) {
        t.type = proto::TlpType::memory_write;
        t.attr = (what & 2) != 0 ? FL_ATTR_RO : 0;
        (void)s.function().submit(t, std::span(g_source).first(t.length_bytes), cookie, (what & 4) != 0, s.now);
        return;
    }
    t.type = proto::TlpType::memory_read;
    s.watcher.outstanding.insert(cookie);
    if (s.function().request(t, {}, std::span(g_into).first(t.length_bytes), cookie, s.now) != Status::ok)
        s.watcher.outstanding.erase(cookie);
}

void time_passes(OpenSession& s, fuzz::Input& input) {
    s.now += std::chrono::microseconds(std::uint64_t{1} << (input.byte() % 24));
    if (s.session().next_timer() <= s.now) s.session().on_timer(s.now);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    OpenSession s;
    fuzz::Input input(data, size);
    for (std::uint64_t step = 1; !input.empty() && step < 256; ++step) {
        switch (input.byte() % 8) {
            case 0: records_arrive(s, input, false); break;
            case 1: bytes_arrive(s, input); break;
            case 2: own_transaction(s, input, step); break;
            case 3: time_passes(s, input); break;
            default: records_arrive(s, input, true); break;
        }
        const char* wrong = s.drain();
        require(wrong == nullptr, wrong != nullptr ? wrong : "");
        require(s.watcher.broken == nullptr, s.watcher.broken != nullptr ? s.watcher.broken : "");
        require(s.built_frames < 64 * step + 64, "a session does not send without end");
    }
    return 0;
}
