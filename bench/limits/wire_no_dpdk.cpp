// SPDX-License-Identifier: Apache-2.0
// Receives: a DPDK medium. Hands on: an error; compiled with FARLANE_DPDK=OFF. Owns: nothing.
#include <stdexcept>

#include "wire.hpp"

namespace limits {

std::unique_ptr<Wire> open_dpdk_wire(const std::string&, int, const std::string&) {
    throw std::runtime_error("built without DPDK; valid: --medium udp");
}

}  // namespace limits
