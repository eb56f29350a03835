// SPDX-License-Identifier: Apache-2.0
// Receives: raw memory that outlives the daemon. Hands on: whether it can be believed.
// Owns: nothing. docs/wire.md, "Exactly once".
//
// What a kill leaves behind, store by store. All stores are made by one thread in this order
// (compiler fences only: what the next life reads is what this thread had retired).
//
// Posted record s, strict:
//   1  intent = (posted, s)
//   2  handler executes it
//   3  released[posted] = s
//   4  intent = 0
//   Kill before 3: not released, the peer sends s again, it may be executed twice (a memory
//   write or an MSI may be repeated). Kill after 3: released, never again; an intent that is
//   not above `released` means nothing.
// Relaxed write s: placed on arrival without an intent; released[posted] passes it when
//   everything before it is placed. Kill before that: it is sent, and placed, once more.
//
// Request s (read, atomic, configuration access), executed in order of sequence:
//   1  result slot filled in: tag, address, status CA, completion_sequence = 0
//   2  slot.request_sequence = s
//   3  intent = (non-posted, s)
//   4  handler executes it; the data goes into the slot
//   5  slot.status, slot.follows_posted, then slot.completion_sequence = c
//   6  next[completion] = c + 1
//   7  released[non-posted] = s
//   8  intent = 0
//   An answer that comes later (Answer::later) has 7 and 8 first, then 5 and 6.
//   Kill before 3: the slot is above `released` without intent: never begun. The slot is freed,
//     the peer sends s again, it is executed for the first time.
//   Kill in 3..5: in doubt. It is answered CA under the next completion sequence, released[]
//     becomes s, it is never executed again. Not so a read that may be repeated (kResultRepeatable):
//     without a completion sequence it is as one that was never begun.
//   Kill after 5, before 7: the answer is whole: it is sent as it is, released[] becomes s.
//   Kill after 7 and before 5 of a later answer: the device's answer is gone: CA.
//   Kill between 5 and 6: next[] is taken from the largest completion_sequence.
//
// Completion c of this side's own answers: its slot is freed (request_sequence = 0) when the
//   peer says it has released c. Kill before: it is sent again under the same sequence, the peer
//   drops the duplicate. Kill after: gone for good.
// Completion c of the peer: `into` is filled, the requester is told, released[completion] = c.
//   The requester died with the kill in any case: the next life finds nobody who waits for c,
//   counts it as unexpected and releases it.
//
// Own posted record or request s: next[] = s + 1 before s can leave. The record itself is not
//   kept here. The next life asks the peer what it has released (attach, resume, origin_lost)
//   and goes on behind that; whoever has the source (the ring of an application, a device that
//   keeps its commands) submits again what was not released. The peer forgets what it had
//   received behind its `released`, so old and new records of one sequence never mix.
//   An answer whose follows_posted is not released follows writes that are gone: it becomes CA, but
//   for one of a read that may be repeated: that goes out when they have been submitted again.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "proto/codec.hpp"
#include "proto/memory.hpp"

