// SPDX-License-Identifier: Apache-2.0
// Receives: buffers of an entropy driver. Hands on: them, filled with random bytes. Owns: nothing. Virtio 1.2, 5.4.
#pragma once

#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {

/// An entropy source: random bytes of this host's kernel, up to 4 KiB for each buffer.
class Rng final : public Transport {
public:
    explicit Rng(State& state, std::uint64_t withheld = 0);
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

protected:
    void device_config(std::span<std::byte, kDeviceBytes> out) const noexcept override { (void)out; }
    void proceed(Request& r) noexcept override;
    void on_gathered(Request& r, std::uint32_t block, Status status) noexcept override;
    void on_scattered(Request& r, Status status) noexcept override;

private:
    std::uint64_t bytes_ = 0;
};

}  // namespace farlane::firmware::virtio
