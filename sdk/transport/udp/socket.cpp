// SPDX-License-Identifier: Apache-2.0
// Receives: "ADDRESS:PORT". Hands on: a bound socket, and addresses as the kernel wants them.
// Owns: nothing; the caller closes the socket.
#include "transport/udp/socket.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <farlane/uapi/frame.h>

namespace farlane::transport {
namespace {

constexpr int kBusyPollUs = 50;
constexpr const char* kForms = "valid: ADDRESS:PORT, [IPV6]:PORT, ADDRESS, :PORT";
static_assert(sizeof(sockaddr_in6) <= sizeof(Address::bytes));

struct HostPort {
    std::string host;  // "" = none given
    std::optional<unsigned> port;
};

std::optional<unsigned> parse_port(std::string_view text) {
    unsigned port = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || rest != text.data() + text.size() || port > 65535) return std::nullopt;
    return port;
}

// Nothing = not of any of the forms.
std::optional<HostPort> split(std::string_view text) {
    HostPort out;
    std::string_view behind;  // from the colon before the port on
    if (text.starts_with('[')) {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos || close == 1) return std::nullopt;
        out.host = text.substr(1, close - 1);
        behind = text.substr(close + 1);
    } else {
        const std::size_t colon = text.find(':');
        if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) {
            out.host = text;  // IPv6 without brackets: no port
            return out;
        }
        out.host = text.substr(0, colon);
        if (colon != std::string_view::npos) behind = text.substr(colon);
    }
    if (behind.empty()) return out;
    if (behind[0] != ':' || !(out.port = parse_port(behind.substr(1)))) return std::nullopt;
    return out;
}

struct FreeList {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using AddrList = std::unique_ptr<addrinfo, FreeList>;

// Failure text of getaddrinfo, or the list.
Result<AddrList> look_up(const std::string& host, unsigned port, int family, int flags) {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_DGRAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int rc = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &list);
    if (rc != 0) return {Status::not_found, "the address \"" + host + "\" is not known (" + ::gai_strerror(rc) + ")"};
    return AddrList(list);
}

Address from_sockaddr(const sockaddr* at, socklen_t size) {
    Address a;
    a.size = static_cast<std::uint8_t>(size);
    std::memcpy(a.bytes, at, size);
    return a;
}

