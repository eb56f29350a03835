// SPDX-License-Identifier: Apache-2.0
// Receives: a device specification. Hands on: a DpdkPort with its device, now or when the peer comes.
// Owns: nothing; the slow half of DpdkPort.
#include <cerrno>
#include <cstring>

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <farlane/uapi/frame.h>

#include "transport/dpdk/dpdk_port.hpp"
#include "transport/dpdk/eal.hpp"
#include "transport/openers.hpp"

namespace farlane::transport::dpdk {
namespace {

// A receive ring, a transmit ring, what the lane may hold of each, and the lane's cache.
constexpr unsigned kPoolBuffers = 1535, kPoolCache = 256;
constexpr unsigned kXdpPoolBuffers = 8191;  // its rings are of 2,048 and filled at once
constexpr unsigned kPrivateBytes = 64;      // the sender's address
constexpr std::uint32_t kSlackBytes = 64;   // virtio's own header and the alignment of odd devices
static_assert(sizeof(Address) <= kPrivateBytes);
// virtio's 12 bytes of header go in front of a packet. With packets that begin so far behind a cache line, the header
// and the frame of a register access lie in two lines that both sides share, instead of three.
constexpr unsigned kShiftBytes = 16;
// With all 32 frames of a burst, 300 KiB of bulk, a copy is out of the first-level cache, and some of the second,
// before it is looked at again. Half as much costs vhost more in calls than the cache saves.
constexpr std::uint32_t kBurstBytes = 64 * 1024;

bool is_link_up(std::uint16_t id) noexcept {
    rte_eth_link link{};
    return ::rte_eth_link_get_nowait(id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

}  // namespace

int DpdkPort::on_link_event(std::uint16_t id, rte_eth_event_type, void* port, void*) {
    static_cast<DpdkPort*>(port)->link_changed(id);
    return 0;
}

DpdkPort::DpdkPort(DeviceSpec spec, std::uint32_t frame_bytes, std::string url) : spec_(std::move(spec)) {
    info_.url = std::move(url);
    info_.kind = spec_.kind();
    info_.max_frame_bytes = frame_bytes;
    info_.point_to_point = spec_.traits->point_to_point;
    info_.reliable_mtu = spec_.traits->point_to_point;
    const Interrupt interrupt = spec_.traits->interrupt;
    info_.has_interrupt = interrupt != Interrupt::none && (interrupt != Interrupt::ring || RingFlag::works());
    info_.burst_bytes = kBurstBytes;
    // broadcast, own address (later), EtherType, and the subtype "FL"
    std::memset(header_.data(), 0xff, 6);
    const unsigned char type[4] = {FL_ETHERTYPE >> 8, FL_ETHERTYPE & 0xff, 'F', 'L'};
    std::memcpy(&header_[12], type, sizeof type);
}

Result<std::unique_ptr<Port>> DpdkPort::open(DeviceSpec spec, std::uint32_t frame_bytes, std::string url) {
    std::unique_ptr<DpdkPort> port(new DpdkPort(std::move(spec), frame_bytes, std::move(url)));
    if (auto ready = port->set_up(); !ready) return ready.failure();
    return std::unique_ptr<Port>(std::move(port));
}

Result<bool> DpdkPort::set_up() {
    wait_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
    wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{EPOLLIN, {.fd = wake_fd_}};
    if (wait_fd_ < 0 || wake_fd_ < 0 || ::epoll_ctl(wait_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0)
        return {Status::io, std::string("no descriptors for interrupts: ") + std::strerror(errno)};
    if (auto pool = make_pool(); !pool) return pool;
    if (spec_.meeting != Meeting::none) {
        auto peer = Peer::start(spec_, *this);
        if (!peer) return peer.failure();
        peer_ = std::move(*peer);
        return true;
    }
    if (spec_.listens && !spec_.socket.empty())
        if (auto clear = clear_socket(spec_.socket); !clear) return clear;
    if (auto made = make_device(spec_.socket); !made) return made;
    admit_lane(true);
    link_up_.store(device_link_up());
    return true;
}

Result<bool> DpdkPort::make_pool() {
    static std::atomic<unsigned> number{0};
    const std::string name = "farlane-" + std::to_string(number++);
    const std::uint32_t frame_bytes =
        info_.point_to_point ? static_cast<std::uint32_t>(kMaxFrameBytes) : info_.max_frame_bytes;
    const std::uint32_t room =
        RTE_PKTMBUF_HEADROOM + std::max(kHeaderBytes + frame_bytes + kSlackBytes, spec_.buffer_bytes);
    const bool af_xdp = info_.kind == "dpdk:af_xdp";
    const unsigned private_bytes = kPrivateBytes + (info_.point_to_point ? kShiftBytes : 0);
    pool_ = ::rte_pktmbuf_pool_create(name.c_str(), af_xdp ? kXdpPoolBuffers : kPoolBuffers, kPoolCache, private_bytes,
                                      static_cast<std::uint16_t>(std::max(room, 2048u)), 0);
    if (pool_ == nullptr)
        return {Status::no_memory,
                "DPDK has no memory for frame buffers; open fewer ports, or start with more by "
                "eal=-m 512 in the first port's string"};
    return true;
}

// The path of virtio_user and memif is that of the private socket, and the driver is its client.
Result<bool> DpdkPort::make_device(const std::string& socket) {
    Arguments arguments;
    for (const auto& [key, value] : spec_.arguments) {
        if (spec_.meeting == Meeting::virtio_user && key == "server") continue;
        const bool is_path = spec_.meeting == Meeting::virtio_user ? key == "path" : key == "socket";
        arguments.emplace_back(key, spec_.meeting != Meeting::none && is_path ? socket : value);
    }
    if (spec_.meeting == Meeting::memif_client || spec_.meeting == Meeting::memif_server) {
        std::erase_if(arguments, [](const auto& a) { return a.first == "socket-abstract"; });
        arguments.emplace_back("socket-abstract", "no");
    }
    auto device = EthDevice::make(spec_, arguments, pool_, info_.max_frame_bytes);
    if (!device) return device.failure();
    device_ = std::move(*device);
    id_ = device_->id();
    rte_ether_addr own{};
    if (::rte_eth_macaddr_get(id_, &own) == 0) std::memcpy(&header_[6], own.addr_bytes, 6);
    if (!info_.point_to_point) {
        char text[RTE_ETHER_ADDR_FMT_SIZE];
        ::rte_ether_format_addr(text, sizeof text, &own);
        info_.local = text;
    }
    (void)::rte_eth_dev_callback_register(id_, RTE_ETH_EVENT_INTR_LSC, &on_link_event, this);
    if (spec_.traits->interrupt != Interrupt::driver) return true;
    const int fd = ::rte_eth_dev_rx_intr_ctl_q_get_fd(id_, 0);
    if (fd < 0 || !watch(fd)) return {Status::io, spec_.name + " gives no descriptor for its interrupt"};
    return true;
}

// Nobody reads this descriptor, so it stays readable: only its edges count.
bool DpdkPort::watch(int fd) {
    epoll_event event{EPOLLIN | EPOLLET, {.fd = fd}};
    return ::epoll_ctl(wait_fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void DpdkPort::take_interrupt(Fd fd) {
    drop_interrupt();
    interrupt_fd_ = std::move(fd);
    (void)watch(interrupt_fd_.get());
}

void DpdkPort::drop_interrupt() {
    if (interrupt_fd_.get() >= 0) (void)::epoll_ctl(wait_fd_, EPOLL_CTL_DEL, interrupt_fd_.get(), nullptr);
    interrupt_fd_ = Fd();
}

bool DpdkPort::take_ring(Fd fd, RingFlag flag) {
    drop_interrupt();
    ring_flag_ = std::move(flag);
    interrupt_fd_ = std::move(fd);
    return watch(interrupt_fd_.get());
}

void DpdkPort::drop_ring() {
    drop_interrupt();
    ring_flag_ = RingFlag();
}

// A callback that is running on a thread of DPDK can not be taken away: it is over at once, and until then
// this port has to live.
void DpdkPort::drop_device() {
    if (!device_) return;
    while (::rte_eth_dev_callback_unregister(id_, RTE_ETH_EVENT_INTR_LSC, &on_link_event, this) == -EAGAIN)
        ::sched_yield();
    device_.reset();
}

void DpdkPort::admit_lane(bool admit) {
    if (admit) {
        gate_.open();
    } else {
        gate_.close();
    }
    if (spec_.meeting != Meeting::none) link_up_.store(admit);
    wake_lane();
}

bool DpdkPort::device_link_up() {
    return is_link_up(id_);
}

// On a thread of DPDK. A lane that armed without a peer has to arm again.
void DpdkPort::link_changed(std::uint16_t id) noexcept {
    if (spec_.meeting == Meeting::none) link_up_.store(is_link_up(id));
    wake_lane();
}

void DpdkPort::wake_lane() noexcept {
    const std::uint64_t one = 1;
    if (armed_.load()) (void)!::write(wake_fd_, &one, sizeof one);
}

DpdkPort::~DpdkPort() {
    peer_.reset();
    if (gate_.is_open()) gate_.close();
    for (std::size_t i = 0; i < early_count_; ++i) ::rte_pktmbuf_free(early_[i]);
    for (; kept_count_ != 0; --kept_count_, kept_head_ = (kept_head_ + 1) % kTxBudget)
        ::rte_pktmbuf_free(kept_[kept_head_]);
    drop_device();
    if (pool_ != nullptr) ::rte_mempool_free(pool_);
    if (wait_fd_ >= 0) ::close(wait_fd_);
    if (wake_fd_ >= 0) ::close(wake_fd_);
}

}  // namespace farlane::transport::dpdk
