// SPDX-License-Identifier: Apache-2.0
// Receives: requests of this side. Hands on: the next one to send, and whom an answer belongs
// to. Owns: the table of requests that have no answer, and those given up that the peer may
// still execute. docs/wire.md, "Requests".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "proto/prefetch.hpp"
#include "proto/resend_queue.hpp"
#include "proto/time.hpp"
#include "proto/tlp.hpp"

namespace farlane::proto {

struct RequestRecord {
    Tlp tlp;
    std::uint64_t cookie = 0;
    std::byte* into = nullptr;
    Time submitted{};
    std::uint16_t into_bytes = 0;
    std::uint16_t newer = 0, older = 0;  ///< in order of submission, while waited for
    bool used = false;
    bool waited_for = false;  ///< its submitter waits; else it only has to reach the peer
    bool executed = false;    ///< the peer said so
    bool delivered = false;   ///< the packet arrived
    bool queued = false;      ///< send again
    bool in_resend = false;
    std::array<std::byte, FL_TLP_INLINE_BYTES> operand;
};

class RequestsOut {
public:
    static constexpr std::uint32_t kNone = 0xffff;

    /// `window`: records at most, a power of two, at most 32768.
    RequestsOut(std::uint64_t next, std::uint32_t window);

    [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
    [[nodiscard]] std::uint64_t released() const noexcept { return released_; }
    [[nodiscard]] std::uint32_t room() const noexcept;
    [[nodiscard]] RequestRecord& slot(std::uint32_t i) noexcept { return slots_[i]; }
    [[nodiscard]] std::size_t slot_count() const noexcept { return slots_.size(); }

    /// A free record with its sequence and tag set; null when the window is full. Then commit().
    [[nodiscard]] RequestRecord* prepare(std::uint32_t& slot);
    void commit(std::uint32_t slot, Time now) noexcept;
    /// The newest of those that wait was submitted then.
    void asked_at(Time now) noexcept {
        if (newest_ != kNone) slots_[newest_].submitted = now;
    }

    [[nodiscard]] std::uint64_t pick() noexcept {
        if (!resend_.empty()) [[unlikely]] {
            if (const std::uint64_t s = pick_resend(); s != 0) return s;
        }
        return cursor_ < next_ && cursor_ <= header_limit_ ? cursor_ : 0;
    }
    [[nodiscard]] bool is_resend(std::uint64_t sequence) const noexcept { return sequence < cursor_; }
    [[nodiscard]] std::uint64_t cursor() const noexcept { return cursor_; }
    /// Something is there to be sent, for the first time or again.
    [[nodiscard]] bool has_unsent() const noexcept { return cursor_ < next_ || !resend_.empty(); }
    /// It is one, was never sent, and may go.
    [[nodiscard]] bool one() const noexcept {
        return cursor_ + 1 == next_ && cursor_ <= header_limit_ && resend_.empty();
    }
    [[nodiscard]] std::uint32_t find(std::uint64_t sequence) const noexcept {
        const std::uint32_t s = by_sequence_[sequence & sequence_mask_];
        return s != kNone && slots_[s].used && slots_[s].tlp.sequence == sequence ? s : kNone;
    }
    void sent(std::uint64_t sequence) noexcept;
    /// The same of what one() speaks of.
    void sent_one() noexcept { ++cursor_; }
    /// Of what one() speaks of.
    [[nodiscard]] const RequestRecord& newest() const noexcept {
        return slots_[by_sequence_[cursor_ & sequence_mask_]];
    }
    void acked(std::uint64_t sequence) noexcept;
    void lost(std::uint64_t sequence) noexcept;
    void limit(std::uint64_t header) noexcept { header_limit_ = header > header_limit_ ? header : header_limit_; }

    /// The request that waits for an answer with this tag, or kNone.
    [[nodiscard]] std::uint32_t waiting(std::uint32_t tag) const noexcept {
        const std::uint32_t s = tag & slot_mask_;
        if (s >= slots_.size()) return kNone;
        const RequestRecord& r = slots_[s];
        return r.used && r.waited_for && r.tlp.tag == tag && r.tlp.sequence < cursor_ ? s : kNone;
    }
    /// Where the answer goes that comes in the frame after the one with the answer to `slot`, when they come in order.
    void prefetch_after(std::uint32_t slot) noexcept {
        for (unsigned i = 0; i < kFrameAhead; ++i) {
            slot = slots_[slot].newer;
            if (slot == kNone) return;
        }
        prefetch_long(slots_[slot].into, slots_[slot].into_bytes);
    }
    /// Nobody waits any more: answered (then the peer has executed it), or given up.
    void settle(std::uint32_t slot, bool answered) noexcept;
    /// The peer has executed everything up to `sequence`.
    void executed_to(std::uint64_t sequence) noexcept;

    /// Longest waiting request, or kNone.
    [[nodiscard]] std::uint32_t oldest_waiting() const noexcept { return oldest_; }

    void rewind() noexcept;
    /// Forgets everything, except who waits: that has been settled before.
    void restart(std::uint64_t next) noexcept;

private:
    [[nodiscard]] std::uint64_t pick_resend() noexcept;
    void free_slot(std::uint32_t slot) noexcept;
    void unlink(std::uint32_t slot) noexcept;
    bool grow();

    std::vector<RequestRecord> slots_;
    std::vector<std::uint16_t> by_sequence_;
    std::vector<std::uint16_t> free_;
    ResendQueue resend_;
    std::uint32_t window_;
    std::uint32_t slot_mask_;  // slot number in a tag
    unsigned slot_bits_;
    std::uint64_t sequence_mask_;
    std::uint64_t next_, released_, cursor_;
    std::uint64_t header_limit_ = 0;
    std::uint32_t oldest_ = kNone, newest_ = kNone;
};

}  // namespace farlane::proto
