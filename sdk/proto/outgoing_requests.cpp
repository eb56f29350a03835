// SPDX-License-Identifier: Apache-2.0
// Receives: requests, acknowledgements, releases. Hands on: what to send. Owns: the table.
// docs/wire.md, "Requests".
#include "proto/outgoing_requests.hpp"

#include <algorithm>
#include <bit>

namespace farlane::proto {

namespace {

constexpr std::uint32_t kFirstSlots = 16;

}  // namespace

RequestsOut::RequestsOut(std::uint64_t next, std::uint32_t window)
    : by_sequence_(window * 2, static_cast<std::uint16_t>(kNone)),
      window_(window),
      slot_mask_(window - 1),
      slot_bits_(static_cast<unsigned>(std::countr_zero(window))),
      sequence_mask_(window * 2 - 1),
      next_(next),
      released_(next - 1),
      cursor_(next) {
    free_.reserve(window);
    resend_.resize(window);
    grow();
}

bool RequestsOut::grow() {
    if (slots_.size() >= window_) return false;
    const std::size_t before = slots_.size();
    slots_.resize(std::min<std::size_t>(window_, before == 0 ? kFirstSlots : before * 2));
    for (std::size_t i = slots_.size(); i > before; --i) free_.push_back(static_cast<std::uint16_t>(i - 1));
    return true;
}

std::uint32_t RequestsOut::room() const noexcept {
    const auto by_slots = static_cast<std::uint32_t>(free_.size() + (window_ - slots_.size()));
    const auto by_sequences = static_cast<std::uint32_t>(by_sequence_.size() - (next_ - 1 - released_));
    return std::min(by_slots, by_sequences);
}

RequestRecord* RequestsOut::prepare(std::uint32_t& slot) {
    if (next_ - 1 - released_ >= by_sequence_.size()) return nullptr;
    if (free_.empty() && !grow()) return nullptr;
    slot = free_.back();
    return &slots_[slot];
}

void RequestsOut::commit(std::uint32_t slot, Time now) noexcept {
    free_.pop_back();
    RequestRecord& r = slots_[slot];
    r.tlp.sequence = next_;
    r.tlp.tag = static_cast<std::uint32_t>(next_ << slot_bits_) | slot;
    r.submitted = now;
    r.used = r.waited_for = true;
    r.executed = r.delivered = r.queued = false;
    by_sequence_[next_ & sequence_mask_] = static_cast<std::uint16_t>(slot);
    ++next_;
    r.older = static_cast<std::uint16_t>(newest_);
    r.newer = static_cast<std::uint16_t>(kNone);
    if (newest_ != kNone)
        slots_[newest_].newer = static_cast<std::uint16_t>(slot);
    else
        oldest_ = slot;
    newest_ = slot;
}

void RequestsOut::unlink(std::uint32_t slot) noexcept {
    const RequestRecord& r = slots_[slot];
    if (r.older != kNone)
        slots_[r.older].newer = r.newer;
    else
        oldest_ = r.newer;
    if (r.newer != kNone)
        slots_[r.newer].older = r.older;
    else
        newest_ = r.older;
}

std::uint64_t RequestsOut::pick_resend() noexcept {
    while (!resend_.empty()) {
        RequestRecord& r = slots_[resend_.front()];
        if (r.used && r.queued && r.tlp.sequence < cursor_) return r.tlp.sequence;
        r.in_resend = false;
        resend_.pop();
    }
    return 0;
}

void RequestsOut::sent(std::uint64_t sequence) noexcept {
    if (sequence == cursor_) {
        ++cursor_;
        return;
    }
    const std::uint32_t s = find(sequence);
    if (s == kNone) return;
    RequestRecord& r = slots_[s];
    r.queued = false;
    if (!r.in_resend) return;
    r.in_resend = false;
    resend_.pop();
}

void RequestsOut::acked(std::uint64_t sequence) noexcept {
    const std::uint32_t s = find(sequence);
    if (s == kNone) return;
    slots_[s].delivered = true;
    slots_[s].queued = false;
}

void RequestsOut::lost(std::uint64_t sequence) noexcept {
    const std::uint32_t s = find(sequence);
    if (s == kNone || sequence >= cursor_) return;
    RequestRecord& r = slots_[s];
    if (r.delivered || r.executed) return;
    r.queued = true;
    if (r.in_resend) return;
    r.in_resend = true;
    resend_.push(s);
}

void RequestsOut::free_slot(std::uint32_t slot) noexcept {
    RequestRecord& r = slots_[slot];
    r.used = false;
    r.queued = false;
    by_sequence_[r.tlp.sequence & sequence_mask_] = static_cast<std::uint16_t>(kNone);
    free_.push_back(static_cast<std::uint16_t>(slot));
}

void RequestsOut::settle(std::uint32_t slot, bool answered) noexcept {
    RequestRecord& r = slots_[slot];
    r.waited_for = false;
    unlink(slot);
    if (r.executed)
        free_slot(slot);
    else if (answered)
        executed_to(r.tlp.sequence);
}

void RequestsOut::executed_to(std::uint64_t sequence) noexcept {
    while (released_ < sequence && released_ + 1 < next_) {
        ++released_;
        const std::uint32_t s = find(released_);
        if (s == kNone) continue;
        slots_[s].executed = true;
        slots_[s].queued = false;
        if (!slots_[s].waited_for) free_slot(s);
    }
    cursor_ = std::max(cursor_, released_ + 1);
}

void RequestsOut::rewind() noexcept {
    for (std::uint64_t n = released_ + 1; n < next_; ++n) {
        const std::uint32_t s = find(n);
        if (s != kNone) slots_[s].delivered = slots_[s].queued = false;
    }
    cursor_ = released_ + 1;
    header_limit_ = 0;
}

void RequestsOut::restart(std::uint64_t next) noexcept {
    for (std::uint32_t s = 0; s < slots_.size(); ++s)
        if (slots_[s].used) free_slot(s);
    next_ = cursor_ = next;
    released_ = next - 1;
    header_limit_ = 0;
}

}  // namespace farlane::proto
