// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: room. Owns: what a session needs while it takes or builds one frame, and no longer.
// Whoever turns many sessions has one for all of them, which stays in the cache.
#pragma once

#include <array>

#include "proto/codec.hpp"
#include "proto/crc32c.hpp"
#include "proto/record_ref.hpp"

namespace farlane::proto {

/// A frame while it is filled.
struct FrameFill {
    static constexpr unsigned kMaxRefs = 256;  // a frame holds at most 200 records

    FrameWriter writer;
    std::size_t empty_room = 0;  ///< room of a frame of this size with nothing in it
    unsigned ref_count = 0;
    bool copies = false;  ///< one of the records was in another frame before
    bool sums = false;    ///< payloads are summed while they are copied here
    unsigned part_count = 0;
    std::array<SummedPart, FL_FRAME_MAX_BYTES / kSumLeastBytes> parts;
    std::array<RecordRef, kMaxRefs> refs;

    [[nodiscard]] bool refs_full() const noexcept { return ref_count == kMaxRefs; }
    void add(const RecordRef& r) noexcept { refs[ref_count++] = r; }
    /// Puts a payload where the writer has room for it.
    void copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
        if (sums && can_sum(bytes))
            parts[part_count++] = {to, static_cast<std::uint32_t>(bytes), copy_summed(to, from, bytes)};
        else
            std::memcpy(to, from, bytes);
    }
    [[nodiscard]] std::span<const SummedPart> all_parts() const noexcept { return {parts.data(), part_count}; }
    [[nodiscard]] std::span<const RecordRef> all_refs() const noexcept { return {refs.data(), ref_count}; }
};

class FunctionCore;

struct Workspace {
    Record record;  ///< filled again and again
    FrameFill fill;
    std::array<AckRange, FL_ACK_MAX_RANGES> ack_ranges;
    std::uint64_t not_on = 0;         ///< paths whose ports take no more
    FunctionCore* touched = nullptr;  ///< its peer is told of what was executed when the frame ends
    std::uint16_t data_bytes = 0;     ///< records of functions
    bool ack_written = false;
};

}  // namespace farlane::proto
