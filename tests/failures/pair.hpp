// SPDX-License-Identifier: Apache-2.0
// Receives: exports and times. Hands on: two farlaned with a link between them that can be cut, and what they tell.
// Owns: the processes, the link and their directory.
#pragma once

#include <cstdint>
#include <functional>
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

/// docs/devices.md, "tally": knows whether a write was lost, repeated or overtaken.
namespace tally {
inline constexpr char kExport[] = "[[export]]\nname = \"tally0\"\ndevice = \"tally\"\n";
inline constexpr std::uint64_t kWords = 0x08, kErrors = 0x10, kRepeats = 0x18, kTicket = 0x28, kWindow = 0x8000;
/// The words that come next, until there are `last`.
inline void count_to(Device& device, std::uint64_t& done, std::uint64_t last) {
    while (done < last) {
        ++done;
        device.write64(0, kWindow + done % 64 * 8, done);
    }
}
}  // namespace tally

/// Attached and enabled.
[[nodiscard]] Device attach(Fabric& fabric, const char* name);
/// Of the Error that it throws, or ok.
[[nodiscard]] Status status_of(const std::function<void()>& call);
/// Until a call gives this: its status, or whatever came last when that takes forever.
[[nodiscard]] Status until(Status wanted, const std::function<void()>& call);
[[nodiscard]] std::int64_t resident_bytes(const Daemon& daemon);

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
