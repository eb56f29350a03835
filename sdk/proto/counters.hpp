// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: why something was dropped, and how often. Owns: nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace farlane::proto {

// Each reason: name in `farlane stats`, sentence for people.
#define FL_DROP_REASONS(X)                                                   \
    X(frame_short, "frame shorter than header and trailer")                  \
    X(frame_length, "frame_bytes does not fit what arrived")                 \
    X(frame_version, "unknown protocol version")                             \
    X(frame_flags, "unknown frame flag or reserved field set")               \
    X(frame_crc, "CRC32C does not match")                                    \
    X(frame_session, "no such session")                                      \
    X(frame_path, "no such path")                                            \
    X(packet_duplicate, "packet number seen before")                         \
    X(packet_old, "packet number outside the window")                        \
    X(record_truncated, "record reaches past the end of its frame")          \
    X(record_family, "unknown record family")                                \
    X(record_type, "unknown record type")                                    \
    X(record_field, "reserved field set or value out of range")              \
    X(ack_impossible, "acknowledges what was never sent")                    \
    X(credit_backwards, "credit or release count goes backwards or too far") \
    X(function_unknown, "no such function")                                  \
    X(function_stale, "generation of an earlier attachment")                 \
    X(sequence_duplicate, "record executed or received before")              \
    X(sequence_beyond, "record beyond the credits granted")                  \
    X(completion_unexpected, "completion without a request")                 \
    X(fragment_mismatch, "fragments of one record disagree")                 \
    X(control_state, "control record impossible in this state")              \
    X(control_sequence, "control record out of order")                       \
    X(hello_refused, "hello refused")                                        \
    X(out_of_bounds, "address outside the BAR or the mapping")

enum class Drop : std::uint8_t {
#define FL_DROP_ENUM(name, text) name,
    FL_DROP_REASONS(FL_DROP_ENUM)
#undef FL_DROP_ENUM
        count
};
constexpr unsigned kDrops = static_cast<unsigned>(Drop::count);

[[nodiscard]] std::string_view drop_name(Drop d) noexcept;
[[nodiscard]] std::string_view drop_text(Drop d) noexcept;

struct SessionCounters {
    std::uint64_t frames_in = 0, frames_out = 0;
    std::uint64_t bytes_in = 0, bytes_out = 0;
    std::uint64_t records_in = 0, records_out = 0;
    std::uint64_t packets_lost = 0;  ///< by reordering distance or time
    std::uint64_t tail_probes = 0;
    std::array<std::uint64_t, kDrops> drops{};

    void drop(Drop d) noexcept { ++drops[static_cast<unsigned>(d)]; }
};

}  // namespace farlane::proto
