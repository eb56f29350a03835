// SPDX-License-Identifier: Apache-2.0
// Receives: values in host byte order. Hands on: a frame, up to its trailer. Owns: nothing.
// docs/wire.md, "Frame" and "Records".
#include <algorithm>
#include <cassert>

#include "proto/codec.hpp"

namespace farlane::proto {

namespace {

// What the shifts below stand for.
static_assert(offsetof(fl_frame_header, flags) == 1 && offsetof(fl_frame_header, session) == 4 &&
              offsetof(fl_frame_header, path) == 16 && offsetof(fl_frame_header, sent_ns) == 20);
static_assert(offsetof(fl_ack, path) == 4 && offsetof(fl_ack, range_count) == 6 &&
              offsetof(fl_ack, echo_sent_ns) == 8 && offsetof(fl_ack, hold_ns) == 12 &&
              offsetof(fl_ack, largest) == 16 && offsetof(fl_ack, first_length) == 24);

}  // namespace

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
    base_ = out.data();
    head_ = first_word(session, flags);
    put_header_rest(base_, path, packet_number, sent_ns);
    at_ = sizeof(fl_frame_header);
    trailer_ = trailer_bytes;
    const std::size_t most = std::min<std::size_t>(out.size(), FL_FRAME_MAX_BYTES) - trailer_bytes;
    end_ = most & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
}

std::byte* FrameWriter::tlp(const Tlp& t, FunctionHandle handle, std::size_t offset_bytes,
                            std::size_t payload_bytes) noexcept {
    assert(check_tlp(t) == kNoDrop && t.sequence != 0);
    if (payload_bytes == 0 || payload_bytes >= t.length_bytes) return put_tlp(t, handle, t.attr, 0, payload_bytes);
    assert(offset_bytes % FL_TLP_FRAGMENT_ALIGN_BYTES == 0 && offset_bytes + payload_bytes <= t.length_bytes);
    return put_tlp(t, handle, t.attr | FL_ATTR_FRAGMENT, offset_bytes, payload_bytes);
}

bool FrameWriter::ack(const AckRecord& a, std::span<const AckRange> ranges) noexcept {
    if (room() < sizeof(fl_ack)) return false;
    const std::size_t fit = (room() - sizeof(fl_ack)) / sizeof(fl_ack_range);
    const std::size_t count = std::min({ranges.size(), fit, std::size_t{FL_ACK_MAX_RANGES}});
    std::byte* place = take(ack_record_bytes(count));
    store_word(place, FL_FAMILY_ACK | word_field(ack_record_bytes(count), 16) | word_field(a.path, 32) |
                          word_field(count, 48));
    store_word(place + offsetof(fl_ack, echo_sent_ns), a.echo_sent_ns | word_field(a.hold_ns, 32));
    store_word(place + offsetof(fl_ack, largest), a.largest);
    store_word(place + offsetof(fl_ack, first_length), a.first_length);
    place += sizeof(fl_ack);
    for (const AckRange& r : ranges.first(count)) {
        store_word(place, r.gap | word_field(r.length, 32));
        place += sizeof(fl_ack_range);
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

// The whole first word at once: who computes the check value loads it as one, and would wait for narrow stores.
std::size_t FrameWriter::finish(std::uint8_t more_flags) noexcept {
    const std::size_t bytes = at_ + trailer_;
    store_word(base_, head_ | word_field(more_flags, 8) | word_field(bytes, 16));
    return bytes;
}

}  // namespace farlane::proto
