// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the layout of what a serial port keeps in memory that may outlive the daemon.
// Owns: nothing.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "core/function.hpp"
#include "core/persist.hpp"
#include "devices/serial/spec.hpp"

namespace farlane::firmware::serial {

/// Counters only grow (modulo 2^32), so that each step is one store; `taken` never passes `written`.
struct Fifo {
    std::uint32_t written, taken;
    std::array<std::uint8_t, kFifoBytes> bytes;

    [[nodiscard]] std::uint32_t count() const noexcept { return written - taken; }
    [[nodiscard]] std::uint8_t& at(std::uint32_t position) noexcept { return bytes[position % kFifoBytes]; }
    [[nodiscard]] std::uint8_t at(std::uint32_t position) const noexcept { return bytes[position % kFifoBytes]; }
    /// Room was checked.
    void push(std::uint8_t b) noexcept {
        at(written) = b;
        publish(written, written + 1);
    }
    /// It is not empty.
    [[nodiscard]] std::uint8_t pop() noexcept {
        const std::uint8_t b = at(taken);
        publish(taken, taken + 1);
        return b;
    }
    void clear() noexcept { publish(taken, written); }
};

struct PortState {
    std::uint8_t ier, fcr, lcr, mcr, line_errors, modem, modem_delta, scratch;
    std::uint8_t dll, dlm, dld, fctr, efr, tx_trigger, rx_trigger;
    std::uint8_t transmit_due;  // "transmitter empty" is to be told
    std::array<std::uint8_t, 4> x_chars;
    // Bytes that go from one FIFO to the other: how both stand afterwards. A kill in between is finished by restore().
    std::uint32_t loop_written, loop_taken;
    Fifo transmit, receive;
};

struct State {
    static constexpr std::uint64_t kMagic = 0x3144'5241'5553'4600;  // layout 1
    std::uint64_t magic;
    FunctionState function;
    std::array<PortState, kPorts> ports;
    std::array<std::uint8_t, reg::kDeviceEnd - reg::kDeviceBegin> device;  // registers of the device
};
static_assert(std::is_trivially_copyable_v<State>);

/// True when `s` can be what a port left behind.
[[nodiscard]] inline bool plausible(const State& s) noexcept {
    bool fine = s.magic == State::kMagic;
    for (const PortState& p : s.ports)
        fine = fine && p.transmit.count() <= kFifoBytes && p.receive.count() <= kFifoBytes;
    return fine;
}

}  // namespace farlane::firmware::serial
