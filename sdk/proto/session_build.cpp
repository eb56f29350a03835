// SPDX-License-Identifier: Apache-2.0
// Receives: room for one frame. Hands on: the frame, filled from whatever is ready. Owns:
// nothing. Hot path. docs/wire.md, "Building a frame". Order in a frame: acknowledgement,
// control, credits, functions in turn.
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr std::uint16_t kPatientRecords = FL_FRAME_BASE_BYTES / Path::kAckEvery;  // so many frames of that are patient
constexpr Duration kSpaced = std::chrono::milliseconds(10);
constexpr unsigned kSmallProbes = 2;  // tail probes after which a probe is of the size every path carries

}  // namespace

bool SessionCore::wants_to_send(Time now) const noexcept {
    if (due != 0) [[unlikely]]
        return flows() || (due & kDueCold) != 0;
    if (ready.empty() || !flows()) return false;
    if (single != nullptr) return single->usable() && single->has_room(now);
    return std::any_of(paths.begin(), paths.end(), [&](const auto& p) { return carries(*p) && p->has_room(now); });
}

// The path with the most of its window free; equal ones in turn.
Path* SessionCore::best_path(Time now, bool with_room) noexcept {
    if (single != nullptr) return single->usable() && (!with_room || single->has_room(now)) ? single : nullptr;
    Path* best = nullptr;
    std::size_t best_index = 0;
    for (std::size_t i = 1; i <= paths.size(); ++i) {
        const std::size_t index = (last_path + i) % paths.size();
        Path& p = *paths[index];
        if (!carries(p) || !takes(p) || (with_room && !p.has_room(now))) continue;
        if (best == nullptr || p.sent.in_flight_bytes() * best->congestion.window_bytes() <
                                   best->sent.in_flight_bytes() * p.congestion.window_bytes()) {
            best = &p;
            best_index = index;
        }
    }
    if (best != nullptr) last_path = best_index;
    return best;
}

SessionCore::Choice SessionCore::choose(Time now) noexcept {
    if ((due & kDuePath) != 0) {
        bool put_off = false;
        for (const auto& p : paths) {
            if (p->probe_frames == 0) continue;
            if (takes(*p)) return {p.get(), carries(*p)};
            put_off = true;
        }
        for (const auto& p : paths) {
            if (!p->ack_now && !p->keepalive_due) continue;
            if (takes(*p)) return {p.get(), carries(*p) && p->has_room(now)};
            put_off = put_off || p->usable();  // a dead one has its next probe in any case
        }
        if (!put_off) due &= ~kDuePath;
    }
    if (!ready.empty())
        if (Path* p = best_path(now, true)) return {p, true};
    if ((due & kDueRecords) != 0) return {best_path(now, false), false};
    return {};
}

Session::Built SessionCore::build(std::span<std::byte> out, Time now, std::uint64_t not_on) noexcept {
    work->not_on = not_on;
    if ((due & kDueCold) != 0) [[unlikely]] {
        const Session::Built built = build_cold(out, now);
        if (built.bytes != 0) return built;
    }
    if (!flows() || out.size() < kMinFrameBytes) return {};
    if (has_lone()) {
        const Session::Built built = build_lone(out, now);
        if (built.bytes != 0) return left_lone(now, now), built;
    }
    // What looked ready may turn out not to be; fill_frame() notes that, so the next turn differs.
    for (unsigned turn = 0; turn < 4; ++turn) {
        const Choice c = choose(now);
        if (c.path == nullptr) break;
        const Session::Built built = fill_frame(*c.path, c.data, out, now);
        if (built.bytes != 0) return built;
    }
    return (due & kDueMtu) != 0 ? build_mtu_probe(out, now) : Session::Built{};
}

void SessionCore::begin(Path& p, std::span<std::byte> out, Time now) noexcept {
    if (!p.sent.make_room(FrameFill::kMaxRefs)) [[unlikely]] {
        settle();
        while (!p.sent.make_room(FrameFill::kMaxRefs)) give_up_oldest(p, now);
    }
    start(p, out, now);
}

