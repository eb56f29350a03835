// SPDX-License-Identifier: Apache-2.0
// Receives: frames from a DPDK device and from the lane. Hands on: them, without a copy.
// Owns: the device, its buffer pool, and frames the device would not take yet.
// This file: the lane's side. Making and removing the device: device_life.cpp.
#include "transport/dpdk/dpdk_port.hpp"

#include <algorithm>
#include <cstring>

#include <sys/epoll.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "transport/dpdk/eal.hpp"
#include "transport/openers.hpp"

namespace farlane::transport::dpdk {
namespace {

constexpr std::size_t kSourceOffset = 6, kTypeOffset = 12, kMacBytes = 6;
constexpr std::int64_t kRetryNs = 20'000;

rte_mbuf* buffer_of(void* cookie) noexcept {
    return static_cast<rte_mbuf*>(cookie);
}

std::byte* packet_of(rte_mbuf* m) noexcept {
    return static_cast<std::byte*>(m->buf_addr) + RTE_PKTMBUF_HEADROOM;
}

bool same_type(const std::byte* packet, const std::byte* header) noexcept {
    std::uint32_t a = 0, b = 0;
    std::memcpy(&a, packet + kTypeOffset, sizeof a);
    std::memcpy(&b, header + kTypeOffset, sizeof b);
    return a == b;
}

}  // namespace

// Buffers of a thread without an lcore id would all go through the pool's shared ring.
void DpdkPort::adopt_thread() noexcept {
    if (__builtin_expect(thread_ == __builtin_thread_pointer(), 1)) return;
    register_thread();
    cache_ = ::rte_mempool_default_cache(pool_, ::rte_lcore_id());
    thread_ = __builtin_thread_pointer();
}

std::size_t DpdkPort::receive(rte_mbuf** into, std::size_t most) noexcept {
    if (!gate_.enter()) return 0;
    const std::size_t n = ::rte_eth_rx_burst(id_, 0, into, static_cast<std::uint16_t>(most));
    gate_.leave();
    return n;
}

std::size_t DpdkPort::rx_burst(std::span<RxFrame> frames) noexcept {
    adopt_thread();
    if (kept_count_ != 0) flush();
    std::array<rte_mbuf*, kBurst> buffers;
    const std::size_t most = std::min<std::size_t>(frames.size(), kBurst);
    std::size_t n = 0;
    if (__builtin_expect(early_count_ != 0, 0)) {
        n = std::min(most, early_count_);
        std::copy_n(early_.begin(), n, buffers.begin());
        std::copy(early_.begin() + static_cast<std::ptrdiff_t>(n),
                  early_.begin() + static_cast<std::ptrdiff_t>(early_count_), early_.begin());
        early_count_ -= n;
    } else {
        // vhost takes as many buffers from the pool as it is asked for before it looks whether there
        // are frames: ask for few while there are few, so that a lone frame is seen sooner
        const std::size_t ask = std::min<std::size_t>(most, rx_ask_);
        n = receive(buffers.data(), ask);
        rx_ask_ = n == ask ? std::min(kBurst, rx_ask_ * 4) : std::max(1u, rx_ask_ / 2);
    }
    std::size_t good = 0;
    for (std::size_t i = 0; i < n; ++i) good += accept(buffers[i], frames[good]);
    counters_.rx_frames += good;
    return good;
}

// Checks what a stranger could have sent; the frame itself is the protocol's to check.
bool DpdkPort::accept(rte_mbuf* m, RxFrame& frame) noexcept {
    std::byte* packet = rte_pktmbuf_mtod(m, std::byte*);
    __builtin_prefetch(packet +
                       RTE_CACHE_LINE_SIZE);  // the peer's core has it, as it has the first line, which comes next
    if (m->nb_segs != 1 || m->data_len <= kHeaderBytes || m->data_len > kHeaderBytes + kMaxFrameBytes ||
        !same_type(packet, header_.data())) [[unlikely]] {
        ++counters_.rx_dropped;
        ::rte_pktmbuf_free(m);
        return false;
    }
    if (const std::size_t odd = reinterpret_cast<std::uintptr_t>(packet) % 8; odd != 0) [[unlikely]] {
        // a device with its own idea of headroom; the bytes in front are headroom too
        std::memmove(packet - odd, packet, m->data_len);
        packet -= odd;
    }
    const Address* from = nullptr;
    if (!info_.point_to_point) {
        auto* address = static_cast<Address*>(::rte_mbuf_to_priv(m));
        address->size = kMacBytes;
        std::memcpy(address->bytes, packet + kSourceOffset, kMacBytes);
        from = address;
    }
    frame = {packet + kHeaderBytes, m->data_len - kHeaderBytes, from, m};
    counters_.rx_bytes += frame.size_bytes;
    return true;
}

// Single, unshared buffers of our own pool: they need no look before they go back.
void DpdkPort::give_back(rte_mbuf* const* buffers, std::size_t n) noexcept {
    ::rte_mempool_generic_put(pool_, reinterpret_cast<void* const*>(buffers), static_cast<unsigned>(n), cache_);
}

void DpdkPort::rx_release(std::span<RxFrame> frames) noexcept {
    std::array<rte_mbuf*, kBurst> buffers;
    while (!frames.empty()) {
        const std::size_t n = std::min<std::size_t>(frames.size(), kBurst);
        for (std::size_t i = 0; i < n; ++i) buffers[i] = buffer_of(frames[i].cookie);
        give_back(buffers.data(), n);
        frames = frames.subspan(n);
    }
}

std::size_t DpdkPort::tx_alloc(std::span<TxFrame> frames) noexcept {
    adopt_thread();
    if (kept_count_ != 0) flush();
    const std::uint32_t room = kTxBudget - kept_count_ - handed_out_;
    const std::size_t n = std::min({frames.size(), std::size_t{room}, std::size_t{kBurst}});
    std::array<rte_mbuf*, kBurst> buffers;
    if (n == 0 || ::rte_mempool_generic_get(pool_, reinterpret_cast<void**>(buffers.data()), static_cast<unsigned>(n),
                                            cache_) != 0)
        return 0;
    for (std::size_t i = 0; i < n; ++i)
        frames[i] = {packet_of(buffers[i]) + kHeaderBytes, info_.max_frame_bytes, 0, nullptr, buffers[i]};
    handed_out_ += static_cast<std::uint32_t>(n);
    return n;
}

void DpdkPort::tx_free(std::span<TxFrame> frames) noexcept {
    for (const TxFrame& frame : frames) {
        rte_mbuf* const m = buffer_of(frame.cookie);
        give_back(&m, 1);
    }
    handed_out_ -= static_cast<std::uint32_t>(frames.size());
}

// Header in front of the frame, and what the device wants to know of the buffer.
void DpdkPort::dress(TxFrame& frame) noexcept {
    rte_mbuf* const m = buffer_of(frame.cookie);
    std::byte* const packet = packet_of(m);
    std::memcpy(packet, header_.data(), kHeaderBytes);
    if (frame.to != nullptr && frame.to->size == kMacBytes) std::memcpy(packet, frame.to->bytes, kMacBytes);
    std::uint32_t bytes = kHeaderBytes + std::min(frame.size_bytes, info_.max_frame_bytes);
    counters_.tx_bytes += bytes - kHeaderBytes;
    if (bytes < kMinPacketBytes) {
        std::memset(packet + bytes, 0, kMinPacketBytes - bytes);
        bytes = kMinPacketBytes;
    }
    ::rte_pktmbuf_reset(m);
    m->data_len = static_cast<std::uint16_t>(bytes);
    m->pkt_len = bytes;
}

void DpdkPort::tx_send(std::span<TxFrame> frames) noexcept {
    counters_.tx_frames += frames.size();
    handed_out_ -= static_cast<std::uint32_t>(frames.size());
    std::array<rte_mbuf*, kBurst> buffers;
    while (!frames.empty()) {
        const std::size_t n = std::min<std::size_t>(frames.size(), kBurst);
        for (std::size_t i = 0; i < n; ++i) {
            dress(frames[i]);
            buffers[i] = buffer_of(frames[i].cookie);
        }
        frames = frames.subspan(n);
        std::size_t sent = 0;
        if (kept_count_ == 0 && gate_.enter()) {
            sent = ::rte_eth_tx_burst(id_, 0, buffers.data(), static_cast<std::uint16_t>(n));
            gate_.leave();
        }
        if (sent < n) keep(&buffers[sent], n - sent);
    }
    if (kept_count_ != 0) flush();
}

void DpdkPort::keep(rte_mbuf* const* buffers, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) kept_[(kept_head_ + kept_count_++) % kTxBudget] = buffers[i];
}

