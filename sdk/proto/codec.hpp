// SPDX-License-Identifier: Apache-2.0
// Receives: bytes of a frame, or values to put into one. Hands on: checked values in host
// byte order, or the finished frame. Owns: nothing; views point into the frame.
// The only parser and the only writer of frames. Format: docs/wire.md, "Frame" and "Records".
// Pure, noexcept, no allocation. Every byte read is hostile until a function here has passed it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include <farlane/uapi/frame.h>

#include "proto/counters.hpp"
#include "proto/tlp.hpp"
#include "proto/words.hpp"

namespace farlane::proto {

/// "Nothing wrong", where a function returns why something is.
constexpr Drop kNoDrop = Drop::count;
/// Highest record sequence; the two bits above are kept free (proto/memory.hpp, intent).
constexpr std::uint64_t kMaxSequence = (std::uint64_t{1} << 62) - 1;
/// No payload that begins here or below wraps around.
constexpr std::uint64_t kLastPlainAddress = ~std::uint64_t{FL_TLP_MAX_PAYLOAD_BYTES};
/// Highest packet number, so that sums of two never wrap.
constexpr std::uint64_t kMaxPacketNumber = (std::uint64_t{1} << 62) - 1;
/// Smallest memory BAR, PCI 3.0 6.2.5.1, and most MSI-X vectors, PCIe 6.0 7.7.2.
constexpr std::uint64_t kMinBarBytes = 16;
constexpr unsigned kMaxMsixVectors = 2048;

[[nodiscard]] constexpr std::size_t pad8(std::size_t bytes) noexcept {
    return (bytes + FL_RECORD_ALIGN_BYTES - 1) & ~std::size_t{FL_RECORD_ALIGN_BYTES - 1};
}
/// Bytes of the record that carries `payload_bytes` of a transaction.
[[nodiscard]] constexpr std::size_t tlp_record_bytes(std::size_t payload_bytes) noexcept {
    return sizeof(fl_tlp) + pad8(payload_bytes);
}
[[nodiscard]] constexpr std::size_t ack_record_bytes(std::size_t ranges) noexcept {
    return sizeof(fl_ack) + ranges * sizeof(fl_ack_range);
}

[[nodiscard]] inline int class_of(TlpType type) noexcept {
    return fl_tlp_class(static_cast<std::uint8_t>(type));
}
/// True when a record of this type carries length_bytes of payload (a read only asks for them).
[[nodiscard]] bool carries_payload(TlpType type) noexcept;

/// Checks one transaction against the table of docs/wire.md, "Transaction rules": type, attr
/// (without FL_ATTR_FRAGMENT), length, byte enables, bar, code, pasid, address. Not the sequences.
/// For transactions of an application or a device as well: what fails here must not be sent.
[[nodiscard]] Drop check_tlp(const Tlp& tlp) noexcept;
/// A memory write or read with nothing rare about it: what passes this passes check_tlp.
[[nodiscard]] inline bool is_plain(const Tlp& t, TlpType type) noexcept {
    const unsigned rare = (t.attr & ~unsigned{FL_ATTR_RO}) | t.byte_enables | t.code | t.pasid;
    return t.type == type && rare == 0 && t.length_bytes - 1u < FL_TLP_MAX_PAYLOAD_BYTES &&
           (t.bar <= FL_BAR_ROM || t.bar == FL_BAR_NONE) && t.address <= kLastPlainAddress;
}
/// Payload of a message (FL_TLP_MSG): reserved fields, ranges. Others pass.
[[nodiscard]] Drop check_message(const Tlp& tlp, std::span<const std::byte> payload) noexcept;
/// Fields of a record in host order; FL_ATTR_FRAGMENT stays out of out.attr. Checks nothing.
void decode_tlp(const fl_tlp& in, Tlp& out, FunctionHandle& handle) noexcept;
/// The reverse, for one whole record (`record_bytes` with its payload).
void encode_tlp(const Tlp& in, FunctionHandle handle, fl_tlp& out) noexcept;

/// Text of a name field; "" when it is not zero-terminated, zero-padded printable ASCII.
[[nodiscard]] std::string_view read_name(const char (&field)[FL_NAME_BYTES]) noexcept;
[[nodiscard]] bool valid_name(const char (&field)[FL_NAME_BYTES]) noexcept;
/// Writes a name; bytes that are not printable become '?', what is too long is cut.
void write_name(char (&field)[FL_NAME_BYTES], std::string_view name) noexcept;
/// A function description as it stands in list replies, attach replies and events.
[[nodiscard]] bool valid_description(const fl_function_desc& desc) noexcept;

// --- reading

struct Header {
    std::uint8_t flags = 0;
    std::uint16_t path = 0;
    std::uint32_t session = 0;
    std::uint32_t sent_ns = 0;
    std::uint64_t packet_number = 0;
    std::uint16_t frame_bytes = 0;  ///< header to trailer; the rest of the buffer is the port's
    std::uint16_t trailer_bytes = 0;
};

/// Checks and decodes the frame header. Integrity (Seal::open over the first frame_bytes) and
/// the meaning of session, path and packet number are the caller's.
[[nodiscard]] Drop parse_header(std::span<const std::byte> frame, Header& out) noexcept;
/// What the header of the next frame of a session without keys says when nothing was lost.
struct LoneFrame {
    std::uint32_t session = 0;
    std::uint16_t path = 0;
    std::uint8_t own_flags = 0;  ///< may be set or not
    std::uint64_t packet_number = 0;
};
/// True when the header is the expected one, and one transaction is all that the frame holds: then parse_header() would
/// say the same. Otherwise nothing is said.
[[nodiscard]] [[gnu::always_inline]] inline bool read_lone_header(std::span<const std::byte> frame,
                                                                  const LoneFrame& expected, Header& out) noexcept {
    constexpr std::uint64_t kSize = word_field(0xffff, 16);
    if (frame.size() < FL_FRAME_MIN_BYTES + sizeof(fl_tlp)) return false;
    const std::byte* const at = frame.data();
    const std::uint64_t head = load_word(at);
    const std::uint64_t place = load_word(at + offsetof(fl_frame_header, path));
    const std::uint64_t record = load_word(at + sizeof(fl_frame_header));
    const std::size_t bytes = head >> 16 & 0xffff;
    const std::size_t record_bytes = record >> 16 & 0xffff;
    const std::uint64_t open_bits = kSize | word_field(expected.own_flags, 8);
    if ((head & ~open_bits) != (FL_WIRE_VERSION | word_field(expected.session, 32)) ||
        static_cast<std::uint32_t>(place) != expected.path ||
        load_word(at + offsetof(fl_frame_header, packet_number)) != expected.packet_number ||
        (record & 0xff) != FL_FAMILY_TLP || bytes > std::min<std::size_t>(frame.size(), FL_FRAME_MAX_BYTES) ||
        bytes != FL_FRAME_MIN_BYTES + record_bytes || record_bytes < sizeof(fl_tlp) ||
        expected.packet_number > kMaxPacketNumber)
        return false;
    out.flags = static_cast<std::uint8_t>(head >> 8);
    out.path = expected.path;
    out.session = expected.session;
    out.sent_ns = static_cast<std::uint32_t>(place >> 32);
    out.packet_number = expected.packet_number;
    out.frame_bytes = static_cast<std::uint16_t>(bytes);
    out.trailer_bytes = FL_FRAME_CRC_BYTES;
    return true;
}
/// The records of a frame whose header has been parsed (and that has been opened).
[[nodiscard]] std::span<const std::byte> records_of(std::span<const std::byte> frame, const Header& h) noexcept;

struct TlpRecord {
    Tlp tlp;  ///< length_bytes is of the whole transaction
    FunctionHandle handle;
    RecordClass record_class = RecordClass::posted;
    std::uint16_t offset_bytes = 0;      ///< where `payload` belongs; 0 when not a fragment
    bool fragment = false;               ///< `payload` is a part
    std::span<const std::byte> payload;  ///< without padding
};

struct AckRange {
    std::uint32_t gap = 0;     ///< packets missing below the range before
    std::uint32_t length = 0;  ///< packets received below the gap
};

struct AckRecord {
    std::uint16_t path = 0;
    std::uint32_t echo_sent_ns = 0;
    std::uint32_t hold_ns = 0;
    std::uint64_t largest = 0;
    std::uint32_t first_length = 0;
    std::uint16_t range_count = 0;
    const std::byte* ranges = nullptr;  ///< unaligned; read with range()

