// SPDX-License-Identifier: Apache-2.0
// Receives: what of the aperture is committed. Hands on: parts of it that the device copies from and to by itself.
// Owns: their registration with the driver.
#pragma once

#include <map>
#include <vector>

#include "backend/worker/cuda/driver.hpp"

namespace farlane::backend::worker::cuda {

/// Pinning takes time and makes pages real, so it is done for what is copied, when it is copied first.
class Pinned {
public:
    explicit Pinned(const Api& api) : api_(api) {}

    void add(std::uint64_t address, std::uint64_t bytes);
    /// Nobody copies any more.
    void remove(std::uint64_t address);
    /// Bytes from there on, at most `bytes`, that one copy may cover: no copy crosses a registration. 0: not committed.
    /// What can not be pinned is copied all the same, by the processor.
    [[nodiscard]] std::uint64_t part(std::uint64_t address, std::uint64_t bytes);

private:
    static constexpr std::uint64_t kPartBytes = std::uint64_t{4} << 20;
    enum class State : unsigned char { untouched, pinned, refused };
    struct Allocation {
        std::uint64_t bytes = 0;
        std::vector<State> parts;  ///< cut at multiples of kPartBytes
    };
    struct Range {
        std::uint64_t begin = 0, end = 0;
    };
    [[nodiscard]] static Range range_of(std::uint64_t address, const Allocation& allocation, std::size_t part) noexcept;

    const Api& api_;
    std::map<std::uint64_t, Allocation> allocations_;
};

}  // namespace farlane::backend::worker::cuda