void DpdkPort::flush() noexcept {
    while (kept_count_ != 0) {
        const std::uint32_t n = std::min({kept_count_, kTxBudget - kept_head_, kBurst});
        std::uint32_t done = 0;
        if (!link_up()) {
            give_back(&kept_[kept_head_], n);
            counters_.tx_dropped += n;
            done = n;
        } else if (gate_.enter()) {
            done = ::rte_eth_tx_burst(id_, 0, &kept_[kept_head_], static_cast<std::uint16_t>(n));
            gate_.leave();
        }
        kept_head_ = (kept_head_ + done) % kTxBudget;
        kept_count_ -= done;
        if (done < n) return;
    }
}

std::int64_t DpdkPort::next_event_ns() const noexcept {
    return kept_count_ == 0 ? INT64_MAX : monotonic_ns() + kRetryNs;
}

// Inside the gate.
bool DpdkPort::ask_for_interrupts() noexcept {
    if (spec_.traits->interrupt != Interrupt::ring) {
        (void)::rte_eth_dev_rx_intr_enable(id_, 0);
        return true;
    }
    if (ring_flag_) ring_flag_.ask();
    return static_cast<bool>(ring_flag_);
}

// Interrupt on, then one more look: a frame that came in between is kept for rx_burst().
bool DpdkPort::arm() noexcept {
    if (!info_.has_interrupt || early_count_ != 0) return false;
    adopt_thread();
    armed_.store(true);
    if (!gate_.enter()) return true;  // admit_lane() wakes the lane when the device is there
    const bool asked = ask_for_interrupts();
    early_count_ = ::rte_eth_rx_burst(id_, 0, early_.data(), kBurst);
    gate_.leave();
    if (asked && early_count_ == 0) return true;
    disarm();
    return false;
}

