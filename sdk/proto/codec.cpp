// SPDX-License-Identifier: Apache-2.0
// Receives: bytes of a frame. Hands on: its header and its records, checked, in host byte
// order, or the reason to drop. Owns: nothing. docs/wire.md, "Frame" and "Records".
#include "proto/codec.hpp"

namespace farlane::proto {

namespace {

template <class T>
T load(const std::byte* p) noexcept {
    T out;
    std::memcpy(&out, p, sizeof(T));
    return out;
}

// At most 7 bytes behind a payload.
bool zero_padding(std::span<const std::byte> padding) noexcept {
    unsigned any = 0;
    for (const std::byte b : padding) any |= std::to_integer<unsigned>(b);
    return any == 0;
}

// Bytes of payload in a record of `area` bytes behind its header, or -1 when the record, its
// length and its fragment flag do not fit together. docs/wire.md, "Fragments".
int payload_bytes(const TlpRecord& r, std::size_t area) noexcept {
    const std::size_t whole = carries_payload(r.tlp.type) ? r.tlp.length_bytes : 0;
    if (!r.fragment) return r.offset_bytes == 0 && area == pad8(whole) ? static_cast<int>(whole) : -1;
    if (r.tlp.type != TlpType::memory_write && r.tlp.type != TlpType::completion_data) return -1;
    if (r.offset_bytes % FL_TLP_FRAGMENT_ALIGN_BYTES != 0 || r.offset_bytes >= whole || area == 0) return -1;
    const std::size_t rest = whole - r.offset_bytes;
    if (area == pad8(rest)) return r.offset_bytes != 0 ? static_cast<int>(rest) : -1;  // the last part
    return area < rest && area % FL_TLP_FRAGMENT_ALIGN_BYTES == 0 ? static_cast<int>(area) : -1;
}

Drop read_tlp(std::span<const std::byte> bytes, TlpRecord& out) noexcept {
    if (bytes.size() < sizeof(fl_tlp)) return Drop::record_truncated;
    const auto raw = load<fl_tlp>(bytes.data());
    const int record_class = fl_tlp_class(raw.type);
    if (record_class < 0) return Drop::record_type;
    if ((raw.attr & ~FL_ATTR_KNOWN) != 0) return Drop::record_field;
    decode_tlp(raw, out.tlp, out.handle);
    out.record_class = static_cast<RecordClass>(record_class);
    out.offset_bytes = raw.offset_bytes.get();
    out.fragment = (raw.attr & FL_ATTR_FRAGMENT) != 0;
    if (const Drop d = check_tlp(out.tlp); d != kNoDrop) return d;
    const bool posted = out.record_class == RecordClass::posted;
    if (out.tlp.sequence == 0 || out.tlp.sequence > kMaxSequence) return Drop::record_field;
    if (out.tlp.follows_posted > (posted ? 0 : kMaxSequence)) return Drop::record_field;
    const auto area = bytes.subspan(sizeof(fl_tlp));
    const int payload = payload_bytes(out, area.size());
    if (payload < 0) return Drop::record_field;
    out.payload = area.first(static_cast<std::size_t>(payload));
    if (!zero_padding(area.subspan(out.payload.size()))) return Drop::record_field;
    return out.tlp.type == TlpType::message ? check_message(out.tlp, out.payload) : kNoDrop;
}

Drop read_ack(std::span<const std::byte> bytes, std::uint8_t type, AckRecord& out) noexcept {
    if (type != 0) return Drop::record_type;
    if (bytes.size() < sizeof(fl_ack)) return Drop::record_truncated;
    const auto raw = load<fl_ack>(bytes.data());
    out.path = raw.path.get();
    out.range_count = raw.range_count.get();
    out.echo_sent_ns = raw.echo_sent_ns.get();
    out.hold_ns = raw.hold_ns.get();
    out.largest = raw.largest.get();
    out.first_length = raw.first_length.get();
    out.ranges = bytes.data() + sizeof(fl_ack);
    if (raw.reserved.get() != 0 || out.range_count > FL_ACK_MAX_RANGES) return Drop::record_field;
    if (bytes.size() != ack_record_bytes(out.range_count)) return Drop::record_field;
    if (out.first_length == 0) return Drop::record_field;
    // Packet numbers begin with 1: no range may reach below it.
    if (out.largest < out.first_length || out.largest > kMaxPacketNumber) return Drop::ack_impossible;
    std::uint64_t low = out.largest - out.first_length + 1;
    for (unsigned i = 0; i < out.range_count; ++i) {
        const AckRange r = out.range(i);
        if (r.gap == 0 || r.length == 0) return Drop::record_field;
        const std::uint64_t span = std::uint64_t{r.gap} + r.length;
        if (low <= span) return Drop::ack_impossible;
        low -= span;
    }
    return kNoDrop;
}

Drop read_credit(std::span<const std::byte> bytes, std::uint8_t type, CreditRecord& out) noexcept {
    if (type != 0) return Drop::record_type;
    if (bytes.size() < sizeof(fl_credit)) return Drop::record_truncated;
    if (bytes.size() != sizeof(fl_credit)) return Drop::record_field;
    const auto raw = load<fl_credit>(bytes.data());
    out.handle = {raw.function_index.get(), raw.function_generation.get()};
    for (unsigned c = 0; c < kClasses; ++c) {
        out.released[c] = raw.released[c].get();
        out.header_limit[c] = raw.header_limit[c].get();
        out.data_limit[c] = raw.data_limit[c].get();
        if (out.released[c] > kMaxSequence || out.header_limit[c] > kMaxSequence) return Drop::record_field;
    }
    return kNoDrop;
}

Drop read_control(std::span<const std::byte> bytes, std::uint8_t type, ControlRecord& out) noexcept {
    const std::size_t expected = control_record_bytes(type);
    if (expected == 0) return Drop::record_type;
    if (bytes.size() < expected) return Drop::record_truncated;
    if (bytes.size() != expected) return Drop::record_field;
    out.type = type;
    out.sequence = load<fl_control>(bytes.data()).sequence.get();
    out.bytes = bytes;
    return check_control(type, out.sequence, bytes);
}

}  // namespace

Drop parse_header(std::span<const std::byte> frame, Header& out) noexcept {
    if (frame.size() < FL_FRAME_MIN_BYTES) return Drop::frame_short;
    const auto raw = load<fl_frame_header>(frame.data());
    if (raw.version != FL_WIRE_VERSION) return Drop::frame_version;
    if ((raw.flags & ~FL_FRAME_KNOWN) != 0 || raw.reserved.get() != 0) return Drop::frame_flags;
    out.flags = raw.flags;
    out.frame_bytes = raw.frame_bytes.get();
    out.trailer_bytes = (raw.flags & FL_FRAME_SEALED) != 0 ? FL_FRAME_TAG_BYTES : FL_FRAME_CRC_BYTES;
    out.session = raw.session.get();
    out.packet_number = raw.packet_number.get();
    out.path = raw.path.get();
    out.sent_ns = raw.sent_ns.get();
    const std::size_t around = sizeof(fl_frame_header) + out.trailer_bytes;
    if (out.frame_bytes < around || out.frame_bytes > frame.size() || out.frame_bytes > FL_FRAME_MAX_BYTES)
        return Drop::frame_length;
    if ((out.frame_bytes - around) % FL_RECORD_ALIGN_BYTES != 0) return Drop::frame_length;
    if (out.packet_number == 0 || out.packet_number > kMaxPacketNumber) return Drop::packet_old;
    return kNoDrop;
}

std::span<const std::byte> records_of(std::span<const std::byte> frame, const Header& h) noexcept {
    return frame.subspan(sizeof(fl_frame_header), h.frame_bytes - sizeof(fl_frame_header) - h.trailer_bytes);
}

Next RecordReader::next(Record& out) noexcept {
    while (!rest_.empty()) {
        fl_record_header head;
        if (rest_.size() < FL_RECORD_ALIGN_BYTES) {
            rest_ = {};
            drop_ = Drop::record_truncated;
            return Next::bad;
        }
        std::memcpy(&head, rest_.data(), sizeof(head));
        const std::size_t bytes = head.record_bytes.get();
        if (bytes < FL_RECORD_ALIGN_BYTES || bytes > rest_.size() || bytes % FL_RECORD_ALIGN_BYTES != 0) {
            rest_ = {};  // where the next one would begin is not known
            drop_ = Drop::record_truncated;
            return Next::bad;
        }
        const auto record = rest_.first(bytes);
        rest_ = rest_.subspan(bytes);
        out.family = head.family;
        switch (head.family) {
            case FL_FAMILY_TLP: drop_ = read_tlp(record, out.tlp); break;
            case FL_FAMILY_ACK: drop_ = read_ack(record, head.type, out.ack); break;
            case FL_FAMILY_CREDIT: drop_ = read_credit(record, head.type, out.credit); break;
            case FL_FAMILY_CONTROL: drop_ = read_control(record, head.type, out.control); break;
            case FL_FAMILY_PAD:
                if (head.type == 0) continue;
                drop_ = Drop::record_type;
                break;
            default: drop_ = Drop::record_family; break;
        }
        return drop_ == kNoDrop ? Next::record : Next::bad;
    }
    return Next::end;
}

}  // namespace farlane::proto
