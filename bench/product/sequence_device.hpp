// SPDX-License-Identifier: Apache-2.0
// Receives: posted writes of numbers that count up. Hands on: how many were wrong, and the longest pause between two.
// Owns: nothing else. Its figures may be read from any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>

#include "backend/backend.hpp"

namespace farlane::bench {

class SequenceDevice final : public backend::Device {
public:
    [[nodiscard]] static std::int64_t now_ns() noexcept {
        timespec t{};
        clock_gettime(CLOCK_MONOTONIC, &t);
        return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
    }
    void forget_gap() noexcept { gap_ns_ = 0; }
    /// A pause that is still going on counts.
    [[nodiscard]] double longest_gap_ms() const noexcept {
        return double(std::max<std::int64_t>(gap_ns_, now_ns() - at_ns_)) / 1e6;
    }
    [[nodiscard]] std::uint64_t last() const noexcept { return last_; }
    [[nodiscard]] std::uint64_t errors() const noexcept { return errors_; }

    const fl_function_desc& describe() const noexcept override {
        static const fl_function_desc desc = [] {
            fl_function_desc d{};
            d.vendor_id.set(0x1d1d);
            d.device_id.set(0x0004);
            d.bar[0].size_bytes.set(4096);
            std::strcpy(d.model, "sequence");
            return d;
        }();
        return desc;
    }
    // Memory decoding is always on: nothing here is worth a configuration access.
    Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept override {
        for (auto& b : out) b = offset++ == 4 ? std::byte{6} : std::byte{0};
        return Status::ok;
    }
    Status config_write(std::uint32_t, std::span<const std::byte>, std::uint8_t) noexcept override {
        return Status::ok;
    }
    Status bar_read(unsigned, std::uint64_t, std::span<std::byte> out) noexcept override {
        std::fill(out.begin(), out.end(), std::byte{0});
        return Status::ok;
    }
    Status bar_write(unsigned, std::uint64_t, std::span<const std::byte> in, std::uint8_t) noexcept override {
        std::uint64_t value = 0;
        std::memcpy(&value, in.data(), std::min(in.size(), sizeof value));
        const auto now = now_ns();
        if (at_ns_ != 0 && now - at_ns_ > gap_ns_) gap_ns_ = now - at_ns_;
        at_ns_ = now;
        if (value != last_ + 1) ++errors_;
        last_ = value;
        return Status::ok;
    }
    void attached(backend::HostPort&) noexcept override {}
    void detached() noexcept override {}
    void reset() noexcept override {}
    bool poll() noexcept override { return false; }
    [[nodiscard]] bool busy() const noexcept override { return false; }
    void read_done(std::uint64_t, Status) noexcept override {}
    void released(std::uint64_t) noexcept override {}
    void counters(const std::function<void(std::string_view, std::uint64_t)>&) const override {}

private:
    std::atomic<std::int64_t> at_ns_{0}, gap_ns_{0};
    std::atomic<std::uint64_t> last_{0}, errors_{0};
};

}  // namespace farlane::bench
