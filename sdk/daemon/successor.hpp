// SPDX-License-Identifier: Apache-2.0
// Receives: the command line of this daemon. Hands on: the program that is there by now, in its place. Owns: nothing.
#pragma once

#include <string>
#include <vector>

#include <farlane/status.hpp>

#include "lib/daemon_wire.hpp"

namespace farlane::daemon {

/// What takes over from this process: the file it was started from, which may be another one by now.
class Successor {
public:
    /// At the start, while the name of the program is still that of its file.
    Successor(int argc, char** argv);

    [[nodiscard]] const std::string& program() const noexcept { return program_; }
    /// Runs it with --check: it starts on this host, and takes the configuration. May take seconds.
    [[nodiscard]] Result<bool> check(const std::string& config_file) const;
    /// Becomes it: same process, same arguments, no descriptor but the standard ones and `listener`. Returns only when
    /// that fails.
    [[nodiscard]] Failure take_over(int listener) const;

private:
    std::string program_;
    std::vector<std::string> arguments_;
};

/// The socket that an earlier life of this process left (sd_listen_fds(3) says how), when it listens on `path`; none
/// otherwise, and then nothing of it is left. Once, at the start.
[[nodiscard]] control::UniqueFd inherited_listener(const std::string& path);

}  // namespace farlane::daemon
