// SPDX-License-Identifier: Apache-2.0
// Receives: frames from a DPDK device and from the lane. Hands on: them, without a copy.
// Owns: the device, its buffer pool, and frames the device would not take yet.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include <rte_ethdev.h>

#include "transport/dpdk/device_spec.hpp"
#include "transport/dpdk/ethdev.hpp"
#include "transport/dpdk/gate.hpp"
#include "transport/dpdk/peer.hpp"
#include "transport/port.hpp"

struct rte_mbuf;
struct rte_mempool_cache;

namespace farlane::transport::dpdk {

/// dpdk:DEVICE. One queue each way. On the wire: 16 bytes of header (see kHeaderBytes), the frame.
class DpdkPort final : public Port, private DeviceOwner {
public:
    [[nodiscard]] static Result<std::unique_ptr<Port>> open(DeviceSpec spec, std::uint32_t frame_bytes,
                                                            std::string url);
    ~DpdkPort() override;

    [[nodiscard]] const PortInfo& info() const noexcept override { return info_; }
    [[nodiscard]] PortCounters counters() const noexcept override { return counters_; }
    [[nodiscard]] std::size_t rx_burst(std::span<RxFrame> frames) noexcept override;
    void rx_release(std::span<RxFrame> frames) noexcept override;
    [[nodiscard]] std::size_t tx_alloc(std::span<TxFrame> frames) noexcept override;
    void tx_send(std::span<TxFrame> frames) noexcept override;
    void tx_free(std::span<TxFrame> frames) noexcept override;
    void flush() noexcept override;
    [[nodiscard]] int wait_fd() const noexcept override { return info_.has_interrupt ? wait_fd_ : -1; }
    [[nodiscard]] bool arm() noexcept override;
    void disarm() noexcept override;
    [[nodiscard]] std::int64_t next_event_ns() const noexcept override;
    [[nodiscard]] bool link_up() const noexcept override { return link_up_.load(std::memory_order_acquire); }
    [[nodiscard]] Result<Address> resolve(std::string_view text) const override;
    [[nodiscard]] std::string to_string(const Address& a) const override;

private:
    static constexpr std::uint32_t kBurst = 64;
    static constexpr std::uint32_t kTxBudget = 256;  // frames handed out and kept, together

    DpdkPort(DeviceSpec spec, std::uint32_t frame_bytes, std::string url);
    [[nodiscard]] Result<bool> set_up();
    [[nodiscard]] Result<bool> make_pool();

    // DeviceOwner: what the control thread does to the device
    Result<bool> make_device(const std::string& socket) override;
    void drop_device() override;
    void admit_lane(bool admit) override;
    [[nodiscard]] bool device_link_up() override;
    void take_interrupt(Fd fd) override;
    [[nodiscard]] bool take_ring(Fd fd, RingFlag flag) override;
    void drop_ring() override;
    void drop_interrupt();
    [[nodiscard]] bool watch(int fd);
    static int on_link_event(std::uint16_t id, rte_eth_event_type, void* port, void*);
    void link_changed(std::uint16_t id) noexcept;

    void adopt_thread() noexcept;
    [[nodiscard]] bool ask_for_interrupts() noexcept;
    [[nodiscard]] bool accept(rte_mbuf* m, RxFrame& frame) noexcept;
    [[nodiscard]] std::size_t receive(rte_mbuf** into, std::size_t most) noexcept;
    void give_back(rte_mbuf* const* buffers, std::size_t n) noexcept;
    void dress(TxFrame& frame) noexcept;
    void keep(rte_mbuf* const* buffers, std::size_t n) noexcept;
    void wake_lane() noexcept;

    DeviceSpec spec_;
    PortInfo info_;
    PortCounters counters_;
    rte_mempool* pool_ = nullptr;
    rte_mempool_cache* cache_ = nullptr;  // of the lane's thread
    const void* thread_ = nullptr;        // the lane's, as far as seen
    std::uint16_t id_ = 0;
    std::array<std::byte, kHeaderBytes> header_{};

    std::array<rte_mbuf*, kTxBudget> kept_{};  // ring of frames the device has not taken
    std::uint32_t kept_head_ = 0, kept_count_ = 0, handed_out_ = 0;
    std::array<rte_mbuf*, kBurst> early_{};  // received by arm()
    std::size_t early_count_ = 0;
    std::uint32_t rx_ask_ = 1;  // how many frames the next burst asks for

    Gate gate_;
    std::atomic<bool> link_up_{false};
    std::atomic<bool> armed_{false};
    int wait_fd_ = -1, wake_fd_ = -1;
    Fd interrupt_fd_;     // of a virtio_user or memif device, as its peer knows it
    RingFlag ring_flag_;  // memif, while the gate is open
    std::unique_ptr<EthDevice> device_;
    std::unique_ptr<Peer> peer_;
};

}  // namespace farlane::transport::dpdk
