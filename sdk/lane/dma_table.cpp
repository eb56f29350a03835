// SPDX-License-Identifier: Apache-2.0
// Receives: mappings of a domain. Hands on: the verdict on a DMA request. Owns: the table.
#include "lane/dma_table.hpp"

#include <algorithm>
#include <utility>

namespace farlane::lane {
namespace {

constexpr std::uint32_t kDirections = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;

using Key = std::pair<std::uint32_t, std::uint64_t>;

Key key_of(const DmaRange& r) noexcept {
    return {r.pasid, r.iova};
}

auto first_not_below(std::vector<DmaRange>& ranges, Key key) noexcept {
    return std::ranges::lower_bound(ranges, key, {}, key_of);
}

bool holds(const DmaRange& r, std::uint32_t pasid, std::uint64_t iova, std::uint64_t bytes) noexcept {
    return pasid == r.pasid && iova >= r.iova && bytes <= r.length_bytes && iova - r.iova <= r.length_bytes - bytes;
}

}  // namespace

Status DmaTable::add(const DmaRange& range) {
    const bool wraps = range.iova + range.length_bytes < range.iova;
    if (range.iova == 0 || range.length_bytes == 0 || wraps) return Status::invalid;
    if (range.direction == 0 || (range.direction & ~kDirections) != 0 || range.pasid > FL_PASID_MAX)
        return Status::invalid;
    if (ranges_.size() >= kMaxRanges) return Status::limit;
    const auto at = first_not_below(ranges_, key_of(range));
    if (at != ranges_.end() && at->pasid == range.pasid && at->iova < range.iova + range.length_bytes)
        return Status::busy;
    if (at != ranges_.begin()) {
        const DmaRange& before = *std::prev(at);
        if (before.pasid == range.pasid && before.iova + before.length_bytes > range.iova) return Status::busy;
    }
    ranges_.insert(at, range);
    return Status::ok;
}

Status DmaTable::remove(std::uint32_t pasid, std::uint64_t iova, DmaRange* removed) noexcept {
    const auto at = first_not_below(ranges_, {pasid, iova});
    if (at == ranges_.end() || key_of(*at) != Key{pasid, iova}) return Status::not_found;
    if (removed != nullptr) *removed = *at;
    ranges_.erase(at);
    last_hit_ = 0;
    return Status::ok;
}

const DmaRange* DmaTable::find(std::uint32_t pasid, std::uint64_t iova, std::uint64_t bytes,
                               std::uint32_t direction) noexcept {
    if (bytes == 0) return nullptr;
    if (last_hit_ >= ranges_.size() || !holds(ranges_[last_hit_], pasid, iova, bytes)) {
        auto at = std::ranges::upper_bound(ranges_, Key{pasid, iova}, {}, key_of);
        if (at == ranges_.begin()) return nullptr;
        --at;
        if (!holds(*at, pasid, iova, bytes)) return nullptr;
        last_hit_ = static_cast<std::size_t>(at - ranges_.begin());
    }
    const DmaRange& r = ranges_[last_hit_];
    return (r.direction & direction) == direction ? &r : nullptr;
}

void DmaTable::clear() noexcept {
    ranges_.clear();
    last_hit_ = 0;
}

}  // namespace farlane::lane
