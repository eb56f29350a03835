// SPDX-License-Identifier: Apache-2.0
// Receives: hellos and their answers. Hands on: a session whose peer is known, paths that are
// up. Owns: nothing. Cold. docs/wire.md, "Opening a session".
#include <cstring>

#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr Duration kHelloCap = std::chrono::milliseconds(100);

std::uint32_t to_ms(Duration d) noexcept {
    return static_cast<std::uint32_t>(
        std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::milliseconds>(d).count()));
}

PeerInfo peer_of(const fl_control_hello& h) {
    PeerInfo p;
    std::memcpy(p.instance.data(), h.instance, p.instance.size());
    p.incarnation = h.incarnation.get();
    p.name = read_name(h.name);
    p.features = h.features.get();
    p.keepalive = std::chrono::milliseconds(h.keepalive_ms.get());
    p.grace = std::chrono::milliseconds(h.grace_ms.get());
    return p;
}

// Highest version that both speak, 0 = none.
std::uint8_t common_version(std::uint8_t min_a, std::uint8_t max_a, std::uint8_t min_b, std::uint8_t max_b) noexcept {
    const std::uint8_t highest = std::min(max_a, max_b);
    return highest >= std::max(min_a, min_b) ? highest : 0;
}

// A frame with one control record. Frames of session 0 always carry a CRC.
template <class T>
std::size_t build_single(std::span<std::byte> out, std::uint32_t session, PathId path, std::uint64_t packet_number,
                         std::uint32_t sent_ns, std::uint8_t type, const T& body) noexcept {
    if (out.size() < FL_FRAME_MIN_BYTES + sizeof(T)) return 0;
    FrameWriter w;
    ClearSeal seal;
    w.begin(out, session, path, packet_number, sent_ns, seal.frame_flags(), seal.trailer_bytes());
    if (!w.control(type, 0, body)) return 0;
    const std::size_t bytes = w.finish();
    seal.seal(w.frame(), packet_number);
    return bytes;
}

}  // namespace

void SessionCore::start_hello(Path& p) noexcept {
    p.hello_due = true;
    due |= kDueHello;
    rouse();
}

// The answer goes out again for every hello that is repeated.
void SessionCore::accept_hello(const Hello& h, Path& p, Time now) noexcept {
    peer_session = h.session_id;
    version = common_version(config.version_min, config.version_max, h.version_min, h.version_max);
    peer = h.peer;
    peer.keepalive = std::max<Duration>(peer.keepalive, std::chrono::milliseconds(1));
    p.mtu.peer_limit(h.max_frame_bytes);
    p.congestion.set_frame_bytes(p.mtu.frame_bytes());
    p.hello_due = true;
    due |= kDueHello;
    arm(now);
    if (state != SessionState::idle) return;
    state = version != 0 ? SessionState::hello : SessionState::closed;
    why = version != 0 ? Status::ok : Status::version;
}

std::size_t SessionCore::build_hello(std::span<std::byte> out, Path& p, Time now) noexcept {
    p.hello_due = false;
    const auto sent_ns = static_cast<std::uint32_t>(now.time_since_epoch().count());
    if (version == 0) {
        fl_control_status refuse{};
        refuse.status.set(static_cast<std::uint32_t>(Status::version));
        refuse.nonce.set(nonce);
        return build_single(out, peer_session, p.id, ++p.hellos, sent_ns, FL_CONTROL_HELLO_REJECT, refuse);
    }
    fl_control_hello h{};
    h.session.set(session_id);
    h.version_min = initiating ? config.version_min : version;
    h.version_max = initiating ? config.version_max : version;
    h.path.set(p.id);
    std::memcpy(h.instance, config.instance.data(), sizeof(h.instance));
    h.incarnation.set(config.incarnation);
    h.nonce.set(nonce);
    h.features.set(config.features);
    h.max_frame_bytes.set(std::clamp<std::uint32_t>(p.max_frame_bytes, FL_FRAME_BASE_BYTES, FL_FRAME_MAX_BYTES));
    h.keepalive_ms.set(to_ms(config.keepalive));
    h.grace_ms.set(to_ms(config.grace));
    write_name(h.name, config.name);
    if (!initiating) {
        begin(p, out.first(FL_FRAME_BASE_BYTES), now);
        return work->fill.writer.control(FL_CONTROL_HELLO_ACK, 0, h) ? finish(p, now).bytes : 0;
    }
    p.hello_sent = now;
    p.hello_deadline = now + p.hello_interval;
    p.hello_interval = std::min<Duration>(p.hello_interval * 2, kHelloCap);
    arm(p.hello_deadline);
    ++counters.frames_out;
    return build_single(out, 0, p.id, ++p.hellos, sent_ns, FL_CONTROL_HELLO, h);
}

