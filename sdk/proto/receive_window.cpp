// SPDX-License-Identifier: Apache-2.0
// Receives: packet numbers out of order. Hands on: ranges, newest first. Owns: nothing more.
// docs/wire.md, "Acknowledgement".
#include "proto/receive_window.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace farlane::proto {

namespace {

constexpr std::uint32_t kMax32 = std::numeric_limits<std::uint32_t>::max();

std::uint32_t saturate(std::uint64_t v) noexcept {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(v, kMax32));
}

}  // namespace

// The numbers between the newest and `number` have not arrived: clears what the ring still
// says of numbers kPackets before.
void ReceiveWindow::jump(std::uint64_t number) noexcept {
    words_->all[word(largest_)] = newest_word_;
    if (number - largest_ >= kPackets) {
        words_->all.fill(0);
    } else {
        for (std::uint64_t n = largest_ + 1; n <= number;) {
            const std::uint64_t end = std::min(number, n | 63);
            words_->all[word(n)] &= ~((~std::uint64_t{0} << (n & 63)) & (~std::uint64_t{0} >> (63 - (end & 63))));
            n = end + 1;
        }
    }
    newest_word_ = words_->all[word(largest_)];
    first_low_ = number;
}

std::uint64_t ReceiveWindow::floor() const noexcept {
    return largest_ >= kPackets ? largest_ - kPackets + 1 : 1;
}

void ReceiveWindow::fill_gap(std::uint64_t number) noexcept {
    if (number + 1 != first_low_) return;
    const std::uint64_t lowest = floor();
    const std::uint64_t missing = next_in_state(number, lowest, false);
    first_low_ = missing == 0 ? std::min(lowest, number) : missing + 1;
}

// Highest number in [to, from] that has (not) arrived; 0 = none.
std::uint64_t ReceiveWindow::next_in_state(std::uint64_t from, std::uint64_t to, bool received) const noexcept {
    while (from >= to && from != 0) {
        std::uint64_t bits = at(from);
        if (!received) bits = ~bits;
        bits &= ~std::uint64_t{0} >> (63 - (from & 63));
        const std::uint64_t base = from & ~std::uint64_t{63};
        if (bits != 0) {
            const std::uint64_t found = base + (63 - static_cast<unsigned>(std::countl_zero(bits)));
            return found >= to ? found : 0;
        }
        if (base == 0) return 0;
        from = base - 1;
    }
    return 0;
}

unsigned ReceiveWindow::report(AckRecord& out, std::span<AckRange, FL_ACK_MAX_RANGES> ranges, Time now) const noexcept {
    const auto hold = now - largest_arrived_;
    out.largest = largest_;
    out.first_length = saturate(largest_ - first_low_ + 1);
    out.echo_sent_ns = largest_sent_ns_;
    out.hold_ns = hold.count() < 0 ? 0 : saturate(static_cast<std::uint64_t>(hold.count()));
    out.range_count = 0;
    if (first_low_ <= 1) return 0;
    const std::uint64_t lowest = std::max(floor(), first_low_ > kReportDepth ? first_low_ - kReportDepth : 1);
    std::uint64_t low = first_low_;  // of the range before
    unsigned count = 0;
    while (count < ranges.size() && low > lowest) {
        const std::uint64_t high = next_in_state(low - 1, lowest, true);
        if (high == 0) break;
        const std::uint64_t missing = next_in_state(high, lowest, false);
        const std::uint64_t range_low = missing == 0 ? lowest : missing + 1;
        ranges[count++] = {saturate(low - 1 - high), saturate(high - range_low + 1)};
        low = range_low;
    }
    return count;
}

}  // namespace farlane::proto
