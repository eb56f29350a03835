// SPDX-License-Identifier: Apache-2.0
// Receives: packets as they are sent, and the ranges a peer acknowledges. Hands on: which
// packets are newly acknowledged or lost. Owns: the ring of sent packets of one path and their
// record references. docs/wire.md, "Loss".
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "proto/record_ref.hpp"
#include "proto/slab.hpp"
#include "proto/time.hpp"

namespace farlane::proto {

struct SentPacket {
    Time sent{};
    std::uint32_t ref_begin = 0;  ///< free-running index into the ring of references
    std::uint16_t ref_count = 0;
    std::uint16_t bytes = 0;
    std::uint16_t data_bytes = 0;  ///< what the congestion window counts: it holds back nothing else
    bool lost = false;
    bool in_flight = false;
    bool copied = false;   ///< records of it are, or were before, in another packet as well
    bool untimed = false;  ///< it left before `sent`: its acknowledgement says nothing of the round trip
    RecordRef first;       ///< most packets have no more than one reference: it is not looked for elsewhere
};

/// Packet numbers begin with 1 and are used once. A packet is *resolved* once it is
/// acknowledged, or from the start when nobody waits for it. A lost one stays for a while, so
/// that a late acknowledgement is noticed.
class PacketWindow {
public:
    explicit PacketWindow(std::uint32_t max_packets);

    [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
    [[nodiscard]] std::uint64_t oldest() const noexcept { return oldest_; }
    [[nodiscard]] std::uint64_t largest_acked() const noexcept { return largest_acked_; }
    [[nodiscard]] std::uint64_t in_flight_bytes() const noexcept { return in_flight_bytes_; }
    [[nodiscard]] std::uint32_t in_flight_packets() const noexcept { return in_flight_packets_; }
    [[nodiscard]] bool full() const noexcept { return next_ - oldest_ == mask_ + 1; }
    /// Nearly as many wait for an acknowledgement as can be remembered.
    [[nodiscard]] bool crowded() const noexcept { return in_flight_packets_ >= max_packets_ - max_packets_ / 8; }

    [[nodiscard]] SentPacket& at(std::uint64_t number) noexcept { return packets_[(number - base_) & mask_]; }
    [[nodiscard]] bool resolved(std::uint64_t number) const noexcept {
        return (resolved_word(number) >> (number & 63) & 1) != 0;
    }
    [[nodiscard]] const RecordRef& ref(const SentPacket& p, unsigned i) const noexcept {
        return i == 0 ? p.first : refs_[(p.ref_begin + i) & ref_mask_];
    }

    /// Room for one more packet with `refs` references; grows up to the limits. False: the
    /// oldest packet has to be given up first (declare it lost, then drop_oldest()).
    [[nodiscard]] bool make_room(std::size_t refs) {
        if (next_ - oldest_ <= mask_ && ref_end_ - ref_begin_ + refs <= std::size_t{ref_mask_} + 1) return true;
        return grow(refs);
    }
    /// Notes the packet next(). Precondition: make_room(refs.size()).
    void sent(Time now, std::uint16_t bytes, std::uint16_t data_bytes, std::span<const RecordRef> refs, bool waited_for,
              bool copied = false) noexcept;
    /// The same of a packet with one record, which is in no other.
    void sent_one(Time now, std::uint16_t bytes, std::uint16_t data_bytes, const RecordRef& ref) noexcept {
        const std::uint64_t number = next_++;
        at(number) = {now, ref_end_++, 1, bytes, data_bytes, false, true, false, false, ref};
        resolved_word(number) &= ~(std::uint64_t{1} << (number & 63));
        in_flight_bytes_ += data_bytes;
        ++in_flight_packets_;
    }

    /// The newest packet left at some time before `now`, and after what it was stamped with.
    void left_before(Time now) noexcept {
        SentPacket& p = at(next_ - 1);
        p.sent = now;
        p.untimed = true;
    }

    /// Calls acked(number, packet) for every packet of [low, high] that is newly acknowledged.
    /// Precondition: high < next().
    template <class Acked>
    void acknowledge(std::uint64_t low, std::uint64_t high, Acked&& acked) noexcept {
        low = std::max(low, oldest_);
        if (high > largest_acked_) largest_acked_ = high;
        while (low <= high) {
            const std::uint64_t word_end = std::min(high, low | 63);
            std::uint64_t& word = resolved_word(low);
            std::uint64_t bits = (~std::uint64_t{0} << (low & 63)) & (~std::uint64_t{0} >> (63 - (word_end & 63)));
            bits &= ~word;
            word |= bits;
            while (bits != 0) {
                const std::uint64_t number = (low & ~std::uint64_t{63}) + static_cast<unsigned>(std::countr_zero(bits));
                bits &= bits - 1;
                SentPacket& p = at(number);
                settle(p);
                acked(number, p);
            }
            low = word_end + 1;
        }
    }

    /// Calls lost(number, packet) from the oldest unresolved packet on while is_lost(number,
    /// packet) says so. Returns the first packet that is neither, or next().
    template <class IsLost, class Lost>
    std::uint64_t find_lost(std::uint64_t below, IsLost&& is_lost, Lost&& lost) noexcept {
        for (; scan_ < below; ++scan_) {
            if (resolved(scan_)) continue;
            SentPacket& p = at(scan_);
            if (p.lost) continue;
            if (!is_lost(scan_, p)) break;
            p.lost = true;
            settle(p);
            lost(scan_, p);
        }
        return scan_;
    }

    /// First packet that is neither resolved nor lost; next() when there is none.
    [[nodiscard]] std::uint64_t first_unresolved() noexcept {
        while (scan_ < next_ && (resolved(scan_) || at(scan_).lost)) ++scan_;
        return scan_;
    }
    /// Forgets what is resolved at the old end, and lost packets sent before `lost_before`.
    void retire(Time lost_before) noexcept;
    /// Forgets the oldest packet, which must be resolved or lost.
    void drop_oldest() noexcept;

private:
    bool grow(std::size_t refs);
    [[nodiscard]] std::uint64_t& resolved_word(std::uint64_t number) noexcept {
        return mask_ < 64 ? first_resolved_ : resolved_[(number & mask_) >> 6];
    }
    [[nodiscard]] const std::uint64_t& resolved_word(std::uint64_t number) const noexcept {
        return mask_ < 64 ? first_resolved_ : resolved_[(number & mask_) >> 6];
    }
    void settle(SentPacket& p) noexcept {
        if (!p.in_flight) return;
        p.in_flight = false;
        in_flight_bytes_ -= p.data_bytes;
        --in_flight_packets_;
    }

    std::uint64_t next_ = 1;
    std::uint64_t oldest_ = 1;
    std::uint64_t base_ = 1;  // what has the first place of `packets_`: a window that is empty begins there again
    std::uint64_t mask_ = 0;
    std::uint64_t in_flight_bytes_ = 0;
    std::uint32_t in_flight_packets_ = 0;
    std::uint32_t max_packets_;
    std::uint32_t ref_begin_ = 0, ref_end_ = 0;
    std::uint32_t ref_mask_ = 0;
    std::uint32_t max_refs_;
    std::vector<SentPacket, SlabAllocator<SentPacket>> packets_;
    std::uint64_t first_resolved_ = 0;  // all of `resolved_` while there are at most 64 packets
    std::uint64_t scan_ = 1;
    std::uint64_t largest_acked_ = 0;
    // few packets need these
    std::vector<RecordRef, SlabAllocator<RecordRef>> refs_;
    std::vector<std::uint64_t, SlabAllocator<std::uint64_t>> resolved_;
};

}  // namespace farlane::proto
