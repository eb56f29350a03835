// SPDX-License-Identifier: Apache-2.0
// Receives: packet numbers that arrive. Hands on: which are duplicates, and the ranges for the
// acknowledgement. Owns: a bitmap of the newest packet numbers of one path.
// docs/wire.md, "Acknowledgement".
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "proto/codec.hpp"
#include "proto/slab.hpp"
#include "proto/time.hpp"

namespace farlane::proto {

class ReceiveWindow {
public:
    static constexpr std::uint64_t kPackets = 65536;     ///< older ones are refused
    static constexpr std::uint64_t kReportDepth = 8192;  ///< below the first range no further than this

    /// kNoDrop, packet_duplicate or packet_old.
    [[nodiscard]] Drop check(std::uint64_t number) const noexcept {
        if (number > largest_) return kNoDrop;
        if (largest_ - number >= kPackets) return Drop::packet_old;
        return test(number) ? Drop::packet_duplicate : kNoDrop;
    }
    /// Notes a packet that passed check(). True when it is the one right behind the newest.
    bool take(std::uint64_t number, std::uint32_t sent_ns, Time now) noexcept {
        const bool in_order = number == largest_ + 1;
        if (in_order) {
            if (largest_ == 0) first_low_ = 1;
        } else if (number > largest_) {
            jump(number);
        } else {
            at(number) |= bit(number);
            fill_gap(number);
            return false;
        }
        advance(number);
        largest_sent_ns_ = sent_ns;
        largest_arrived_ = now;
        return in_order;
    }
    /// The same for the packet right behind the newest.
    void take_next(std::uint32_t sent_ns, Time now) noexcept {
        if (largest_ == 0) first_low_ = 1;
        advance(largest_ + 1);
        largest_sent_ns_ = sent_ns;
        largest_arrived_ = now;
    }
    /// When the newest packet came, if that was known only later.
    void arrived(Time now) noexcept { largest_arrived_ = now; }
    [[nodiscard]] std::uint64_t largest() const noexcept { return largest_; }
    /// Fills all of `out` but path and ranges; returns how many ranges were written.
    /// Precondition: largest() != 0.
    unsigned report(AckRecord& out, std::span<AckRange, FL_ACK_MAX_RANGES> ranges, Time now) const noexcept;

private:
    struct Words : Slabbed {
        std::array<std::uint64_t, kPackets / 64> all{};
    };
    [[nodiscard]] bool test(std::uint64_t n) const noexcept { return (at(n) & bit(n)) != 0; }
    [[nodiscard]] std::uint64_t& at(std::uint64_t n) noexcept {
        return word(n) == word(largest_) ? newest_word_ : words_->all[word(n)];
    }
    [[nodiscard]] std::uint64_t at(std::uint64_t n) const noexcept {
        return word(n) == word(largest_) ? newest_word_ : words_->all[word(n)];
    }
    void advance(std::uint64_t n) noexcept {
        if (word(n) != word(largest_)) [[unlikely]] {
            words_->all[word(largest_)] = newest_word_;
            newest_word_ = words_->all[word(n)];
        }
        newest_word_ |= bit(n);
        largest_ = n;
    }
    [[nodiscard]] static constexpr std::uint64_t bit(std::uint64_t n) noexcept { return std::uint64_t{1} << (n & 63); }
    [[nodiscard]] static constexpr std::size_t word(std::uint64_t n) noexcept { return (n & (kPackets - 1)) >> 6; }
    void jump(std::uint64_t number) noexcept;
    void fill_gap(std::uint64_t number) noexcept;
    [[nodiscard]] std::uint64_t floor() const noexcept;
    [[nodiscard]] std::uint64_t next_in_state(std::uint64_t from, std::uint64_t to, bool received) const noexcept;

    std::uint64_t largest_ = 0;
    std::uint64_t first_low_ = 1;  // everything from here to largest_ has arrived
    std::uint32_t largest_sent_ns_ = 0;
    Time largest_arrived_{};
    std::uint64_t newest_word_ = 0;  // that of largest_: packets in order need no other
    std::unique_ptr<Words> words_ = std::make_unique<Words>();
};

}  // namespace farlane::proto
