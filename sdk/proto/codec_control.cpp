// SPDX-License-Identifier: Apache-2.0
// Receives: control records and function descriptions. Hands on: whether they may be
// believed. Owns: nothing. docs/wire.md, "Control records".
#include <algorithm>
#include <bit>

#include "proto/codec.hpp"

namespace farlane::proto {

namespace {

template <class T>
T load(std::span<const std::byte> record) noexcept {
    T out;
    std::memcpy(&out, record.data(), sizeof(T));
    return out;
}

constexpr Drop field_if_not(bool good) noexcept {
    return good ? kNoDrop : Drop::record_field;
}

// These stand alone (sequence 0), the others are in order from 1; goodbye may be either.
bool valid_sequence(std::uint8_t type, std::uint32_t sequence) noexcept {
    if (type == FL_CONTROL_BYE) return true;
    return type <= FL_CONTROL_PROBE ? sequence == 0 : sequence != 0;
}

Drop check_hello(std::uint8_t type, const fl_control_hello& h) noexcept {
    const bool versions = h.version_min != 0 && h.version_min <= h.version_max &&
                          (type == FL_CONTROL_HELLO || h.version_min == h.version_max);
    // Unknown features are no error: a bit counts only when both sides set it.
    return field_if_not(versions && h.session.get() != 0 && h.incarnation.get() != 0 &&
                        h.max_frame_bytes.get() >= FL_FRAME_BASE_BYTES && h.keepalive_ms.get() != 0 &&
                        valid_name(h.name));
}

Drop check_list_reply(const fl_control_list_reply& r) noexcept {
    if (r.count.get() != 0) return field_if_not(r.index.get() < r.count.get() && valid_description(r.desc));
    const auto bytes = std::as_bytes(std::span(&r.desc, 1));
    const bool zero = std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
    return field_if_not(r.index.get() == 0 && zero);
}

Drop check_attach(const fl_control_attach& a) noexcept {
    const std::uint32_t flags = a.flags.get();
    const bool resume = (flags & FL_ATTACH_RESUME) != 0;
    if ((flags & ~std::uint32_t{FL_ATTACH_RESUME | FL_ATTACH_ORIGIN_LOST}) != 0) return Drop::record_field;
    if (!valid_name(a.name) || a.name[0] == '\0') return Drop::record_field;
    bool fresh = a.function_index.get() == 0 && a.function_generation.get() == 0 && flags == 0;
    for (const fl_le64& released : a.released) {
        if (released.get() > kMaxSequence) return Drop::record_field;
        fresh = fresh && released.get() == 0;
    }
    return field_if_not(resume || fresh);
}

Drop check_attach_reply(const fl_control_attach_reply& r) noexcept {
    if ((r.flags.get() & ~std::uint32_t{FL_ATTACH_KEPT | FL_ATTACH_ORIGIN_LOST}) != 0) return Drop::record_field;
    for (unsigned c = 0; c < FL_CLASS_COUNT; ++c)
        if (r.released[c].get() > kMaxSequence || r.header_limit[c].get() > kMaxSequence) return Drop::record_field;
    // A refusal describes nothing.
    return field_if_not(r.status.get() != FL_STATUS_SC || valid_description(r.desc));
}

Drop check_event(const fl_control_event& e) noexcept {
    const unsigned code = e.code.get();
    return field_if_not(code >= FL_EVENT_ADDED && code <= FL_EVENT_FAILED && e.reserved.get() == 0 &&
                        valid_description(e.desc));
}

bool valid_bars(const fl_bar_desc (&bar)[6]) noexcept {
    bool upper_half = false;  // of the 64-bit BAR before
    for (unsigned i = 0; i < 6; ++i) {
        const std::uint64_t size = bar[i].size_bytes.get();
        const std::uint32_t flags = bar[i].flags.get();
        if (bar[i].reserved.get() != 0 || (flags & ~std::uint32_t{FL_BAR_64BIT | FL_BAR_PREFETCHABLE}) != 0)
            return false;
        if (size == 0) {
            if (flags != 0) return false;
            upper_half = false;
            continue;
        }
        const bool wide = (flags & FL_BAR_64BIT) != 0;
        if (upper_half || !std::has_single_bit(size) || size < kMinBarBytes) return false;
        if (wide ? i == 5 : size > (std::uint64_t{1} << 31)) return false;
        upper_half = wide;
    }
    return true;
}

}  // namespace

std::size_t control_record_bytes(std::uint8_t type) noexcept {
    switch (type) {
        case FL_CONTROL_HELLO:
        case FL_CONTROL_HELLO_ACK: return sizeof(fl_control_hello);
        case FL_CONTROL_HELLO_REJECT:
        case FL_CONTROL_BYE:
        case FL_CONTROL_LIST: return sizeof(fl_control_status);
        case FL_CONTROL_KEEPALIVE:
        case FL_CONTROL_PROBE: return sizeof(fl_control);
        case FL_CONTROL_LIST_REPLY: return sizeof(fl_control_list_reply);
        case FL_CONTROL_ATTACH: return sizeof(fl_control_attach);
        case FL_CONTROL_ATTACH_REPLY: return sizeof(fl_control_attach_reply);
        case FL_CONTROL_DETACH:
        case FL_CONTROL_DETACH_REPLY: return sizeof(fl_control_detach);
        case FL_CONTROL_EVENT: return sizeof(fl_control_event);
        default: return 0;
    }
}

Drop check_control(std::uint8_t type, std::uint32_t sequence, std::span<const std::byte> record) noexcept {
    if (!valid_sequence(type, sequence)) return Drop::control_sequence;
    switch (type) {
        case FL_CONTROL_HELLO:
        case FL_CONTROL_HELLO_ACK: return check_hello(type, load<fl_control_hello>(record));
        case FL_CONTROL_HELLO_REJECT: return field_if_not(load<fl_control_status>(record).request.get() == 0);
        case FL_CONTROL_BYE: {
            const auto s = load<fl_control_status>(record);
            return field_if_not(s.request.get() == 0 && s.nonce.get() == 0);
        }
        case FL_CONTROL_LIST: {
            const auto s = load<fl_control_status>(record);
            return field_if_not(s.status.get() == 0 && s.nonce.get() == 0);
        }
        case FL_CONTROL_LIST_REPLY: return check_list_reply(load<fl_control_list_reply>(record));
        case FL_CONTROL_ATTACH: return check_attach(load<fl_control_attach>(record));
        case FL_CONTROL_ATTACH_REPLY: return check_attach_reply(load<fl_control_attach_reply>(record));
        case FL_CONTROL_DETACH:
        case FL_CONTROL_DETACH_REPLY: return field_if_not(load<fl_control_detach>(record).reserved.get() == 0);
        case FL_CONTROL_EVENT: return check_event(load<fl_control_event>(record));
        default: return kNoDrop;  // no body
    }
}

bool valid_name(const char (&field)[FL_NAME_BYTES]) noexcept {
    unsigned length = 0;
    while (length < FL_NAME_BYTES && field[length] >= 0x20 && field[length] <= 0x7e) ++length;
    if (length == FL_NAME_BYTES) return false;
    return std::all_of(field + length, field + FL_NAME_BYTES, [](char c) { return c == '\0'; });
}

std::string_view read_name(const char (&field)[FL_NAME_BYTES]) noexcept {
    return valid_name(field) ? std::string_view(field) : std::string_view();
}

void write_name(char (&field)[FL_NAME_BYTES], std::string_view name) noexcept {
    const std::size_t length = std::min<std::size_t>(name.size(), FL_NAME_BYTES - 1);
    std::transform(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(length), field,
                   [](char c) { return c >= 0x20 && c <= 0x7e ? c : '?'; });
    std::fill(field + length, field + FL_NAME_BYTES, '\0');
}

bool valid_description(const fl_function_desc& d) noexcept {
    return valid_name(d.name) && d.name[0] != '\0' && valid_name(d.model) && valid_name(d.holder) &&
           d.msix_vectors.get() <= kMaxMsixVectors && d.state.get() <= FL_FUNCTION_FAILED && valid_bars(d.bar);
}

}  // namespace farlane::proto
