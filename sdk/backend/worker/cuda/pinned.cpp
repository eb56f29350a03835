// SPDX-License-Identifier: Apache-2.0
// Receives: what of the aperture is committed. Hands on: parts of it that the device copies by itself. Owns:
// pinned.hpp.
#include "backend/worker/cuda/pinned.hpp"

#include <algorithm>

namespace farlane::backend::worker::cuda {

void Pinned::add(std::uint64_t address, std::uint64_t bytes) {
    const std::uint64_t first = address / kPartBytes, last = (address + bytes - 1) / kPartBytes;
    allocations_[address] = {bytes, std::vector<State>(last - first + 1)};
}

Pinned::Range Pinned::range_of(std::uint64_t address, const Allocation& a, std::size_t part) noexcept {
    const std::uint64_t begin = (address / kPartBytes + part) * kPartBytes;
    return {std::max(begin, address), std::min(begin + kPartBytes, address + a.bytes)};
}

void Pinned::remove(std::uint64_t address) {
    const auto found = allocations_.find(address);
    if (found == allocations_.end()) return;
    for (std::size_t i = 0; i < found->second.parts.size(); ++i) {
        if (found->second.parts[i] != State::pinned) continue;
        (void)api_.cuMemHostUnregister(reinterpret_cast<void*>(range_of(address, found->second, i).begin));
    }
    allocations_.erase(found);
}

std::uint64_t Pinned::part(std::uint64_t address, std::uint64_t bytes) {
    auto it = allocations_.upper_bound(address);
    if (it == allocations_.begin()) return 0;
    --it;
    Allocation& a = it->second;
    if (address - it->first >= a.bytes) return 0;
    const std::size_t index = address / kPartBytes - it->first / kPartBytes;
    const Range range = range_of(it->first, a, index);
    if (a.parts[index] == State::untouched) {
        const CuResult r = api_.cuMemHostRegister(reinterpret_cast<void*>(range.begin), range.end - range.begin, 0);
        a.parts[index] = r == kSuccess ? State::pinned : State::refused;
    }
    return std::min(bytes, range.end - address);
}

}  // namespace farlane::backend::worker::cuda
