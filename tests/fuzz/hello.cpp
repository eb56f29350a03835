// SPDX-License-Identifier: Apache-2.0
// Receives: any bytes as the first frame of a peer. Hands on: nothing; what is taken must make a
// session that answers, and a refusal must be a frame that the peer can read. Owns: nothing.
#include "contract/open_session.hpp"
#include "fuzz/frame_mutator.hpp"

using namespace farlane;
using fuzz::require;

namespace {

bool readable(std::span<std::byte> frame) {
    proto::Header h;
    proto::ClearSeal seal;
    return proto::parse_header(frame, h) == proto::kNoDrop && h.frame_bytes == frame.size() &&
           seal.open(frame, h.packet_number);
}

// Whatever arrives for a session that is not known: the answer is small, and is what it should be.
void hints(std::span<std::byte> frame) {
    std::vector<std::byte> out(FL_FRAME_MIN_BYTES);
    const std::size_t bytes = proto::build_hint(out, frame);
    require(bytes <= frame.size(), "a hint is never more than came");
    if (bytes != 0) {
        const auto back = proto::parse_hint(out);
        require(back && back->session_id == proto::peek_session(frame), "a hint names the session of its frame");
        require(proto::build_hint(out, out) == 0, "a hint is never answered");
    }
    const auto hint = proto::parse_hint(frame);
    if (!hint) return;
    require(hint->session_id != 0 && hint->packet_number != 0, "a hint that is taken is valid");
    require(!proto::parse_hello(frame).ok(), "a hint is no hello");
    test::CountingOwner owner;
    proto::Session session({}, owner, std::make_unique<proto::ClearSeal>());
    const test::Time now{std::chrono::seconds(1)};
    (void)session.add_path({}, now);
    require(!session.on_hint(*hint, now), "before it is open a session was never known");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::byte> frame(size);
    if (size != 0) std::memcpy(frame.data(), data, size);
    (void)proto::peek_session(frame);
    hints(frame);
    const auto hello = proto::parse_hello(frame);
    if (!hello) {
        require(!hello.failure().detail.empty(), "a failure says what is wrong");
        return 0;
    }
    const proto::Hello& h = hello.value();
    require(h.session_id != 0 && h.version_min != 0 && h.version_min <= h.version_max,
            "a hello that is taken is valid");
    require(h.max_frame_bytes >= FL_FRAME_BASE_BYTES && h.peer.keepalive.count() > 0, "a hello that is taken is valid");

    std::vector<std::byte> out(FL_FRAME_MAX_BYTES);
    const std::size_t refusal = proto::build_reject(out, h, Status::denied);
    require(refusal != 0 && readable(std::span(out).first(refusal)), "a refusal can be read");

    test::CountingOwner owner;
    proto::SessionConfig config;
    config.session_id = 5;
    const test::Time now{std::chrono::seconds(1)};
    proto::PathConfig path;
    path.max_frame_bytes = 9000;
    proto::Session session(config, owner, std::make_unique<proto::ClearSeal>(), h, path, now);
    const auto answer = session.build(out, now);
    require(answer.bytes != 0 && readable(std::span(out).first(answer.bytes)), "a hello is answered");
    session.on_hello(h, path, now);
    session.on_timer(now + std::chrono::hours(24 * 365));
    return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
    size = fuzz::mutate_frame(data, size, max_size, seed);
    if (seed % 4 == 0 || size < FL_FRAME_MIN_BYTES) return size;
    std::memset(data + offsetof(fl_frame_header, session), 0, 4);
    fl_control_hello hello;
    if (size >= FL_FRAME_MIN_BYTES + sizeof(hello)) {  // the path that the header names
        std::memcpy(data + sizeof(fl_frame_header) + offsetof(fl_control_hello, path),
                    data + offsetof(fl_frame_header, path), 2);
    }
    (void)fuzz::repair_frame({data, size});
    return size;
}
