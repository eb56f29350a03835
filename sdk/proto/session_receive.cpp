// SPDX-License-Identifier: Apache-2.0
// Receives: frames of the peer. Hands on: their records to whom they belong. Owns: nothing.
// Hot path. docs/wire.md, "Receiving a frame": header, integrity, packet number, records. The
// packet number counts as received only when nothing in it has to be sent again.
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr std::uint8_t kSpacedFrames = 4;

}  // namespace

bool SessionCore::open_frame(std::span<std::byte> frame, PathId arrived_on, Header& h, Path*& p) noexcept {
    Drop d = parse_header(frame, h);
    if (d == kNoDrop && h.session != session_id) d = Drop::frame_session;
    if (d == kNoDrop && (h.flags & ~own_flags()) != seal->frame_flags()) d = Drop::frame_flags;
    if (d == kNoDrop && ((p = path(h.path)) == nullptr || h.path != arrived_on)) d = Drop::frame_path;
    if (d == kNoDrop && integrity && !seal->open(frame.first(h.frame_bytes), h.packet_number)) d = Drop::frame_crc;
    if (d == kNoDrop) d = p->received.check(h.packet_number);
    if (d == kNoDrop) return true;
    counters.drop(d);
    return false;
}

[[gnu::always_inline]] inline void SessionCore::arrived(const Header& h, Path& p, Asks asks, Time now) noexcept {
    if ((h.flags & FL_FRAME_PATIENT) != 0) {
        spaced = kSpacedFrames;
        if (asks == Asks::patiently) asks = Asks::sometime;
    } else if (asks != Asks::nothing && spaced != 0) {
        --spaced;
    }
    const bool in_order = p.received.take(h.packet_number, h.sent_ns, now);
    p.arrived(in_order, asks, h.frame_bytes, now);
    if (p.ack_now) due |= kDuePath;
    arm(p.ack_deadline);
}

void SessionCore::on_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept {
    if (state == SessionState::closed || state == SessionState::idle) return;
    if (on_lone_frame(frame, arrived_on, now)) return;
    Header h;
    Path* p = nullptr;
    if (!open_frame(frame, arrived_on, h, p)) return;
    rouse();
    ++counters.frames_in;
    counters.bytes_in += h.frame_bytes;
    last_heard = now;
    if (state != SessionState::open || p->state != PathState::up || !quarantined.empty()) [[unlikely]]
        heard_after_silence(*p, now);
    Asks asks = Asks::nothing;
    if (!take_records(records_of(frame, h), *p, asks, now)) return;
    if (state == SessionState::closed) return;
    arrived(h, *p, asks, now);
}

// The frame of a register access: the next one of the only path, with one plain transaction of a function that is
// here. The checks are those of the long way, most of them at once. False: nothing was done, it goes that way.
bool SessionCore::on_lone_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept {
    if (single == nullptr || state != SessionState::open) return false;
    Path& p = *single;
    const std::uint8_t flags = seal->frame_flags();
    Header h;
    if ((flags & FL_FRAME_SEALED) != 0 || p.state != PathState::up || arrived_on != p.id || !quarantined.empty() ||
        !read_lone_header(frame,
                          {.session = session_id,
                           .path = p.id,
                           .flags = flags,
                           .own_flags = own_flags(),
                           .trailer_bytes = seal->trailer_bytes(),
                           .packet_number = p.received.largest() + 1},
                          h))
        return false;
    TlpRecord& r = work->record.tlp;
    if (!read_plain_tlp(records_of(frame, h), r)) return false;
    FunctionCore* const f = functions.at(r.handle.index);
    if (f == nullptr || f->handle() != r.handle) return false;
    // Last: what goes the long way is opened there, and only once.
    if (integrity && !seal->open(frame.first(h.frame_bytes), h.packet_number)) return false;
    rouse();
    ++counters.frames_in;
    ++counters.records_in;
    counters.bytes_in += h.frame_bytes;
    last_heard = now;
    const bool taken = f->on_tlp(r, now);
    if (state == SessionState::closed) {
        work->touched = nullptr;
        return true;
    }
    untouch(now);
    if (taken) arrived(h, p, asks_of(FL_FAMILY_TLP, r.record_class), now);
    return true;
}

