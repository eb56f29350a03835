// SPDX-License-Identifier: Apache-2.0
// Receives: frames of guests and datagrams of native processes. Hands on: each as the other.
// Owns: a UDP socket for each flow.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "loop.hpp"
#include "node.hpp"
#include "packet.hpp"

namespace farlane::link {

/// A host with one address on the emulated network whose UDP ports are native sockets: the guest
/// talks to 10.77.0.2:4793, the native daemon sees datagrams on 127.0.0.1. No privileges needed.
/// It answers ARP and echo requests by itself.
class NativeHost final : public Node {
public:
    static constexpr std::size_t kMostFlows = 64;

    struct Service {
        std::uint32_t address = 0;  ///< native, host order
        std::uint16_t port = 0;
    };
    struct Config {
        std::uint32_t address = 0;  ///< on the emulated network
        Mac mac{};
        std::map<std::uint16_t, Service> services;  ///< by the port guests see
    };

    NativeHost(std::string name, Config config, Loop& loop);
    ~NativeHost() override;
    void receive(std::size_t plug, Bytes frame, std::int64_t now_ns) override;
    [[nodiscard]] nlohmann::json stats() const override;

private:
    struct Guest {
        std::uint32_t address = 0;
        std::uint16_t port = 0, service = 0;
        friend auto operator<=>(const Guest&, const Guest&) = default;
    };
    struct Flow {
        int fd = -1;
        Mac mac{};
        std::uint64_t last_use = 0;
    };

    void receive_arp(const Ethernet& frame, std::int64_t now_ns);
    void receive_udp(const Ethernet& frame, const Ipv4& packet, const Udp& datagram);
    Flow* flow_of(const Guest& guest);
    [[nodiscard]] std::optional<int> open_socket(const Service& service) const;
    void forget_oldest();
    void from_native(const Guest& guest);

    Config config_;
    Loop& loop_;
    std::map<Guest, Flow> flows_;
    std::uint64_t uses_ = 0;
    std::vector<std::byte> buffer_;
    std::uint64_t to_native_ = 0, from_native_ = 0, arp_ = 0, echo_ = 0, other_ = 0, malformed_ = 0, no_service_ = 0,
                  refused_ = 0, full_ = 0, forgotten_ = 0;
};

}  // namespace farlane::link
