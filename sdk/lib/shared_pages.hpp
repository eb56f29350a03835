// SPDX-License-Identifier: Apache-2.0
// Receives: a size. Hands on: zeroed shared memory that can be given to another process.
// Owns: the memfd and its mapping.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "lib/provider.hpp"

namespace farlane::provider {

/// memfd pages: huge ones when the machine has some free, else ordinary ones.
class SharedPages final : public Buffer {
public:
    /// Throws Error(no_memory).
    [[nodiscard]] static std::shared_ptr<SharedPages> make(std::size_t bytes);
    SharedPages(int fd, std::byte* data, std::size_t bytes, std::size_t mapped, bool huge) noexcept;
    SharedPages(const SharedPages&) = delete;
    SharedPages& operator=(const SharedPages&) = delete;
    ~SharedPages() override;

    [[nodiscard]] std::span<std::byte> bytes() const noexcept override { return {data_, bytes_}; }
    [[nodiscard]] bool huge_pages() const noexcept override { return huge_; }
    [[nodiscard]] int fd() const noexcept { return fd_; }
    [[nodiscard]] std::size_t mapped_bytes() const noexcept { return mapped_; }

private:
    int fd_;
    std::byte* data_;
    std::size_t bytes_;
    std::size_t mapped_;
    bool huge_;
};

}  // namespace farlane::provider
