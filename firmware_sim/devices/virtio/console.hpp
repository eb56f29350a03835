// SPDX-License-Identifier: Apache-2.0
// Receives: bytes of a console driver and of the line behind the console. Hands on: them to the other side.
// Owns: the line. Virtio 1.2, 5.3, one port.
#pragma once

#include <array>
#include <memory>

#include "devices/serial/line.hpp"
#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {

/// A console. Without a line it gives back what it was sent. Bytes that nobody is there to take are lost, as on a
/// wire; a line that is slow holds the driver back.
class Console final : public Transport {
public:
    /// `line` null = echo.
    Console(State& state, std::unique_ptr<serial::Line> line);
    ~Console() override;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

protected:
    void device_config(std::span<std::byte, kDeviceBytes> out) const noexcept override { (void)out; }
    void proceed(Request& r) noexcept override;
    void on_gathered(Request& r, std::uint32_t block, Status status) noexcept override;
    void on_scattered(Request& r, Status status) noexcept override;
    [[nodiscard]] bool once(unsigned queue) const noexcept override { return queue == kTransmit; }
    void on_halt() noexcept override;
    void on_reset(ResetKind kind) noexcept override;
    void on_port(backend::HostPort* port) noexcept override;
    bool device_work() noexcept override;
    [[nodiscard]] bool has_device_work() const noexcept override;

private:
    static constexpr unsigned kReceive = 0, kTransmit = 1;
    static constexpr std::size_t kEchoBytes = 4096;
    void gather_chunk(Request& r) noexcept;
    bool send() noexcept;
    bool receive() noexcept;
    [[nodiscard]] std::size_t send_room() const noexcept;
    [[nodiscard]] std::size_t waiting() const noexcept;
    void put(std::span<const std::byte> bytes) noexcept;
    void take(std::span<std::byte> into) noexcept;

    std::unique_ptr<serial::Line> line_;
    std::array<std::byte, kEchoBytes> echo_{};
    std::size_t echo_first_ = 0, echo_count_ = 0;
    RefRing receivers_;  // buffers to be filled
    std::uint64_t sent_ = 0, received_ = 0, unheard_ = 0;
};

}  // namespace farlane::firmware::virtio
