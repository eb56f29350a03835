// SPDX-License-Identifier: Apache-2.0
// Receives: a path. Hands on: the certainty that no other farlaned uses it. Owns: the lock,
// which the kernel takes back when the process ends, however it ends.
#pragma once

#include <string>

#include <farlane/status.hpp>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {

/// Locks `path` (made when missing) and writes our pid into it. busy: names who has it.
[[nodiscard]] Result<control::UniqueFd> lock_file(const std::string& path, const std::string& what);
/// A directory of ours, 0700; its parent exists, or is the runtime directory. not_found, denied, io.
[[nodiscard]] Result<bool> make_directory(const std::string& path);

}  // namespace farlane::daemon
