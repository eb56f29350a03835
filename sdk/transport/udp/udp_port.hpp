// SPDX-License-Identifier: Apache-2.0
// Receives: frames from a kernel UDP socket and from the lane. Hands on: them.
// Owns: the socket and the frame buffers of both directions.
#pragma once

#include <sys/socket.h>

#include <array>
#include <vector>

#include "transport/arena.hpp"
#include "transport/port.hpp"
#include "transport/udp/socket.hpp"

namespace farlane::transport {

/// udp:[ADDRESS][:PORT]. Frames of one size for one peer travel through the kernel as one
/// (generic segmentation and receive offload), which is where most of its time goes.
class UdpPort final : public Port {
public:
    UdpPort(UdpSocket socket, std::uint32_t frame_bytes, unsigned batch, std::string url);
    ~UdpPort() override;

    [[nodiscard]] const PortInfo& info() const noexcept override { return info_; }
    [[nodiscard]] PortCounters counters() const noexcept override;
    [[nodiscard]] std::size_t rx_burst(std::span<RxFrame> frames) noexcept override;
    void rx_release(std::span<RxFrame> frames) noexcept override;
    [[nodiscard]] std::size_t tx_alloc(std::span<TxFrame> frames) noexcept override;
    void tx_send(std::span<TxFrame> frames) noexcept override;
    void tx_free(std::span<TxFrame> frames) noexcept override;
    void flush() noexcept override;
    [[nodiscard]] int wait_fd() const noexcept override { return wait_fd_ >= 0 ? wait_fd_ : socket_.fd; }
    [[nodiscard]] bool arm() noexcept override;
    void disarm() noexcept override;
    [[nodiscard]] std::int64_t next_event_ns() const noexcept override;
    [[nodiscard]] Result<Address> resolve(std::string_view text) const override {
        return resolve_udp(text, socket_.family);
    }
    [[nodiscard]] std::string to_string(const Address& a) const override { return udp_text(a); }

private:
    static constexpr std::uint32_t kMaxBatch = 64;     // messages per system call
    static constexpr std::uint32_t kMaxSegments = 64;  // frames per message: the kernel's limit
    static constexpr std::uint32_t kRxSlots = 64;
    static constexpr std::uint32_t kRxMessageBytes = 65536;
    static constexpr std::uint32_t kMaxRxSegments = 512;
    static constexpr std::uint32_t kRxSlotBytes = kRxMessageBytes + kMaxRxSegments * 8;  // see align_segments()
    static constexpr std::uint32_t kTxBuffers = 256;
    static constexpr std::uint32_t kAlone = 1024;  // messages in a row, until offload is switched off for them

    // One received message: a frame, or several of one size that arrived as one.
    struct RxSlot {
        Address from;
        std::uint32_t size_bytes = 0;
        std::uint32_t segment_bytes = 0;  // size of each frame on the wire; the last may be shorter
        std::uint32_t stride_bytes = 0;   // distance of the frames in the buffer
        std::uint32_t next = 0;           // first frame not yet handed out
        std::uint32_t in_use = 0;         // frames handed out and not released, + 1 while any is left
    };
    struct TxBuffer {
        Address to;
        std::uint32_t size_bytes = 0;
    };

    void receive() noexcept;
    void suit_offload(std::uint32_t got) noexcept;
    [[nodiscard]] std::uint32_t receive_one() noexcept;
    [[nodiscard]] std::uint32_t receive_many(std::uint32_t wanted) noexcept;
    void take(std::uint32_t slot, msghdr& message, std::uint32_t bytes) noexcept;
    [[nodiscard]] bool accept_message(std::uint32_t slot, std::uint32_t bytes, std::uint32_t segment_bytes) noexcept;
    void align_segments(std::uint32_t slot) noexcept;
    [[nodiscard]] std::size_t cut(std::uint32_t slot, std::span<RxFrame> frames) noexcept;
    void unref(std::uint32_t slot) noexcept;
    [[nodiscard]] std::uint32_t pending_at(std::uint32_t i) const noexcept {
        return pending_[(pending_head_ + i) % kTxBuffers];
    }
    [[nodiscard]] std::uint32_t group_at(std::uint32_t first) const noexcept;
    [[nodiscard]] bool send_some() noexcept;
    [[nodiscard]] bool send_one() noexcept;
    [[nodiscard]] bool send_failed(int error, std::uint32_t frames_in_first) noexcept;
    void drop_pending(std::uint32_t frames) noexcept;
    void complete(std::uint32_t frames) noexcept;

    UdpSocket socket_;
    /// The socket belongs to it while the lane sleeps: one that somebody waits for costs each frame 0.3 us, also when
    /// nobody sleeps.
    int wait_fd_;
    PortInfo info_;
    PortCounters counters_;
    unsigned batch_;

    Arena rx_arena_;
    std::array<RxSlot, kRxSlots> rx_slots_{};
    std::vector<std::uint32_t> rx_free_;
    std::array<std::uint32_t, kRxSlots> ready_{};  // ring of slots with frames left
    std::uint32_t ready_head_ = 0, ready_count_ = 0;
    bool more_ = false;  // the last look found more than one message, or the first after none
    std::uint32_t alone_in_row_ = 0;
    bool gro_ = true;

    Arena tx_arena_;
    std::array<TxBuffer, kTxBuffers> tx_buffers_{};
    std::vector<std::uint32_t> tx_spare_;
    std::array<std::uint32_t, kTxBuffers> pending_{};  // ring of buffers the kernel has not taken
    std::uint32_t pending_head_ = 0, pending_count_ = 0;
    std::uint32_t single_frames_ = 0;  // this many of the next go one by one: as a group they were refused
    unsigned refused_in_row_ = 0;
    bool gso_ = true;
};

}  // namespace farlane::transport
