// SPDX-License-Identifier: Apache-2.0
// Receives: DMA of a remote device. Hands on: the same to memory that is not mapped into this
// process. Owns: nothing; the interface between an attachment and the kernel's soft-IOMMU.
#pragma once

#include <cstdint>
#include <span>

#include <farlane/status.hpp>

#include "proto/tlp.hpp"

namespace farlane::lane {

/// The IOVA space of a function whose mappings are somebody else's to check: all but its first and last page.
constexpr std::uint64_t kSpaceIova = 4096;
constexpr std::uint64_t kSpaceBytes = ~std::uint64_t{0} - 2 * 4096 + 1;

/// Who executes the DMA of one attachment instead of its table of spans. Lane thread, hot path: no
/// call blocks for longer than the copy takes, none allocates.
class HostMemory {
public:
    virtual ~HostMemory() = default;
    /// Posted. `payload` is the callee's to copy; it may put the write off, in order, until settle().
    virtual void write(std::uint64_t iova, std::uint32_t pasid, std::span<const std::byte> payload) noexcept = 0;
    /// When it returns, every write so far is in memory or was refused.
    virtual void settle() noexcept = 0;
    /// After all writes so far. unsupported_request: not mapped for this.
    [[nodiscard]] virtual Status read(std::uint64_t iova, std::uint32_t pasid, std::span<std::byte> into) noexcept = 0;
    /// The same; `operand` and `result` as in a request of that type (docs/wire.md), little-endian.
    [[nodiscard]] virtual Status atomic(proto::TlpType type, std::uint64_t iova, std::uint32_t pasid,
                                        std::span<const std::byte> operand, std::span<std::byte> result) noexcept = 0;
};

}  // namespace farlane::lane
