// SPDX-License-Identifier: Apache-2.0
// Receives: what the daemon is doing. Hands on: the same to the service manager, when there is
// one (sd_notify(3), the protocol only). Owns: nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace farlane::daemon {

/// Sends `state` ("READY=1", ...) to $NOTIFY_SOCKET. False: there is none, or it does not listen.
bool notify(const std::string& state);
/// How often "WATCHDOG=1" is expected at most ($WATCHDOG_USEC), when it is.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace farlane::daemon
