// SPDX-License-Identifier: Apache-2.0
// Receives: a parsed port string. Hands on: a port. Owns: nothing.
// What port.cpp, the ports and the DPDK plugin share; not for users of ports.
#pragma once

#include <ctime>

#include "transport/port.hpp"
#include "transport/url.hpp"

namespace farlane::transport {

/// Limits of the key "mtu", which is the largest frame in bytes on every kind of port.
constexpr std::uint64_t kMinFrameBytes = 64;
constexpr std::uint64_t kMaxFrameBytes = 9600;

using OpenedPort = Result<std::unique_ptr<Port>>;

/// Each reads its keys, calls query.finish(), and opens only then.
[[nodiscard]] OpenedPort open_loop(const PortUrl& url, Query& query);
[[nodiscard]] OpenedPort open_udp(const PortUrl& url, Query& query);
[[nodiscard]] OpenedPort open_dpdk(const PortUrl& url, Query& query);
/// The first half of each: reads its keys, calls query.finish(), looks at the body.
[[nodiscard]] Result<bool> check_loop(const PortUrl& url, Query& query);
[[nodiscard]] Result<bool> check_udp(const PortUrl& url, Query& query);
[[nodiscard]] Result<bool> check_dpdk(const PortUrl& url, Query& query);
/// The form of a peer's address on a port of that string.
[[nodiscard]] Result<bool> check_loop_peer(const PortUrl& url, std::string_view address);
[[nodiscard]] Result<bool> check_udp_peer(const PortUrl& url, std::string_view address);
[[nodiscard]] Result<bool> check_dpdk_peer(const PortUrl& url, std::string_view address);
/// True when open_dpdk has a chance: built in, and the plugin is where it is looked for.
[[nodiscard]] bool dpdk_available();

/// The plugin's two symbols. The version is compared before anything else of it is used.
constexpr const char* kDpdkVersionSymbol = "farlane_port_dpdk_version";
constexpr const char* kDpdkOpenSymbol = "farlane_port_dpdk_open";
using DpdkVersion = const char* (*)();
using DpdkOpen = void (*)(const PortUrl& url, Query& query, OpenedPort& out);

[[nodiscard]] inline std::int64_t monotonic_ns() noexcept {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return std::int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

}  // namespace farlane::transport
