// SPDX-License-Identifier: Apache-2.0
// Receives: attachments that are wanted for good. Hands on: the same to the next daemon, after a reboot as well.
// Owns: nothing. What is found in the file is checked before it is used.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

#include <farlane/status.hpp>

#include "daemon/holdings.hpp"

namespace farlane::daemon {

/// An attachment that is made again whenever it is gone and its target is there.
struct StandingEntry {
    std::string name, target;
    Use use = Use::automatic;
    uid_t uid = 0;  ///< who asked for it
};

[[nodiscard]] const char* use_name(Use use) noexcept;
[[nodiscard]] std::optional<Use> use_of(std::string_view name) noexcept;

/// Entries of the file; none when it is not there. A file that is not one is moved aside, and the failure says where.
[[nodiscard]] Result<std::vector<StandingEntry>> read_standing(const std::string& path);
/// Replaces the file, whole or not at all.
[[nodiscard]] Result<bool> write_standing(const std::string& path, const std::vector<StandingEntry>& entries);
/// The folder of `path` is in memory: it ends with a reboot.
[[nodiscard]] bool ends_with_reboot(const std::string& path) noexcept;

}  // namespace farlane::daemon
