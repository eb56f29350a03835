// SPDX-License-Identifier: Apache-2.0
// Receives: ALLOC and FREE, ranges of other commands. Hands on: whether they are allowed.
// Owns: the table of allocations, sorted by address. docs/accelerator.md, "Memory".
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/executor.hpp"

namespace farlane::firmware::accel {

struct Allocation {
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
    std::uint32_t context = 0;
    [[nodiscard]] bool contains(std::uint64_t a, std::uint64_t n) const noexcept {
        return a >= address && n <= bytes && a - address <= bytes - n;
    }
};

[[nodiscard]] constexpr bool ranges_overlap(std::uint64_t a, std::uint64_t a_bytes, std::uint64_t b,
                                            std::uint64_t b_bytes) noexcept {
    // Ends may wrap for hostile ranges: compare differences.
    return a <= b ? b - a < a_bytes : a - b < b_bytes;
}

/// Device memory that ALLOC gives out. Addresses come from the initiator; nothing allocates
/// after construction.
class MemoryMap {
public:
    MemoryMap(std::uint64_t address, std::uint64_t bytes, std::size_t max_allocations);

    [[nodiscard]] backend::Outcome allocate(std::uint64_t address, std::uint64_t bytes, std::uint32_t context) noexcept;
    /// The allocation that starts at `address`, or nullptr. Valid until the next change.
    [[nodiscard]] const Allocation* find(std::uint64_t address, std::uint32_t context) const noexcept;
    /// Any allocation of `context`, or nullptr.
    [[nodiscard]] const Allocation* any_of(std::uint32_t context) const noexcept;
    /// The allocation of `context` that `address` lies in, or nullptr.
    [[nodiscard]] const Allocation* at(std::uint64_t address, std::uint32_t context) const noexcept;
    void remove(std::uint64_t address) noexcept;
    void clear() noexcept;
    /// Every range within device memory and within one allocation of `context`.
    [[nodiscard]] backend::Outcome check(const backend::AccessList& touches, std::uint32_t context) const noexcept;

    [[nodiscard]] std::uint64_t address() const noexcept { return address_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_; }
    [[nodiscard]] std::uint64_t used_bytes(std::uint32_t context) const noexcept;
    [[nodiscard]] std::size_t count() const noexcept { return table_.size(); }

private:
    [[nodiscard]] std::size_t lower(std::uint64_t address) const noexcept;
    [[nodiscard]] bool inside(std::uint64_t address, std::uint64_t bytes) const noexcept;

    std::uint64_t address_, bytes_, used_ = 0;
    std::size_t max_;
    std::vector<Allocation> table_;
};

}  // namespace farlane::firmware::accel
