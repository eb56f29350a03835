// SPDX-License-Identifier: Apache-2.0
// Receives: port strings. Hands on: processes that hold such a port and obey commands.
// Owns: the child process; it is gone when the object is.
#pragma once

#include <string>
#include <vector>

#include <sys/types.h>

namespace farlane::transport::test {

/// A process of its own with a port: DPDK allows one EAL per process, and only a process can be
/// killed. It is this test program again, started with --port-peer (see run_peer).
/// It answers every frame with the same frame until it is told otherwise.
class PeerProcess {
public:
    /// `url`: the port it opens. Throws with the reason when it cannot.
    explicit PeerProcess(const std::string& url);
    ~PeerProcess() { kill(); }
    PeerProcess(const PeerProcess&) = delete;
    PeerProcess& operator=(const PeerProcess&) = delete;

    /// SIGKILL, and waits for its end.
    void kill();
    /// Asks it to close its port and end; true when it ended with code 0.
    [[nodiscard]] bool stop();
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_ = -1;
    int commands_ = -1;
};

/// Runs this program again with `arguments`; its exit code, and what it printed. For tests that
/// need a process of their own, such as one in another network namespace.
[[nodiscard]] int run_again(const std::vector<std::string>& arguments, std::string& output);

/// The child's main. Its arguments: --port-peer URL COMMAND_FD REPLY_FD.
[[nodiscard]] int run_peer(const std::vector<std::string>& arguments);

}  // namespace farlane::transport::test