void DpdkPort::disarm() noexcept {
    armed_.store(false);
    if (gate_.enter()) {
        if (ring_flag_) {
            ring_flag_.mask();
        } else {
            (void)::rte_eth_dev_rx_intr_disable(id_, 0);
        }
        gate_.leave();
    }
    // edge-triggered inside: one look clears it
    epoll_event events[2];
    const int n = ::epoll_wait(wait_fd_, events, 2, 0);
    for (int i = 0; i < n; ++i) {
        std::uint64_t count = 0;
        if (events[i].data.fd == wake_fd_) (void)!::read(wake_fd_, &count, sizeof count);
    }
}

Result<Address> DpdkPort::resolve(std::string_view text) const {
    if (info_.point_to_point) return {Status::invalid, info_.kind + " has exactly one peer: give no address"};
    rte_ether_addr mac{};
    if (::rte_ether_unformat_addr(std::string(text).c_str(), &mac) != 0)
        return {Status::invalid, "\"" + std::string(text) + "\" is not a MAC address; valid: 02:00:00:00:00:01"};
    Address a;
    a.size = kMacBytes;
    std::memcpy(a.bytes, mac.addr_bytes, kMacBytes);
    return a;
}

std::string DpdkPort::to_string(const Address& a) const {
    if (a.size != kMacBytes) return info_.kind;
    rte_ether_addr mac{};
    std::memcpy(mac.addr_bytes, a.bytes, kMacBytes);
    char text[RTE_ETHER_ADDR_FMT_SIZE];
    ::rte_ether_format_addr(text, sizeof text, &mac);
    return text;
}

}  // namespace farlane::transport::dpdk
