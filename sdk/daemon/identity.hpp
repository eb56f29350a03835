// SPDX-License-Identifier: Apache-2.0
// Receives: the state directory. Hands on: who this daemon is over restarts. Owns: nothing.
#pragma once

#include <cstdint>
#include <string>

#include "proto/session.hpp"

namespace farlane::daemon {

struct Identity {
    proto::Instance instance{};
    std::uint64_t incarnation = 1;  ///< this life of the state in state_dir; a new directory gets a higher one
};

/// `configured`: 32 hex digits, or "" = what is kept in `state_dir`, chosen when it is not.
[[nodiscard]] Result<Identity> read_identity(const std::string& state_dir, const std::string& configured);
[[nodiscard]] std::string to_hex(const proto::Instance& instance);

}  // namespace farlane::daemon
