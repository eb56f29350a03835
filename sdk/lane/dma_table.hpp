// SPDX-License-Identifier: Apache-2.0
// Receives: mappings of a domain. Hands on: the verdict on a DMA request. Owns: the table.
// The soft-IOMMU of the user-space data plane: byte-exact, no overlap, no IOVA 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <farlane/uapi/tlp.h>
#include <farlane/status.hpp>

namespace farlane::lane {

struct DmaRange {
    std::uint64_t iova = 0;
    std::uint64_t length_bytes = 0;
    std::uint32_t direction = 0;  ///< FL_MAP_DEVICE_*
    std::byte* host = nullptr;    ///< initiator: the memory; target: null
    std::uint32_t slot = 0;       ///< owner's own number
    bool may_vanish = false;      ///< initiator: the application may take the memory away (lane/own_memory.hpp)
    std::uint32_t pasid = 0;      ///< address space; 0 = the function's own
};

/// Ranges sorted by PASID and IOVA: each PASID is an address space of its own. One lane, no locks; look-ups
/// do not allocate.
class DmaTable {
public:
    /// Errors: invalid (IOVA 0, length 0, wrap-around, no direction), busy (overlaps), limit.
    [[nodiscard]] Status add(const DmaRange& range);
    /// The range of `pasid` that starts at `iova` is gone; not_found when there is none.
    [[nodiscard]] Status remove(std::uint32_t pasid, std::uint64_t iova, DmaRange* removed = nullptr) noexcept;
    [[nodiscard]] Status remove(std::uint64_t iova, DmaRange* removed = nullptr) noexcept {
        return remove(0, iova, removed);
    }
    /// The range of `pasid` that holds all of [iova, +bytes) and allows `direction`, or null.
    [[nodiscard]] const DmaRange* find(std::uint32_t pasid, std::uint64_t iova, std::uint64_t bytes,
                                       std::uint32_t direction) noexcept;
    [[nodiscard]] const DmaRange* find(std::uint64_t iova, std::uint64_t bytes, std::uint32_t direction) noexcept {
        return find(0, iova, bytes, direction);
    }
    [[nodiscard]] const std::vector<DmaRange>& ranges() const noexcept { return ranges_; }
    void clear() noexcept;

    static constexpr std::size_t kMaxRanges = 4096;  ///< = proto::kMapSlots

private:
    std::vector<DmaRange> ranges_;
    std::size_t last_hit_ = 0;
};

}  // namespace farlane::lane
