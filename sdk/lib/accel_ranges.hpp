// SPDX-License-Identifier: Apache-2.0
// Receives: ranges of device memory. Hands on: addresses in them that nobody else has.
// Owns: which addresses are free. docs/accelerator.md, "Memory".
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace farlane::accel::detail {

/// Device addresses: first fit over free ranges, in whole pages. Not for several threads.
class AddressSpace {
public:
    AddressSpace(std::uint64_t address, std::uint64_t bytes) { free_[address] = bytes; }
    [[nodiscard]] std::optional<std::uint64_t> take(std::uint64_t bytes);
    void give_back(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] std::uint64_t largest() const;

private:
    std::map<std::uint64_t, std::uint64_t> free_;  ///< address -> bytes, no two adjacent
};

/// One kind of memory: a range for each context, `stride` from one to the next, or (stride 0) one range for all.
/// Not for several threads.
class Ranges {
public:
    Ranges() = default;
    Ranges(std::uint64_t address, std::uint64_t bytes, std::uint64_t stride)
        : address_(address), bytes_(bytes), stride_(stride) {}
    /// Ranges of that many contexts lie within 64 bits and apart from each other.
    [[nodiscard]] bool sane(std::uint32_t contexts) const noexcept;
    [[nodiscard]] bool empty() const noexcept { return bytes_ == 0; }
    /// No context's memory is in another's range.
    [[nodiscard]] bool apart() const noexcept { return empty() || stride_ != 0; }
    /// The context has [first, +bytes) of the memory, and not its whole range. False: that can not be.
    [[nodiscard]] bool grant(std::uint32_t context, std::uint64_t first, std::uint64_t bytes);
    [[nodiscard]] std::optional<std::uint64_t> take(std::uint32_t context, std::uint64_t bytes);
    void give_back(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] std::uint64_t largest(std::uint32_t context) const;
    /// Of one range.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
    /// The address is in the range of one of `contexts` contexts.
    [[nodiscard]] bool contains(std::uint64_t address, std::uint32_t contexts) const noexcept;

private:
    struct Part {
        std::uint64_t first = 0, bytes = 0;
    };
    [[nodiscard]] Part part_of(std::uint32_t context) const noexcept;
    std::uint64_t address_ = 0, bytes_ = 0, stride_ = 0;
    std::map<std::uint32_t, Part> granted_;         ///< by context
    std::map<std::uint64_t, std::uint64_t> parts_;  ///< granted once: first address -> bytes; they stay what they are
    std::map<std::uint64_t, AddressSpace> spaces_;  ///< by first address; made when first used
};

}  // namespace farlane::accel::detail
