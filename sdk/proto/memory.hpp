// SPDX-License-Identifier: Apache-2.0
// Receives: raw memory that outlives the daemon. Hands on: the state of one function
// that makes "exactly once" true across kill -9. Owns: nothing; the caller keeps the memory.
// docs/wire.md, "Exactly once". What is found in adopted memory is treated as hostile.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "proto/tlp.hpp"

namespace farlane::proto {

constexpr std::uint32_t kRequestWindow = 256;  // non-posted records a peer may have outstanding
constexpr std::uint32_t kMapSlots = 4096;      // mappings announced per function

/// ResultSlot::flags: the data comes from FunctionHandler::fetch, not from `result_data`.
constexpr std::uint8_t kResultByFetch = 0x1;
/// ... the request can be executed again, or its answer be late, without anybody noticing
/// (FunctionLimits::repeat_reads).
constexpr std::uint8_t kResultRepeatable = 0x2;
constexpr std::uint8_t kResultKnownFlags = kResultByFetch | kResultRepeatable;

/// Result of a request, kept until the peer has released its completion.
struct ResultSlot {
    std::uint64_t request_sequence;     // non-posted sequence it answers, 0 = free
    std::uint64_t completion_sequence;  // 0 = not answered yet
    std::uint64_t follows_posted;       // of the completion
    std::uint64_t address;
    std::uint32_t tag;
    std::uint16_t length_bytes;
    std::uint8_t status;  // enum fl_status 0..15
    std::uint8_t flags;   // kResult*
    std::uint32_t pasid;
    std::uint32_t reserved[3];
};

/// A range the initiator has announced (FL_MSG_MAP).
struct MapSlot {
    std::uint64_t iova;
    std::uint64_t length_bytes;  // 0 = free
    std::uint32_t direction;     // FL_MAP_DEVICE_*
    std::uint32_t pasid;
};

/// Where one function stands: what every record of it writes.
struct FunctionCounts {
    // Incoming: executed and never to be executed again, per class.
    std::uint64_t released[kClasses];
    // Class and sequence that is being executed; 0 = none. Written before, cleared after.
    std::uint64_t intent;  // class << 62 | sequence
    // Outgoing: next sequence to give, per class.
    std::uint64_t next[kClasses];
};

/// The memory of one function at one side. Plain data at a fixed place; written by one lane.
struct FunctionMemory {
    static constexpr std::uint64_t kMagic = 0x324d454d4e554c46;       // "FLUNMEM2"
    static constexpr std::uint64_t kMagicApart = 0x334d454d4e554c46;  // "FLUNMEM3": `counts` lie elsewhere

    std::uint64_t magic;
    std::uint16_t index;
    std::uint16_t generation;
    std::uint32_t in_use;
    FunctionCounts counts;
    std::uint64_t map_slots;  // of `maps`: those from here on are whatever they are, and in memory that nobody touched
    std::uint64_t reserved[7];
    MapSlot maps[kMapSlots];
    ResultSlot results[kRequestWindow];
    // Apart from the slots: a page is touched only when an answer needs it.
    std::byte result_data[kRequestWindow][FL_TLP_MAX_PAYLOAD_BYTES];

    /// Makes it a fresh function. Not for the hot path.
    void create(FunctionHandle handle) noexcept;
    /// The first free slot of `maps`, with length 0; null when all are in use.
    [[nodiscard]] MapSlot* free_map() noexcept;
    /// True when the content can be one that create() and Function left behind.
    [[nodiscard]] bool plausible() const noexcept;
};

/// The memory of one function, and its counts: those in it, or others that lie with those of other functions. Of
/// thousands of functions each has pages of its own; a line of a page that is in use anyway costs much less.
class FunctionPlace {
public:
    FunctionPlace(FunctionMemory& m) noexcept : memory(m), counts(m.counts) {}
    FunctionPlace(FunctionMemory& m, FunctionCounts& apart) noexcept : memory(m), counts(apart) {}

    void create(FunctionHandle handle) noexcept;
    [[nodiscard]] bool plausible() const noexcept;
    /// Memory of an earlier life may have its counts in it: moves them here. Before plausible().
    void take_over() noexcept;

    FunctionMemory& memory;
    FunctionCounts& counts;

private:
    [[nodiscard]] std::uint64_t magic() const noexcept {
        return &counts == &memory.counts ? FunctionMemory::kMagic : FunctionMemory::kMagicApart;
    }
};

}  // namespace farlane::proto
