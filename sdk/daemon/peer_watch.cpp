// SPDX-License-Identifier: Apache-2.0
// Receives: the peers' states, now and then. Hands on: what an operator should know of them.
// Owns: see the header.
#include "daemon/peer_watch.hpp"

namespace farlane::daemon {
namespace {

std::string who(const lane::PeerStatus& p) {
    std::string at = p.port;
    if (!p.address.empty()) at += " " + p.address;
    return p.name.empty() ? "the peer at " + at : "the peer " + p.name + " at " + at;
}

std::string seconds(lane::Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
}

}  // namespace

std::vector<std::string> PeerWatch::look(lane::Time now, const std::vector<lane::PeerStatus>& peers) {
    std::vector<std::string> lines;
    for (const lane::PeerStatus& p : peers) {
        if (outages_.size() <= p.id) outages_.resize(p.id + std::size_t{1});
        Outage& o = outages_[p.id];
        if (p.state == proto::SessionState::open) {
            if (o.told) lines.push_back(who(p) + " answers, after " + seconds(now - o.since));
            o = {};
            continue;
        }
        if (o.since == lane::kNever) o.since = now;
        if (o.told || now - o.since < kPatience) continue;
        o.told = true;
        lines.push_back(
            who(p) + " has not answered for " + seconds(now - o.since) +
            (p.why == Status::ok || p.why == Status::timeout ? "" : ": " + std::string(status_text(p.why))) +
            "; is farlaned running there, with listen = true, and does a firewall let its port through?");
    }
    return lines;
}

}  // namespace farlane::daemon
