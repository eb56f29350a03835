// SPDX-License-Identifier: Apache-2.0
// Receives: allocations at addresses that the initiator chose. Hands on: memory of the device there. Owns: the
// context's range of addresses and what is mapped in it.
#pragma once

#include <map>

#include "backend/worker/cuda/driver.hpp"

namespace farlane::backend::worker::cuda {

/// To the driver an address is a hint: false when it gives another one, or none. With a length in whole chunks.
[[nodiscard]] bool reserve_at(const Api& api, std::uint64_t address, std::uint64_t bytes);

/// Physical memory comes in chunks, allocations in pages: those at the edges of an allocation are shared and counted,
/// those between are one piece of its own.
class Vram {
public:
    Vram(const Api& api, CuDevice device) : api_(api) { properties_.location.id = access_.location.id = device; }
    Vram(const Vram&) = delete;
    Vram& operator=(const Vram&) = delete;

    /// False: the driver does not give exactly this range.
    [[nodiscard]] bool reserve(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] CuResult add(std::uint64_t address, std::uint64_t bytes);
    /// Whoever used it has ended.
    void remove(std::uint64_t address);
    /// Memory of the runtime's own, anywhere, for good.
    [[nodiscard]] CuResult take(std::uint64_t bytes, CuAddress& address);
    [[nodiscard]] bool holds(std::uint64_t address, std::uint64_t bytes) const noexcept;
    [[nodiscard]] bool in_range(std::uint64_t address) const noexcept { return address - address_ < bytes_; }

private:
    struct Allocation {
        std::uint64_t bytes = 0;
        std::uint64_t head = 0, tail = 0;  ///< shared chunks; 0: none
        std::uint64_t middle = 0, middle_bytes = 0;
    };
    [[nodiscard]] static Allocation divide(std::uint64_t address, std::uint64_t bytes) noexcept;
    [[nodiscard]] CuResult map(std::uint64_t address, std::uint64_t bytes);
    [[nodiscard]] CuResult share(std::uint64_t chunk);
    void unshare(std::uint64_t chunk);

    const Api& api_;
    MemoryProperties properties_;
    MemoryAccess access_;
    std::uint64_t address_ = 0, bytes_ = 0;
    std::map<std::uint64_t, std::uint32_t> shared_;  ///< chunks, and how many allocations are in each
    std::map<std::uint64_t, Allocation> allocations_;
};

}  // namespace farlane::backend::worker::cuda
