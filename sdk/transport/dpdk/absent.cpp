// SPDX-License-Identifier: Apache-2.0
// Receives: dpdk: port strings. Hands on: why this build has no such ports. Owns: nothing.
// Compiled instead of loader.cpp with FARLANE_DPDK=OFF.
#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

constexpr const char* kAbsent =
    "this build has no DPDK ports (FARLANE_DPDK=OFF); use udp: or loop:, or build with -DFARLANE_DPDK=ON";

}  // namespace

bool dpdk_available() {
    return false;
}

OpenedPort open_dpdk(const PortUrl&, Query& query) {
    return query.fail(kAbsent, Status::unsupported);
}

Result<bool> check_dpdk(const PortUrl&, Query& query) {
    return query.fail(kAbsent, Status::unsupported);
}

Result<bool> check_dpdk_peer(const PortUrl&, std::string_view) {
    return true;  // the port itself is refused
}

}  // namespace farlane::transport
