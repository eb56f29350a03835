// SPDX-License-Identifier: Apache-2.0
// Receives: values in host byte order. Hands on: a frame, up to its trailer. Owns: nothing.
// docs/wire.md, "Frame" and "Records".
#include <algorithm>
#include <cassert>

#include "proto/codec.hpp"

namespace farlane::proto {

std::size_t fragment_bytes(TlpType type, std::size_t rest_bytes, std::size_t room) noexcept {
    if (room < sizeof(fl_tlp)) return 0;
    const std::size_t area = (room - sizeof(fl_tlp)) & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
    if (pad8(rest_bytes) <= area) return rest_bytes;
    if (type != TlpType::memory_write && type != TlpType::completion_data) return 0;
    return area & ~std::size_t{FL_TLP_FRAGMENT_ALIGN_BYTES - 1};
}

void FrameWriter::begin(std::span<std::byte> out, std::uint32_t session, std::uint16_t path,
                        std::uint64_t packet_number, std::uint32_t sent_ns, std::uint8_t flags,
                        std::size_t trailer_bytes) noexcept {
    assert(out.size() >= sizeof(fl_frame_header) + trailer_bytes);
    fl_frame_header h;
    h.version = FL_WIRE_VERSION;
    h.flags = flags;
    h.frame_bytes.set(0);
    h.session.set(session);
    h.packet_number.set(packet_number);
    h.path.set(path);
    h.reserved.set(0);
    h.sent_ns.set(sent_ns);
    base_ = out.data();
    std::memcpy(base_, &h, sizeof(h));
    at_ = sizeof(h);
    trailer_ = trailer_bytes;
    const std::size_t most = std::min<std::size_t>(out.size(), FL_FRAME_MAX_BYTES) - trailer_bytes;
    end_ = most & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
}

std::byte* FrameWriter::take(std::size_t bytes) noexcept {
    if (bytes > room()) return nullptr;
    std::byte* place = base_ + at_;
    at_ += bytes;
    return place;
}

std::byte* FrameWriter::tlp(const Tlp& t, FunctionHandle handle, std::size_t offset_bytes,
                            std::size_t payload_bytes) noexcept {
    assert(check_tlp(t) == kNoDrop && t.sequence != 0);
    const std::size_t bytes = tlp_record_bytes(payload_bytes);
    std::byte* place = take(bytes);
    if (place == nullptr) return nullptr;
    fl_tlp raw;
    encode_tlp(t, handle, raw);
    raw.record_bytes.set(static_cast<std::uint16_t>(bytes));
    if (payload_bytes != 0 && payload_bytes < t.length_bytes) {
        assert(offset_bytes % FL_TLP_FRAGMENT_ALIGN_BYTES == 0 && offset_bytes + payload_bytes <= t.length_bytes);
        raw.attr |= FL_ATTR_FRAGMENT;
        raw.offset_bytes.set(static_cast<std::uint16_t>(offset_bytes));
    }
    std::memcpy(place, &raw, sizeof(raw));
    std::byte* payload = place + sizeof(raw);
    if (payload_bytes % FL_RECORD_ALIGN_BYTES != 0)
        std::memset(place + bytes - FL_RECORD_ALIGN_BYTES, 0, FL_RECORD_ALIGN_BYTES);
    return payload;
}

bool FrameWriter::ack(const AckRecord& a, std::span<const AckRange> ranges) noexcept {
    if (room() < sizeof(fl_ack)) return false;
    const std::size_t fit = (room() - sizeof(fl_ack)) / sizeof(fl_ack_range);
    const std::size_t count = std::min({ranges.size(), fit, std::size_t{FL_ACK_MAX_RANGES}});
    std::byte* place = take(ack_record_bytes(count));
    fl_ack raw;
    raw.head.family = FL_FAMILY_ACK;
    raw.head.type = 0;
    raw.head.record_bytes.set(static_cast<std::uint16_t>(ack_record_bytes(count)));
    raw.path.set(a.path);
    raw.range_count.set(static_cast<std::uint16_t>(count));
    raw.echo_sent_ns.set(a.echo_sent_ns);
    raw.hold_ns.set(a.hold_ns);
    raw.largest.set(a.largest);
    raw.first_length.set(a.first_length);
    raw.reserved.set(0);
    std::memcpy(place, &raw, sizeof(raw));
    place += sizeof(raw);
    for (const AckRange& r : ranges.first(count)) {
        fl_ack_range range;
        range.gap.set(r.gap);
        range.length.set(r.length);
        std::memcpy(place, &range, sizeof(range));
        place += sizeof(range);
    }
    return true;
}

bool FrameWriter::credit(const CreditRecord& c) noexcept {
    std::byte* place = take(sizeof(fl_credit));
    if (place == nullptr) return false;
    fl_credit raw;
    raw.head.family = FL_FAMILY_CREDIT;
    raw.head.type = 0;
    raw.head.record_bytes.set(sizeof(fl_credit));
    raw.function_index.set(c.handle.index);
    raw.function_generation.set(c.handle.generation);
    for (unsigned i = 0; i < kClasses; ++i) {
        raw.released[i].set(c.released[i]);
        raw.header_limit[i].set(c.header_limit[i]);
        raw.data_limit[i].set(c.data_limit[i]);
    }
    std::memcpy(place, &raw, sizeof(raw));
    return true;
}

bool FrameWriter::raw(std::span<const std::byte> record) noexcept {
    assert(record.size() % FL_RECORD_ALIGN_BYTES == 0);
    std::byte* place = take(record.size());
    if (place == nullptr) return false;
    std::memcpy(place, record.data(), record.size());
    return true;
}

bool FrameWriter::pad(std::size_t bytes) noexcept {
    assert(bytes >= FL_RECORD_ALIGN_BYTES && bytes % FL_RECORD_ALIGN_BYTES == 0);
    std::byte* place = take(bytes);
    if (place == nullptr) return false;
    std::memset(place, 0, bytes);
    fl_record_header head;
    head.family = FL_FAMILY_PAD;
    head.type = 0;
    head.record_bytes.set(static_cast<std::uint16_t>(bytes));
    std::memcpy(place, &head, sizeof(head));
    return true;
}

std::size_t FrameWriter::finish() noexcept {
    const std::size_t bytes = at_ + trailer_;
    fl_le16 frame_bytes(static_cast<std::uint16_t>(bytes));
    std::memcpy(base_ + offsetof(fl_frame_header, frame_bytes), &frame_bytes, sizeof(frame_bytes));
    return bytes;
}

}  // namespace farlane::proto
