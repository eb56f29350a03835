// SPDX-License-Identifier: Apache-2.0
// Receives: the time. Hands on: what has become due. Owns: nothing. `timer` is never later
// than the first deadline; it may be earlier (a deadline that has moved away since), then this
// only computes it again. docs/wire.md, "Time".
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr unsigned kSilentIntervals = 3;
constexpr unsigned kProbedPackets = 2;                   // oldest packets whose records a tail probe repeats
constexpr unsigned kProbedRequests = 8;                  // newest packets whose requests it repeats
constexpr unsigned kRestartAfter = 3;                    // tail probes after which the window starts again
constexpr Duration kHalfOpen = std::chrono::seconds(3);  // a hello that nobody stands behind
constexpr Duration kDeadProbe = std::chrono::milliseconds(50);

}  // namespace

void SessionCore::on_timer(Time now) noexcept {
    timer = kNever;
    if (state == SessionState::idle) return;
    settle();
    functions_timers(now);
    if (state == SessionState::closed) return;
    if (state == SessionState::hello) {
        for (const auto& p : paths) hello_timer(*p, now);
        const Time given_up = last_heard + std::min(peer.keepalive * kSilentIntervals, kHalfOpen);
        if (!initiating && now >= given_up) return close(Status::unreachable, false);
        if (!initiating) arm(given_up);
        return;
    }
    const Time silent_at = last_heard + peer.keepalive * kSilentIntervals;
    if (now >= silent_at)
        enter(SessionState::silent, Status::ok);
    else
        arm(silent_at);
    if (state == SessionState::closed) return;
    if (doubted != kNever) doubt_timer(now);
    for (const auto& p : paths) path_timer(*p, now);
    due |= kDuePath;  // of one or the other; build() looks
    credit_timers(now);
}

void SessionCore::path_timer(Path& p, Time now) noexcept {
    if (p.state == PathState::opening) return hello_timer(p, now);
    if (p.ack_deadline <= now)
        p.ack_now = true;
    else
        arm(p.ack_deadline);
    if (p.loss_deadline <= now) detect_losses(p, now);
    arm(p.loss_deadline);
    p.probe_armed = false;
    const bool waiting = p.sent.in_flight_packets() != 0;
    if (p.state == PathState::dead) return dead_timer(p, now);
    if (now - p.last_sent >= config.keepalive) p.keepalive_due = true;
    arm(std::max(now, p.last_sent) + config.keepalive);
    if (waiting && another_usable(p)) {
        const std::uint64_t oldest = p.sent.first_unresolved();
        const Time since = std::max(p.last_progress, p.sent.at(oldest).sent) + p.death_delay();
        if (since <= now) return kill_path(p, 1, now);
        arm(since);
    }
    if (waiting) {
        const Time probe_at = p.last_waiting + p.probe_interval();
        if (probe_at <= now) tail_probe(p, now);
        p.probe_armed = true;
        arm(p.last_waiting + p.probe_interval());
    }
    if (p.congestion.next_send() > now) arm(p.congestion.next_send());
    if (p.mtu.due(now) != 0)
        due |= kDueMtu;
    else
        arm(p.mtu.next_probe());
}

// Frames that acknowledge the peer's on a dead path do not find out whether it works: only a probe does, however
// many of those leave.
void SessionCore::dead_timer(Path& p, Time now) noexcept {
    if (now >= p.next_probe) {
        p.keepalive_due = true;
        p.next_probe = now + kDeadProbe;
    }
    arm(p.next_probe);
}

// Nothing came back for a while: repeats the oldest records, and the newest requests, whether
// or not the window has room.
void SessionCore::tail_probe(Path& p, Time now) noexcept {
    ++p.probes;
    ++counters.tail_probes;
    p.probe_frames = p.probes == 1 ? 1 : 2;
    p.last_waiting = now;
    if (p.probes == kRestartAfter && p.rtt.known()) p.congestion.restart();  // else the path is longer than guessed
    unsigned repeated = 0;
    std::uint64_t n = p.sent.first_unresolved();
    for (; n < p.sent.next() && repeated < kProbedPackets; ++n) {
        SentPacket& packet = p.sent.at(n);
        if (p.sent.resolved(n) || packet.lost) continue;
        ++repeated;
        packet.copied = true;
        for (unsigned i = 0; i < packet.ref_count; ++i) resend(p.sent.ref(packet, i), p, now);
    }
    const std::uint64_t tail = p.sent.next() - std::min<std::uint64_t>(p.sent.next() - n, kProbedRequests);
    for (n = tail; n < p.sent.next(); ++n) {
        const SentPacket& packet = p.sent.at(n);
        if (p.sent.resolved(n) || packet.lost) continue;
        for (unsigned i = 0; i < packet.ref_count; ++i)
            if (p.sent.ref(packet, i).kind() == RefKind::non_posted) resend(p.sent.ref(packet, i), p, now);
    }
}

void SessionCore::functions_timers(Time now) noexcept {
    if (now < functions_timer) {
        arm(functions_timer);
        return;
    }
    functions_timer = kNever;
    for (std::size_t i = 0; i < functions.size(); ++i) {
        if (functions[i] == nullptr) continue;
        functions[i]->expire(now);
        if (functions[i] != nullptr) arm_functions(functions[i]->next_deadline());
    }
}

void SessionCore::credit_timers(Time now) noexcept {
    if (now < credit_timer) {
        arm(credit_timer);
        return;
    }
    credit_timer = kNever;
    for (const FunctionCore* f = credits.front(); f != nullptr; f = decltype(credits)::next(*f)) {
        if (f->credit_deadline <= now) {
            due |= kDueAllCredits;  // one frame for all, not one for each as its time comes
            return;
        }
        arm_credit(f->credit_deadline);
    }
}

void SessionCore::hello_timer(Path& p, Time now) noexcept {
    if (!initiating || p.state != PathState::opening || p.hello_deadline == kNever) return;
    if (p.hello_deadline <= now) {
        p.hello_due = true;
        due |= kDueHello;
        p.hello_deadline = kNever;  // set again when it is sent
    } else {
        arm(p.hello_deadline);
    }
}

}  // namespace farlane::proto
