// SPDX-License-Identifier: Apache-2.0
// Receives: acknowledgements. Hands on: what arrived and what was lost, to functions and
// streams. Owns: nothing. Hot path, but for losses. docs/wire.md, "Loss" and "Paths".
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr unsigned kMaxReorderThreshold = 512;
constexpr unsigned kLossSample =
    32;  // packets whose fate is known, and no fewer than are in flight, for "repeated loss"
constexpr unsigned kGoodProbesAfterLoss = 3;
constexpr Duration kLate = std::chrono::microseconds(400);  // less than an acknowledgement waits at most
constexpr unsigned kFewPackets = 24;  // in flight: of a flow that waits for answers, not for the link

}  // namespace

void SessionCore::delivered(const RecordRef& ref, Path& p, std::uint64_t number) noexcept {
    if (ref.kind() > RefKind::completion) [[unlikely]]
        return delivered_rare(ref, p, number);
    FunctionCore* f = function(ref);
    if (f == nullptr) return;
    if (ref.kind() == RefKind::posted)
        f->posted_out.acked(ref.sequence(), ref.run());
    else
        f->acked(ref);
}

void SessionCore::delivered_rare(const RecordRef& ref, Path& p, std::uint64_t number) noexcept {
    switch (ref.kind()) {
        case RefKind::control:
            control_out.acked(static_cast<std::uint32_t>(ref.sequence()));
            if (control_out.has_work()) due |= kDueControl;  // its window has moved
            break;
        case RefKind::mtu_probe:
            p.mtu.arrived(static_cast<std::uint32_t>(ref.sequence()));
            p.congestion.set_frame_bytes(p.mtu.frame_bytes());
            due |= kDueMtu;
            break;
        case RefKind::keepalive:
            if (p.state != PathState::dead || number < p.dead_since_packet) break;
            if (++p.good_probes >= p.good_probes_needed) {
                p.state = PathState::up;
                arm(p.last_heard);
                handler.on_path(self, p.id, p.state);
            } else {
                p.keepalive_due = true;
                due |= kDuePath;
            }
            break;
        default: break;
    }
}

void SessionCore::packet_acked(Path& p, std::uint64_t number, const SentPacket& packet, Acked& sum) noexcept {
    ++sum.packets;
    if (packet.lost) [[unlikely]] {
        // Late, not lost: from now on that much reordering is waited for.
        const std::uint64_t distance = p.sent.largest_acked() - number + 1;
        p.reorder_threshold =
            static_cast<unsigned>(std::clamp<std::uint64_t>(distance, p.reorder_threshold, kMaxReorderThreshold));
    } else {
        sum.bytes += packet.data_bytes;
    }
    if (packet.bytes > FL_FRAME_BASE_BYTES) {
        p.mtu.large_arrived(packet.bytes);
        p.largest_large_acked = std::max(p.largest_large_acked, number);
    }
    // A posted record that is in no other packet is not sent again: its function, which may be far from the cache, need
    // not hear of it.
    const bool once = !packet.lost && !packet.copied;
    for (unsigned i = 0; i < packet.ref_count; ++i) {
        const RecordRef& ref = p.sent.ref(packet, i);
        if (!once || ref.kind() != RefKind::posted) delivered(ref, p, number);
    }
}

void SessionCore::on_ack(const AckRecord& a, Time now) noexcept {
    Path* p = path(a.path);
    if (p == nullptr || a.largest >= p->sent.next()) [[unlikely]] {
        counters.drop(Drop::ack_impossible);
        close(Status::protocol, true);
        return;
    }
    settle();
    if (awake_list == nullptr || a.range_count != 0 || p->sent.in_flight_packets() > kFewPackets) {
        if (a.largest >= p->sent.oldest()) on_ranges(a, *p, now);
        return;
    }
    late_ack = a;
    late_ack_at = now;
}

void SessionCore::settle() noexcept {
    if (late_ack_at == kNever) return;
    const Time at = std::exchange(late_ack_at, kNever);
    Path* p = flows() ? path(late_ack.path) : nullptr;
    if (p != nullptr && late_ack.largest >= p->sent.oldest()) on_ranges(late_ack, *p, at);
}

void SessionCore::on_ranges(const AckRecord& a, Path& p, Time now) noexcept {
    const std::uint64_t in_flight = p.sent.in_flight_bytes();
    // The newest packet may be one that nobody waits for: its time is as good.
    const bool newer = a.largest > p.sent.largest_acked();
    const Time largest_sent = p.sent.at(a.largest).sent;
    const bool timed = !p.sent.at(a.largest).untimed;
    Acked sum;
    const auto acked = [&](std::uint64_t number, const SentPacket& packet) { packet_acked(p, number, packet, sum); };
    if (a.range_count == 0) [[likely]] {
        p.sent.acknowledge(a.largest - a.first_length + 1, a.largest, acked);
    } else {
        a.for_each_run([&](std::uint64_t low, std::uint64_t high) {
            if (high >= p.sent.oldest()) p.sent.acknowledge(low, high, acked);
        });
    }
    if (sum.packets == 0) return;
    p.last_progress = now;
    if (p.probes != 0) [[unlikely]]
        no_longer_silent(p, now);
    p.window_acked += sum.packets;
    p.congestion.acknowledged(sum.bytes, in_flight);
    if (newer) {
        const Duration all = now - largest_sent;
        const Duration hold(a.hold_ns);
        p.alone = hold >= kLate ? 2 : p.alone - (p.alone != 0 ? 1 : 0);
        if (timed) [[likely]] {
            p.rtt.sample(all > hold ? all - hold : all, now);
            p.congestion.sampled(p.rtt, now - hold, now);
        }
    }
    if (p.sent.first_unresolved() < p.sent.largest_acked() || p.loss_deadline != kNever) [[unlikely]]
        detect_losses(p, now);
    p.sent.retire(now - p.rtt.smoothed() * 3);
}

