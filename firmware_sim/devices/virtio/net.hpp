// SPDX-License-Identifier: Apache-2.0
// Receives: packets of a network driver. Hands on: their frames to another function or to a tap interface, and
// frames from there to the driver. Owns: its end of the wire. Virtio 1.2, 5.1.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "devices/virtio/transport.hpp"
#include "devices/virtio/wire.hpp"

namespace farlane::firmware::virtio {

struct NetOptions {
    std::array<std::uint8_t, 6> mac{};
    std::uint16_t mtu = 1500;
};

/// A network interface with one pair of queues and no offloads. Frames that find no room are dropped, as on any
/// wire: by the receiver, never by holding the sender back.
class Net final : public Transport, public WireEnd {
public:
    Net(const NetOptions& options, State& state, std::unique_ptr<Tap> tap);
    ~Net() override;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;
    void receive(std::span<const std::byte> frame) noexcept override;
    void joined_changed() noexcept override { config_changed(); }

protected:
    void device_config(std::span<std::byte, kDeviceBytes> out) const noexcept override;
    void proceed(Request& r) noexcept override;
    void on_gathered(Request& r, std::uint32_t block, Status status) noexcept override;
    void on_scattered(Request& r, Status status) noexcept override;
    [[nodiscard]] bool once(unsigned queue) const noexcept override { return queue == kTransmit; }
    void on_halt() noexcept override;
    void on_port(backend::HostPort* port) noexcept override;
    bool device_work() noexcept override;
    [[nodiscard]] bool has_device_work() const noexcept override;

private:
    static constexpr unsigned kReceive = 0, kTransmit = 1;
    static constexpr std::uint32_t kWaitingFrames = 256;
    void deliver() noexcept;
    void send(std::span<const std::byte> packet) noexcept;
    bool fill() noexcept;
    bool read_tap() noexcept;
    [[nodiscard]] bool has_room() const noexcept;
    [[nodiscard]] bool link_up() const noexcept { return tap_ != nullptr || other() != nullptr; }
    [[nodiscard]] std::uint32_t most_frame_bytes() const noexcept;

    const NetOptions options_;
    std::unique_ptr<Tap> tap_;
    RefRing receivers_;                                   // buffers to be filled
    std::array<std::uint32_t, kWaitingFrames> frames_{};  // blocks with packets for the driver, a ring
    std::uint32_t first_frame_ = 0, frame_count_ = 0;
    std::uint64_t sent_ = 0, received_ = 0, bytes_sent_ = 0, bytes_received_ = 0;
    std::uint64_t dropped_receive_ = 0, dropped_transmit_ = 0;
};

}  // namespace farlane::firmware::virtio
