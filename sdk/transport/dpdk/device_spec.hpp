// SPDX-License-Identifier: Apache-2.0
// Receives: the device of a dpdk: port string. Hands on: what its driver needs and can do.
// Owns: the table of drivers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "transport/url.hpp"

namespace farlane::transport::dpdk {

/// How the two ends of a device find each other, see peer.hpp.
enum class Meeting : std::uint8_t {
    none,          ///< nothing to wait for (af_packet, ring, PCI), or the driver does it (vhost)
    virtio_user,   ///< vhost-user socket, the device exists while the peer does
    memif_client,  ///< memif socket, as above
    memif_server,  ///< memif socket, the device stays
};

/// Where the descriptor for interrupts comes from.
enum class Interrupt : std::uint8_t {
    none,
    driver,  ///< rte_eth_dev_rx_intr_ctl_q_get_fd
    socket,  ///< the vhost-user message that gives it to the peer. Asking the driver instead makes
             ///< DPDK 22.11 watch the socket on a thread of its own, which races with removal
    ring,    ///< the memif message that describes the receive ring: DPDK 22.11 gives no descriptor
};

struct DriverTraits {
    const char* prefix;             ///< of the device name
    const char* library;            ///< librte_<library>.so
    const char* required;           ///< argument that must be there, "" = none
    std::uint32_t max_frame_bytes;  ///< with our header in front it fits the device
    bool point_to_point;
    Interrupt interrupt;
};

using Arguments = std::vector<std::pair<std::string, std::string>>;

struct DeviceSpec {
    std::string name;  ///< "net_vhost0", "0000:03:00.0"
    const DriverTraits* traits = nullptr;
    bool pci = false;
    Arguments arguments;  ///< as given, with our defaults behind
    Meeting meeting = Meeting::none;
    std::string socket;                      ///< path of the socket of vhost, virtio_user and memif
    bool listens = false;                    ///< this side makes the socket
    std::uint32_t buffer_bytes = 0;          ///< what the driver wants a buffer to hold at least
    [[nodiscard]] std::string kind() const;  ///< "dpdk:vhost"
    [[nodiscard]] std::string text(const Arguments& with) const;
};

/// Completes the arguments of a driver whose rings depend on the size of frames.
void fit_frames(DeviceSpec& spec, std::uint32_t frame_bytes);

/// Parses "NAME[,ARG=VALUE...]". Failures list the drivers, or name the missing argument.
[[nodiscard]] Result<DeviceSpec> parse_device(const std::string& body, const Query& query);

}  // namespace farlane::transport::dpdk
