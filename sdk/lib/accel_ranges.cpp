// SPDX-License-Identifier: Apache-2.0
// Receives: ranges of device memory. Hands on: addresses in them that nobody else has.
// Owns: which addresses are free. docs/accelerator.md, "Memory".
#include "lib/accel_ranges.hpp"

#include <algorithm>
#include <iterator>

namespace farlane::accel::detail {

// --- one range

std::optional<std::uint64_t> AddressSpace::take(std::uint64_t bytes) {
    const auto fits =
        std::find_if(free_.begin(), free_.end(), [&](const auto& range) { return range.second >= bytes; });
    if (fits == free_.end()) return std::nullopt;
    const auto [address, size] = *fits;
    free_.erase(fits);
    if (size > bytes) free_[address + bytes] = size - bytes;
    return address;
}

void AddressSpace::give_back(std::uint64_t address, std::uint64_t bytes) {
    const auto after = free_.lower_bound(address);
    if (after != free_.end() && after->first == address + bytes) {
        bytes += after->second;
        free_.erase(after);
    }
    const auto next = free_.lower_bound(address);
    if (next != free_.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second == address) {
            before->second += bytes;
            return;
        }
    }
    free_[address] = bytes;
}

std::uint64_t AddressSpace::largest() const {
    std::uint64_t best = 0;
    for (const auto& range : free_) best = std::max(best, range.second);
    return best;
}

// --- a range for each context

bool Ranges::sane(std::uint32_t contexts) const noexcept {
    if (empty()) return true;
    constexpr std::uint64_t kEnd = ~std::uint64_t{0};
    if (address_ == 0 || bytes_ > kEnd - address_) return false;
    if (stride_ == 0 || contexts < 2) return true;
    return stride_ >= bytes_ && (kEnd - address_ - bytes_) / stride_ >= contexts - 1;
}

Ranges::Part Ranges::part_of(std::uint32_t context) const noexcept {
    const auto granted = granted_.find(context);
    return granted != granted_.end() ? granted->second : Part{address_ + context * stride_, bytes_};
}

// Memory that was taken from a part stays taken while its buffer lives, whoever gets the part next: so parts never
// change their bounds.
bool Ranges::grant(std::uint32_t context, std::uint64_t first, std::uint64_t bytes) {
    const std::uint64_t begin = address_ + context * stride_;
    if (first < begin || bytes == 0 || bytes > bytes_ || first - begin > bytes_ - bytes) return false;
    const auto next = parts_.lower_bound(first);
    const bool known = next != parts_.end() && next->first == first && next->second == bytes;
    const bool hits_next = next != parts_.end() && next->first - first < bytes;
    const bool hits_previous = next != parts_.begin() && first - std::prev(next)->first < std::prev(next)->second;
    if (!known && (hits_next || hits_previous)) return false;
    parts_[first] = bytes;
    granted_[context] = {first, bytes};
    return true;
}

std::optional<std::uint64_t> Ranges::take(std::uint32_t context, std::uint64_t bytes) {
    if (empty()) return std::nullopt;
    const Part part = part_of(context);
    return spaces_.try_emplace(part.first, part.first, part.bytes).first->second.take(bytes);
}

void Ranges::give_back(std::uint64_t address, std::uint64_t bytes) {
    const auto behind = spaces_.upper_bound(address);
    if (behind != spaces_.begin()) std::prev(behind)->second.give_back(address, bytes);
}

std::uint64_t Ranges::largest(std::uint32_t context) const {
    const Part part = part_of(context);
    const auto space = spaces_.find(part.first);
    return space == spaces_.end() ? part.bytes : space->second.largest();
}

bool Ranges::contains(std::uint64_t address, std::uint32_t contexts) const noexcept {
    if (empty() || address < address_) return false;
    const std::uint64_t offset = address - address_;
    if (stride_ == 0) return offset < bytes_;
    return offset / stride_ < contexts && offset % stride_ < bytes_;
}

}  // namespace farlane::accel::detail
