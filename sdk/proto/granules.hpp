// SPDX-License-Identifier: Apache-2.0
// Receives: lengths and offsets of payloads. Hands on: sets of 64-byte granules as bits of one
// word. Owns: nothing. A payload of at most 4096 bytes has 1..64 granules; a record without
// payload counts as one. docs/wire.md, "Fragments".
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <farlane/uapi/tlp.h>

namespace farlane::proto {

constexpr unsigned kGranuleBytes = FL_TLP_FRAGMENT_ALIGN_BYTES;
static_assert(FL_TLP_MAX_PAYLOAD_BYTES / kGranuleBytes == 64, "a granule set is one 64-bit word");

/// Granules [first, first + count), count 1..64.
struct GranuleRun {
    std::uint8_t first = 0;
    std::uint8_t count = 1;
};

[[nodiscard]] constexpr std::uint64_t granule_mask(GranuleRun run) noexcept {
    return (~std::uint64_t{0} >> (64 - run.count)) << run.first;
}

[[nodiscard]] constexpr unsigned granules_of(unsigned length_bytes) noexcept {
    return length_bytes <= kGranuleBytes ? 1 : (length_bytes + kGranuleBytes - 1) / kGranuleBytes;
}

/// All granules of a payload.
[[nodiscard]] constexpr std::uint64_t all_granules(unsigned length_bytes) noexcept {
    return granule_mask({0, static_cast<std::uint8_t>(granules_of(length_bytes))});
}

/// Granules of bytes [offset, +bytes); offset is a multiple of 64.
[[nodiscard]] constexpr GranuleRun run_of(unsigned offset_bytes, unsigned bytes) noexcept {
    return {static_cast<std::uint8_t>(offset_bytes / kGranuleBytes), static_cast<std::uint8_t>(granules_of(bytes))};
}

/// The lowest run of a set that is not empty.
[[nodiscard]] constexpr GranuleRun first_run(std::uint64_t set) noexcept {
    const int first = std::countr_zero(set);
    return {static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(std::countr_one(set >> first))};
}

/// Bytes that a run has of a payload.
[[nodiscard]] constexpr unsigned run_bytes(GranuleRun run, unsigned length_bytes) noexcept {
    const unsigned offset = run.first * kGranuleBytes;
    return offset >= length_bytes ? 0 : std::min(length_bytes - offset, run.count * kGranuleBytes);
}

}  // namespace farlane::proto