void SessionCore::detect_losses(Path& p, Time now) noexcept {
    const std::uint64_t largest = p.sent.largest_acked();
    p.loss_deadline = kNever;
    if (p.sent.first_unresolved() >= largest) return;
    const Duration delay = p.loss_delay();
    const std::uint64_t open = p.sent.find_lost(
        largest,
        [&](std::uint64_t number, const SentPacket& packet) {
            return largest - number >= p.reorder_threshold || packet.sent + delay <= now;
        },
        [&](std::uint64_t number, const SentPacket& packet) { lost(p, number, packet, now); });
    if (open < largest) {
        p.loss_deadline = p.sent.at(open).sent + delay;
        arm(p.loss_deadline);
    }
    judge_losses(p, now);
}

void SessionCore::lost(Path& p, std::uint64_t number, const SentPacket& packet, Time now) noexcept {
    bool only_probe = true;
    for (unsigned i = 0; i < packet.ref_count; ++i) {
        const RecordRef& ref = p.sent.ref(packet, i);
        only_probe = only_probe && ref.kind() == RefKind::mtu_probe;
        resend(ref, p, now);
    }
    if (only_probe) return;
    ++counters.packets_lost;
    ++p.packets_lost;
    ++p.window_lost;
    p.congestion.lost(packet.data_bytes);
    if (p.state == PathState::up && number > p.largest_large_acked && p.mtu.large_lost(packet.bytes, now)) {
        p.congestion.set_frame_bytes(p.mtu.frame_bytes());
        arm(p.mtu.next_probe());
    }
}

// Queues what a packet carried once more, unless it has arrived in the meantime.
void SessionCore::resend(const RecordRef& ref, Path& p, Time now) noexcept {
    switch (ref.kind()) {
        case RefKind::posted:
        case RefKind::non_posted:
        case RefKind::completion:
        case RefKind::credit:
            if (FunctionCore* f = function(ref)) f->lost(ref);
            break;
        case RefKind::control:
            control_out.lost(static_cast<std::uint32_t>(ref.sequence()));
            if (control_out.has_work()) due |= kDueControl;
            break;
        case RefKind::mtu_probe: p.mtu.probe_lost(static_cast<std::uint32_t>(ref.sequence()), now); break;
        case RefKind::keepalive: break;
    }
}

// The ring of sent packets is full: its oldest packet counts as lost, so that the new one fits.
void SessionCore::give_up_oldest(Path& p, Time now) noexcept {
    const std::uint64_t number = p.sent.oldest();
    p.sent.find_lost(
        number + 1, [](std::uint64_t, const SentPacket&) { return true; },
        [&](std::uint64_t n, const SentPacket& packet) { lost(p, n, packet, now); });
    p.sent.drop_oldest();
}

bool SessionCore::another_answers(const Path& p) const noexcept {
    return std::any_of(paths.begin(), paths.end(),
                       [&](const auto& q) { return q.get() != &p && q->usable() && q->probes == 0; });
}

void SessionCore::no_longer_silent(Path& p, Time now) noexcept {
    p.probes = 0;
    p.alone_since = kNever;
    p.sent_elsewhere = false;
    if (single == nullptr) arm(now);  // from here on another one may be the only one that is
}

// Half of the packets lost while another path is there: use that one, and come back after
// several good probes in a row.
void SessionCore::judge_losses(Path& p, Time now) noexcept {
    if (p.window_lost + p.window_acked < std::max(kLossSample, p.sent.in_flight_packets())) return;
    if (p.window_lost > p.window_acked && another_answers(p)) kill_path(p, kGoodProbesAfterLoss, now);
    p.window_lost = p.window_acked = 0;
}

void SessionCore::kill_path(Path& p, unsigned good_probes_needed, Time now) noexcept {
    p.state = PathState::dead;
    p.dead_since_packet = p.sent.next();
    p.good_probes = 0;
    p.good_probes_needed = good_probes_needed;
    p.probes = p.probe_frames = 0;
    p.alone_since = kNever;
    p.sent_elsewhere = false;
    p.keepalive_due = true;
    due |= kDuePath;
    p.sent.find_lost(
        p.sent.next(), [](std::uint64_t, const SentPacket&) { return true; },
        [&](std::uint64_t n, const SentPacket& packet) { lost(p, n, packet, now); });
    p.loss_deadline = kNever;
    p.congestion.restart();
    arm(now);
    handler.on_path(self, p.id, p.state);
}

}  // namespace farlane::proto