void SessionCore::path_is_up(Path& p, Time now) noexcept {
    patience_in_force = (config.features & peer.features & FL_FEATURE_PATIENCE) != 0;
    p.state = PathState::up;
    p.hello_due = p.hello_due && !initiating;
    p.hello_deadline = kNever;
    p.last_progress = p.last_heard = now;
    arm(now);
    handler.on_path(self, p.id, p.state);
}

bool SessionCore::on_hello_ack(const fl_control_hello& h, Path& p, Time now) noexcept {
    const PeerInfo from = peer_of(h);
    const bool first = state == SessionState::hello;
    const bool same = first || (from.instance == peer.instance && from.incarnation == peer.incarnation &&
                                h.session.get() == peer_session);
    if (h.nonce.get() != nonce || h.path.get() != p.id || !same) {
        counters.drop(Drop::hello_refused);
        return false;
    }
    if (p.state != PathState::opening) return true;  // of a hello that was repeated
    if (common_version(config.version_min, config.version_max, h.version_min, h.version_max) == 0) {
        close(Status::version, false);
        return false;
    }
    peer = from;
    peer_session = h.session.get();
    version = h.version_min;
    if (p.hellos == 1) p.rtt.sample(now - p.hello_sent, now);
    p.mtu.peer_limit(h.max_frame_bytes.get());
    p.congestion.set_frame_bytes(p.mtu.frame_bytes());
    path_is_up(p, now);
    p.keepalive_due = true;
    due |= kDuePath;  // the peer is open, and knows the path, with our first frame
    if (first) enter(SessionState::open, Status::ok);
    return true;
}

bool SessionCore::on_hello_reject(const fl_control_status& r, Path& p) noexcept {
    if (r.nonce.get() != nonce || p.state != PathState::opening) {
        counters.drop(Drop::hello_refused);
        return true;
    }
    p.hello_deadline = kNever;  // a further path: it stays unused
    if (state == SessionState::hello) close(status_from_code(r.status.get()), false);
    return true;
}

// --- what the lane does with frames of nobody yet

std::optional<std::uint32_t> peek_session(std::span<const std::byte> frame) noexcept {
    if (frame.size() < FL_FRAME_MIN_BYTES) return std::nullopt;
    fl_frame_header h;
    std::memcpy(&h, frame.data(), sizeof(h));
    if (h.version != FL_WIRE_VERSION) return std::nullopt;
    return h.session.get();
}

Result<Hello> parse_hello(std::span<std::byte> frame, Drop* why) {
    const auto refuse = [why](Drop d, Status status, std::string_view text) {
        if (why != nullptr) *why = d;
        return Failure{status, std::string(text)};
    };
    const auto malformed = [&](Drop d) { return refuse(d, Status::malformed, drop_text(d)); };
    Header h;
    if (const Drop d = parse_header(frame, h); d != kNoDrop) return malformed(d);
    if (h.session != 0) return refuse(Drop::frame_session, Status::stale, "frame of a session that is not known here");
    ClearSeal seal;
    if (h.flags != seal.frame_flags()) return malformed(Drop::frame_flags);
    if (!seal.open(frame.first(h.frame_bytes), h.packet_number))
        return refuse(Drop::frame_crc, Status::integrity, drop_text(Drop::frame_crc));
    RecordReader reader(records_of(frame, h));
    Record r;
    const Next first = reader.next(r);
    if (first != Next::record)
        return refuse(first == Next::bad ? reader.drop() : Drop::record_truncated, Status::malformed,
                      "frame of session 0 without a whole record");
    const auto refused = [&](std::string_view text) { return refuse(Drop::hello_refused, Status::protocol, text); };
    if (r.family != FL_FAMILY_CONTROL || r.control.type != FL_CONTROL_HELLO)
        return refused("frame of session 0 that is not a hello");
    const auto raw = r.control.as<fl_control_hello>();
    if (reader.next(r) != Next::end) return refused("hello that is not alone in its frame");
    if (raw.path.get() != h.path) return refused("hello for another path than its frame's");
    Hello hello;
    hello.peer = peer_of(raw);
    hello.session_id = raw.session.get();
    hello.version_min = raw.version_min;
    hello.version_max = raw.version_max;
    hello.path = raw.path.get();
    hello.nonce = raw.nonce.get();
    hello.max_frame_bytes = raw.max_frame_bytes.get();
    return hello;
}

std::size_t build_reject(std::span<std::byte> out, const Hello& hello, Status why) noexcept {
    fl_control_status body{};
    body.status.set(static_cast<std::uint32_t>(why));
    body.nonce.set(hello.nonce);
    return build_single(out, hello.session_id, hello.path, 1, 0, FL_CONTROL_HELLO_REJECT, body);
}

}  // namespace farlane::proto
