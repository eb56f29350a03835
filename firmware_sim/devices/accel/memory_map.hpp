// SPDX-License-Identifier: Apache-2.0
// Receives: ALLOC and FREE, ranges of other commands. Hands on: whether they are allowed.
// Owns: the table of allocations, sorted by address. docs/accelerator.md, "Memory".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
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

/// Memory of one kind: context c allocates in [address + c * stride, + bytes), all contexts together at most `bytes`.
struct Region {
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
    std::uint64_t stride = 0;  ///< 0: all contexts share one range
    [[nodiscard]] bool contains(std::uint64_t a, std::uint64_t n, std::uint32_t context) const noexcept {
        const std::uint64_t first = address + context * stride;
        return a >= first && n <= bytes && a - first <= bytes - n;
    }
};

/// What one context may have at most, so that it does not take what others need.
struct Shares {
    std::uint32_t contexts = 1;                     ///< that there may be at a time
    std::uint64_t bytes = ~std::uint64_t{0};        ///< of what the aperture shows
    std::uint64_t local_bytes = ~std::uint64_t{0};  ///< of local memory
};

/// Device memory that ALLOC gives out: what the aperture shows, and local memory. Addresses come from the initiator;
/// nothing allocates after construction.
class MemoryMap {
public:
    /// `contexts`: numbers of contexts are below that.
    MemoryMap(const Region& aperture, const Region& local, std::size_t max_allocations, std::uint32_t contexts,
              const Shares& shares);

    /// The part of its range that a context may use (struct fl_accel_context_registers); as it was written, hostile.
    struct Part {
        std::uint64_t address = 0, bytes = 0;  ///< 0 bytes: the whole range
    };
    void set_part(std::uint32_t context, const Part& part);
    [[nodiscard]] Part part(std::uint32_t context) const noexcept;
    /// It is a part, in pages, of the context's range.
    [[nodiscard]] bool is_part(const Part& part, std::uint32_t context) const noexcept;
    void clear_parts() noexcept { parts_.clear(); }

    [[nodiscard]] backend::Outcome allocate(std::uint64_t address, std::uint64_t bytes, std::uint32_t context) noexcept;
    /// The allocation that starts at `address`, or nullptr. Valid until the next change.
    [[nodiscard]] const Allocation* find(std::uint64_t address, std::uint32_t context) const noexcept;
    /// Any allocation of `context`, or nullptr.
    [[nodiscard]] const Allocation* any_of(std::uint32_t context) const noexcept;
    /// The allocation of `context` that `address` lies in, or nullptr.
    [[nodiscard]] const Allocation* at(std::uint64_t address, std::uint32_t context) const noexcept;
    void remove(std::uint64_t address) noexcept;
    void remove_all(std::uint32_t context) noexcept;
    void clear() noexcept;
    /// Every range within device memory and within one allocation of `context`.
    [[nodiscard]] backend::Outcome check(const backend::AccessList& touches, std::uint32_t context) const noexcept;
    /// Not in what the aperture shows.
    [[nodiscard]] bool is_local(std::uint64_t address) const noexcept {
        return local_.bytes != 0 && address - local_.address < local_.stride * uses_.size();
    }

    [[nodiscard]] const Region& aperture() const noexcept { return aperture_; }
    [[nodiscard]] const Region& local() const noexcept { return local_; }
    [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_; }
    [[nodiscard]] std::uint64_t local_used_bytes() const noexcept { return local_used_; }
    [[nodiscard]] std::uint64_t used_bytes(std::uint32_t context) const noexcept {
        return uses_[context].bytes + uses_[context].local_bytes;
    }
    [[nodiscard]] std::size_t count() const noexcept { return table_.size(); }
    /// What ALLOC can give this context, when no other has any.
    [[nodiscard]] std::uint64_t bytes_of_one(std::uint32_t context) const noexcept {
        const std::uint64_t own = part(context).bytes;
        return std::min(own == 0 ? aperture_.bytes : own, shares_.bytes);
    }

private:
    [[nodiscard]] std::size_t lower(std::uint64_t address) const noexcept;
    [[nodiscard]] const Region& region_of(std::uint64_t address) const noexcept {
        return is_local(address) ? local_ : aperture_;
    }
    [[nodiscard]] std::uint64_t& used_of(std::uint64_t address) noexcept {
        return is_local(address) ? local_used_ : used_;
    }

    /// Of one context.
    struct Use {
        std::uint64_t bytes = 0, local_bytes = 0;
        std::size_t allocations = 0;
    };
    [[nodiscard]] fl_accel_reason beyond_share(std::uint64_t address, std::uint64_t bytes,
                                               std::uint32_t context) const noexcept;
    void add(const Allocation& a) noexcept;
    void subtract(const Allocation& a) noexcept;

    Region aperture_, local_;  ///< apart from each other
    std::uint64_t used_ = 0, local_used_ = 0;
    std::size_t max_;
    Shares shares_;
    std::size_t sure_;       ///< entries of the table that each context can have, whatever the others do
    std::size_t kept_ = 0;   ///< of these, all that are not taken yet
    std::vector<Use> uses_;  ///< by context
    std::vector<Allocation> table_;
    std::map<std::uint32_t, Part> parts_;  ///< by context, those that were written
};

}  // namespace farlane::firmware::accel
