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

// Whole memory writes, memory reads and completions with data that have nothing rare about them: all that read_tlp()
// below would check, in words. What is not plain goes the long way, which says what is wrong with it.
[[gnu::always_inline]] inline bool read_plain(std::span<const std::byte> bytes, TlpRecord& out) noexcept {
    constexpr std::uint64_t kRare = word_field(0xff & ~FL_ATTR_RO, 0) | word_field(0xff, 8) | word_field(0xff, 24) |
                                    word_field(0xffff, 48);  // other attributes, byte enables, code, offset
    const std::byte* const p = bytes.data();
    const std::uint64_t head = load_word(p);
    const std::uint64_t ids = load_word(p + offsetof(fl_tlp, tag));
    const std::uint64_t what = load_word(p + offsetof(fl_tlp, attr));
    const std::uint64_t address = load_word(p + offsetof(fl_tlp, address));
    const std::uint64_t sequence = load_word(p + offsetof(fl_tlp, sequence));
    const std::uint64_t follows = load_word(p + offsetof(fl_tlp, follows_posted));
    const auto type = static_cast<std::uint8_t>(head >> 8);
    const auto bar = static_cast<std::uint8_t>(what >> 16);
    const auto length = static_cast<std::uint16_t>(what >> 32);
    const std::uint64_t pasid = ids >> 32;
    if (((what & kRare) | pasid) != 0 || length - 1u >= FL_TLP_MAX_PAYLOAD_BYTES || sequence - 1 >= kMaxSequence ||
        address > kLastPlainAddress)
        return false;
    const std::size_t payload = type == FL_TLP_MRD ? 0 : length;
    if (bytes.size() - sizeof(fl_tlp) != pad8(payload)) return false;
    if (payload % 8 != 0 && load_word(p + bytes.size() - 8) >> (payload % 8 * 8) != 0) return false;
    if (type == FL_TLP_MWR) {
        if (follows != 0 || (bar > FL_BAR_ROM && bar != FL_BAR_NONE)) return false;
        out.record_class = RecordClass::posted;
    } else if (type == FL_TLP_MRD) {
        if (follows > kMaxSequence || (bar > FL_BAR_ROM && bar != FL_BAR_NONE)) return false;
        out.record_class = RecordClass::non_posted;
    } else {
        if (type != FL_TLP_CPLD || follows > kMaxSequence || bar != FL_BAR_NONE || address != 0) return false;
        out.record_class = RecordClass::completion;
    }
    out.tlp.type = static_cast<TlpType>(type);
    out.tlp.attr = static_cast<std::uint8_t>(what);
    out.tlp.byte_enables = 0;
    out.tlp.bar = bar;
    out.tlp.code = 0;
    out.tlp.length_bytes = length;
    out.tlp.tag = static_cast<std::uint32_t>(ids);
    out.tlp.pasid = 0;
    out.tlp.address = address;
    out.tlp.sequence = sequence;
    out.tlp.follows_posted = follows;
    out.handle = {static_cast<std::uint16_t>(head >> 32), static_cast<std::uint16_t>(head >> 48)};
    out.offset_bytes = 0;
    out.fragment = false;
    out.payload = bytes.subspan(sizeof(fl_tlp), payload);
    return true;
}

Drop read_tlp(std::span<const std::byte> bytes, TlpRecord& out) noexcept {
    if (bytes.size() < sizeof(fl_tlp)) return Drop::record_truncated;
    if (read_plain(bytes, out)) [[likely]]
        return kNoDrop;
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

bool read_plain_tlp(std::span<const std::byte> record, TlpRecord& out) noexcept {
    return read_plain(record, out);
}

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
