// SPDX-License-Identifier: Apache-2.0
// Receives: answers, acknowledgements, releases. Hands on: what to send. Owns: nothing more.
// docs/wire.md, "Completions" and "Exactly once".
#include "proto/outgoing_completions.hpp"

#include <algorithm>
#include <atomic>

namespace farlane::proto {

CompletionsOut::CompletionsOut(FunctionMemory& memory, FunctionCounts& counts) : memory_(memory), counts_(counts) {
    resend_.resize(kSlots);
    adopt();
}

// Every completion sequence between the last released and next() has a slot: plausible() has
// checked it, and create() leaves none.
void CompletionsOut::adopt() noexcept {
    free_count_ = 0;
    released_ = next() - 1;
    for (std::uint32_t i = kSlots; i-- > 0;) {
        const ResultSlot& r = memory_.results[i];
        if (r.request_sequence == 0) {
            places_->free[free_count_++] = static_cast<std::uint16_t>(i);
        } else if (r.completion_sequence != 0) {
            places_->slot_of[r.completion_sequence % kSlots] = static_cast<std::uint16_t>(i);
            released_ = std::min(released_, r.completion_sequence - 1);
        }
    }
    rewind();
}

std::uint64_t CompletionsOut::granules(std::uint64_t sequence) const noexcept {
    const ResultSlot& r = memory_.results[slot_of(sequence)];
    return all_granules(r.status == FL_STATUS_SC ? r.length_bytes : 0);
}

void CompletionsOut::answered(std::uint32_t slot, std::uint64_t follows_posted) noexcept {
    ResultSlot& r = memory_.results[slot];
    const std::uint64_t sequence = next();
    r.follows_posted = follows_posted;
    std::atomic_signal_fence(std::memory_order_release);
    r.completion_sequence = sequence;  // from here on it is the answer, also after a kill
    std::atomic_signal_fence(std::memory_order_release);
    counts_.next[FL_CLASS_COMPLETION] = sequence + 1;
    places_->slot_of[sequence % kSlots] = static_cast<std::uint16_t>(slot);
    Part& p = places_->parts[sequence % kSlots];
    p.acked = 0;
    p.queued = granules(sequence);
}

std::uint64_t CompletionsOut::pick_resend() noexcept {
    while (!resend_.empty()) {
        // The place says which sequence of the window it is: there are as many as places.
        const std::uint32_t place = resend_.front();
        const std::uint64_t s = released_ + 1 + (place - (released_ + 1)) % kSlots;
        if (s < cursor_ && places_->parts[place].queued != 0) return s;
        places_->parts[place].in_resend = false;
        resend_.pop();
    }
    return 0;
}

void CompletionsOut::sent(std::uint64_t sequence, GranuleRun run) noexcept {
    Part& p = places_->parts[sequence % kSlots];
    p.queued &= ~granule_mask(run);
    if (sequence == cursor_) {
        if (p.queued == 0) ++cursor_;
    } else if (p.queued == 0 && p.in_resend) {
        p.in_resend = false;
        resend_.pop();
    }
}

void CompletionsOut::acked(std::uint64_t sequence, GranuleRun run) noexcept {
    if (sequence <= released_ || sequence >= next()) return;
    Part& p = places_->parts[sequence % kSlots];
    p.acked |= granule_mask(run);
    p.queued &= ~granule_mask(run);
    if (sequence == cursor_ && p.queued == 0) ++cursor_;
}

void CompletionsOut::lost(std::uint64_t sequence, GranuleRun run) noexcept {
    if (sequence <= released_ || sequence >= next()) return;
    Part& p = places_->parts[sequence % kSlots];
    p.queued |= granule_mask(run) & ~p.acked;
    if (p.queued == 0 || sequence >= cursor_ || p.in_resend) return;
    p.in_resend = true;
    resend_.push(static_cast<std::uint32_t>(sequence % kSlots));
}

void CompletionsOut::release_to(std::uint64_t sequence) noexcept {
    while (released_ < sequence && released_ + 1 < next()) {
        ++released_;
        const std::uint32_t slot = slot_of(released_);
        places_->parts[released_ % kSlots].queued = 0;
        memory_.results[slot].request_sequence = 0;
        places_->free[free_count_++] = static_cast<std::uint16_t>(slot);
    }
    cursor_ = std::max(cursor_, released_ + 1);
}

void CompletionsOut::rewind() noexcept {
    for (std::uint64_t s = released_ + 1; s < next(); ++s) {
        Part& p = places_->parts[s % kSlots];
        p.acked = 0;
        p.queued = granules(s);
    }
    cursor_ = released_ + 1;
    header_limit_ = 0;
}

void CompletionsOut::restart() noexcept {
    for (Part& p : places_->parts) p.queued = p.acked = 0;
    adopt();
}

}  // namespace farlane::proto
