// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: room. Owns: what a session needs while it takes or builds one frame, and no longer.
// Whoever turns many sessions has one for all of them, which stays in the cache.
#pragma once

#include <array>

#include "proto/codec.hpp"
#include "proto/record_ref.hpp"

namespace farlane::proto {

/// A frame while it is filled.
struct FrameFill {
    static constexpr unsigned kMaxRefs = 256;  // a frame holds at most 200 records

    FrameWriter writer;
    std::size_t empty_room = 0;  ///< room of a frame of this size with nothing in it
    unsigned ref_count = 0;
    bool copies = false;  ///< one of the records was in another frame before
    std::array<RecordRef, kMaxRefs> refs;

    [[nodiscard]] bool refs_full() const noexcept { return ref_count == kMaxRefs; }
    void add(const RecordRef& r) noexcept { refs[ref_count++] = r; }
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
