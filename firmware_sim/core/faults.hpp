// SPDX-License-Identifier: Apache-2.0
// Receives: which faults a configuration or a test asks for. Hands on: whether one strikes now.
// Owns: counters until each strikes. Off costs one predictable branch.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include <farlane/status.hpp>

namespace farlane::firmware {

/// Faults of a simulated device: what hardware and firmware do on a bad day. Everything is off by default;
/// switched on by the option `faults=` of a device or by a test. One lane.
class Faults {
public:
    /// Every command completes this much later.
    std::int64_t delay_completion_ns = 0;
    /// After this many register reads the firmware hangs: reads are never answered (Status::pending to the
    /// target, which gives no answer) and no work is done until the function is reset. 0 = never.
    std::uint64_t hang_after_reads = 0;
    /// The n-th DMA record from now goes to an address that no mapping covers. 0 = never.
    std::uint64_t dma_outside_after = 0;
    /// After n finished commands the function reports an AER error (severity, bit of its status register).
    std::uint64_t error_after = 0;
    std::uint32_t error_severity = 0, error_source = 0;

    /// Places where a test may end a device's life, as kill -9 would: `at` is given the name of the place and
    /// does not come back if it wants the device dead. Production leaves it empty.
    std::function<void(const char* place)> at;

    /// "key=value,key=value": delay_us, hang_after_reads, dma_outside_after, error_after, error_severity
    /// (correctable, nonfatal, fatal), error_source. invalid: the text says what is valid.
    [[nodiscard]] Result<bool> parse(std::string_view text);

    [[nodiscard]] bool hung() const noexcept { return hung_; }
    /// Counts a register read. True = it is not answered.
    [[nodiscard]] bool on_register_read() noexcept {
        if (hang_after_reads != 0 && --hang_after_reads == 0) hung_ = true;
        return hung_;
    }
    void on_reset() noexcept { hung_ = false; }
    [[nodiscard]] std::uint64_t dma_address(std::uint64_t iova) noexcept {
        if (dma_outside_after == 0 || --dma_outside_after != 0) return iova;
        return (iova & 0xfff) | kOutside;
    }
    /// Counts a finished command. True = report the error now.
    [[nodiscard]] bool on_command() noexcept { return error_after != 0 && --error_after == 0; }
    void point(const char* place) const {
        if (at) [[unlikely]]
            at(place);
    }

    static constexpr std::uint64_t kOutside = 0xffff'f000'dead'0000;

private:
    bool hung_ = false;
};

}  // namespace farlane::firmware
