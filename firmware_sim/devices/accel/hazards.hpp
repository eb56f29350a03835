// SPDX-License-Identifier: Apache-2.0
// Receives: ranges on their way to the host, objects of commands that failed.
// Hands on: what has to wait for the former, what depends on the latter.
// Owns: both lists, of fixed size. docs/accelerator.md, "Errors and FENCE".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "backend/executor.hpp"

namespace farlane::firmware::accel {

/// Device memory that is the source of writes the host has not released: a resend reads it again,
/// so nobody may write it (backend.hpp, HostPort::dma_write).
class Pins {
public:
    static constexpr std::size_t kCapacity = 1024;
    struct Pin {
        std::uint64_t address = 0;
        std::uint64_t bytes = 0;  ///< 0 = free
        std::uint32_t queue = 0;
        std::uint32_t serial = 0;  ///< of the command, tells late answers apart
        std::uint32_t context = 0;
    };
    static constexpr std::uint32_t kContexts = 16;
    /// Nothing is left for this context. Half of them are for whoever comes first, of the other half each of the
    /// `contexts` that there are has an equal part for itself.
    [[nodiscard]] bool full(std::uint32_t context, std::uint32_t contexts) const noexcept {
        if (count_ == kCapacity) return true;
        const auto sure = static_cast<std::uint32_t>(kCapacity / 2 / std::max(contexts, 1U));
        if (by_context_[context] < sure) return false;
        std::size_t kept = std::size_t{sure} * contexts;  // less what is taken of it
        for (const std::uint32_t has : by_context_) kept -= std::min<std::size_t>(kept, std::min(has, sure));
        return count_ + kept >= kCapacity;
    }
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::size_t count_of(std::uint32_t queue) const noexcept;
    /// Precondition: not full.
    [[nodiscard]] std::size_t add(const Pin& pin) noexcept;
    [[nodiscard]] const Pin& at(std::size_t index) const noexcept { return pins_[index]; }
    void remove(std::size_t index) noexcept;
    [[nodiscard]] bool overlaps(std::uint64_t address, std::uint64_t bytes) const noexcept;
    /// Something that `touches` writes is pinned: for a command that touches all its context has, anything of that.
    [[nodiscard]] bool blocks(const backend::AccessList& touches, const backend::MemoryPlan& plan,
                              std::uint32_t context) const noexcept;

private:
    std::array<Pin, kCapacity> pins_{};
    std::size_t count_ = 0;
    std::size_t hint_ = 0;  ///< a free one is likely here
    std::array<std::uint32_t, kContexts> by_context_{};
};

/// Kinds of objects that commands make or write.
enum class Object : std::uint8_t { memory, module, kernel, everything };

/// What commands of one stream that failed would have made or written, until its next FENCE.
class Poison {
public:
    static constexpr std::size_t kCapacity = 32;

    /// `bytes` is 1 for handles. When the list is full, everything depends on its first entry.
    void add(Object kind, std::uint64_t base, std::uint64_t bytes, std::uint32_t culprit) noexcept;
    /// The command that made [base, +bytes) of `kind` unusable. `own`: asked by the same stream.
    [[nodiscard]] std::optional<std::uint32_t> find(bool own, Object kind, std::uint64_t base,
                                                    std::uint64_t bytes) const noexcept;
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    void clear() noexcept { count_ = 0; }

private:
    struct Entry {
        Object kind = Object::memory;
        std::uint32_t culprit = 0;
        std::uint64_t base = 0;
        std::uint64_t bytes = 0;
    };
    std::array<Entry, kCapacity> entries_{};
    std::size_t count_ = 0;
};

}  // namespace farlane::firmware::accel
