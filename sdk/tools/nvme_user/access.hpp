// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: how the driver reaches registers, memory and interrupts. Owns: nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <farlane/status.hpp>

namespace farlane::nvme_user {

/// Memory that the controller reaches at `iova`. Freed when the last copy goes.
struct Memory {
    std::span<std::byte> bytes;
    std::uint64_t iova = 0;
    std::shared_ptr<void> owner;
};

/// Where a controller is. Implemented over the SDK (nvme_over_sdk.hpp) and by tests. Failures throw farlane::Error.
class Access {
public:
    virtual ~Access() = default;
    /// Registers of BAR 0.
    [[nodiscard]] virtual std::uint32_t read32(std::uint32_t offset) = 0;
    [[nodiscard]] virtual std::uint64_t read64(std::uint32_t offset) = 0;
    virtual void write32(std::uint32_t offset, std::uint32_t value) = 0;
    virtual void write64(std::uint32_t offset, std::uint64_t value) = 0;
    /// Zeroed memory, page-aligned at both ends, readable and writable by the controller.
    [[nodiscard]] virtual Memory allocate(std::size_t bytes) = 0;
    /// Makes vectors 0..count-1 usable.
    virtual void enable_interrupts(unsigned count) = 0;
    /// Returns when `vector` has fired, or at the latest after `timeout`. Early returns are allowed.
    virtual void wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) = 0;
    /// Polling: lets the data plane move on. Returns soon.
    virtual void progress() = 0;
};

}  // namespace farlane::nvme_user
