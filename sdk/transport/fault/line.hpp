// SPDX-License-Identifier: Apache-2.0
// Receives: frames in order. Hands on: the same frames as a bad line would: lost, late,
// reordered, doubled, corrupted. Owns: a bounded pool of frame buffers.
#pragma once

#include <cstdint>
#include <vector>

#include "transport/arena.hpp"
#include "transport/fault/spec.hpp"
#include "transport/port.hpp"

namespace farlane::transport {

/// One direction of a fault port. No allocation after construction.
class Line {
public:
    static constexpr std::uint32_t kNone = UINT32_MAX;

    Line(const FaultSpec& spec, std::uint32_t frame_bytes, std::uint64_t salt);

    /// New faults from now on; frames already held keep their fate. `seed` starts anew,
    /// `hold_frames` stays as it was.
    void set(const FaultSpec& spec) noexcept;

    /// An empty buffer, or kNone when hold_frames are in use.
    [[nodiscard]] std::uint32_t alloc() noexcept;
    void free(std::uint32_t slot) noexcept { free_.push_back(slot); }
    [[nodiscard]] std::byte* data(std::uint32_t slot) const noexcept { return arena_.at(slot); }
    [[nodiscard]] bool owns(const std::byte* p) const noexcept { return arena_.owns(p); }

    struct Slot {
        Address address{};
        std::uint32_t size_bytes = 0;
        bool has_address = false;
    };
    [[nodiscard]] Slot& slot(std::uint32_t index) noexcept { return slots_[index]; }

    /// Takes a filled buffer and decides its fate.
    void submit(std::uint32_t index, std::int64_t now_ns) noexcept;
    /// The next frame that is due, or kNone. The caller frees it.
    [[nodiscard]] std::uint32_t pop(std::int64_t now_ns) noexcept;
    [[nodiscard]] std::int64_t next_due_ns() const noexcept { return held_.empty() ? INT64_MAX : held_.front().due_ns; }

    /// Adds its fault counts.
    void add_to(PortCounters& c) const noexcept;

private:
    struct Held {
        std::int64_t due_ns;
        std::uint64_t order;  // frames due at the same time leave in the order they came
        std::uint32_t slot;
        // "later" makes std::push_heap keep the earliest in front
        friend bool operator<(const Held& a, const Held& b) noexcept {
            return a.due_ns != b.due_ns ? a.due_ns > b.due_ns : a.order > b.order;
        }
    };
    void hold(std::uint32_t index, std::int64_t due_ns, std::uint64_t order) noexcept;
    void flip_bits(std::uint32_t index, std::uint64_t random) noexcept;
    [[nodiscard]] std::int64_t due_ns(std::uint32_t size_bytes, std::int64_t now_ns, bool held_back) noexcept;
    [[nodiscard]] bool queue_full(std::uint32_t size_bytes, std::int64_t now_ns) const noexcept;
    [[nodiscard]] std::uint64_t random() noexcept;
    [[nodiscard]] bool chance(double probability) noexcept;

    FaultSpec spec_;
    std::uint64_t salt_, state_ = 0;
    Arena arena_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::vector<Held> held_;  // a heap
    std::uint64_t next_order_ = 1;
    std::int64_t last_due_ns_ = 0;   // jitter never lets a frame overtake another
    std::int64_t line_free_ns_ = 0;  // rate: when the last bit of the last frame has left
    std::uint64_t lost_ = 0, delayed_ = 0, reordered_ = 0, duplicated_ = 0, corrupted_ = 0;
};

}  // namespace farlane::transport
