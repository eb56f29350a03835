// SPDX-License-Identifier: Apache-2.0
// Receives: answers to the peer's requests. Hands on: the next part of one to send. Owns: what
// has been sent of them; the answers themselves are in FunctionMemory and outlive the daemon.
// docs/wire.md, "Completions" and "Exactly once".
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "proto/granules.hpp"
#include "proto/memory.hpp"
#include "proto/resend_queue.hpp"

namespace farlane::proto {

class CompletionsOut {
public:
    static constexpr std::uint32_t kSlots = kRequestWindow;
    static constexpr std::uint32_t kNone = 0xffffffff;

    /// Takes up what `memory` holds: answered results are sent (again), the others are free.
    CompletionsOut(FunctionMemory& memory, FunctionCounts& counts);

    [[nodiscard]] std::uint32_t free_slots() const noexcept { return free_count_; }
    /// A free result slot, or kNone.
    [[nodiscard]] std::uint32_t take_slot() noexcept { return free_count_ == 0 ? kNone : places_->free[--free_count_]; }
    /// The answer in `slot` is whole: gives it the next completion sequence.
    void answered(std::uint32_t slot, std::uint64_t follows_posted) noexcept;

    [[nodiscard]] std::uint64_t released() const noexcept { return released_; }
    [[nodiscard]] std::uint64_t next() const noexcept { return counts_.next[FL_CLASS_COMPLETION]; }
    [[nodiscard]] std::uint32_t slot_of(std::uint64_t sequence) const noexcept {
        return places_->slot_of[sequence % kSlots];
    }

    [[nodiscard]] std::uint64_t pick() noexcept {
        if (!resend_.empty()) [[unlikely]] {
            if (const std::uint64_t s = pick_resend(); s != 0) return s;
        }
        return cursor_ < next() && cursor_ <= header_limit_ ? cursor_ : 0;
    }
    [[nodiscard]] bool is_resend(std::uint64_t sequence) const noexcept { return sequence < cursor_; }
    [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }
    /// Something is there to be sent, for the first time or again.
    [[nodiscard]] bool has_unsent() const noexcept { return cursor_ < next() || !resend_.empty(); }
    /// It is one of a single granule, nothing of it was ever sent, and it may go.
    [[nodiscard]] bool one_whole() const noexcept {
        return cursor_ + 1 == next() && cursor_ <= header_limit_ && resend_.empty() && queued(cursor_) == 1;
    }
    [[nodiscard]] std::uint64_t queued(std::uint64_t sequence) const noexcept {
        return places_->parts[sequence % kSlots].queued;
    }
    void sent(std::uint64_t sequence, GranuleRun run) noexcept;
    /// The same of what one_whole() speaks of.
    void sent_one() noexcept { places_->parts[cursor_++ % kSlots].queued = 0; }
    void acked(std::uint64_t sequence, GranuleRun run) noexcept;
    void lost(std::uint64_t sequence, GranuleRun run) noexcept;
    void limit(std::uint64_t header) noexcept { header_limit_ = header > header_limit_ ? header : header_limit_; }
    /// The peer has taken every completion up to this one: their results are free.
    void release_to(std::uint64_t sequence) noexcept;

    void rewind() noexcept;
    /// Memory was made afresh.
    void restart() noexcept;

private:
    struct Part {
        std::uint64_t acked = 0, queued = 0;
        bool in_resend = false;
    };
    [[nodiscard]] std::uint64_t pick_resend() noexcept;
    [[nodiscard]] std::uint64_t granules(std::uint64_t sequence) const noexcept;
    void adopt() noexcept;

    struct Places {
        std::array<Part, kSlots> parts{};  // by completion sequence
        std::array<std::uint16_t, kSlots> slot_of{};
        std::array<std::uint16_t, kSlots> free{};
    };

    std::uint32_t free_count_ = 0;
    FunctionMemory& memory_;
    FunctionCounts& counts_;
    std::uint64_t released_ = 0, cursor_ = 1;
    std::uint64_t header_limit_ = 0;
    ResendQueue resend_;
    std::unique_ptr<Places> places_ = std::make_unique<Places>();
};

}  // namespace farlane::proto
