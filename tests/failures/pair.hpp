// SPDX-License-Identifier: Apache-2.0
// Receives: exports and times. Hands on: two farlaned with a link between them that can be cut, and what they tell.
// Owns: the processes, the link and their directory.
#pragma once

#include <optional>
#include <string>

#include <farlane/fabric.hpp>

#include "chaos/relay.hpp"
#include "daemon/process.hpp"

namespace farlane::test {

struct Times {
    unsigned grace_ms = 60'000;
    unsigned completion_timeout_ms = 8000;
    static constexpr unsigned kKeepaliveMs = 100;
    /// A peer is silent after three keep-alive intervals.
    static constexpr unsigned kSilenceMs = 3 * kKeepaliveMs;
};

[[nodiscard]] std::string session_keys(const Times& times);

/// A target and an initiator that knows it, by way of a link.
struct LinkedPair {
    explicit LinkedPair(const std::string& exports, const Times& times = {});

    TempDir dir;
    unsigned target_port = free_udp_port();
    Daemon target;
    chaos::Relay link;
    Daemon initiator;

    void cut(bool on);
    /// Of the initiator's farlaned; waits until the target's functions are listed.
    [[nodiscard]] Fabric open(std::size_t functions);
};

/// The first event that has these members, with time to spare; nothing when none came.
[[nodiscard]] std::optional<control::Json> wait_event(control::ControlClient& subscriber, const control::Json& members,
                                                      std::chrono::milliseconds at_most = 60s);

}  // namespace farlane::test
