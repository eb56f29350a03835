// SPDX-License-Identifier: Apache-2.0
// Receives: a device specification. Hands on: a started DPDK device with one queue each way.
// Owns: the device; not its buffer pool.
#include "transport/dpdk/ethdev.hpp"

#include <cstring>
#include <mutex>
#include <set>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include "transport/dpdk/eal.hpp"

namespace farlane::transport::dpdk {
namespace {

constexpr std::uint16_t kDescriptors = 256;
constexpr std::uint32_t kEthernetBytes = 14;

// The EAL's own lists of devices are not all safe against two threads.
std::mutex plug_mutex;
std::set<std::string> open_devices;  // of this process

}  // namespace

Result<std::unique_ptr<EthDevice>> EthDevice::make(const DeviceSpec& spec, const Arguments& arguments,
                                                   rte_mempool* pool, std::uint32_t frame_bytes) {
    std::unique_ptr<EthDevice> device(new EthDevice);  // before the lock: removing it takes the lock too
    const std::lock_guard lock(plug_mutex);
    const ThreadState keep;
    const Quiet hush;
    device->name_ = spec.name;
    device->bus_ = spec.pci ? "pci" : "vdev";
    if (!open_devices.insert(spec.name).second) {
        const char* const advice = spec.pci ? "" : "; give it another number";
        return {Status::busy, spec.name + " is open in this process" + advice};
    }
    device->named_ = true;
    // The EAL has brought along the PCI device it was started for.
    if (::rte_eth_dev_get_port_by_name(spec.name.c_str(), &device->id_) != 0) {
        const int rc = ::rte_eal_hotplug_add(device->bus_.c_str(), spec.name.c_str(), spec.text(arguments).c_str());
        if (rc != 0) return {Status::io, "DPDK refuses " + spec.name + " (" + std::strerror(-rc) + "): " + take_log()};
        if (::rte_eth_dev_get_port_by_name(spec.name.c_str(), &device->id_) != 0) {
            (void)::rte_eal_hotplug_remove(device->bus_.c_str(), spec.name.c_str());
            return {Status::io, spec.name + " is no network device: " + take_log()};
        }
    }
    device->plugged_ = true;
    device->interrupts_ = spec.traits->interrupt == Interrupt::driver;
    if (const int error = device->start(pool, frame_bytes); error != 0)
        return {Status::io, "DPDK cannot start " + spec.name + " (" + std::strerror(-error) + "): " + take_log()};
    return device;
}

int EthDevice::start(rte_mempool* pool, std::uint32_t frame_bytes) {
    rte_eth_dev_info info{};
    if (const int rc = ::rte_eth_dev_info_get(id_, &info); rc != 0) return rc;
    rte_eth_conf conf{};
    conf.intr_conf.rxq = interrupts_ ? 1 : 0;
    const std::uint32_t mtu = frame_bytes + kHeaderBytes - kEthernetBytes;
    // memif and af_packet state a maximum of 1518 and carry what fits their buffers: not asked, they
    // do not refuse.
    const bool can_say = info.max_mtu >= mtu && info.max_rx_pktlen >= mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    conf.rxmode.mtu = can_say ? mtu : 0;
    if (int rc = ::rte_eth_dev_configure(id_, 1, 1, &conf); rc != 0) return rc;
    std::uint16_t rx = kDescriptors, tx = kDescriptors;
    if (int rc = ::rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx, &tx); rc != 0) return rc;
    const int socket = ::rte_eth_dev_socket_id(id_);
    const auto socket_id = static_cast<unsigned>(socket < 0 ? 0 : socket);
    if (int rc = ::rte_eth_rx_queue_setup(id_, 0, rx, socket_id, nullptr, pool); rc != 0) return rc;
    if (int rc = ::rte_eth_tx_queue_setup(id_, 0, tx, socket_id, nullptr); rc != 0) return rc;
    if (int rc = ::rte_eth_dev_start(id_); rc != 0) return rc;
    (void)::rte_eth_promiscuous_enable(id_);  // not all can; then the MAC address has to be right
    return 0;
}

EthDevice::~EthDevice() {
    if (!named_) return;
    const std::lock_guard lock(plug_mutex);
    open_devices.erase(name_);
    if (!plugged_) return;
    const ThreadState keep;
    const Quiet hush;
    (void)::rte_eth_dev_stop(id_);
    (void)::rte_eth_dev_close(id_);
    (void)::rte_eal_hotplug_remove(bus_.c_str(), name_.c_str());
}

}  // namespace farlane::transport::dpdk
