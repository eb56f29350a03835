// SPDX-License-Identifier: Apache-2.0
// Receives: frames of the lane. Hands on: datagrams to the kernel.
// Owns: nothing; the sending half of UdpPort.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <netinet/udp.h>

#include "transport/openers.hpp"
#include "transport/udp/udp_port.hpp"

namespace farlane::transport {
namespace {

constexpr std::uint32_t kAlign = 8;
constexpr std::uint32_t kMaxMessageBytes = 65000;  // below the 65,507 (IPv4) of one datagram
constexpr std::int64_t kRetryNs = 100'000;         // kept frames are tried again after this

std::uint32_t buffer_of(void* cookie) noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(cookie));
}

using GsoControl = std::array<char, CMSG_SPACE(sizeof(std::uint16_t))>;

void ask_for_segments(msghdr& message, GsoControl& control, std::uint32_t segment_bytes) noexcept {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto bytes = static_cast<std::uint16_t>(segment_bytes);
    std::memcpy(CMSG_DATA(c), &bytes, sizeof bytes);
}

}  // namespace

std::size_t UdpPort::tx_alloc(std::span<TxFrame> frames) noexcept {
    if (tx_spare_.size() < frames.size()) flush();
    const std::size_t n = std::min(frames.size(), tx_spare_.size());
    for (TxFrame& frame : frames.first(n)) {
        const std::uint32_t buffer = tx_spare_.back();
        tx_spare_.pop_back();
        frame = {tx_arena_.at(buffer), info_.max_frame_bytes, 0, nullptr,
                 reinterpret_cast<void*>(std::uintptr_t{buffer})};
    }
    return n;
}

void UdpPort::tx_free(std::span<TxFrame> frames) noexcept {
    for (const TxFrame& frame : frames) tx_spare_.push_back(buffer_of(frame.cookie));
}

void UdpPort::tx_send(std::span<TxFrame> frames) noexcept {
    for (TxFrame& frame : frames) {
        if (frame.to == nullptr || frame.size_bytes == 0 || frame.size_bytes > info_.max_frame_bytes) {
            ++counters_.tx_dropped;
            tx_free(std::span(&frame, 1));
            continue;
        }
        const std::uint32_t index = buffer_of(frame.cookie);
        // padded, so that frames that arrive as one message stay aligned at the receiver
        const std::uint32_t padded = std::min((frame.size_bytes + kAlign - 1) / kAlign * kAlign, info_.max_frame_bytes);
        std::memset(frame.data + frame.size_bytes, 0, padded - frame.size_bytes);
        tx_buffers_[index] = {*frame.to, padded};
        pending_[(pending_head_ + pending_count_++) % kTxBuffers] = index;
    }
    flush();
}

void UdpPort::flush() noexcept {
    while (pending_count_ > 0 && send_some()) {
    }
}

std::int64_t UdpPort::next_event_ns() const noexcept {
    return pending_count_ == 0 ? INT64_MAX : monotonic_ns() + kRetryNs;
}

// How many frames from `first` on fit one message: same peer, same size, the last may be shorter.
std::uint32_t UdpPort::group_at(std::uint32_t first) const noexcept {
    if (!gso_ || first < single_frames_) return 1;
    const TxBuffer& leader = tx_buffers_[pending_at(first)];
    std::uint32_t bytes = leader.size_bytes, n = 1;
    while (n < kMaxSegments && first + n < pending_count_) {
        const TxBuffer& next = tx_buffers_[pending_at(first + n)];
        if (next.size_bytes > leader.size_bytes || bytes + next.size_bytes > kMaxMessageBytes || next.to != leader.to)
            break;
        bytes += next.size_bytes;
        ++n;
        if (next.size_bytes < leader.size_bytes) break;
    }
    return n;
}

// For a frame that goes alone, as most of a round trip do: the cheapest call there is.
bool UdpPort::send_one() noexcept {
    const std::uint32_t index = pending_at(0);
    const TxBuffer& frame = tx_buffers_[index];
    if (::sendto(socket_.fd, tx_arena_.at(index), frame.size_bytes, MSG_DONTWAIT,
                 reinterpret_cast<const sockaddr*>(frame.to.bytes), frame.to.size) < 0)
        return send_failed(errno, 1);
    complete(1);
    return true;
}

// One system call. False: the kernel takes no more now.
bool UdpPort::send_some() noexcept {
    if (pending_count_ == 1) return send_one();
    std::array<mmsghdr, kMaxBatch> messages;
    std::array<GsoControl, kMaxBatch> control alignas(cmsghdr);
    std::array<std::uint32_t, kMaxBatch> group;
    std::array<iovec, kTxBuffers> parts;
    std::uint32_t count = 0, frames = 0;
    while (count < batch_ && frames < pending_count_) {
        const std::uint32_t n = group_at(frames);
        for (std::uint32_t i = frames; i < frames + n; ++i)
            parts[i] = {tx_arena_.at(pending_at(i)), tx_buffers_[pending_at(i)].size_bytes};
        Address& to = tx_buffers_[pending_at(frames)].to;
        messages[count].msg_hdr = {to.bytes, to.size, &parts[frames], n, nullptr, 0, 0};
        if (n > 1)
            ask_for_segments(messages[count].msg_hdr, control[count], tx_buffers_[pending_at(frames)].size_bytes);
        group[count++] = n;
        frames += n;
    }
    const int sent = ::sendmmsg(socket_.fd, messages.data(), count, MSG_DONTWAIT);
    if (sent <= 0) return send_failed(errno, group[0]);
    for (int i = 0; i < sent; ++i) complete(group[static_cast<std::size_t>(i)]);
    return true;
}

// What the first message was refused for. True = go on with what is kept.
bool UdpPort::send_failed(int error, std::uint32_t frames_in_first) noexcept {
    switch (error) {
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM: return false;
        case EINTR: return true;
        case EIO:
        case EOPNOTSUPP:
            // the interface cannot segment (no checksum offload): never again
            if (frames_in_first > 1) {
                gso_ = false;
                return true;
            }
            break;
        case EINVAL:
        case EMSGSIZE:
            // a segment is larger than the interface's MTU: let each frame have its own verdict
            if (frames_in_first > 1) {
                single_frames_ = frames_in_first;
                return true;
            }
            break;
        case ECONNREFUSED:
            // an ICMP answer to an earlier datagram; reporting it cleared it
            if (refused_in_row_++ < 4) return true;
            break;
        default: break;
    }
    drop_pending(frames_in_first);
    return true;
}

void UdpPort::drop_pending(std::uint32_t frames) noexcept {
    counters_.tx_dropped += frames;
    for (std::uint32_t i = 0; i < frames; ++i) counters_.tx_bytes -= tx_buffers_[pending_at(i)].size_bytes;
    counters_.tx_frames -= frames;
    complete(frames);
}

void UdpPort::complete(std::uint32_t frames) noexcept {
    refused_in_row_ = 0;
    for (std::uint32_t i = 0; i < frames; ++i) {
        counters_.tx_bytes += tx_buffers_[pending_at(i)].size_bytes;
        tx_spare_.push_back(pending_at(i));
    }
    counters_.tx_frames += frames;
    pending_head_ = (pending_head_ + frames) % kTxBuffers;
    pending_count_ -= frames;
    single_frames_ -= std::min(single_frames_, frames);
}

}  // namespace farlane::transport
