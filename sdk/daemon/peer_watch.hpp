// SPDX-License-Identifier: Apache-2.0
// Receives: the peers' states, now and then. Hands on: what an operator should know of them.
// Owns: since when each of them has been silent.
#pragma once

#include <string>
#include <vector>

#include "lane/initiator.hpp"

namespace farlane::daemon {

/// A configured peer that does not answer is told once per outage, and once when it comes.
class PeerWatch {
public:
    static constexpr lane::Duration kPatience = std::chrono::seconds(5);
    /// Lines for the log. Call it about once a second.
    [[nodiscard]] std::vector<std::string> look(lane::Time now, const std::vector<lane::PeerStatus>& peers);

private:
    struct Outage {
        lane::Time since = lane::kNever;  ///< kNever: it answers
        bool told = false;
    };
    std::vector<Outage> outages_;  ///< by PeerId
};

}  // namespace farlane::daemon
