// SPDX-License-Identifier: Apache-2.0
// Receives: a medium and a socket path. Hands on: frames over DPDK's own calls, nothing between.
// Owns: the EAL of this process and one device.
#include <stdexcept>
#include <string>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "wire.hpp"

namespace limits {
namespace {

constexpr unsigned kBuffers = 2047, kCache = 256, kRoomBytes = RTE_PKTMBUF_HEADROOM + 9728;
constexpr std::uint16_t kDescriptors = 256, kJumboMtu = 9600;

std::string device(const std::string& medium, int end, const std::string& socket) {
    if (medium == "memif")
        return "net_memif0,bsize=10240,rsize=8,socket-abstract=no,socket=" + socket +
               (end == 0 ? ",role=server" : ",role=client");
    if (end == 0) return "net_vhost0,queues=1,iface=" + socket;
    return "net_virtio_user0,queues=1,queue_size=256,packed_vq=1,path=" + socket;
}

void start_eal(const std::string& vdev) {
    const std::string argument = "--vdev=" + vdev;
    std::vector<std::string> args = {
        "limits", "--no-huge", "--no-shconf", "--no-telemetry",      "--no-pci", "--iova-mode=va", "-m",
        "256",    "--lcores",  "0@(0-1023)",  "--log-level=*:error", argument};
    // only CPUs that are there
    args[9] = "0@(0-" + std::to_string(::sysconf(_SC_NPROCESSORS_CONF) - 1) + ")";
    std::vector<char*> argv;
    for (std::string& a : args) argv.push_back(a.data());
    if (::rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) throw std::runtime_error("EAL");
}

class DpdkWire final : public Wire {
public:
    explicit DpdkWire(bool memif) {
        pool_ = ::rte_pktmbuf_pool_create("limits", kBuffers, kCache, 0, kRoomBytes, 0);
        rte_eth_conf conf{};
        conf.rxmode.mtu = memif ? 0 : kJumboMtu;
        if (pool_ == nullptr || ::rte_eth_dev_configure(0, 1, 1, &conf) != 0 ||
            ::rte_eth_rx_queue_setup(0, 0, kDescriptors, 0, nullptr, pool_) != 0 ||
            ::rte_eth_tx_queue_setup(0, 0, kDescriptors, 0, nullptr) != 0 || ::rte_eth_dev_start(0) != 0)
            throw std::runtime_error("DPDK device");
    }

    std::uint32_t send(std::uint32_t count, std::uint32_t bytes, const Write& write) override {
        rte_mbuf* buffers[kMaxBurst];
        if (::rte_pktmbuf_alloc_bulk(pool_, buffers, count) != 0) return 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            buffers[i]->data_len = static_cast<std::uint16_t>(bytes);
            buffers[i]->pkt_len = bytes;
            write(rte_pktmbuf_mtod(buffers[i], std::byte*), i);
        }
        const std::uint16_t sent = ::rte_eth_tx_burst(0, 0, buffers, static_cast<std::uint16_t>(count));
        for (std::uint32_t i = sent; i < count; ++i) ::rte_pktmbuf_free(buffers[i]);
        return sent;
    }
    std::uint32_t receive(std::uint32_t most, const Read& read) override {
        rte_mbuf* buffers[kMaxBurst];
        const std::uint16_t n = ::rte_eth_rx_burst(0, 0, buffers, static_cast<std::uint16_t>(most));
        for (std::uint32_t i = 0; i < n; ++i)
            read(rte_pktmbuf_mtod(buffers[i], const std::byte*), buffers[i]->data_len);
        if (n != 0) ::rte_pktmbuf_free_bulk(buffers, n);
        return n;
    }
    bool ready() override {
        rte_eth_link link{};
        return ::rte_eth_link_get_nowait(0, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    }

private:
    rte_mempool* pool_ = nullptr;
};

}  // namespace

std::unique_ptr<Wire> open_dpdk_wire(const std::string& medium, int end, const std::string& socket) {
    start_eal(device(medium, end, socket));
    return std::make_unique<DpdkWire>(medium == "memif");
}

}  // namespace limits
