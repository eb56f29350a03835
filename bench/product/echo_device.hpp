// SPDX-License-Identifier: Apache-2.0
// Receives: register writes of the initiator. Hands on: the value, written back into its memory at once.
// Owns: 4 KiB of memory behind BAR2. The far end of a put ping-pong.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "backend/backend.hpp"

namespace farlane::bench {

class EchoDevice final : public backend::Device {
public:
    static constexpr std::uint64_t kIova = 0x00;      // where answers go
    static constexpr std::uint64_t kEcho = 0x08;      // write: the value goes to kIova
    static constexpr std::uint64_t kEchoPage = 0x10;  // write: BAR2 goes to kIova, the value as its last 8 bytes
    static constexpr std::size_t kBar0Bytes = 4096, kPageBytes = 4096;

    EchoDevice() : page_(kPageBytes) {
        desc_.vendor_id.set(0x1d1d);
        desc_.device_id.set(0x0002);
        desc_.class_code.set(0xff000001);
        desc_.bar[0].size_bytes.set(kBar0Bytes);
        desc_.bar[2].size_bytes.set(kPageBytes);
        desc_.bar[2].flags.set(FL_BAR_64BIT | FL_BAR_PREFETCHABLE);
        std::strcpy(desc_.model, "echo");
    }

    const fl_function_desc& describe() const noexcept override { return desc_; }
    Status config_read(std::uint32_t offset, std::span<std::byte> out) noexcept override {
        std::memcpy(out.data(), config_.data() + offset, out.size());
        return Status::ok;
    }
    Status config_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept override {
        for (std::size_t i = 0; i < in.size(); ++i)
            if ((enables >> i & 1) != 0 && (offset + i == 4 || offset + i == 5)) config_[offset + i] = in[i];
        return Status::ok;
    }
    Status bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override {
        if (bar != 2) return Status::unsupported_request;
        std::memcpy(out.data(), page_.data() + offset, out.size());
        return Status::ok;
    }
    Status bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                     std::uint8_t) noexcept override {
        if (bar == 2) {
            std::memcpy(page_.data() + offset, in.data(), in.size());
            return Status::ok;
        }
        if (in.size() != sizeof(std::uint64_t)) return Status::unsupported_request;
        if (offset == kIova) std::memcpy(&iova_, in.data(), sizeof iova_);
        if (offset == kEcho) send(in);
        if (offset != kEchoPage) return Status::ok;
        std::memcpy(page_.data() + kPageBytes - in.size(), in.data(), in.size());
        send(page_);
        return Status::ok;
    }
    std::span<std::byte> bar_memory(unsigned bar) noexcept override {
        return bar == 2 ? std::span(page_) : std::span<std::byte>{};
    }

    void attached(backend::HostPort& port) noexcept override { port_ = &port; }
    void detached() noexcept override { port_ = nullptr; }
    void reset() noexcept override {}
    bool poll() noexcept override { return false; }
    [[nodiscard]] bool busy() const noexcept override { return false; }
    void read_done(std::uint64_t, Status) noexcept override {}
    void released(std::uint64_t) noexcept override {}
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override {
        each("refused", refused_);
    }

private:
    void send(std::span<const std::byte> bytes) noexcept {
        if (port_->dma_write(iova_, bytes, false, 0, false) != Status::ok) ++refused_;
    }

    fl_function_desc desc_{};
    std::array<std::byte, 4096> config_{};
    std::vector<std::byte> page_;
    backend::HostPort* port_ = nullptr;
    std::uint64_t iova_ = 0, refused_ = 0;
};

}  // namespace farlane::bench
