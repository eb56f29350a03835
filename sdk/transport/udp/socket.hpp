// SPDX-License-Identifier: Apache-2.0
// Receives: "ADDRESS:PORT". Hands on: a bound socket, and addresses as the kernel wants them.
// Owns: nothing; the caller closes the socket.
#pragma once

#include <string>
#include <string_view>

#include <sys/socket.h>

#include "transport/port.hpp"
#include "transport/url.hpp"

namespace farlane::transport {

/// A bound, non-blocking UDP socket and what is known of it.
struct UdpSocket {
    int fd = -1;
    int family = AF_INET;   ///< an AF_INET6 socket also carries IPv4 (mapped addresses)
    bool loopback = false;  ///< bound to a loopback address
    std::string local;      ///< own address as text
};

/// Opens and binds. `body` is what stands behind "udp:"; empty = all addresses, any free port.
/// Failures name the address and say what to do.
[[nodiscard]] Result<UdpSocket> open_udp_socket(const std::string& body, std::uint64_t buffer_bytes,
                                                const Query& query);

/// Generic receive offload, which is on in a new socket.
void set_udp_offload(int fd, bool on) noexcept;

/// The same without opening: only the form of `body`.
[[nodiscard]] Result<bool> check_udp_address(const std::string& body, const Query& query);

/// The form that resolve_udp() wants; names are not looked up.
[[nodiscard]] Result<bool> check_udp_target(std::string_view text);
/// "host:port", "[v6]:port" or "host" (then FL_UDP_PORT) for sockets of `family`. The bytes of
/// the address are the sockaddr itself, so sending converts nothing.
[[nodiscard]] Result<Address> resolve_udp(std::string_view text, int family);
[[nodiscard]] std::string udp_text(const Address& a);

}  // namespace farlane::transport
