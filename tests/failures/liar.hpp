// SPDX-License-Identifier: Apache-2.0
// Receives: datagrams of two farlaned, and a rule. Hands on: what the rule makes of them. Owns: two sockets, a thread
// and the frames it holds back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <span>
#include <thread>
#include <vector>

#include "lib/daemon_wire.hpp"

namespace farlane::test {

/// A link on loopback that lies as it is told. An honest one first.
class Liar {
public:
    using Clock = std::chrono::steady_clock;
    enum Way : unsigned { to_target = 0, to_initiator = 1 };
    /// What becomes of a frame: send() and hold() as often as it likes. In the thread of the link.
    using Rule = std::function<void(Way, std::span<std::byte> frame)>;

    explicit Liar(unsigned target_port);
    ~Liar();
    Liar(const Liar&) = delete;
    Liar& operator=(const Liar&) = delete;

    /// Who sends here talks to the target.
    [[nodiscard]] unsigned port() const noexcept { return port_; }
    void set(Rule rule);
    void behave() { set(nullptr); }

    // --- by rules
    void send(Way way, std::span<const std::byte> frame);
    void hold(Way way, std::span<const std::byte> frame, Clock::duration how_long);

private:
    struct Held {
        Clock::time_point at;
        Way way;
        std::vector<std::byte> frame;
        friend bool operator>(const Held& a, const Held& b) { return a.at > b.at; }
    };
    void run(const std::stop_token& stop);
    void arrived(Way way);
    [[nodiscard]] int wait_ms() const;

    control::UniqueFd near_, far_;  ///< towards the initiator, towards the target
    unsigned port_ = 0, target_port_;
    unsigned near_port_ = 0;  ///< of the initiator: whoever sent last
    std::mutex mutex_;
    Rule rule_;
    std::priority_queue<Held, std::vector<Held>, std::greater<>> held_;
    std::jthread thread_;
};

}  // namespace farlane::test