void SessionCore::start(Path& p, std::span<std::byte> out, Time now) noexcept {
    work->fill.ref_count = 0;
    work->fill.copies = false;
    work->fill.part_count = 0;
    work->fill.sums = sums;
    work->ack_written = false;
    work->data_bytes = 0;
    work->fill.writer.begin(out, peer_session, p.id, p.sent.next(),
                            static_cast<std::uint32_t>(now.time_since_epoch().count()), seal->frame_flags(),
                            seal->trailer_bytes());
    work->fill.empty_room = work->fill.writer.room();
}

// Small posted records of a host, and credits, that follow each other at some distance on the only path while nothing
// comes back that would take an acknowledgement along: each would have one of its own. A lost one is noticed when the
// next arrives.
bool SessionCore::may_wait(const Path& p, Time now) const noexcept {
    if (p.alone == 0 || !patience_in_force || single == nullptr || asked) return false;
    if (p.sent.in_flight_packets() >= Path::kAckEvery || work->data_bytes > kPatientRecords) return false;
    bool posted = false;
    for (const RecordRef& r : work->fill.all_refs()) {
        if (r.kind() != RefKind::posted && r.kind() != RefKind::credit) return false;
        posted = posted || r.kind() == RefKind::posted;
    }
    return !posted || (initiating && now - p.last_posted <= kSpaced);
}

Session::Built SessionCore::finish(Path& p, Time now) noexcept {
    const bool patient = work->fill.ref_count != 0 && may_wait(p, now);
    asked = asked && (due & kDueAllCredits) != 0;
    const std::size_t bytes = work->fill.writer.finish(patient ? FL_FRAME_PATIENT : 0);
    const std::span<std::byte> frame = work->fill.writer.frame();
    if (work->fill.part_count != 0)
        seal->seal_summed(frame, p.sent.next(), work->fill.all_parts());
    else if (integrity)
        seal->seal(frame, p.sent.next());
    else
        std::fill(frame.end() - static_cast<std::ptrdiff_t>(seal->trailer_bytes()), frame.end(), std::byte{0});
    if (work->ack_written) p.ack_sent(now);
    const bool waited_for = work->fill.ref_count != 0;
    p.sent.sent(now, static_cast<std::uint16_t>(bytes), work->data_bytes, work->fill.all_refs(), waited_for,
                work->fill.copies);
    left(p, bytes, work->fill.ref_count, now);
    if (waited_for) {
        if (patient)
            p.in_flight_may_wait = p.in_flight_may_wait || p.sent.in_flight_packets() == 1;
        else
            p.may_not_wait();
        waits(p, bytes, work->data_bytes, now);
    }
    return {bytes, p.id};
}

void SessionCore::write_ack(Path& p, Time now) noexcept {
    AckRecord a;
    a.path = p.id;
    const unsigned count = p.received.report(a, work->ack_ranges, now);
    work->ack_written = work->fill.writer.ack(a, {work->ack_ranges.data(), count});
}

void SessionCore::write_credits(bool all) noexcept {
    while (FunctionCore* f = credits.front()) {
        if (!all && !f->credit_due) break;
        if (!f->write_credit(work->fill)) return;
        credits.remove(*f);
    }
    due &= ~(kDueCredit | kDueAllCredits);
}

void SessionCore::write_control() noexcept {
    while (!work->fill.refs_full()) {
        std::uint32_t sequence = 0;
        const auto record = control_out.next(sequence);
        if (record.empty()) {
            due &= ~kDueControl;
            return;
        }
        if (!work->fill.writer.raw(record)) return;
        control_out.sent(sequence);
        work->fill.add({RefKind::control, sequence});
    }
}

void SessionCore::write_due(Path& p) noexcept {
    // A dead path is probed and nothing else: what was lost on it would be missed only once it is back. So is a silent
    // one while another answers.
    const bool carrying = carries(p);
    // Credits behind the attach reply: with it the peer knows the function that they are for.
    if ((due & kDueControl) != 0 && carrying) write_control();
    if ((due & (kDueCredit | kDueAllCredits)) != 0 && carrying) write_credits((due & kDueAllCredits) != 0);
    if (p.keepalive_due || (due & kDueKeepalive) != 0) write_keepalive(p);
}

void SessionCore::write_keepalive(Path& p) noexcept {
    if (!write_alone(FL_CONTROL_KEEPALIVE, RefKind::keepalive, 0)) return;
    p.keepalive_due = false;
    if (carries(p)) due &= ~kDueKeepalive;
}

