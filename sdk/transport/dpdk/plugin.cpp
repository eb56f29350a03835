// SPDX-License-Identifier: Apache-2.0
// Receives: dpdk: port strings, from loader.cpp. Hands on: ports. Owns: nothing.
// The plugin's entry points; everything else in it is hidden.
#include <algorithm>
#include <cstring>
#include <optional>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "transport/dpdk/dpdk_port.hpp"
#include "transport/dpdk/eal.hpp"
#include "transport/dpdk/unix_socket.hpp"
#include "transport/openers.hpp"

namespace farlane::transport::dpdk {
namespace {

constexpr std::uint32_t kEthernetBytes = 14;

// MTU of a kernel interface of this network namespace.
std::optional<std::uint32_t> interface_mtu(const std::string& name) {
    const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (name.size() >= IFNAMSIZ || fd.get() < 0 || ::ioctl(fd.get(), SIOCGIFMTU, &request) != 0) return std::nullopt;
    return static_cast<std::uint32_t>(request.ifr_mtu);
}

OpenedPort open(const PortUrl& url, Query& query) {
    std::uint64_t mtu = 0;
    std::string eal;
    query.bytes("mtu", mtu, kMinFrameBytes, kMaxFrameBytes);
    query.text("eal", eal);
    if (auto failure = query.finish()) return *failure;
    auto spec = parse_device(url.body, query);
    if (!spec) return spec.failure();
    std::uint32_t most = spec->traits->max_frame_bytes;
    for (const auto& [key, value] : spec->arguments) {
        if (key != "iface" || spec->traits->point_to_point) continue;
        const auto interface = interface_mtu(value);
        if (!interface) return query.fail("there is no network interface \"" + value + "\" (ip link lists them)");
        most = std::min<std::uint32_t>(kMaxFrameBytes, (*interface + kEthernetBytes - kHeaderBytes) / 8 * 8);
    }
    // a PCI device carries what its driver and the network allow: the user has to know
    if (mtu > most && !spec->pci)
        return query.fail(spec->name + " carries frames of up to " + std::to_string(most) + " bytes here",
                          Status::limit);
    const std::uint32_t frame_bytes = mtu == 0 ? most : static_cast<std::uint32_t>(mtu);
    fit_frames(*spec, frame_bytes);
    if (auto started = start_eal(eal, spec->pci ? spec->name : ""); !started)
        return query.fail(started.failure().detail, started.status());
    if (auto loaded = load_driver(spec->traits->library); !loaded)
        return query.fail(loaded.failure().detail, loaded.status());
    auto port = DpdkPort::open(std::move(*spec), frame_bytes, url.text);
    if (!port) return query.fail(port.failure().detail, port.status());
    return port;
}

}  // namespace
}  // namespace farlane::transport::dpdk

extern "C" {

__attribute__((visibility("default"))) const char* farlane_port_dpdk_version() {
    return FARLANE_PLUGIN_VERSION;
}

__attribute__((visibility("default"))) void farlane_port_dpdk_open(const farlane::transport::PortUrl& url,
                                                                   farlane::transport::Query& query,
                                                                   farlane::transport::OpenedPort& out) {
    out = farlane::transport::dpdk::open(url, query);
}
}
