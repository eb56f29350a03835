// SPDX-License-Identifier: Apache-2.0
// Receives: sizes. Hands on: host memory that the device can write.
// Owns: what is not in use, up to a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <farlane/accel_buffer.hpp>
#include <farlane/domain.hpp>

namespace farlane::opencl {

/// A block of it; goes back to its pool when destroyed.
class HostBlock;

/// Mapped memory for reads and for what kernels print. Mapping and clearing pages takes longer than a small read:
/// blocks are used again. Any thread.
class HostPool {
public:
    explicit HostPool(Domain& domain) : shelf_(std::make_shared<Shelf>()), domain_(&domain) {}
    ~HostPool() { shelf_->close(); }
    HostPool(const HostPool&) = delete;
    HostPool& operator=(const HostPool&) = delete;
    /// At least `bytes`. Throws Error: no_memory; limit, also when very many blocks are in use.
    [[nodiscard]] HostBlock take(std::size_t bytes);

private:
    friend class HostBlock;
    struct Shelf {
        std::mutex mutex;
        std::vector<accel::RawHostBuffer> free;
        std::size_t free_bytes = 0;
        std::size_t blocks = 0;  ///< free and in use
        bool closed = false;
        void put(accel::RawHostBuffer memory) noexcept;
        void close() noexcept;
        void drop_free() noexcept;
    };
    [[nodiscard]] accel::RawHostBuffer fresh(std::size_t bytes);
    std::shared_ptr<Shelf> shelf_;
    Domain* domain_;
};

class HostBlock {
public:
    HostBlock() noexcept = default;
    HostBlock(HostBlock&&) noexcept = default;
    HostBlock& operator=(HostBlock&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(shelf_, other.shelf_);
        return *this;
    }
    ~HostBlock() {
        if (shelf_ != nullptr) shelf_->put(std::move(memory_));
    }
    [[nodiscard]] std::byte* data() const noexcept { return memory_.bytes().data(); }
    [[nodiscard]] std::uint64_t iova() const noexcept { return memory_.iova(); }
    [[nodiscard]] bool valid() const noexcept { return shelf_ != nullptr; }

private:
    friend class HostPool;
    std::shared_ptr<HostPool::Shelf> shelf_;
    accel::RawHostBuffer memory_;
};

}  // namespace farlane::opencl
