// SPDX-License-Identifier: Apache-2.0
// Receives: datagrams from the kernel. Hands on: frames to the lane.
// Owns: nothing; the receiving half of UdpPort.
#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>

#include "transport/openers.hpp"
#include "transport/udp/udp_port.hpp"

namespace farlane::transport {
namespace {

constexpr std::uint32_t kAlign = 8;

void* cookie_of(std::uint32_t slot) noexcept {
    return reinterpret_cast<void*>(std::uintptr_t{slot});
}
std::uint32_t slot_of(void* cookie) noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(cookie));
}

using RxControl = std::array<char, CMSG_SPACE(sizeof(int))>;

msghdr message_for(Address& from, iovec& buffer, RxControl& control) noexcept {
    return {from.bytes, sizeof(sockaddr_in6), &buffer, 1, control.data(), control.size(), 0};
}

// Size of the frames that arrived as one message; 0 = it is one frame.
std::uint32_t segment_size(msghdr& message) noexcept {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
        int bytes = 0;
        std::memcpy(&bytes, CMSG_DATA(c), sizeof bytes);
        return bytes > 0 ? static_cast<std::uint32_t>(bytes) : 0;
    }
    return 0;
}

}  // namespace

std::size_t UdpPort::rx_burst(std::span<RxFrame> frames) noexcept {
    std::size_t n = 0;
    bool asked = false;
    while (n < frames.size()) {
        if (ready_count_ == 0) {
            if (asked) break;
            asked = true;
            receive();
            continue;
        }
        n += cut(ready_[ready_head_], frames.subspan(n));
    }
    counters_.rx_frames += n;
    return n;
}

// Hands out frames of one message, and takes it off the list with its last one.
std::size_t UdpPort::cut(std::uint32_t index, std::span<RxFrame> frames) noexcept {
    RxSlot& slot = rx_slots_[index];
    const std::uint32_t count = (slot.size_bytes + slot.segment_bytes - 1) / slot.segment_bytes;
    std::size_t n = 0;
    while (n < frames.size() && slot.next < count) {
        const std::uint32_t offset = slot.next * slot.segment_bytes;
        const std::uint32_t size_bytes = std::min(slot.segment_bytes, slot.size_bytes - offset);
        frames[n++] = {rx_arena_.at(index) + std::size_t{slot.next} * slot.stride_bytes, size_bytes, &slot.from,
                       cookie_of(index)};
        counters_.rx_bytes += size_bytes;
        ++slot.in_use;
        ++slot.next;
    }
    if (slot.next == count) {
        ready_head_ = (ready_head_ + 1) % kRxSlots;
        --ready_count_;
        unref(index);
    }
    return n;
}

void UdpPort::unref(std::uint32_t slot) noexcept {
    if (--rx_slots_[slot].in_use == 0) rx_free_.push_back(slot);
}

void UdpPort::rx_release(std::span<RxFrame> frames) noexcept {
    for (const RxFrame& frame : frames) unref(slot_of(frame.cookie));
}

// Between messages that come alone one is asked for: that call is the cheapest, and most of a round trip is such calls.
void UdpPort::receive() noexcept {
    const auto wanted = static_cast<std::uint32_t>(std::min<std::size_t>(more_ ? batch_ : 1, rx_free_.size()));
    if (wanted == 0) return;
    const std::uint32_t got = wanted == 1 ? receive_one() : receive_many(wanted);
    if (got != 0) suit_offload(got);
    more_ = more_ ? got > 1 : got != 0;
}

// Receive offload makes a message that comes alone 0.1 us dearer, and a crowd much cheaper.
void UdpPort::suit_offload(std::uint32_t got) noexcept {
    alone_in_row_ = got == 1 ? std::min(alone_in_row_ + 1, kAlone) : 0;
    if (const bool wanted = alone_in_row_ < kAlone; wanted != gro_) {
        gro_ = wanted;
        set_udp_offload(socket_.fd, wanted);
    }
}

