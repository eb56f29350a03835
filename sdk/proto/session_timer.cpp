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
// A peer that was away answers on one path before the other, and may be kept from its work between the two.
constexpr Duration kAloneForSure = std::chrono::milliseconds(1);

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
    if (waiting) waiting_timer(p, now);
    if (p.state == PathState::dead) return;
    if (p.congestion.next_send() > now) arm(p.congestion.next_send());
    if (p.mtu.due(now) != 0)
        due |= kDueMtu;
    else
        arm(p.mtu.next_probe());
}

// With another path to turn to, silence is noticed although more is sent all the time.
void SessionCore::waiting_timer(Path& p, Time now) noexcept {
    const bool another = another_answers(p);
    p.in_flight_may_wait = p.sent.first_unresolved() > p.newest_impatient;
    const Time since = p.probes == 0 && single == nullptr ? p.silent_since() : p.last_waiting;
    const Time probe_at = since + p.probe_interval();
    if (probe_at <= now) tail_probe(p, now);
    p.probe_armed = true;
    arm(probe_at <= now ? now + p.probe_interval() : probe_at);
    if (p.probes != 0 && another) return silent_timer(p, now);
    p.alone_since = kNever;
    p.sent_elsewhere = false;
}

// When all are silent it is the peer that is away, and nothing is gained by sending more. When this one is silent alone
// what waits here is sent again elsewhere: a copy is dropped by the receiver, if it was only slow.
void SessionCore::silent_timer(Path& p, Time now) noexcept {
    if (p.alone_since == kNever) p.alone_since = now;
    const Time sure = p.alone_since + kAloneForSure;
    if (now < sure) return arm(sure);
    const Time dead_at = p.silent_since() + p.death_delay();
    if (now >= dead_at) return kill_path(p, 1, now);
    arm(dead_at);
    if (p.sent_elsewhere) return;
    if (!answered_elsewhere(p)) return arm(now + kAloneForSure / 2);
    p.sent_elsewhere = true;
    repeat(p, now);
}

// The peer was there when this path's acknowledgement should have left it: the way back of the other one may be longer.
bool SessionCore::answered_elsewhere(const Path& p) const noexcept {
    return std::any_of(paths.begin(), paths.end(), [&](const auto& q) {
        const Duration longer = std::max(Duration{}, (q->rtt.smoothed() - p.rtt.smoothed()) / 2);
        return q.get() != &p && q->usable() && q->probes == 0 && q->last_progress >= p.asked_at + longer;
    });
}

// Frames that acknowledge the peer's on a dead path do not find out whether it works: only a probe does, however
// many of those leave.
void SessionCore::dead_timer(Path& p, Time now) noexcept {
    if (now >= p.next_probe) {
        p.keepalive_due = true;
        p.next_probe = now + Path::kDeadProbe;
    }
    arm(p.next_probe);
}

// Nothing came back for a while: repeats the oldest records, and the newest requests, whether
// or not the window has room; on another path if one answers, while this one is only asked whether it is there.
void SessionCore::tail_probe(Path& p, Time now) noexcept {
    if (++p.probes == 1) p.asked_at = now;
    ++counters.tail_probes;
    p.last_waiting = now;
    due |= kDuePath;
    const bool around = another_answers(p);
    p.probe_frames = p.probes == 1 || around ? 1 : 2;
    if (around) due |= kDueKeepalive;  // who waits for credits had perhaps asked on this one
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

// All that waits on a path.
void SessionCore::repeat(Path& p, Time now) noexcept {
    for (std::uint64_t n = p.sent.first_unresolved(); n < p.sent.next(); ++n) {
        SentPacket& packet = p.sent.at(n);
        if (p.sent.resolved(n) || packet.lost) continue;
        packet.copied = true;
        for (unsigned i = 0; i < packet.ref_count; ++i) resend(p.sent.ref(packet, i), p, now);
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
