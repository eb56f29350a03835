// SPDX-License-Identifier: Apache-2.0
// Receives: posted records out of order or in parts. Hands on: them, when whole. Owns: the
// reorder window. docs/wire.md, "Order".
#include "proto/incoming_posted.hpp"

#include <bit>
#include <cstring>

namespace farlane::proto {

namespace {

constexpr std::uint32_t kFirstPlaces = 64;

bool same_record(const Tlp& a, const Tlp& b) noexcept {
    return a.type == b.type && a.attr == b.attr && a.byte_enables == b.byte_enables && a.bar == b.bar &&
           a.code == b.code && a.length_bytes == b.length_bytes && a.pasid == b.pasid && a.address == b.address;
}

}  // namespace

PostedIn::PostedIn(std::uint64_t placed, std::uint32_t window, std::uint32_t reorder_bytes)
    : placed_(placed), window_(window), reorder_bytes_(reorder_bytes) {}

void PostedIn::Kept::grow_to(std::uint64_t distance) {
    std::vector<Slot> more(std::max<std::size_t>(kFirstPlaces, std::bit_ceil(distance)));
    const std::uint64_t mask = more.size() - 1;
    for (Slot& s : ring)
        if (s.sequence != 0) more[s.sequence & mask] = s;
    ring = std::move(more);
}

PostedIn::Taken PostedIn::take(const TlpRecord& r, bool keep, std::uint64_t& fresh) {
    const std::uint64_t distance = r.tlp.sequence - placed_;
    if (kept_ == nullptr) kept_ = std::make_unique<Kept>(reorder_bytes_);
    if (distance > kept_->ring.size()) kept_->grow_to(distance);
    Slot& s = kept_->at(r.tlp.sequence);
    const GranuleRun run = run_of(r.offset_bytes, static_cast<unsigned>(r.payload.size()));
    if (s.sequence == 0) {
        if (keep && r.tlp.length_bytes > s.inlined.size()) {
            s.block = kept_->pool.take(r.tlp.length_bytes);
            if (s.block == nullptr) return Taken::no_memory;
        }
        s.sequence = r.tlp.sequence;
        s.received = 0;
        s.tlp = r.tlp;
        ++pending_;
    } else if (!same_record(s.tlp, r.tlp)) {
        return Taken::mismatch;
    }
    fresh = granule_mask(run) & ~s.received;
    if (fresh == 0) return Taken::duplicate;
    s.received |= fresh;
    if (keep && !r.payload.empty()) {
        std::byte* to = s.block != nullptr ? s.block : s.inlined.data();
        std::memcpy(to + r.offset_bytes, r.payload.data(), r.payload.size());
    }
    return Taken::news;
}

void PostedIn::clear(Slot& s) noexcept {
    if (s.block != nullptr) kept_->pool.give(s.block, s.tlp.length_bytes);
    s.block = nullptr;
    s.sequence = 0;
    --pending_;
}

void PostedIn::advance_kept() noexcept {
    ++placed_;
    clear(kept_->at(placed_));
}

void PostedIn::forget_pending() noexcept {
    if (kept_ == nullptr) return;
    for (Slot& s : kept_->ring)
        if (s.sequence != 0) clear(s);
}

void PostedIn::restart(std::uint64_t placed) noexcept {
    forget_pending();
    placed_ = placed;
}

}  // namespace farlane::proto
