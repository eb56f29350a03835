// SPDX-License-Identifier: Apache-2.0
// Receives: register accesses of one channel, and bytes from its line. Hands on: bytes to the line, and whether
// an interrupt is due. Owns: nothing; registers and FIFOs are in State.
#include "devices/serial/uart.hpp"

#include <algorithm>
#include <array>

namespace farlane::firmware::serial {

void Uart::reset() noexcept {
    s_.ier = s_.fcr = s_.lcr = s_.mcr = s_.line_errors = s_.modem_delta = s_.scratch = 0;
    s_.dll = s_.dlm = s_.dld = s_.fctr = s_.efr = s_.tx_trigger = s_.rx_trigger = s_.transmit_due = 0;
    s_.x_chars = {};
    s_.transmit.clear();
    s_.receive.clear();
    s_.loop_written = s_.receive.written;
    s_.loop_taken = s_.transmit.taken;
    s_.modem = modem_inputs();
    shown_ = 0;
    at_rest_ = true;
    next_at_ns_ = 0;
}

void Uart::restore() noexcept {
    const bool unfinished = s_.receive.written == s_.loop_written;
    const std::uint32_t ahead = s_.loop_taken - s_.transmit.taken;
    if (unfinished && ahead <= s_.transmit.count()) publish(s_.transmit.taken, s_.loop_taken);
    shown_ = 0;  // told again: a message may have been lost with the daemon
    at_rest_ = true;
}

std::uint8_t Uart::modem_inputs() const noexcept {
    if (!plugged_back()) return line_->connected() ? kMsrCts | kMsrDsr | kMsrDcd : 0;
    std::uint8_t in = 0;
    if ((s_.mcr & kMcrRts) != 0) in |= kMsrCts;
    if ((s_.mcr & kMcrDtr) != 0) in |= kMsrDsr;
    if ((s_.mcr & kMcrLoop) != 0) {  // inside the UART: the outputs 1 and 2 are on the other two
        if ((s_.mcr & kMcrOut1) != 0) in |= kMsrRing;
        if ((s_.mcr & kMcrOut2) != 0) in |= kMsrDcd;
    } else if ((s_.mcr & kMcrDtr) != 0) {
        in |= kMsrDcd;
    }
    return in;
}

// --- registers

std::uint8_t Uart::read(std::uint32_t offset) noexcept {
    if (offset >= reg::kFifoWindow) return read_window(offset);
    if ((s_.lcr & kLcrDivisor) != 0) {
        if (offset == reg::kDll) return s_.dll;
        if (offset == reg::kDlm) return s_.dlm;
        if (offset == reg::kDld) return s_.dld;
    }
    switch (offset) {
        case reg::kData: return read_data();
        case reg::kIer: return s_.ier;
        case reg::kIir: {
            const std::uint8_t id = identification();
            if ((id & 0x0f) == kIirTransmit) s_.transmit_due = 0;  // reading it is the answer to it
            if ((id & 0x0f) == kIirNone) rest();
            return id;
        }
        case reg::kLcr: return s_.lcr;
        case reg::kMcr: return s_.mcr;
        case reg::kLsr: return read_status();
        case reg::kMsr: {
            update_modem();
            const auto v = static_cast<std::uint8_t>(s_.modem | s_.modem_delta);
            s_.modem_delta = 0;
            return v;
        }
        case reg::kScratch: return s_.scratch;
        case reg::kFctr: return s_.fctr;
        case reg::kEfr: return s_.efr;
        case reg::kTxCount: return static_cast<std::uint8_t>(std::min(s_.transmit.count(), 255u));
        case reg::kRxCount: return static_cast<std::uint8_t>(std::min(s_.receive.count(), 255u));
        default: return 0;  // the flow control characters can only be written
    }
}

void Uart::write(std::uint32_t offset, std::uint8_t value) noexcept {
    if (offset >= reg::kFifoWindow) {
        if (offset < reg::kStatusWindow) write_data(value);
        return;
    }
    if ((s_.lcr & kLcrDivisor) != 0 && write_divisor(offset, value)) return;
    switch (offset) {
        case reg::kData: write_data(value); break;
        case reg::kIer: write_ier(value); break;
        case reg::kFcr: write_fcr(value); break;
        case reg::kLcr: s_.lcr = value; break;
        case reg::kMcr:
            s_.mcr = value;
            update_modem();
            break;
        case reg::kScratch: s_.scratch = value; break;
        case reg::kFctr: s_.fctr = value; break;
        case reg::kEfr: s_.efr = value; break;
        case reg::kTxCount: s_.tx_trigger = value; break;
        case reg::kRxCount: s_.rx_trigger = value; break;
        default:
            if (offset >= reg::kXChars && offset < reg::kChannelEnd) s_.x_chars[offset - reg::kXChars] = value;
            break;  // LSR and MSR are read-only
    }
}

bool Uart::write_divisor(std::uint32_t offset, std::uint8_t value) noexcept {
    switch (offset) {
        case reg::kDll: s_.dll = value; return true;
        case reg::kDlm: s_.dlm = value; return true;
        case reg::kDld: s_.dld = value; return true;
        default: return false;
    }
}

std::uint8_t Uart::read_data() noexcept {
    return s_.receive.count() == 0 ? 0 : s_.receive.pop();
}

std::uint8_t Uart::read_status() noexcept {
    auto v = s_.line_errors;
    s_.line_errors = 0;
    if (s_.receive.count() != 0) v |= kLsrReady;
    if (s_.transmit.count() == 0) v |= kLsrEmpty;
    return v;
}

std::uint8_t Uart::read_window(std::uint32_t offset) noexcept {
    // In the second window each byte is followed by its status; none ever has an error here
    if (offset >= reg::kStatusWindow && (offset & 1) != 0) return 0;
    return read_data();
}

void Uart::write_data(std::uint8_t value) noexcept {
    s_.transmit_due = 0;
    if (s_.transmit.count() >= depth()) {
        ++counters_.overflows;
        return;
    }
    s_.transmit.push(value);
}

void Uart::write_ier(std::uint8_t value) noexcept {
    const bool asked = (value & ~s_.ier & kIerTransmit) != 0;
    s_.ier = value;
    if (asked && s_.transmit.count() == 0) s_.transmit_due = 1;
}

void Uart::write_fcr(std::uint8_t value) noexcept {
    const bool other_depth = ((value ^ s_.fcr) & kFcrEnable) != 0;
    if (other_depth || (value & kFcrClearReceive) != 0) s_.receive.clear();
    if (other_depth || (value & kFcrClearTransmit) != 0) {
        const bool had = s_.transmit.count() != 0;
        s_.transmit.clear();
        if (had) emptied();
    }
    s_.fcr = value & static_cast<std::uint8_t>(~(kFcrClearReceive | kFcrClearTransmit));
}

// --- interrupts

// As bits of IER.
std::uint8_t Uart::causes() const noexcept {
    std::uint8_t c = 0;
    if (s_.line_errors != 0) c |= kIerLine;
    if (s_.receive.count() != 0) c |= kIerReceive;
    if (s_.transmit_due != 0) c |= kIerTransmit;
    if (s_.modem_delta != 0) c |= kIerModem;
    return c & s_.ier;
}

std::uint8_t Uart::identification() const noexcept {
    const std::uint8_t c = causes();
    const std::uint8_t fifos = (s_.fcr & kFcrEnable) != 0 ? kIirFifos : 0;
    std::uint8_t id = kIirNone;
    if ((c & kIerLine) != 0)
        id = kIirLine;
    else if ((c & kIerReceive) != 0)  // below its trigger level the line has gone quiet at once: no byte takes time
        id = fifos == 0 || s_.receive.count() >= std::max<std::uint32_t>(s_.rx_trigger, 1) ? kIirReceive : kIirTimeout;
    else if ((c & kIerTransmit) != 0)
        id = kIirTransmit;
    else if ((c & kIerModem) != 0)
        id = kIirModem;
    return id | fifos;
}

// The UART's interrupt is a level, MSI is a message: one for each cause that comes up.
bool Uart::interrupt_due() noexcept {
    const std::uint8_t now = causes();
    const bool due = (now & ~shown_) != 0;
    shown_ = now;
    return due;
}

// --- bytes

// The other end honours RTS; with auto CTS so does this one.
std::uint32_t Uart::sendable() const noexcept {
    const std::uint32_t n = s_.transmit.count();
    const bool auto_cts = (s_.efr & kEfrAutoCts) != 0 || (s_.mcr & kMcrAutoFlow) != 0;
    if (n == 0 || (auto_cts && (s_.modem & kMsrCts) == 0)) return 0;
    if (!plugged_back())
        return line_->connected() ? static_cast<std::uint32_t>(std::min<std::size_t>(n, line_->room())) : n;
    if ((s_.mcr & (kMcrRts | kMcrLoop)) == 0) return 0;
    return std::min(n, burst());
}

std::uint32_t Uart::receivable() const noexcept {
    if (plugged_back() || (s_.mcr & kMcrRts) == 0) return 0;
    return static_cast<std::uint32_t>(std::min<std::size_t>(burst(), line_->waiting()));
}

void Uart::move_back(std::uint32_t n) noexcept {
    Fifo &from = s_.transmit, &to = s_.receive;
    for (std::uint32_t i = 0; i < n; ++i) to.at(to.written + i) = from.at(from.taken + i);
    publish(s_.loop_taken, from.taken + n);
    publish(s_.loop_written, to.written + n);
    publish(to.written, to.written + n);
    publish(from.taken, from.taken + n);
    counters_.received += n;
    delivered();
}

void Uart::move_out(std::uint32_t n) noexcept {
    std::array<std::uint8_t, kFifoBytes> bytes;
    for (std::uint32_t i = 0; i < n; ++i) bytes[i] = s_.transmit.at(s_.transmit.taken + i);
    publish(s_.transmit.taken, s_.transmit.taken + n);
    if (line_->connected())
        line_->send(std::span(bytes).first(n));
    else
        counters_.unheard += n;  // into a cable that is not plugged in
}

bool Uart::move_in() noexcept {
    const std::uint32_t n = receivable();
    if (n == 0) return false;
    std::array<std::uint8_t, kFifoBytes> bytes;
    const std::size_t got = line_->receive(std::span(bytes).first(n));
    for (std::size_t i = 0; i < got; ++i) s_.receive.push(bytes[i]);
    counters_.received += got;
    delivered();
    return got != 0;
}

void Uart::delivered() noexcept {
    at_rest_ = false;
    burst_at_ns_ = now_ns_;
    shown_ &= static_cast<std::uint8_t>(~kIerReceive);
}

// Bursts back to back would leave the processor that takes the interrupts nothing but interrupts.
void Uart::rest() noexcept {
    constexpr std::int64_t kMostNs = 1'000'000'000;
    if (!at_rest_) next_at_ns_ = now_ns_ + std::clamp<std::int64_t>(now_ns_ - burst_at_ns_, 0, kMostNs);
    at_rest_ = true;
}

void Uart::emptied() noexcept {
    s_.transmit_due = 1;
    shown_ &= static_cast<std::uint8_t>(~kIerTransmit);
}

bool Uart::update_modem() noexcept {
    const std::uint8_t in = modem_inputs();
    const unsigned changed = in ^ s_.modem;
    if (changed == 0) return false;
    // RI is told of when it ends
    const unsigned delta = (changed & ~unsigned{kMsrRing}) | (changed & s_.modem & kMsrRing);
    s_.modem_delta |= static_cast<std::uint8_t>(delta >> 4);
    s_.modem = in;
    shown_ &= static_cast<std::uint8_t>(~kIerModem);
    return true;
}

bool Uart::move() noexcept {
    bool did = update_modem();
    if (const std::uint32_t n = sendable(); n != 0 && (rested() || !plugged_back())) {
        plugged_back() ? move_back(n) : move_out(n);
        counters_.sent += n;
        if (s_.transmit.count() == 0) emptied();
        did = true;
    }
    return (rested() && move_in()) || did;
}

bool Uart::has_work() const noexcept {
    return modem_inputs() != s_.modem || sendable() != 0 || receivable() != 0;
}

}  // namespace farlane::firmware::serial
