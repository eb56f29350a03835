// SPDX-License-Identifier: Apache-2.0
// Receives: hints that the peer does not know this session. Hands on: silence, when the peer gives
// no sign of life either. Owns: nothing. Cold. docs/wire.md, "Forgotten sessions".
#include "proto/session_core.hpp"

namespace farlane::proto {
namespace {

constexpr Duration kShortestDoubt = std::chrono::milliseconds(50);
constexpr Duration kBetweenDoubts = std::chrono::milliseconds(100);
constexpr int kRoundTrips = 4;  // a live peer has this many to answer
constexpr int kQuestions = 4;   // asked in that time: one that is lost decides nothing
constexpr std::uint64_t kHintedPackets = 65536;

}  // namespace

// Anybody can send a hint, so it starts a question and changes nothing: any good frame of the peer
// ends the doubt, and how often it is asked does not depend on how many hints there are.
bool SessionCore::on_hint(const Hint& h, Time now) noexcept {
    if (!initiating || state != SessionState::open || h.session_id != peer_session) return false;
    const Path* p = path(h.path);
    if (p == nullptr || h.packet_number >= p->sent.next() || p->sent.next() - h.packet_number > kHintedPackets)
        return false;
    if (doubted != kNever || now < next_doubt) return true;
    doubted = now;
    for (const auto& each : paths)
        if (each->state != PathState::opening) each->keepalive_due = true;
    doubt_timer(now);
    return true;
}

void SessionCore::doubt_timer(Time now) noexcept {
    const Duration patience = std::max<Duration>(kShortestDoubt, smoothed_rtt() * kRoundTrips);
    const bool answered = last_heard > doubted;
    if (answered || state != SessionState::open || now - doubted >= patience) {
        doubted = kNever;
        next_doubt = now + kBetweenDoubts;
        if (!answered && state == SessionState::open) enter(SessionState::silent, Status::stale);
        return;
    }
    for (const auto& p : paths)
        if (p->state != PathState::opening && now - p->last_sent >= patience / kQuestions) p->keepalive_due = true;
    due |= kDuePath;
    arm(std::min(doubted + patience, now + patience / kQuestions));
}

std::optional<Hint> parse_hint(std::span<std::byte> frame) noexcept {
    Header h;
    ClearSeal seal;
    if (parse_header(frame, h) != kNoDrop || h.session != 0 || h.frame_bytes != FL_FRAME_MIN_BYTES) return std::nullopt;
    if (h.flags != seal.frame_flags() || h.sent_ns == 0) return std::nullopt;
    if (!seal.open(frame.first(h.frame_bytes), h.packet_number)) return std::nullopt;
    return Hint{h.sent_ns, h.path, h.packet_number};
}

std::size_t build_hint(std::span<std::byte> out, std::span<const std::byte> frame) noexcept {
    Header h;
    if (parse_header(frame, h) != kNoDrop || h.session == 0 || out.size() < FL_FRAME_MIN_BYTES) return 0;
    FrameWriter w;
    ClearSeal seal;
    w.begin(out.first(FL_FRAME_MIN_BYTES), 0, h.path, h.packet_number, h.session, seal.frame_flags(),
            seal.trailer_bytes());
    const std::size_t bytes = w.finish();
    seal.seal(w.frame(), h.packet_number);
    return bytes;
}

}  // namespace farlane::proto
