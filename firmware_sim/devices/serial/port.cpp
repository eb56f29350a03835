// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to BAR 0, bytes from the lines. Hands on: bytes to the lines, interrupts. Owns: the UARTs.
#include "devices/serial/port.hpp"

#include <utility>

namespace farlane::firmware::serial {
namespace {

constexpr std::uint8_t kTwoChannels = 0x82;  // device identification of the XR17V352
constexpr std::uint8_t kRevision = 0x03;

}  // namespace

Port::Port(const FunctionIdentity& identity, State& state, Lines lines)
    : Function(identity, state.function, 1),
      state_(state),
      lines_(std::move(lines)),
      uarts_{{{state.ports[0], lines_[0].get()}, {state.ports[1], lines_[1].get()}}} {}

Port::~Port() {
    on_port(nullptr);
}

void Port::on_port(backend::HostPort* port) noexcept {
    for (const auto& line : lines_) {
        if (line == nullptr) continue;
        if (port == nullptr)
            line->on_change({});
        else
            line->on_change([port] { port->wake(); });
    }
}

void Port::on_reset(ResetKind kind) noexcept {
    for (const auto& line : lines_)
        if (line != nullptr && kind == ResetKind::attach) line->hang_up();
    for (Uart& u : uarts_) u.reset();
    state_.device = {};
}

bool Port::on_restored(std::uint64_t) noexcept {
    if (!plausible(state_)) return false;
    for (Uart& u : uarts_) u.restore();
    return true;
}

// --- registers. An access of several bytes is that many registers, from the lowest on, as the bus orders them.

Status Port::register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept {
    if (bar != 0) return Status::unsupported_request;
    set_time();
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::byte{read_byte(static_cast<std::uint32_t>(offset + i))};
    interrupt();
    return Status::ok;
}

Status Port::register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                            std::uint8_t enables) noexcept {
    if (bar != 0) return Status::unsupported_request;
    set_time();
    const bool every = enables == 0 || in.size() > 8;
    for (std::size_t i = 0; i < in.size(); ++i)
        if (every || (enables >> i & 1) != 0)
            write_byte(static_cast<std::uint32_t>(offset + i), std::to_integer<std::uint8_t>(in[i]));
    interrupt();
    return Status::ok;
}

void Port::set_time() noexcept {
    if (port() == nullptr) return;
    for (Uart& u : uarts_) u.set_time(port()->now_ns());
}

std::uint8_t Port::read_byte(std::uint32_t offset) noexcept {
    const std::uint32_t channel = offset / kPortStride, at = offset % kPortStride;
    if (channel >= kPorts) return 0xff;  // channels this device does not have
    if (at < reg::kChannelEnd || at >= reg::kFifoWindow) return uarts_[channel].read(at);
    return device_register(at);
}

void Port::write_byte(std::uint32_t offset, std::uint8_t value) noexcept {
    const std::uint32_t channel = offset / kPortStride, at = offset % kPortStride;
    if (channel >= kPorts) return;
    if (at < reg::kChannelEnd || at >= reg::kFifoWindow)
        uarts_[channel].write(at, value);
    else
        write_device_register(at, value);
}

std::uint8_t Port::device_register(std::uint32_t offset) const noexcept {
    if (offset < reg::kDeviceBegin || offset >= reg::kDeviceEnd) return 0;
    std::uint8_t pending = 0, sources = 0;
    for (unsigned i = 0; i < kPorts; ++i) {
        const std::uint8_t id = uarts_[i].identification() & 0x0f;
        if (id == kIirNone) continue;
        pending |= static_cast<std::uint8_t>(1u << i);
        // Three bits each: received, time-out, transmitter, modem
        unsigned source = id == kIirTransmit ? 3 : 4;
        if (id == kIirReceive || id == kIirLine) source = 1;
        if (id == kIirTimeout) source = 2;
        sources |= static_cast<std::uint8_t>(source << (3 * i));
    }
    switch (offset) {
        case reg::kInt0: return pending;
        case reg::kInt1: return sources;
        case reg::kReset: return 0;
        case reg::kRevision: return kRevision;
        case reg::kDeviceId: return kTwoChannels;
        default: return state_.device[offset - reg::kDeviceBegin];
    }
}

void Port::write_device_register(std::uint32_t offset, std::uint8_t value) noexcept {
    if (offset < reg::kDeviceBegin || offset >= reg::kDeviceEnd) return;
    if (offset == reg::kReset) {
        for (unsigned i = 0; i < kPorts; ++i)
            if ((value >> i & 1) != 0) uarts_[i].reset();
        return;
    }
    state_.device[offset - reg::kDeviceBegin] = value;
}

// --- work

void Port::interrupt() noexcept {
    bool due = false;
    for (Uart& u : uarts_) due |= u.interrupt_due();
    if (due) raise(0);
}

bool Port::work() noexcept {
    set_time();
    bool did = false;
    for (Uart& u : uarts_) did |= u.move();
    interrupt();
    return did;
}

bool Port::has_work() const noexcept {
    for (const Uart& u : uarts_)
        if (u.has_work()) return true;
    return false;
}

void Port::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Function::counters(each);
    std::uint64_t sent = 0, received = 0, overflows = 0, lost = 0;
    for (const Uart& u : uarts_) {
        sent += u.counters().sent;
        received += u.counters().received;
        overflows += u.counters().overflows;
        lost += u.counters().unheard;
    }
    for (const auto& line : lines_)
        if (line != nullptr) lost += line->lost();
    each("line_bytes_sent", sent);
    each("line_bytes_received", received);
    each("fifo_overflows", overflows);
    each("line_bytes_lost", lost);
}

}  // namespace farlane::firmware::serial
