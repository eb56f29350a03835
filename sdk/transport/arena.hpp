// SPDX-License-Identifier: Apache-2.0
// Receives: a number of buffers and their size. Hands on: buffers, 64-byte aligned.
// Owns: one anonymous mapping, resident only where it was touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include <sys/mman.h>

namespace farlane::transport {

/// Buffers of one size for frames. Memory costs nothing until a buffer is used, so pools can be
/// sized for the worst case.
class Arena {
public:
    Arena(std::size_t buffers, std::size_t buffer_bytes) : stride_((buffer_bytes + 63) & ~std::size_t{63}) {
        bytes_ = stride_ * buffers;
        void* const at =
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) throw std::bad_alloc();
        base_ = static_cast<std::byte*>(at);
    }
    ~Arena() { ::munmap(base_, bytes_); }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    [[nodiscard]] std::byte* at(std::size_t index) const noexcept { return base_ + index * stride_; }
    [[nodiscard]] bool owns(const std::byte* p) const noexcept { return p >= base_ && p < base_ + bytes_; }

private:
    std::byte* base_ = nullptr;
    std::size_t stride_, bytes_ = 0;
};

}  // namespace farlane::transport
