// SPDX-License-Identifier: Apache-2.0
// Receives: dpdk: port strings. Hands on: why this build has no such ports. Owns: nothing.
// Compiled instead of loader.cpp with FARLANE_DPDK=OFF.
#include "transport/openers.hpp"

namespace farlane::transport {

bool dpdk_available() {
    return false;
}

OpenedPort open_dpdk(const PortUrl&, Query& query) {
    return query.fail(
        "this build has no DPDK ports (FARLANE_DPDK=OFF); use udp: or loop:, or build with -DFARLANE_DPDK=ON",
        Status::unsupported);
}

}  // namespace farlane::transport
