// SPDX-License-Identifier: Apache-2.0
// Receives: register accesses of one channel, and bytes from its line. Hands on: bytes to the line, and whether
// an interrupt is due. Owns: nothing; registers and FIFOs are in State.
#pragma once

#include <algorithm>
#include <cstdint>

#include "devices/serial/line.hpp"
#include "devices/serial/state.hpp"

namespace farlane::firmware::serial {

/// A 16550 with FIFOs of 256 bytes. Bytes have no duration: the baud rate is stored and means nothing. The other
/// end of the line sends a burst, and the next one when the driver has taken that in, found nothing more to do, and
/// had as much time again for other things; it honours RTS. So no byte is ever overrun. One lane.
class Uart {
public:
    /// Without a line a loopback plug is in the connector: what is sent comes back.
    Uart(PortState& state, Line* line) noexcept : s_(state), line_(line) {}

    /// The time of all that follows.
    void set_time(std::int64_t now_ns) noexcept { now_ns_ = now_ns; }
    void reset() noexcept;
    /// After a kill: both FIFOs are brought to where the last move wanted them.
    void restore() noexcept;
    /// `offset` is below reg::kChannelEnd or inside one of the windows.
    [[nodiscard]] std::uint8_t read(std::uint32_t offset) noexcept;
    void write(std::uint32_t offset, std::uint8_t value) noexcept;

    /// Moves at most a FIFO in each direction. True = something moved or changed.
    bool move() noexcept;
    [[nodiscard]] bool has_work() const noexcept;
    /// True = a cause of an interrupt has come up since the last call.
    [[nodiscard]] bool interrupt_due() noexcept;
    [[nodiscard]] std::uint8_t identification() const noexcept;

    struct Counters {
        std::uint64_t sent = 0, received = 0;
        std::uint64_t overflows = 0;  ///< bytes a driver wrote into a full FIFO
        std::uint64_t unheard = 0;    ///< bytes sent while nobody was at the other end
    };
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

private:
    [[nodiscard]] bool plugged_back() const noexcept { return line_ == nullptr || (s_.mcr & kMcrLoop) != 0; }
    [[nodiscard]] std::uint32_t depth() const noexcept { return (s_.fcr & kFcrEnable) != 0 ? kFifoBytes : 1; }
    /// Bytes the line may deliver as soon as it has rested.
    [[nodiscard]] std::uint32_t burst() const noexcept {
        const bool taken_in = s_.receive.count() == 0 && (at_rest_ || (s_.ier & kIerReceive) == 0);
        return taken_in ? std::min(depth(), kBurstBytes) : 0;
    }
    [[nodiscard]] std::uint8_t modem_inputs() const noexcept;
    [[nodiscard]] std::uint32_t sendable() const noexcept;
    [[nodiscard]] std::uint32_t receivable() const noexcept;
    [[nodiscard]] std::uint8_t read_data() noexcept;
    [[nodiscard]] std::uint8_t read_status() noexcept;
    [[nodiscard]] std::uint8_t read_window(std::uint32_t offset) noexcept;
    void write_data(std::uint8_t value) noexcept;
    void write_ier(std::uint8_t value) noexcept;
    void write_fcr(std::uint8_t value) noexcept;
    [[nodiscard]] bool write_divisor(std::uint32_t offset, std::uint8_t value) noexcept;
    [[nodiscard]] std::uint8_t causes() const noexcept;
    bool update_modem() noexcept;
    void move_back(std::uint32_t n) noexcept;
    void move_out(std::uint32_t n) noexcept;
    bool move_in() noexcept;
    void emptied() noexcept;
    void delivered() noexcept;
    void rest() noexcept;
    [[nodiscard]] bool rested() const noexcept { return now_ns_ >= next_at_ns_; }

    PortState& s_;
    Line* line_;
    std::uint8_t shown_ = 0;  // causes the driver was told of
    bool at_rest_ = true;     // it has seen that there was nothing to do since the last burst
    std::int64_t now_ns_ = 0;
    std::int64_t burst_at_ns_ = 0;  // when the last burst was delivered
    std::int64_t next_at_ns_ = 0;   // when the next may be
    Counters counters_;
};

}  // namespace farlane::firmware::serial