// The accepting side is open from the first frame on: the peer has the HELLO_ACK. What ends
// silence ends quarantine as well.
void SessionCore::heard_after_silence(Path& p, Time now) noexcept {
    if (state == SessionState::silent || !initiating) enter(SessionState::open, Status::ok);
    if (p.state == PathState::opening && !initiating) path_is_up(p, now);
    if (p.state == PathState::dead) heard_on_dead(p, now);
    while (!quarantined.empty()) {
        FunctionCore& f = *quarantined.front();
        quarantined.remove(f);
        f.session_answers();
    }
}

// The peer may have it up already, and so rely on it: whether it works both ways is asked at once. Not after losses:
// that some frames arrive was known.
void SessionCore::heard_on_dead(Path& p, Time now) noexcept {
    if (p.good_probes_needed != 1) return;
    const Time again = p.next_probe - Path::kDeadProbe + std::max(Path::kAskedAgain, p.rtt.smoothed());
    if (now < again) return;
    p.next_probe = now;
    arm(now);
}

// A device may wait until what it wrote is released, to use its buffer again. A host that waits asks with a KEEPALIVE.
Asks SessionCore::asks_of(std::uint8_t family, RecordClass record_class) const noexcept {
    if (family == FL_FAMILY_ACK) return Asks::nothing;
    if (family == FL_FAMILY_CREDIT) return Asks::patiently;
    const bool patient = family == FL_FAMILY_TLP && (!initiating || record_class != RecordClass::posted);
    return patient ? Asks::patiently : Asks::soon;
}

bool SessionCore::take_records(std::span<const std::byte> records, Path& p, Asks& asks, Time now) noexcept {
    RecordReader reader(records);
    bool all_taken = true;
    for (;;) {
        switch (reader.next(work->record)) {
            case Next::end: untouch(now); return all_taken;
            case Next::bad:
                // Sent again it would be as bad: the packet is acknowledged, so that it does not count as
                // lost, and the path and the other records go on. Its own transaction is missed by its function.
                counters.drop(reader.drop());
                asks = Asks::soon;
                continue;
            case Next::record: break;
        }
        ++counters.records_in;
        asks = std::max(asks, asks_of(work->record.family, work->record.tlp.record_class));
        if (!on_record(work->record, p, now)) all_taken = false;
        if (state == SessionState::closed) {
            work->touched = nullptr;
            return false;
        }
    }
}

bool SessionCore::on_record(const Record& r, Path& p, Time now) noexcept {
    if (r.family == FL_FAMILY_ACK) {
        if (flows()) [[likely]] {
            on_ack(r.ack, now);
            return true;
        }
        counters.drop(Drop::ack_impossible);  // before HELLO_ACK nobody is known
        return false;
    }
    if (r.family == FL_FAMILY_CONTROL) return on_control(r.control, p, now);
    const FunctionHandle h = r.family == FL_FAMILY_TLP ? r.tlp.handle : r.credit.handle;
    FunctionCore* f = functions.at(h.index);
    if ((f == nullptr || f->handle() != h) && was_bound(h)) [[unlikely]] {
        counters.drop(Drop::late_after_detach);
        return r.family != FL_FAMILY_TLP;  // credits of it are of no use any more
    }
    if (f == nullptr || !flows()) [[unlikely]] {
        counters.drop(Drop::function_unknown);
        return false;  // perhaps it is bound in a moment: the peer sends it again
    }
    if (f->handle() != h) [[unlikely]] {
        counters.drop(Drop::function_stale);
        return true;
    }
    if (r.family == FL_FAMILY_TLP) return f->on_tlp(r.tlp, now);
    f->on_credit(r.credit);
    return true;
}

}  // namespace farlane::proto