namespace farlane::proto {

static_assert(std::is_trivially_copyable_v<FunctionMemory> && std::is_standard_layout_v<FunctionMemory>);
// Files of earlier lives lie like that, of both kinds: another layout needs another magic.
static_assert(offsetof(FunctionMemory, counts) == 16 && sizeof(FunctionCounts) == 56);
static_assert(offsetof(FunctionMemory, map_slots) == 72 && offsetof(FunctionMemory, maps) == 136);

void FunctionPlace::create(FunctionHandle handle) noexcept {
    memory.magic = 0;  // a kill in between leaves something that is not plausible
    std::atomic_signal_fence(std::memory_order_release);
    memory.index = handle.index;
    memory.generation = handle.generation;
    for (unsigned c = 0; c < kClasses; ++c) {
        counts.released[c] = 0;
        counts.next[c] = 1;
    }
    counts.intent = 0;
    std::fill(std::begin(memory.reserved), std::end(memory.reserved), 0);
    memory.map_slots = 0;
    for (ResultSlot& r : memory.results) r.request_sequence = r.completion_sequence = 0;
    memory.in_use = 1;
    std::atomic_signal_fence(std::memory_order_release);
    memory.magic = magic();
}

// A kill in between leaves memory that still has its counts in it.
void FunctionPlace::take_over() noexcept {
    if (&counts == &memory.counts || memory.magic != FunctionMemory::kMagic) return;
    counts = memory.counts;
    std::atomic_signal_fence(std::memory_order_release);
    memory.magic = FunctionMemory::kMagicApart;
}

void FunctionMemory::create(FunctionHandle handle) noexcept {
    FunctionPlace(*this).create(handle);
}

// A kill in between leaves a slot more that is free.
MapSlot* FunctionMemory::free_map() noexcept {
    for (std::uint64_t i = 0; i < map_slots; ++i)
        if (maps[i].length_bytes == 0) return &maps[i];
    if (map_slots == kMapSlots) return nullptr;
    MapSlot& m = maps[map_slots];
    m = MapSlot{};
    std::atomic_signal_fence(std::memory_order_release);
    ++map_slots;
    return &m;
}

namespace {

bool plausible_counts(const FunctionCounts& m) noexcept {
    for (unsigned c = 0; c < kClasses; ++c)
        if (m.released[c] >= kMaxSequence || m.next[c] == 0 || m.next[c] >= kMaxSequence) return false;
    if (m.intent == 0) return true;
    const std::uint64_t record_class = m.intent >> 62;
    const std::uint64_t sequence = m.intent & kMaxSequence;
    if (record_class != FL_CLASS_POSTED && record_class != FL_CLASS_NON_POSTED) return false;
    return sequence == m.released[record_class] || sequence == m.released[record_class] + 1;
}

// Answered results have consecutive completion sequences that end with the last one given; at
// most one of them is above `next` (step 6 above was not reached).
bool plausible_results(const FunctionMemory& m, const FunctionCounts& counts) noexcept {
    std::array<bool, kRequestWindow> seen{};
    const std::uint64_t next = counts.next[FL_CLASS_COMPLETION];
    std::uint64_t low = next, high = 0, answered = 0;
    bool doubt_has_slot = counts.intent >> 62 != FL_CLASS_NON_POSTED ||
                          (counts.intent & kMaxSequence) == counts.released[FL_CLASS_NON_POSTED];
    for (const ResultSlot& r : m.results) {
        if (r.request_sequence == 0) continue;
        if (r.request_sequence > counts.released[FL_CLASS_NON_POSTED] + 1) return false;
        if (r.length_bytes > FL_TLP_MAX_PAYLOAD_BYTES || (r.flags & ~kResultKnownFlags) != 0) return false;
        if (r.status > FL_STATUS_CA || r.status == 3) return false;  // SC, UR, CRS, CA
        if (r.request_sequence == (counts.intent & kMaxSequence)) doubt_has_slot = true;
        const std::uint64_t c = r.completion_sequence;
        if (c == 0) continue;
        if (c > next || next - c > kRequestWindow) return false;
        // Killed again before the writes that a read of memory follows were submitted again: it waits for them.
        const bool waits = (r.flags & kResultRepeatable) != 0 && r.follows_posted < kMaxSequence;
        if (r.follows_posted >= counts.next[FL_CLASS_POSTED] && !waits) return false;
        if (std::exchange(seen[c % kRequestWindow], true)) return false;
        low = std::min(low, c);
        high = std::max(high, c);
        ++answered;
    }
    if (!doubt_has_slot) return false;
    return answered == 0 || (high - low + 1 == answered && high + 1 >= next);
}

bool plausible_maps(const FunctionMemory& m) noexcept {
    if (m.map_slots > kMapSlots) return false;
    return std::all_of(m.maps, m.maps + m.map_slots, [](const MapSlot& s) {
        if (s.length_bytes == 0) return true;
        const bool direction = s.direction != 0 && (s.direction & ~(FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES)) == 0;
        return direction && s.pasid <= FL_PASID_MAX && s.iova + (s.length_bytes - 1) >= s.iova;
    });
}

}  // namespace

bool FunctionPlace::plausible() const noexcept {
    return memory.magic == magic() && memory.in_use == 1 && plausible_counts(counts) &&
           plausible_results(memory, counts) && plausible_maps(memory);
}

bool FunctionMemory::plausible() const noexcept {
    return FunctionPlace(const_cast<FunctionMemory&>(*this)).plausible();
}

}  // namespace farlane::proto
