// SPDX-License-Identifier: Apache-2.0
// Receives: accesses of the driver. Hands on: the same to an attached farlane::Device. Owns: nothing.
#pragma once

#include <utility>

#include <farlane/device.hpp>

#include "nvme_user/access.hpp"

namespace farlane::nvme_user {

/// The driver's way to a remote controller: registers, interrupts and memory of a farlane::Device, which must
/// outlive it and all memory allocated through it.
class SdkAccess final : public Access {
public:
    explicit SdkAccess(Device& device) : device_(device) { device_.enable(); }

    [[nodiscard]] std::uint32_t read32(std::uint32_t offset) override { return device_.read32(0, offset); }
    [[nodiscard]] std::uint64_t read64(std::uint32_t offset) override { return device_.read64(0, offset); }
    void write32(std::uint32_t offset, std::uint32_t value) override { device_.write32(0, offset, value); }
    void write64(std::uint32_t offset, std::uint64_t value) override { device_.write64(0, offset, value); }
    [[nodiscard]] Memory allocate(std::size_t bytes) override {
        struct Owner {
            DmaBuffer buffer;
            Mapping mapping;  // goes first
        };
        auto owner = std::make_shared<Owner>();
        owner->buffer = device_.domain().allocate(bytes);
        owner->mapping = device_.domain().map(owner->buffer, DmaDirection::bidirectional);
        return {owner->buffer.bytes(), owner->mapping.iova(), owner};
    }
    void enable_interrupts(unsigned count) override { device_.enable_interrupts(count); }
    void wait_interrupt(unsigned vector, std::chrono::milliseconds timeout) override {
        (void)device_.wait_interrupt(vector, timeout);
    }
    void progress() override { device_.progress(std::chrono::microseconds(50)); }

private:
    Device& device_;
};

}  // namespace farlane::nvme_user
