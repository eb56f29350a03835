// SPDX-License-Identifier: Apache-2.0
// Receives: devices. Hands on: a target that serves them from a thread. Owns: the thread.
#pragma once

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "lane/target.hpp"

namespace farlane::test {

inline proto::SessionConfig session_config(const std::string& name, std::uint8_t id) {
    proto::SessionConfig c;
    c.instance.fill(id);
    c.name = name;
    c.keepalive = std::chrono::milliseconds(200);
    c.grace = std::chrono::seconds(5);
    return c;
}

/// A target in a thread of its own, as a daemon has it.
class TargetThread {
public:
    explicit TargetThread(const std::string& port_url,
                          lane::TargetConfig config = {session_config("target", 0x7a), {}, 64},
                          std::unique_ptr<backend::Memory> memory = backend::process_memory())
        : memory_(std::move(memory)), target_(lane_, std::move(config), *memory_) {
        auto port = transport::open_port(port_url);
        if (!port.ok()) throw Error(port.status(), port.failure().detail);
        target_.listen(lane_.add_port(std::move(port.value())));
    }
    ~TargetThread() { stop(); }

    void add(const std::string& name, std::unique_ptr<backend::Device> device) {
        in_lane([&] { ASSERT_EQ(target_.add(name, std::move(device)).status(), Status::ok); });
    }
    void start() {
        thread_ = std::jthread([this](const std::stop_token& s) { lane_.run(s); });
    }
    void stop() {
        if (!thread_.joinable()) return;
        thread_.request_stop();
        thread_.join();
    }
    /// Runs `work` in the lane and waits for it.
    template <class F>
    void in_lane(F work) {
        if (!thread_.joinable()) return work();
        std::promise<void> done;
        lane_.post([&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }
    [[nodiscard]] lane::Target& target() noexcept { return target_; }
    [[nodiscard]] lane::Lane& lane() noexcept { return lane_; }

private:
    lane::Lane lane_;
    std::unique_ptr<backend::Memory> memory_;
    lane::Target target_;
    std::jthread thread_;
};

}  // namespace farlane::test
