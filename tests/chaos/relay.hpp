// SPDX-License-Identifier: Apache-2.0
// Receives: datagrams of two processes. Hands on: each to the other, as a bad link would. Owns: two sockets and the
// thread that serves them. The link is the testbed's (qemu/link): one emulator for guests and for processes.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "direction.hpp"
#include "loop.hpp"

namespace farlane::chaos {

/// A link on loopback: who sends to port() talks to the process on the far port, and no one else.
class Relay {
public:
    /// Which way frames go.
    enum Way : unsigned { to_far = 0, to_near = 1 };

    Relay(unsigned far_port, std::uint64_t seed);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    [[nodiscard]] unsigned port() const noexcept { return port_; }
    /// Both ways; keys as in a fault+ port string. A perfect link first. Throws std::runtime_error.
    void set(const link::Impairments& keys);
    void cut(Way way, bool on);
    /// What became of the frames, by way.
    [[nodiscard]] nlohmann::json stats();

private:
    class End;
    /// Runs `work` in the thread of the loop, and returns when it is done.
    void in_loop(const std::function<void()>& work);
    void take_work();
    void serve(const std::stop_token& stop);

    link::Loop loop_;
    int wake_ = -1;
    unsigned port_ = 0;
    std::vector<std::unique_ptr<End>> ends_;
    std::vector<std::unique_ptr<link::Direction>> ways_;
    std::mutex mutex_;
    std::vector<std::function<void()>> work_;
    std::jthread thread_;
};

}  // namespace farlane::chaos