    [[nodiscard]] AckRange range(unsigned i) const noexcept {
        fl_ack_range raw;
        std::memcpy(&raw, ranges + i * sizeof(raw), sizeof(raw));
        return {raw.gap.get(), raw.length.get()};
    }
    /// Calls fn(lowest, highest) for every run of received packets, newest first.
    template <class Fn>
    void for_each_run(Fn&& fn) const {
        std::uint64_t low = largest - first_length + 1;
        fn(low, largest);
        for (unsigned i = 0; i < range_count; ++i) {
            const AckRange r = range(i);
            const std::uint64_t high = low - r.gap - 1;
            low = high - r.length + 1;
            fn(low, high);
        }
    }
};

struct CreditRecord {
    FunctionHandle handle;
    std::array<std::uint64_t, kClasses> released{};
    std::array<std::uint64_t, kClasses> header_limit{};
    std::array<std::uint64_t, kClasses> data_limit{};
};

struct ControlRecord {
    std::uint8_t type = 0;  ///< enum fl_control_type
    std::uint32_t sequence = 0;
    std::span<const std::byte> bytes;  ///< the whole record; its size fits `type`

    /// The record as the struct that belongs to `type`.
    template <class T>
    [[nodiscard]] T as() const noexcept {
        T out;
        std::memcpy(&out, bytes.data(), sizeof(T));
        return out;
    }
};

/// One record. Only the member that belongs to `family` is valid. Kept by the caller and
/// filled again and again, so that reading a frame initialises nothing.
struct Record {
    std::uint8_t family = 0;  ///< enum fl_family
    TlpRecord tlp;
    AckRecord ack;
    CreditRecord credit;
    ControlRecord control;
};

enum class Next : std::uint8_t {
    record,  ///< `out` holds a checked record
    end,     ///< no more
    bad,     ///< drop() says why; calling again goes on with the record behind, if there can be one
};

/// One record that is a whole memory write, memory read or completion with data, with nothing rare about it.
/// False: RecordReader says what it is.
[[nodiscard]] bool read_plain_tlp(std::span<const std::byte> record, TlpRecord& out) noexcept;

/// Walks the records of one frame. Padding records are skipped.
class RecordReader {
public:
    explicit RecordReader(std::span<const std::byte> records) noexcept : rest_(records) {}
    [[nodiscard]] Next next(Record& out) noexcept;
    [[nodiscard]] Drop drop() const noexcept { return drop_; }

private:
    std::span<const std::byte> rest_;
    Drop drop_ = kNoDrop;
};

/// Bytes that the record of a control type has; 0 = no such type (or only reserved).
[[nodiscard]] std::size_t control_record_bytes(std::uint8_t type) noexcept;
/// Body of a control record whose size has been checked.
[[nodiscard]] Drop check_control(std::uint8_t type, std::uint32_t sequence, std::span<const std::byte> record) noexcept;

// --- writing

/// How many of the `rest_bytes` from `offset` on to put into a record when `room` bytes are left
/// in the frame: all, or a multiple of 64 that is not all, or 0 when none fit. Payloads up to 64
/// bytes, and everything but memory writes and completions with data, are never cut.
[[nodiscard]] std::size_t fragment_bytes(TlpType type, std::size_t rest_bytes, std::size_t room) noexcept;

/// The first word of a frame's header, without its size.
[[nodiscard]] constexpr std::uint64_t first_word(std::uint32_t session, std::uint8_t flags) noexcept {
    return FL_WIRE_VERSION | word_field(flags, 8) | word_field(session, 32);
}
/// The others.
inline void put_header_rest(std::byte* frame, std::uint16_t path, std::uint64_t packet_number,
                            std::uint32_t sent_ns) noexcept {
    store_word(frame + offsetof(fl_frame_header, packet_number), packet_number);
    store_word(frame + offsetof(fl_frame_header, path), path | word_field(sent_ns, 32));
}
/// A transaction with the part of its payload that begins at `offset`, in words; `attr` is t.attr, and FL_ATTR_FRAGMENT
/// for a part. Returns where the payload belongs; its padding is written. There is room for
/// tlp_record_bytes(payload_bytes).
inline std::byte* put_tlp(std::byte* place, const Tlp& t, FunctionHandle handle, std::uint64_t attr,
                          std::uint64_t offset, std::size_t payload_bytes) noexcept {
    const std::size_t bytes = tlp_record_bytes(payload_bytes);
    store_word(place, FL_FAMILY_TLP | word_field(static_cast<std::uint8_t>(t.type), 8) | word_field(bytes, 16) |
                          word_field(handle.index, 32) | word_field(handle.generation, 48));
    store_word(place + offsetof(fl_tlp, tag), t.tag | word_field(t.pasid, 32));
    store_word(place + offsetof(fl_tlp, attr), attr | word_field(t.byte_enables, 8) | word_field(t.bar, 16) |
                                                   word_field(t.code, 24) | word_field(t.length_bytes, 32) |
                                                   word_field(offset, 48));
    store_word(place + offsetof(fl_tlp, address), t.address);
    store_word(place + offsetof(fl_tlp, sequence), t.sequence);
    store_word(place + offsetof(fl_tlp, follows_posted), t.follows_posted);
    if (payload_bytes % FL_RECORD_ALIGN_BYTES != 0) store_word(place + bytes - FL_RECORD_ALIGN_BYTES, 0);
    return place + sizeof(fl_tlp);
}

/// Fills one frame. Every function that adds a record returns false (or nullptr), and writes
/// nothing, when it does not fit.
class FrameWriter {
public:
    FrameWriter() = default;
    /// `out` holds the frame up to its largest size, trailer included; at most
    /// FL_FRAME_MAX_BYTES of it are used. Precondition: at least FL_FRAME_MIN_BYTES + 16.
    void begin(std::span<std::byte> out, std::uint32_t session, std::uint16_t path, std::uint64_t packet_number,
               std::uint32_t sent_ns, std::uint8_t flags, std::size_t trailer_bytes) noexcept;
    /// Bytes left for records.
    [[nodiscard]] std::size_t room() const noexcept { return end_ - at_; }
    [[nodiscard]] bool empty() const noexcept { return at_ == sizeof(fl_frame_header); }

