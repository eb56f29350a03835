// SPDX-License-Identifier: Apache-2.0
// Receives: the plan of device memory. Hands on: one span of it, and a descriptor of each context's range for its
// worker. Owns: the address space and one memory file per context, sparse.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <farlane/status.hpp>

#include "backend/executor.hpp"
#include "backend/worker/handle.hpp"

namespace farlane::backend::worker {

class Aperture {
public:
    /// Errors: invalid (a plan that does not fit itself), no_memory, limit.
    [[nodiscard]] static Result<std::unique_ptr<Aperture>> make(const MemoryPlan& plan);
    ~Aperture();
    Aperture(const Aperture&) = delete;
    Aperture& operator=(const Aperture&) = delete;

    [[nodiscard]] std::span<std::byte> all() const noexcept { return {base_, plan_.aperture_bytes}; }
    [[nodiscard]] const MemoryPlan& plan() const noexcept { return plan_; }
    [[nodiscard]] std::uint64_t address_of(std::uint32_t context) const noexcept {
        return plan_.address + plan_.first + context * plan_.stride;
    }
    /// Of a context's range with the bounce memory behind it: the length of its file.
    [[nodiscard]] std::uint64_t file_bytes() const noexcept { return plan_.context_bytes + plan_.bounce_bytes; }
    /// Descriptor of a context's range; no worker can shorten or lengthen it.
    [[nodiscard]] int file_of(std::uint32_t context) const noexcept { return files_[context].get(); }

    /// Makes pages zero and gives them back. The range lies in that of the context. May take long.
    void punch(std::uint32_t context, std::uint64_t address, std::uint64_t bytes) noexcept;
    /// A new, empty file for the context: what a process of before still has of the old one is not seen any more. On
    /// failure (no descriptor) the old one is emptied.
    void renew(std::uint32_t context) noexcept;
    /// As after make(). No worker lives.
    void clear() noexcept;

private:
    Aperture(const MemoryPlan& plan, std::byte* base) : plan_(plan), base_(base), files_(plan.contexts) {}
    [[nodiscard]] bool map(std::uint32_t context) noexcept;
    [[nodiscard]] std::byte* place_of(std::uint32_t context) const noexcept {
        return base_ + plan_.first + context * plan_.stride;
    }

    MemoryPlan plan_;
    std::byte* base_;
    std::vector<Handle> files_;
};

}  // namespace farlane::backend::worker