bool is_loopback(const sockaddr* at) {
    if (at->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, at, sizeof v4);
        return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, at, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

void set_option(int fd, int level, int name, int value) {
    (void)!::setsockopt(fd, level, name, &value, sizeof value);
}

// None of these decides whether the port works; GSO is tried again with every message.
void set_options(int fd, int family, std::uint64_t buffer_bytes) {
    const int size = static_cast<int>(buffer_bytes);
    for (const int name : {SO_RCVBUF, SO_SNDBUF}) set_option(fd, SOL_SOCKET, name, size);
    for (const int name : {SO_RCVBUFFORCE, SO_SNDBUFFORCE}) set_option(fd, SOL_SOCKET, name, size);
    set_udp_offload(fd, true);
    // Whoever reads looks into the network card's queue, too (with CAP_NET_ADMIN): the processor that has its
    // interrupt may be waiting with interrupts off for the very answer that comes there.
    set_option(fd, SOL_SOCKET, SO_BUSY_POLL, kBusyPollUs);
    // PROBE sets "don't fragment" but leaves the path MTU to the protocol, which probes it itself
    // (RFC 8899, 4.6: packets must not be fragmented, and ICMP is not to be trusted alone).
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
}

Failure bind_failure(const Query& query, int error, const std::string& where) {
    switch (error) {
        case EADDRINUSE:
            return query.fail("another socket has " + where + " already (ss -ulpn shows whose); choose another port",
                              Status::busy);
        case EADDRNOTAVAIL:
            return query.fail("no interface of this host has the address of " + where + " (ip addr lists them)");
        case EACCES:
        case EPERM:
            return query.fail("not permitted to use " + where + "; ports from 1024 on need no privilege",
                              Status::denied);
        default: return query.fail("cannot use " + where + ": " + std::strerror(error), Status::io);
    }
}

Result<UdpSocket> bind_one(const addrinfo& at, std::uint64_t buffer_bytes, const Query& query) {
    UdpSocket s;
    s.family = at.ai_family;
    s.fd = ::socket(at.ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s.fd < 0) return query.fail(std::string("no UDP socket: ") + std::strerror(errno), Status::io);
    if (s.family == AF_INET6) set_option(s.fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set_options(s.fd, s.family, buffer_bytes);
    if (::bind(s.fd, at.ai_addr, at.ai_addrlen) != 0) {
        const int error = errno;
        ::close(s.fd);
        return bind_failure(query, error, udp_text(from_sockaddr(at.ai_addr, at.ai_addrlen)));
    }
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    (void)::getsockname(s.fd, reinterpret_cast<sockaddr*>(&own), &size);
    s.local = udp_text(from_sockaddr(reinterpret_cast<const sockaddr*>(&own), size));
    s.loopback = is_loopback(at.ai_addr);
    return s;
}

}  // namespace

Result<bool> check_udp_address(const std::string& body, const Query& query) {
    if (!split(body)) return query.fail("\"" + body + "\" is not an address; " + kForms);
    return true;
}

Result<bool> check_udp_target(std::string_view text) {
    const auto where = split(text);
    if (where && !where->host.empty() && where->port != 0u) return true;
    return {Status::invalid,
            "\"" + std::string(text) + "\" is not the address of a peer; valid: HOST, HOST:PORT, [IPV6]:PORT"};
}

Result<UdpSocket> open_udp_socket(const std::string& body, std::uint64_t buffer_bytes, const Query& query) {
    if (const auto form = check_udp_address(body, query); !form) return form.failure();
    const auto where = split(body);
    const unsigned port = where->port.value_or(0);
    if (where->host.empty()) {
        // One IPv6 socket serves both; a kernel without IPv6 gets an IPv4 one.
        sockaddr_in6 any{};
        any.sin6_family = AF_INET6;
        any.sin6_port = htons(static_cast<std::uint16_t>(port));
        addrinfo at{};
        at.ai_family = AF_INET6;
        at.ai_addr = reinterpret_cast<sockaddr*>(&any);
        at.ai_addrlen = sizeof any;
        auto bound = bind_one(at, buffer_bytes, query);
        if (bound || bound.status() == Status::busy || bound.status() == Status::denied) return bound;
    }
    auto list = look_up(where->host, port, where->host.empty() ? AF_INET : AF_UNSPEC, AI_PASSIVE);
    if (!list) return query.fail(list.failure().detail + "; " + kForms, list.status());
    return bind_one(**list, buffer_bytes, query);
}

void set_udp_offload(int fd, bool on) noexcept {
    set_option(fd, SOL_UDP, UDP_GRO, on ? 1 : 0);
}

Result<Address> resolve_udp(std::string_view text, int family) {
    if (const auto form = check_udp_target(text); !form) return form.failure();
    const auto where = split(text);
    const unsigned port = where->port.value_or(FL_UDP_PORT);
    // mapped addresses let an IPv6 socket reach IPv4 peers
    auto list = look_up(where->host, port, family, family == AF_INET6 ? AI_V4MAPPED : 0);
    if (!list) return list.failure();
    return from_sockaddr((*list)->ai_addr, (*list)->ai_addrlen);
}

std::string udp_text(const Address& a) {
    char host[INET6_ADDRSTRLEN] = "";
    if (a.size == sizeof(sockaddr_in)) {
        sockaddr_in v4{};
        std::memcpy(&v4, a.bytes, sizeof v4);
        ::inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        return std::string(host) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    if (a.size != sizeof(sockaddr_in6)) return "?";
    sockaddr_in6 v6{};
    std::memcpy(&v6, a.bytes, sizeof v6);
    const std::string port = ":" + std::to_string(ntohs(v6.sin6_port));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], host, sizeof host);
        return host + port;
    }
    ::inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
    return "[" + std::string(host) + "]" + port;
}

}  // namespace farlane::transport
