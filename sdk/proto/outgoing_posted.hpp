// SPDX-License-Identifier: Apache-2.0
// Receives: posted records of this side. Hands on: the next part to send, and what the peer has
// released. Owns: the window of posted records that are not released; payloads longer than 64
// bytes stay the submitter's. docs/wire.md, "Order" and "Credits".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "proto/granules.hpp"
#include "proto/prefetch.hpp"
#include "proto/resend_queue.hpp"
#include "proto/slab.hpp"
#include "proto/tlp.hpp"

namespace farlane::proto {

struct PostedRecord {
    Tlp tlp;
    const std::byte* source = nullptr;  ///< null: `inlined`
    std::uint64_t cookie = 0;
    std::uint64_t acked = 0;   ///< granules the peer has
    std::uint64_t queued = 0;  ///< granules to send (again)
    bool notify = false;
    bool counted = false;  ///< its data units are
    bool in_resend = false;
    alignas(8) std::array<std::byte, FL_TLP_INLINE_BYTES> inlined;

    [[nodiscard]] const std::byte* payload() const noexcept { return source != nullptr ? source : inlined.data(); }
};

/// Data units of a posted record: relaxed writes need no buffer at the receiver, so they use none.
[[nodiscard]] constexpr std::uint64_t posted_data_units(const Tlp& tlp) noexcept {
    if (tlp.type == TlpType::memory_write && (tlp.attr & FL_ATTR_RO) != 0) return 0;
    return (tlp.length_bytes + 15u) / 16u;
}

class PostedOut {
public:
    /// `window` is a power of two.
    PostedOut(std::uint64_t next, std::uint32_t window);

    [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
    [[nodiscard]] std::uint64_t released() const noexcept { return released_; }
    [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }
    [[nodiscard]] std::uint32_t room() const noexcept {
        return window_ - static_cast<std::uint32_t>(next_ - 1 - released_);
    }
    [[nodiscard]] PostedRecord& at(std::uint64_t sequence) noexcept { return ring_[place(sequence)]; }

    /// Place of the record next(); null when the window is full. Fill it in, then commit().
    [[nodiscard]] PostedRecord* prepare() {
        if (room() == 0) return nullptr;
        if (next_ - 1 - released_ == mask_ + 1) grow();
        return &at(next_);
    }
    void commit() noexcept {
        PostedRecord& r = at(next_);
        r.acked = 0;
        r.queued = all_granules(r.tlp.length_bytes);
        r.counted = false;
        ++next_;
    }

    /// Sequence of the record to send now, 0 = none that may go.
    [[nodiscard]] std::uint64_t pick() noexcept {
        if (!resend_.empty()) [[unlikely]] {
            if (const std::uint64_t s = pick_resend(); s != 0) return s;
        }
        return cursor_allowed() ? cursor_ : 0;
    }
    [[nodiscard]] bool is_resend(std::uint64_t sequence) const noexcept { return sequence < cursor_; }
    /// Of the record that is sent in the frame after the one with this record.
    void prefetch_after(std::uint64_t sequence) noexcept {
        if (sequence + kFrameAhead >= next_) return;
        const PostedRecord& r = at(sequence + kFrameAhead);
        if (r.source != nullptr) prefetch_long(r.source, r.tlp.length_bytes);
    }
    /// Something was not yet sent at all.
    [[nodiscard]] bool unsent() const noexcept { return cursor_ < next_; }
    /// Something may have to be sent again.
    [[nodiscard]] bool resends() const noexcept { return !resend_.empty(); }
    /// The cursor has something that credits hold back.
    [[nodiscard]] bool blocked() const noexcept { return cursor_ < next_ && !cursor_allowed(); }
    void sent(std::uint64_t sequence, GranuleRun run) noexcept {
        PostedRecord& r = at(sequence);
        r.queued &= ~granule_mask(run);
        if (sequence < cursor_) [[unlikely]] {
            if (r.queued == 0 && r.in_resend) {  // it was the front of the queue
                r.in_resend = false;
                resend_.pop();
            }
            return;
        }
        if (!r.counted) {
            r.counted = true;
            data_used_ += posted_data_units(r.tlp);
        }
        if (r.queued == 0) ++cursor_;
    }

    void acked(std::uint64_t sequence, GranuleRun run) noexcept {
        if (sequence <= released_ || sequence >= next_) return;
        PostedRecord& r = at(sequence);
        r.acked |= granule_mask(run);
        r.queued &= ~granule_mask(run);
        if (sequence == cursor_ && r.queued == 0) ++cursor_;
    }
    void lost(std::uint64_t sequence, GranuleRun run) noexcept;

    /// How far the peer lets this side go.
    void limits(std::uint64_t header, std::uint64_t data) noexcept;
    /// The peer has released one more: its record, which is free after the call.
    [[nodiscard]] PostedRecord& release_one() noexcept {
        PostedRecord& r = at(++released_);
        if (cursor_ <= released_) cursor_ = released_ + 1;
        if (released_ + 1 == next_) base_ = next_;
        return r;
    }

    /// A new binding: everything behind `released()` is sent again; no credits yet.
    void rewind() noexcept;
    /// Forgets all records; the next one gets `next`.
    void restart(std::uint64_t next) noexcept;

private:
    void grow();
    [[nodiscard]] std::uint64_t pick_resend() noexcept;
    [[nodiscard]] std::size_t place(std::uint64_t sequence) const noexcept { return (sequence - base_) & mask_; }
    [[nodiscard]] bool cursor_allowed() const noexcept {
        if (cursor_ >= next_ || cursor_ > header_limit_) return false;
        const PostedRecord& r = ring_[place(cursor_)];
        return r.counted || data_used_ + posted_data_units(r.tlp) <= data_limit_;
    }

    std::uint64_t base_;  // what has the first place of the ring: a window that is empty begins there again
    std::vector<PostedRecord, SlabAllocator<PostedRecord>> ring_;
    ResendQueue resend_;
    std::uint32_t window_;
    std::uint64_t mask_;
    std::uint64_t next_;      // sequence to give next
    std::uint64_t released_;  // by the peer, and everything before
    std::uint64_t cursor_;    // first record that was not yet sent whole
    std::uint64_t header_limit_ = 0;
    std::uint64_t data_used_ = 0, data_limit_ = 0;
};

}  // namespace farlane::proto
