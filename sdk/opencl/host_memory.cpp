// SPDX-License-Identifier: Apache-2.0
// Receives: sizes. Hands on: mapped host memory, used again where there is some.
// Owns: the free blocks (host_memory.hpp).
#include "opencl/host_memory.hpp"

#include <algorithm>
#include <bit>

namespace farlane::opencl {
namespace {

constexpr std::size_t kSmallest = 64 << 10;
constexpr std::size_t kKeptBytes = 64 << 20;

}  // namespace

HostBlock HostPool::take(std::size_t bytes) {
    const std::size_t size = std::max(kSmallest, std::bit_ceil(bytes));
    HostBlock block;
    {
        const std::lock_guard lock(shelf_->mutex);
        auto& free = shelf_->free;
        const auto fits = std::find_if(free.rbegin(), free.rend(), [&](const accel::RawHostBuffer& b) {
            return b.bytes().size() >= size && b.bytes().size() <= 2 * size;
        });
        if (fits != free.rend()) {
            shelf_->free_bytes -= fits->bytes().size();
            block.memory_ = std::move(*fits);
            free.erase(std::next(fits).base());
            block.shelf_ = shelf_;
            return block;
        }
    }
    auto memory = domain_->allocate(size);
    auto mapping = domain_->map(memory, DmaDirection::from_device);
    block.memory_ = accel::RawHostBuffer(std::move(memory), std::move(mapping));
    block.shelf_ = shelf_;
    return block;
}

/// Those that were used last are kept: their pages are in the cache.
void HostPool::Shelf::put(accel::RawHostBuffer memory) noexcept {
    std::vector<accel::RawHostBuffer> ended;
    const std::lock_guard lock(mutex);
    if (closed || memory.bytes().size() > kKeptBytes) return;  // unmapped here
    try {
        free_bytes += memory.bytes().size();
        free.push_back(std::move(memory));
        while (free_bytes > kKeptBytes) {
            free_bytes -= free.front().bytes().size();
            ended.push_back(std::move(free.front()));
            free.erase(free.begin());
        }
    } catch (...) {
        // Not kept, then.
    }
}

void HostPool::Shelf::close() noexcept {
    const std::lock_guard lock(mutex);
    closed = true;
    free.clear();
    free_bytes = 0;
}

}  // namespace farlane::opencl
