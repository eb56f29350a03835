// SPDX-License-Identifier: Apache-2.0
// Receives: the kind of a port. Hands on: strings for both ends of a pair on this machine. Owns: nothing.
#pragma once

#include <string>

#include "pair.hpp"

namespace farlane::bench {

/// A path in the temporary folder that nobody else has.
[[nodiscard]] std::string scratch_path(const std::string& what);
/// A UDP port of loopback that was free a moment ago.
[[nodiscard]] unsigned free_udp_port();
/// vhost, memif or udp.
[[nodiscard]] PairConfig pair_on(const std::string& kind);

}  // namespace farlane::bench
