// SPDX-License-Identifier: Apache-2.0
// Receives: DMA and interrupts of a device. Hands on: their outcome, in later turns, as the
// target role does. Owns: the memory of a host, which the device may reach at [0, kHostBytes).
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <vector>

#include "backend/backend.hpp"
#include "fuzz/fuzz.hpp"

namespace farlane::fuzz {

class DeviceHost final : public backend::HostPort {
public:
    static constexpr std::size_t kHostBytes = 256 * 1024;

    [[nodiscard]] Status dma_write(std::uint64_t iova, std::span<const std::byte> source, bool, std::uint64_t cookie,
                                   bool notify, std::uint32_t) noexcept override {
        require(source.size() >= 1 && source.size() <= FL_TLP_MAX_PAYLOAD_BYTES, "a write has 1 to 4096 bytes");
        if (!inside(iova, source.size())) return Status::out_of_bounds;
        std::memcpy(memory_.data() + iova, source.data(), source.size());
        ++writes_;
        if (notify) events_.push_back({cookie, false});
        return Status::ok;
    }
    [[nodiscard]] Status dma_read(std::uint64_t iova, std::span<std::byte> into, std::uint64_t cookie,
                                  std::uint32_t) noexcept override {
        require(into.size() >= 1 && into.size() <= FL_TLP_MAX_PAYLOAD_BYTES, "a read has 1 to 4096 bytes");
        if (!inside(iova, into.size())) return Status::out_of_bounds;
        std::memcpy(into.data(), memory_.data() + iova, into.size());
        events_.push_back({cookie, true});
        return Status::ok;
    }
    [[nodiscard]] Status interrupt(std::uint64_t, std::uint32_t) noexcept override { return Status::ok; }
    [[nodiscard]] Status error(std::uint32_t severity, std::uint32_t source) noexcept override {
        require(severity <= 2 && source <= 31, "an error is one of AER");
        return Status::ok;
    }
    [[nodiscard]] std::uint64_t writes_submitted() const noexcept override { return writes_; }
    [[nodiscard]] std::uint64_t writes_released() const noexcept override { return writes_; }
    void hurry() noexcept override {}
    [[nodiscard]] std::int64_t now_ns() const noexcept override { return now_ns_; }
    void wake() noexcept override { wakes_.fetch_add(1); }

    /// Turns the device until it has nothing to do, at most `turns` times; time passes with them.
    void run(backend::Device& device, unsigned turns) {
        for (; turns != 0; --turns) {
            now_ns_ += 1000000;
            const bool did = device.poll();
            const std::size_t due = events_.size();
            for (std::size_t i = 0; i < due; ++i) {
                const Event e = events_.front();
                events_.pop_front();
                e.read ? device.read_done(e.cookie, Status::ok) : device.released(e.cookie);
            }
            if (!did && due == 0 && !device.busy()) return;
        }
    }
    /// Writes `bytes` into the host's memory; what does not fit is cut.
    void poke(std::size_t at, std::span<const std::uint8_t> bytes) {
        at %= kHostBytes;
        std::memcpy(memory_.data() + at, bytes.data(), std::min(bytes.size(), kHostBytes - at));
    }
    [[nodiscard]] std::byte* memory() noexcept { return memory_.data(); }
    void forget() {
        events_.clear();
        std::fill(memory_.begin(), memory_.end(), std::byte{0});
    }

private:
    struct Event {
        std::uint64_t cookie;
        bool read;
    };
    [[nodiscard]] static bool inside(std::uint64_t iova, std::size_t bytes) noexcept {
        return iova <= kHostBytes && bytes <= kHostBytes - iova;
    }

    std::vector<std::byte> memory_ = std::vector<std::byte>(kHostBytes);
    std::deque<Event> events_;
    std::uint64_t writes_ = 0;
    std::int64_t now_ns_ = 1;
    std::atomic<std::uint64_t> wakes_{0};
};

template <class T>
void bar_write(backend::Device& device, unsigned bar, std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> bytes;
    for (auto& b : bytes) {
        b = static_cast<std::byte>(value);
        value = static_cast<T>(value >> (sizeof(T) > 1 ? 8 : 0));
    }
    (void)device.bar_write(bar, offset, bytes, 0);
}

/// Memory decoding and bus mastering, PCI 3.0 6.2.2.
inline void enable(backend::Device& device) {
    const std::array<std::byte, 2> command = {std::byte{6}, std::byte{0}};
    (void)device.config_write(4, command, 3);
}

/// Register, configuration and host memory accesses that an input may ask for besides commands.
inline void odd_access(backend::Device& device, DeviceHost& host, Input& input, std::uint64_t bar_bytes) {
    switch (input.byte() % 4) {
        case 0: {
            const std::uint64_t offset = input.number<std::uint32_t>() % (bar_bytes - 8);
            bar_write(device, 0, offset & ~std::uint64_t{3}, input.number<std::uint32_t>());
            break;
        }
        case 1: {
            std::array<std::byte, 8> out{};
            const std::uint64_t offset = input.number<std::uint32_t>() % (bar_bytes - 8);
            (void)device.bar_read(0, offset, std::span(out).first(1 + input.byte() % 8));
            break;
        }
        case 2: {
            const std::uint32_t offset = input.number<std::uint16_t>() % 4093;
            const auto bytes = input.bytes(1 + input.byte() % 4);
            (void)device.config_write(offset, std::as_bytes(bytes),
                                      static_cast<std::uint8_t>((1u << bytes.size()) - 1));
            break;
        }
        default: {
            const std::uint32_t at = input.number<std::uint32_t>();
            host.poke(at, input.bytes(64));
        }
    }
}

}  // namespace farlane::fuzz