void SessionCore::write_functions() noexcept {
    const std::size_t room = work->fill.writer.room();
    while (FunctionCore* f = ready.front()) {
        const bool more = f->fill(work->fill);
        if (more) {
            ready.rotate();
            break;
        }
        ready.remove(*f);
        if (f->hurried && !f->posted_out.unsent()) [[unlikely]] {
            f->hurried = false;
            due |= kDueKeepalive;
        }
    }
    work->data_bytes = static_cast<std::uint16_t>(room - work->fill.writer.room());
}

bool SessionCore::write_alone(std::uint8_t type, RefKind kind, std::uint64_t sequence) noexcept {
    if (work->fill.refs_full() || !work->fill.writer.control(type, 0, fl_control{})) return false;
    work->fill.add({kind, sequence});
    return true;
}

Session::Built SessionCore::fill_frame(Path& p, bool data, std::span<std::byte> out, Time now) noexcept {
    const bool probe = p.probe_frames != 0;
    const std::size_t size = probe && p.probes > kSmallProbes ? FL_FRAME_BASE_BYTES : p.mtu.frame_bytes();
    const std::span<std::byte> place = out.first(std::min(out.size(), size));
    begin(p, place, now);
    const bool ack_was_due = p.ack_now;
    const bool patient =
        !initiating && (p.ack_asks == Asks::sometime ||
                        (p.ack_asks == Asks::patiently && (spaced != 0 || p.unacknowledged >= Path::kAckAlong)));
    if (p.ack_along(now)) write_ack(p, now);
    if ((due & (kDueRecords | kDuePath)) != 0) [[unlikely]]
        write_due(p);
    if (data) write_functions();
    // What fits an empty frame is not cut, to go beside an acknowledgement: that can wait, or both would.
    if (data && work->fill.ref_count == 0 && work->ack_written && !ack_was_due && !ready.empty()) [[unlikely]] {
        begin(p, place, now);
        write_functions();
    }
    if (data && (due & kDueKeepalive) != 0) [[unlikely]]
        write_keepalive(p);
    if (probe) {
        --p.probe_frames;
        if (work->fill.ref_count == 0) (void)write_alone(FL_CONTROL_KEEPALIVE, RefKind::keepalive, 0);
    }
    if (work->fill.ref_count == 0) {
        if (!ack_was_due) return {};  // an acknowledgement alone waits for its time
        if (!credits.empty() && carries(p) && !patient) write_credits(true);
    }
    return finish(p, now);
}

Session::Built SessionCore::build_mtu_probe(std::span<std::byte> out, Time now) noexcept {
    for (const auto& p : paths) {
        const std::uint32_t size = p->usable() ? p->mtu.due(now) : 0;
        if (size == 0) continue;
        p->mtu.probed(now, p->rtt.smoothed());
        if (p->mtu.next_probe() != kNever) arm(p->mtu.next_probe());
        if (out.size() < size) continue;
        begin(*p, out.first(size), now);
        if (!write_alone(FL_CONTROL_PROBE, RefKind::mtu_probe, size)) continue;
        if (work->fill.writer.room() >= FL_RECORD_ALIGN_BYTES && !work->fill.writer.pad(work->fill.writer.room()))
            continue;
        return finish(*p, now);
    }
    due &= ~kDueMtu;
    return {};
}

Session::Built SessionCore::build_cold(std::span<std::byte> out, Time now) noexcept {
    if (out.size() < FL_FRAME_BASE_BYTES) return {};
    if ((due & kDueGoodbye) != 0) {
        due &= ~kDueGoodbye;
        Path* p = best_path(now, false);
        if (p == nullptr) p = paths.front().get();
        begin(*p, out.first(FL_FRAME_BASE_BYTES), now);
        fl_control_status body{};
        body.status.set(static_cast<std::uint32_t>(why));
        if (!work->fill.writer.control(FL_CONTROL_BYE, 0, body)) return {};
        return finish(*p, now);
    }
    for (const auto& p : paths) {
        if (!p->hello_due) continue;
        const std::size_t bytes = build_hello(out, *p, now);
        if (bytes != 0) return {bytes, p->id};
    }
    due &= ~kDueHello;
    return {};
}

}  // namespace farlane::proto
