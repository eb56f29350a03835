// SPDX-License-Identifier: Apache-2.0
// Receives: a port string. Hands on: the port it names. Owns: the list of kinds.
#include "transport/port.hpp"

#include <cstring>
#include <new>
#include <system_error>

#include "transport/fault/fault_port.hpp"
#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

struct Kind {
    const char* scheme;
    OpenedPort (*open)(const PortUrl&, Query&);
    Result<bool> (*check)(const PortUrl&, Query&);
    Result<bool> (*check_peer)(const PortUrl&, std::string_view);
    const char* form;
};
constexpr Kind kKinds[] = {
    {"loop", open_loop, check_loop, check_loop_peer, "loop:NAME"},
    {"udp", open_udp, check_udp, check_udp_peer, "udp:[ADDRESS][:PORT]"},
    {"dpdk", open_dpdk, check_dpdk, check_dpdk_peer, "dpdk:DEVICE[,ARG=VALUE...]"},
};

std::string forms() {
    std::string all;
    for (const Kind& kind : kKinds) all += std::string(kind.form) + ", ";
    return all + "or fault+ before one of them, each with [?key=value&...]";
}

/// Keys that every kind of port takes.
struct CommonKeys {
    std::uint64_t link_bits_per_s = 0;
    FaultSpec faults;
};

// The kind of a port string, and the keys read that do not depend on it.
Result<const Kind*> kind_of(const PortUrl& url, Query& query, CommonKeys& keys) {
    query.bits_per_second("link_rate", keys.link_bits_per_s, 1'000'000, 1'000'000'000'000);
    for (const Kind& kind : kKinds) {
        if (url.scheme != kind.scheme) continue;
        // A loop port takes the fault keys by itself: it exists to be disturbed.
        if (url.fault || url.scheme == "loop") keys.faults = read_faults(query);
        return &kind;
    }
    return query.fail("there is no kind of port \"" + url.scheme + "\"; valid: " + forms());
}

Failure no_url(const Failure& why) {
    return {Status::invalid, why.detail + "; valid: " + forms()};
}

}  // namespace

bool operator==(const Address& a, const Address& b) noexcept {
    return a.size == b.size && std::memcmp(a.bytes, b.bytes, a.size) == 0;
}

Result<std::unique_ptr<Port>> open_port(std::string_view text) {
    Result<PortUrl> url = parse_url(text);
    if (!url) return no_url(url.failure());
    Query query(*url);
    CommonKeys keys;
    auto kind = kind_of(*url, query, keys);
    if (!kind) return kind.failure();
    try {
        OpenedPort port = (*kind)->open(*url, query);
        if (port && (url->fault || keys.faults != FaultSpec{}))
            port = wrap_in_faults(std::move(port.value()), keys.faults, *url);
        if (port) port.value()->tell_link_rate(keys.link_bits_per_s);
        return port;
    } catch (const std::bad_alloc&) {
        return query.fail("not enough memory for its buffers", Status::no_memory);
    } catch (const std::system_error& error) {
        return query.fail(error.what(), Status::io);
    }
}

Result<bool> check_port(std::string_view text) {
    Result<PortUrl> url = parse_url(text);
    if (!url) return no_url(url.failure());
    Query query(*url);
    CommonKeys keys;
    auto kind = kind_of(*url, query, keys);
    if (!kind) return kind.failure();
    return (*kind)->check(*url, query);
}

Result<bool> check_peer(std::string_view text, std::string_view address) {
    Result<PortUrl> url = parse_url(text);
    if (!url) return no_url(url.failure());
    Query query(*url);
    CommonKeys keys;
    auto kind = kind_of(*url, query, keys);
    if (!kind) return kind.failure();
    return (*kind)->check_peer(*url, address);
}

std::vector<std::string> port_kinds() {
    std::vector<std::string> kinds = {"loop", "udp"};
    if (dpdk_available()) kinds.emplace_back("dpdk");
    kinds.emplace_back("fault+");
    return kinds;
}

}  // namespace farlane::transport
