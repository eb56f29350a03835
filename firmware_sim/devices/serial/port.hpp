// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to BAR 0, bytes from the lines. Hands on: bytes to the lines, interrupts. Owns: the UARTs.
// A serial port with two channels as stock 8250_exar drives them (Exar XR17V352).
#pragma once

#include <array>
#include <memory>

#include "devices/serial/uart.hpp"

namespace farlane::firmware::serial {

/// Lines of the channels; null = a loopback plug.
using Lines = std::array<std::unique_ptr<Line>, kPorts>;

class Port final : public Function {
public:
    /// `state` is zeroed or what an earlier life left.
    Port(const FunctionIdentity& identity, State& state, Lines lines);
    ~Port() override;
    void counters(const std::function<void(std::string_view, std::uint64_t)>& each) const override;

protected:
    Status register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept override;
    Status register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                          std::uint8_t enables) noexcept override;
    void on_reset(ResetKind kind) noexcept override;
    [[nodiscard]] bool keeps_state() const noexcept override { return true; }
    [[nodiscard]] bool on_restored(std::uint64_t released) noexcept override;
    bool work() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    void on_port(backend::HostPort* port) noexcept override;
    void dma_done(std::uint64_t tag, Status status) noexcept override { (void)tag, (void)status; }

private:
    [[nodiscard]] std::uint8_t read_byte(std::uint32_t offset) noexcept;
    void write_byte(std::uint32_t offset, std::uint8_t value) noexcept;
    [[nodiscard]] std::uint8_t device_register(std::uint32_t offset) const noexcept;
    void write_device_register(std::uint32_t offset, std::uint8_t value) noexcept;
    void set_time() noexcept;
    void interrupt() noexcept;

    State& state_;
    Lines lines_;
    std::array<Uart, kPorts> uarts_;
};

}  // namespace farlane::firmware::serial
