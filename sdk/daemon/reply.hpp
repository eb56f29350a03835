// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what the control thread and the lane say to each other.
// Owns: nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

#include <nlohmann/json.hpp>

#include <farlane/status.hpp>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {

using Json = nlohmann::json;
using ClientId = std::uint64_t;

/// What a client may do: docs/control-socket.md, "Who may do what".
enum class Role : std::uint8_t { view, operate, admin };

/// Who a client is, as the kernel says.
struct Client {
    ClientId id = 0;
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    std::string comm;
    Role role = Role::operate;
};

/// The answer to one request. With status != ok, `body` holds further members of the error.
struct Reply {
    Status status = Status::ok;
    std::string message;
    Json body = Json::object();
    std::vector<control::UniqueFd> fds;
    int holds = 0;  ///< attachments that the connection has from now on (1), or no longer (-1)
};
[[nodiscard]] inline Reply refusal(Status s, std::string message) {
    return {s, std::move(message), Json::object(), {}};
}
[[nodiscard]] inline Reply refusal(const Failure& f) {
    return refusal(f.status, f.detail);
}

/// To be called exactly once, by any thread.
using Answer = std::function<void(Reply)>;

}  // namespace farlane::daemon
