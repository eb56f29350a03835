// SPDX-License-Identifier: Apache-2.0
// Receives: memory files, own ones and those of applications. Hands on: their memory.
// Owns: the mapping and the file. An application that takes pages away (truncation, holes
// without room) can not bring the daemon down: see fault_guard.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <farlane/status.hpp>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {

using control::UniqueFd;

class SharedMemory {
public:
    /// A new memory file that can neither shrink nor grow.
    [[nodiscard]] static Result<std::shared_ptr<SharedMemory>> create(const std::string& name, std::size_t bytes);
    /// Memory of an application: a memfd of at least `bytes`, sealed against shrinking.
    [[nodiscard]] static Result<std::shared_ptr<SharedMemory>> adopt(UniqueFd fd, std::size_t bytes);
    /// `bytes` from `offset` on of a device node whose driver gives them to nobody else.
    [[nodiscard]] static Result<std::shared_ptr<SharedMemory>> map(UniqueFd fd, std::uint64_t offset,
                                                                   std::size_t bytes);
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return memory_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// True when a page could not be had: its owner took it away.
    [[nodiscard]] bool damaged() const noexcept;

private:
    SharedMemory(UniqueFd fd, std::span<std::byte> memory, unsigned guard);
    UniqueFd fd_;
    std::span<std::byte> memory_;
    unsigned guard_;
};

/// True when `fd` is an eventfd.
[[nodiscard]] bool is_eventfd(int fd);

}  // namespace farlane::daemon
