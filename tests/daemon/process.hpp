// SPDX-License-Identifier: Apache-2.0
// Receives: configurations. Hands on: running farlaned processes. Owns: them, and a directory
// with their sockets, state and logs that goes with the test.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "lib/daemon_client.hpp"
#include "transport/free_udp_port.hpp"

namespace farlane::test {

using namespace std::chrono_literals;

/// A directory of its own below /tmp.
class TempDir {
public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

void write_file(const std::string& path, const std::string& text);
[[nodiscard]] std::string read_file(const std::string& path);

/// A child process; killed with the object. Output goes to `log`.
class Process {
public:
    using Environment = std::vector<std::pair<std::string, std::string>>;
    Process(const std::vector<std::string>& arguments, std::string log, const Environment& environment = {});
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    void signal(int number) const;
    /// Exit code, or 128 + the signal that ended it. Throws when it goes on for longer.
    int wait(std::chrono::milliseconds at_most = 60s);
    /// It has not ended. Who sees that it has waits for it next.
    [[nodiscard]] bool running() const;
    /// kill -9, and gone.
    void kill();
    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] std::string output() const { return read_file(log_); }

private:
    pid_t pid_ = -1;
    std::string log_;
};

/// farlaned on a configuration; ready when the constructor returns.
class Daemon {
public:
    Daemon(const TempDir& dir, std::string name, std::string config_body);
    /// As after a crash or a stop: the same configuration, socket and state.
    void start();
    /// SIGTERM and its exit code: 0, unless it crashed before or while it stops.
    int stop();
    [[nodiscard]] Process& process() { return *process_; }
    [[nodiscard]] const std::string& socket() const { return socket_; }
    [[nodiscard]] const std::string& config() const { return config_; }
    [[nodiscard]] control::ControlClient client() const { return control::ControlClient::connect(socket_, 10s); }
    void rewrite(const std::string& config_body);

private:
    const TempDir& dir_;
    std::string name_, socket_, config_;
    std::unique_ptr<Process> process_;
};

/// A target with devices and an initiator that knows it, over udp on loopback.
struct Pair {
    explicit Pair(const std::string& exports, const std::string& session = "grace_ms = 60000\n");
    TempDir dir;
    unsigned port = free_udp_port();
    std::string session;
    Daemon target, initiator;
    /// Until the initiator lists `count` functions.
    void wait_for_functions(std::size_t count);
};

}  // namespace farlane::test