    /// Room for one whole transaction or a part of it: bytes [offset_bytes, + payload_bytes) of
    /// its tlp.length_bytes. Returns where the caller puts exactly payload_bytes (padding is
    /// already zero); not null when there is room, even for no payload. The fragment flag is set
    /// when it is a part. `tlp` must pass check_tlp and have its sequence.
    [[nodiscard]] std::byte* tlp(const Tlp& tlp, FunctionHandle handle, std::size_t offset_bytes,
                                 std::size_t payload_bytes) noexcept;
    /// The same for one whole transaction with its payload, in line.
    [[nodiscard]] std::byte* whole_tlp(const Tlp& t, FunctionHandle handle) noexcept {
        return put_tlp(t, handle, t.attr, 0, t.length_bytes);
    }
    /// `ack.ranges` and `ack.range_count` are not used: as many of `ranges` as fit are written.
    [[nodiscard]] bool ack(const AckRecord& ack, std::span<const AckRange> ranges) noexcept;
    [[nodiscard]] bool credit(const CreditRecord& credit) noexcept;
    /// `body` is one of the control structs; its head is filled in here.
    template <class T>
    [[nodiscard]] bool control(std::uint8_t type, std::uint32_t sequence, T body) noexcept {
        fl_control& head = control_head(body);
        head.head.family = FL_FAMILY_CONTROL;
        head.head.type = type;
        head.head.record_bytes.set(sizeof(T));
        head.sequence.set(sequence);
        return raw({reinterpret_cast<const std::byte*>(&body), sizeof(T)});
    }
    /// A whole control record kept from before (a resend).
    [[nodiscard]] bool raw(std::span<const std::byte> record) noexcept;
    /// Padding record; `bytes` is a multiple of 8, at least 8.
    [[nodiscard]] bool pad(std::size_t bytes) noexcept;