std::uint32_t UdpPort::receive_one() noexcept {
    const std::uint32_t index = rx_free_.back();
    alignas(cmsghdr) RxControl control;
    iovec buffer{rx_arena_.at(index), kRxMessageBytes};
    msghdr message = message_for(rx_slots_[index].from, buffer, control);
    const ssize_t bytes = ::recvmsg(socket_.fd, &message, MSG_DONTWAIT);
    if (bytes < 0) return 0;  // nothing there, or a reported ICMP error: neither concerns a frame
    rx_free_.pop_back();
    take(index, message, static_cast<std::uint32_t>(bytes));
    return 1;
}

std::uint32_t UdpPort::receive_many(std::uint32_t wanted) noexcept {
    std::array<mmsghdr, kMaxBatch> messages;
    std::array<iovec, kMaxBatch> buffers;
    alignas(cmsghdr) std::array<RxControl, kMaxBatch> control;
    // the free slots from the end of the list on, where they are taken off below
    const auto slot_at = [this](std::uint32_t i) { return rx_free_[rx_free_.size() - 1 - i]; };
    for (std::uint32_t i = 0; i < wanted; ++i) {
        buffers[i] = {rx_arena_.at(slot_at(i)), kRxMessageBytes};
        messages[i].msg_hdr = message_for(rx_slots_[slot_at(i)].from, buffers[i], control[i]);
    }
    const int got = ::recvmmsg(socket_.fd, messages.data(), wanted, MSG_DONTWAIT, nullptr);
    if (got <= 0) return 0;
    std::array<std::uint32_t, kMaxBatch> taken;
    for (int i = 0; i < got; ++i) {
        taken[static_cast<std::size_t>(i)] = rx_free_.back();
        rx_free_.pop_back();
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i)
        take(taken[i], messages[i].msg_hdr, messages[i].msg_len);
    return static_cast<std::uint32_t>(got);
}

void UdpPort::take(std::uint32_t index, msghdr& message, std::uint32_t bytes) noexcept {
    rx_slots_[index].from.size = static_cast<std::uint8_t>(message.msg_namelen);
    const std::uint32_t segment_bytes = segment_size(message);
    if (segment_bytes != 0) alone_in_row_ = 0;
    if (!accept_message(index, bytes, segment_bytes)) rx_free_.push_back(index);
}

bool UdpPort::accept_message(std::uint32_t index, std::uint32_t bytes, std::uint32_t segment_bytes) noexcept {
    RxSlot& slot = rx_slots_[index];
    slot.size_bytes = bytes;
    slot.segment_bytes = segment_bytes == 0 ? bytes : std::min(segment_bytes, bytes);
    if (bytes == 0 || bytes > kRxMessageBytes || slot.segment_bytes > kMaxFrameBytes ||
        bytes / slot.segment_bytes > kMaxRxSegments) {
        ++counters_.rx_dropped;
        return false;
    }
    slot.stride_bytes = slot.segment_bytes;
    if (slot.segment_bytes % kAlign != 0 && slot.segment_bytes < bytes) align_segments(index);
    slot.next = 0;
    slot.in_use = 1;
    ready_[(ready_head_ + ready_count_++) % kRxSlots] = index;
    return true;
}

// Frames of an odd size lie side by side: moves them apart, from the last one on, into the slack
// behind the message. Our own sender pads to 8 bytes, so this is for strangers.
void UdpPort::align_segments(std::uint32_t index) noexcept {
    RxSlot& slot = rx_slots_[index];
    slot.stride_bytes = (slot.segment_bytes + kAlign - 1) / kAlign * kAlign;
    const std::uint32_t count = (slot.size_bytes + slot.segment_bytes - 1) / slot.segment_bytes;
    std::byte* const base = rx_arena_.at(index);
    for (std::uint32_t i = count; i-- > 1;) {
        const std::uint32_t offset = i * slot.segment_bytes;
        std::memmove(base + std::size_t{i} * slot.stride_bytes, base + offset,
                     std::min(slot.segment_bytes, slot.size_bytes - offset));
    }
}

}  // namespace farlane::transport
