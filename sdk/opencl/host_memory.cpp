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
/// A shared attachment has 128 mappings, for all contexts of the program and all that they do.
constexpr std::size_t kMostBlocks = 48;
constexpr std::size_t kKeptBlocks = 16;

/// In steps of an eighth: blocks of one size may be used for reads of others.
std::size_t rounded(std::size_t bytes) {
    if (bytes <= kSmallest) return kSmallest;
    const std::size_t step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
}

}  // namespace

HostBlock HostPool::take(std::size_t bytes) {
    const std::size_t size = rounded(bytes);
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
        if (shelf_->blocks >= kMostBlocks) shelf_->drop_free();
        if (shelf_->blocks >= kMostBlocks) throw Error(Status::limit, "48 blocks of host memory are in use");
        ++shelf_->blocks;
    }
    try {
        block.memory_ = fresh(size);
    } catch (...) {
        const std::lock_guard lock(shelf_->mutex);
        --shelf_->blocks;
        throw;
    }
    block.shelf_ = shelf_;
    return block;
}

/// Free blocks of other sizes go before it fails.
accel::RawHostBuffer HostPool::fresh(std::size_t bytes) {
    const auto make = [&] {
        auto memory = domain_->allocate(bytes);
        auto mapping = domain_->map(memory, DmaDirection::from_device);
        return accel::RawHostBuffer(std::move(memory), std::move(mapping));
    };
    try {
        return make();
    } catch (const Error& e) {
        if (e.status() != Status::limit) throw;
    }
    {
        const std::lock_guard lock(shelf_->mutex);
        shelf_->drop_free();
    }
    return make();
}

/// Those that were used last are kept: their pages are in the cache.
void HostPool::Shelf::put(accel::RawHostBuffer memory) noexcept {
    std::vector<accel::RawHostBuffer> ended;
    const std::lock_guard lock(mutex);
    if (closed || memory.bytes().size() > kKeptBytes) {
        --blocks;
        return;  // unmapped here
    }
    try {
        ended.reserve(kKeptBlocks + 1);
        free.reserve(kKeptBlocks + 1);
        free_bytes += memory.bytes().size();
        free.push_back(std::move(memory));
        while (free_bytes > kKeptBytes || free.size() > kKeptBlocks) {
            free_bytes -= free.front().bytes().size();
            --blocks;
            ended.push_back(std::move(free.front()));
            free.erase(free.begin());
        }
    } catch (...) {
        --blocks;  // not kept, then
    }
}

void HostPool::Shelf::close() noexcept {
    const std::lock_guard lock(mutex);
    closed = true;
    drop_free();
}

void HostPool::Shelf::drop_free() noexcept {
    blocks -= free.size();
    free.clear();
    free_bytes = 0;
}

}  // namespace farlane::opencl
