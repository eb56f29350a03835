// SPDX-License-Identifier: Apache-2.0
// Receives: accesses. Hands on: what a test asks for. Owns: nothing but its state. A function without a purpose,
// to test the core.
#pragma once

#include <cstring>
#include <vector>

#include "core/function.hpp"
#include "firmware/fake_host.hpp"

namespace farlane::firmware::test {

/// BAR 0: 4 KiB, MSI-X table of 4 vectors at 0x800, PBA at 0xc00, plain memory below.
class CoreDevice final : public Function {
public:
    explicit CoreDevice(FunctionState& state, bool no_soft_reset = true, std::uint32_t transfers = 64)
        : Function(identity(no_soft_reset), state, transfers) {}
    static FunctionIdentity identity(bool no_soft_reset) {
        FunctionIdentity id;
        id.model = "core test";
        id.class_code = 0xff0000;
        id.bars[0] = {4096, 0};
        id.msix = {4, 0, 0x800, 0xc00};
        id.no_soft_reset = no_soft_reset;
        return id;
    }
    using Function::dma;
    using Function::interrupts;
    using Function::raise;

    struct Done {
        std::uint64_t tag;
        Status status;
        friend bool operator==(const Done&, const Done&) = default;
    };
    std::vector<Done> done, ordered;
    std::vector<ResetKind> resets;
    std::array<std::byte, 4096> registers{};

protected:
    Status register_read(unsigned, std::uint64_t offset, std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), registers.data() + offset, out.size());
        return Status::ok;
    }
    Status register_write(unsigned, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t) noexcept override {
        std::memcpy(registers.data() + offset, in.data(), in.size());
        return Status::ok;
    }
    void on_reset(ResetKind kind) noexcept override { resets.push_back(kind); }
    bool on_restored(std::uint64_t) noexcept override { return true; }
    bool work() noexcept override { return false; }
    bool has_work() const noexcept override { return false; }
    void dma_ordered(std::uint64_t tag, Status status) noexcept override { ordered.push_back({tag, status}); }
    void dma_done(std::uint64_t tag, Status status) noexcept override { done.push_back({tag, status}); }
};

}  // namespace farlane::firmware::test