    /// Writes the first word, with `more_flags` besides those of begin(); returns the size of the frame with room for
    /// the trailer. The caller seals it then.
    [[nodiscard]] std::size_t finish(std::uint8_t more_flags = 0) noexcept;
    [[nodiscard]] std::span<std::byte> frame() const noexcept { return {base_, at_ + trailer_}; }

private:
    static fl_control& control_head(fl_control& body) noexcept { return body; }
    template <class T>
    static fl_control& control_head(T& body) noexcept {
        static_assert(sizeof(T) % FL_RECORD_ALIGN_BYTES == 0);
        return body.head;
    }
    [[nodiscard]] std::byte* take(std::size_t bytes) noexcept {
        if (bytes > room()) return nullptr;
        std::byte* place = base_ + at_;
        at_ += bytes;
        return place;
    }
    [[nodiscard]] std::byte* put_tlp(const Tlp& t, FunctionHandle handle, std::uint64_t attr, std::uint64_t offset,
                                     std::size_t payload_bytes) noexcept {
        std::byte* place = take(tlp_record_bytes(payload_bytes));
        return place == nullptr ? nullptr : proto::put_tlp(place, t, handle, attr, offset, payload_bytes);
    }

    std::byte* base_ = nullptr;
    std::uint64_t head_ = 0;  // first word, without the size
    std::size_t at_ = 0;      // next record
    std::size_t end_ = 0;     // where the trailer may begin at the latest
    std::size_t trailer_ = 0;
};

}  // namespace farlane::proto
