// SPDX-License-Identifier: Apache-2.0
// Receives: a file descriptor. Hands on: its pages. Owns: the mapping.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include <sys/mman.h>

namespace farlane::backend {

/// A shared mapping of a whole file or memfd; unmapped when destroyed. Private to sdk/backend.
class Region {
public:
    Region() noexcept = default;
    Region(Region&& other) noexcept : memory_(std::exchange(other.memory_, {})) {}
    Region& operator=(Region&& other) noexcept {
        std::swap(memory_, other.memory_);
        return *this;
    }
    ~Region() {
        if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
    }
    /// False: errno says why.
    [[nodiscard]] bool map(int fd, std::size_t bytes) noexcept {
        void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) return false;
        memory_ = {static_cast<std::byte*>(at), bytes};
        return true;
    }
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return memory_; }

private:
    std::span<std::byte> memory_;
};

}  // namespace farlane::backend
