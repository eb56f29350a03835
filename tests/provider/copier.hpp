// SPDX-License-Identifier: Apache-2.0
// Receives: an accelerator. Hands on: DMA at any address, both ways, and the device's own word on what came
// of it. Owns: one queue pair and 16 MiB of the device's memory. docs/accelerator.md; nothing of farlane::accel.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <farlane/uapi/accel.h>
#include <farlane/device.hpp>

namespace farlane::test {

/// Until the accelerator has done its reset: its memory is scrubbed, its queues can be used.
void until_ready(Device& device);

class Copier {
public:
    static constexpr std::size_t kBytes = 16 << 20;
    static constexpr unsigned kVector = 1;

    struct Outcome {
        unsigned reason = FL_ACCEL_REASON_NONE;
        [[nodiscard]] bool ok() const noexcept { return reason == FL_ACCEL_REASON_NONE; }
    };

    /// The device is enabled, and nobody else uses its queues.
    explicit Copier(Device& device);
    ~Copier();
    Copier(const Copier&) = delete;
    Copier& operator=(const Copier&) = delete;

    /// Host memory at `iova` to the device's memory at `offset` of ours; waits.
    Outcome to_device(std::uint64_t iova, std::uint64_t offset, std::uint64_t bytes);
    /// The other way.
    Outcome to_host(std::uint64_t offset, std::uint64_t iova, std::uint64_t bytes);
    /// to_host without waiting. When armed, its completion raises kVector; done() says when it has come, and
    /// settle() has to follow.
    void begin_to_host(std::uint64_t offset, std::uint64_t iova, std::uint64_t bytes);
    [[nodiscard]] bool done();
    /// Waits for what was begun. A failure does not reach what comes behind it (FENCE).
    Outcome settle();
    /// Where our memory lies in the aperture.
    [[nodiscard]] std::uint64_t aperture(std::uint64_t offset) const noexcept { return memory_ - aperture_ + offset; }
    /// Our memory by the aperture, not by DMA.
    void fill(std::uint64_t offset, std::span<const std::byte> data);
    [[nodiscard]] std::vector<std::byte> look(std::uint64_t offset, std::size_t bytes);
    /// Interrupts of completions; before that the queue raises none.
    void arm();

private:
    void post(fl_accel_opcode opcode, const void* operands, std::size_t bytes);
    Outcome copy(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::uint64_t bytes);
    void begin(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::uint64_t bytes);
    [[nodiscard]] bool take();
    void wait();

    Device& device_;
    DmaBuffer completions_;
    Mapping mapping_;
    std::uint64_t memory_ = 0, aperture_ = 0, commands_ = 0;
    std::uint32_t posted_ = 0, taken_ = 0;
    Outcome last_;
};

}  // namespace farlane::test
