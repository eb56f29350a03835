// SPDX-License-Identifier: Apache-2.0
// Receives: losses and new bindings. Hands on: what has to be sent again. Owns: the growth of
// the window. docs/wire.md, "Order".
#include "proto/outgoing_posted.hpp"

#include <algorithm>

namespace farlane::proto {

namespace {

constexpr std::uint32_t kFirstRecords = 8;

}  // namespace

PostedOut::PostedOut(std::uint64_t next, std::uint32_t window)
    : base_(next),
      ring_(std::min(kFirstRecords, window)),
      window_(window),
      mask_(ring_.size() - 1),
      next_(next),
      released_(next - 1),
      cursor_(next) {
    resend_.resize(ring_.size());
}

void PostedOut::grow() {
    decltype(ring_) more(ring_.size() * 2);
    const std::uint64_t mask = more.size() - 1;
    for (std::uint64_t s = released_ + 1; s < next_; ++s) {
        PostedRecord& r = more[(s - base_) & mask];
        r = at(s);
        r.in_resend = false;
    }
    ring_ = std::move(more);
    mask_ = mask;
    resend_.resize(ring_.size());
    for (std::uint64_t s = released_ + 1; s < cursor_; ++s) {
        PostedRecord& r = at(s);
        if (r.queued == 0) continue;
        r.in_resend = true;
        resend_.push(static_cast<std::uint32_t>(place(s)));
    }
}

std::uint64_t PostedOut::pick_resend() noexcept {
    while (!resend_.empty()) {
        PostedRecord& r = ring_[resend_.front()];
        const std::uint64_t s = r.tlp.sequence;
        if (s > released_ && s < cursor_ && r.queued != 0) return s;
        r.in_resend = false;
        resend_.pop();
    }
    return 0;
}

void PostedOut::lost(std::uint64_t sequence, GranuleRun run) noexcept {
    if (sequence <= released_ || sequence >= next_) return;
    PostedRecord& r = at(sequence);
    r.queued |= granule_mask(run) & ~r.acked;
    if (r.queued == 0 || sequence >= cursor_ || r.in_resend) return;
    r.in_resend = true;
    resend_.push(static_cast<std::uint32_t>(place(sequence)));
}

void PostedOut::limits(std::uint64_t header, std::uint64_t data) noexcept {
    header_limit_ = std::max(header_limit_, header);
    data_limit_ = std::max(data_limit_, data);
}

void PostedOut::rewind() noexcept {
    for (std::uint64_t s = released_ + 1; s < next_; ++s) {
        PostedRecord& r = at(s);
        r.acked = 0;
        r.queued = all_granules(r.tlp.length_bytes);
        r.counted = false;
    }
    cursor_ = released_ + 1;
    header_limit_ = data_used_ = data_limit_ = 0;
}

void PostedOut::restart(std::uint64_t next) noexcept {
    next_ = cursor_ = base_ = next;
    released_ = next - 1;
    header_limit_ = data_used_ = data_limit_ = 0;
}

}  // namespace farlane::proto
