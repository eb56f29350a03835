// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: why something was dropped, and how often. Owns: nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace farlane::proto {

// Each reason: name in `farlane stats`, sentence for people. `odd` = an operator should know;
// `usual` = happens between healthy peers on an ordinary network, and is only counted.
#define FL_DROP_REASONS(X)                                                                             \
    X(frame_short, odd, "frame shorter than header and trailer")                                       \
    X(frame_length, odd, "frame_bytes does not fit what arrived")                                      \
    X(frame_version, odd, "unknown protocol version")                                                  \
    X(frame_flags, odd, "unknown frame flag or reserved field set")                                    \
    X(frame_crc, odd, "CRC32C does not match")                                                         \
    X(frame_session, usual, "no such session")                                                         \
    X(frame_path, odd, "no such path")                                                                 \
    X(packet_duplicate, usual, "packet number seen before")                                            \
    X(packet_old, usual, "packet number outside the window")                                           \
    X(record_truncated, odd, "record reaches past the end of its frame")                               \
    X(record_family, odd, "unknown record family")                                                     \
    X(record_type, odd, "unknown record type")                                                         \
    X(record_field, odd, "reserved field set or value out of range")                                   \
    X(ack_impossible, odd, "acknowledges what was never sent")                                         \
    X(credit_backwards, usual, "credit or release count goes backwards or too far")                    \
    X(function_unknown, usual, "no such function")                                                     \
    X(function_stale, usual, "generation of an earlier attachment")                                    \
    X(late_after_detach, usual, "record of a function that was detached just before")                  \
    X(retransmit_duplicate, usual, "record executed or received before: a resend that was not needed") \
    X(sequence_beyond, odd, "record beyond the credits granted")                                       \
    X(completion_unexpected, usual, "completion without a request")                                    \
    X(fragment_mismatch, odd, "fragments of one record disagree")                                      \
    X(control_state, odd, "control record impossible in this state")                                   \
    X(control_sequence, odd, "control record out of order")                                            \
    X(hello_refused, odd, "hello refused")                                                             \
    X(out_of_bounds, odd, "address outside the BAR or the mapping")

enum class Drop : std::uint8_t {
#define FL_DROP_ENUM(name, weight, text) name,
    FL_DROP_REASONS(FL_DROP_ENUM)
#undef FL_DROP_ENUM
        count
};
constexpr unsigned kDrops = static_cast<unsigned>(Drop::count);

[[nodiscard]] std::string_view drop_name(Drop d) noexcept;
[[nodiscard]] std::string_view drop_text(Drop d) noexcept;
/// True when an operator should hear of it: a fault of a peer, of the network or of a configuration.
[[nodiscard]] bool drop_is_odd(Drop d) noexcept;

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
