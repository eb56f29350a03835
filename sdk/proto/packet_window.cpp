// SPDX-License-Identifier: Apache-2.0
// Receives: packets as they are sent. Hands on: nothing. Owns: the ring's growth and its old
// end. docs/wire.md, "Loss".
#include "proto/packet_window.hpp"

namespace farlane::proto {

namespace {

constexpr std::uint32_t kFirstPackets = 32;  // of a session that waits for answers, or of one of very many
constexpr std::uint32_t kLeastPackets = 256;
constexpr std::uint32_t kFirstRefs = 512;
constexpr std::uint32_t kRefsPerPacket = 4;  // of the largest ring; a frame holds at most 200

}  // namespace

PacketWindow::PacketWindow(std::uint32_t max_packets)
    : mask_(kFirstPackets - 1),
      max_packets_(std::bit_ceil(std::clamp<std::uint32_t>(max_packets, kLeastPackets, 1u << 24))),
      ref_mask_(kFirstRefs - 1),
      max_refs_(max_packets_ * kRefsPerPacket),
      packets_(kFirstPackets),
      refs_(kFirstRefs) {}

bool PacketWindow::grow(std::size_t refs) {
    if (next_ - oldest_ == packets_.size()) {
        if (packets_.size() >= max_packets_) return false;
        decltype(packets_) packets(packets_.size() * 2);
        decltype(resolved_) resolved_bits(packets.size() / 64);
        std::uint64_t few = 0;
        const std::uint64_t mask = packets.size() - 1;
        for (std::uint64_t n = oldest_; n < next_; ++n) {
            packets[(n - base_) & mask] = at(n);
            if (resolved(n)) (mask < 64 ? few : resolved_bits[(n & mask) >> 6]) |= std::uint64_t{1} << (n & 63);
        }
        packets_ = std::move(packets);
        resolved_ = std::move(resolved_bits);
        first_resolved_ = few;
        mask_ = mask;
    }
    while (ref_end_ - ref_begin_ + refs > refs_.size()) {
        if (refs_.size() >= max_refs_) return false;
        decltype(refs_) more(refs_.size() * 2);
        const auto mask = static_cast<std::uint32_t>(more.size() - 1);
        for (std::uint32_t i = ref_begin_; i != ref_end_; ++i) more[i & mask] = refs_[i & ref_mask_];
        refs_ = std::move(more);
        ref_mask_ = mask;
    }
    return true;
}

void PacketWindow::sent(Time now, std::uint16_t bytes, std::uint16_t data_bytes, std::span<const RecordRef> refs,
                        bool waited_for, bool copied) noexcept {
    const std::uint64_t number = next_++;
    SentPacket& p = at(number);
    p.sent = now;
    p.bytes = bytes;
    p.data_bytes = data_bytes;
    p.lost = false;
    p.in_flight = waited_for;
    p.copied = copied;
    p.untimed = false;
    p.ref_begin = ref_end_;
    p.ref_count = static_cast<std::uint16_t>(refs.size());
    if (!refs.empty()) p.first = refs.front();
    for (std::size_t i = 1; i < refs.size(); ++i) refs_[(ref_end_ + i) & ref_mask_] = refs[i];
    ref_end_ += p.ref_count;
    std::uint64_t& word = resolved_word(number);
    const std::uint64_t bit = std::uint64_t{1} << (number & 63);
    if (waited_for) {
        word &= ~bit;
        in_flight_bytes_ += data_bytes;
        ++in_flight_packets_;
    } else {
        word |= bit;
    }
}

void PacketWindow::drop_oldest() noexcept {
    ref_begin_ += at(oldest_).ref_count;
    ++oldest_;
    scan_ = std::max(scan_, oldest_);
    if (oldest_ != next_) return;
    base_ = next_;
    ref_begin_ = ref_end_ = 0;
}

void PacketWindow::retire(Time lost_before) noexcept {
    while (oldest_ < next_) {
        if (!resolved(oldest_)) {
            const SentPacket& p = at(oldest_);
            if (!p.lost || p.sent >= lost_before) return;
        }
        drop_oldest();
    }
}

}  // namespace farlane::proto
