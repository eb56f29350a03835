// SPDX-License-Identifier: Apache-2.0
// Receives: a frame of the peer, or room for one. Hands on: its one transaction, or the frame with one. Owns: nothing.
// The frame of a register access, both ways: the next packet of the only path, with one request or one completion and
// nothing else. The caller of an access waits for two of these, so they go a short way: what session_receive.cpp and
// session_build.cpp would do with such a frame, and nothing that has to be asked for another one. docs/wire.md,
// "Frame".
#include "proto/session_core.hpp"

namespace farlane::proto {

// The checks are those of the long way, most of them at once. False: nothing was done, it goes that way.
bool SessionCore::on_lone_frame(std::span<std::byte> frame, PathId arrived_on, Time now) noexcept {
    if (single == nullptr || state != SessionState::open || !clear || !quarantined.empty()) return false;
    Path& p = *single;
    if (p.state != PathState::up || arrived_on != p.id ||
        !read_lone_header(
            frame,
            {.session = session_id, .path = p.id, .own_flags = own_flags(), .packet_number = p.received.largest() + 1},
            lone_in.header))
        return false;
    TlpRecord& r = work->record.tlp;
    const std::size_t bytes = lone_in.header.frame_bytes;
    if (!read_plain_tlp(records_of(frame, lone_in.header), r)) return false;
    FunctionCore* const f = functions.at(r.handle.index);
    if (f == nullptr || f->handle() != r.handle) return false;
    if (integrity && !crc_is_right(frame.first(bytes))) return false;
    lone_in.asks = asks_of(FL_FAMILY_TLP, r.record_class);
    lone_in.taken = f->on_tlp(r, now) ? &p : nullptr;
    return true;
}

// What an answer does not wait for. Precondition: on_lone_frame() said yes; nothing but an answer was done since.
void SessionCore::stamp(Time now) noexcept {
    const Header& h = lone_in.header;
    ++counters.frames_in;
    ++counters.records_in;
    counters.bytes_in += h.frame_bytes;
    if (state == SessionState::closed) {
        work->touched = nullptr;
        return;
    }
    rouse();
    last_heard = now;
    untouch(now);
    if (lone_in.taken == nullptr) return;
    lone_in.taken->received.take_next(h.sent_ns, now);
    noted(h, *lone_in.taken, true, lone_in.asks, now);
}

// A look that is a little old makes the round trip of the answer a little longer. Is it older, the thread may have lost
// its core before the answer left, or after: then nobody knows how long that was on its way, and the time after which
// it is missed begins now.
void SessionCore::left_late(Time was, Time now) noexcept {
    constexpr Duration kOld = std::chrono::microseconds(10);
    if (single == nullptr || now - was <= kOld) return;
    single->sent.left_before(now);
    single->last_sent = single->last_waiting = now;
}

// Precondition: has_lone(). Nothing is noted of the frame but in its function: left_lone() follows when it is out.
Session::Built SessionCore::build_lone(std::span<std::byte> out, Time now) noexcept {
    Path& p = *single;
    if (!flows() || out.size() < kMinFrameBytes || !clear || p.probe_frames != 0 || p.ack_along(now) || !p.usable() ||
        !p.has_room(now) || !p.sent.make_room(1))
        return {};
    FunctionCore& f = *ready.front();
    ready.remove(f);  // before: data that is fetched for it may bring more to send
    std::byte* const frame = out.data();
    const std::size_t record_bytes = f.put_lone(frame + sizeof(fl_frame_header), lone_out.ref);
    const std::size_t body = sizeof(fl_frame_header) + record_bytes;
    const std::size_t bytes = body + FL_FRAME_CRC_BYTES;
    store_word(frame, first_word(peer_session, 0) | word_field(bytes, 16));
    put_header_rest(frame, p.id, p.sent.next(), static_cast<std::uint32_t>(now.time_since_epoch().count()));
    const fl_le32 crc(integrity ? crc32c_words(frame, body) : 0);
    std::memcpy(frame + body, &crc, sizeof crc);
    lone_out.bytes = static_cast<std::uint16_t>(bytes);
    lone_out.data_bytes = static_cast<std::uint16_t>(record_bytes);
    return {bytes, p.id};
}

// It left at some time between the two.
void SessionCore::left_lone(Time was, Time now) noexcept {
    Path& p = *single;
    p.sent.sent_one(was, lone_out.bytes, lone_out.data_bytes, lone_out.ref);
    left(p, lone_out.bytes, 1, was);
    p.may_not_wait();
    waits(p, lone_out.bytes, lone_out.data_bytes, was);
    left_late(was, now);
}

}  // namespace farlane::proto
