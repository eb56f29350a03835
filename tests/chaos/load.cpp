// SPDX-License-Identifier: Apache-2.0
// Receives: the order to work. Hands on: verified steps, until one fails. Owns: the thread that makes them.
#include "chaos/load.hpp"

#include <utility>

namespace farlane::chaos {

void Load::start() {
    pausing_ = false;
    running_ = true;
    thread_ = std::jthread([this] { run(); });
}

void Load::run() {
    try {
        while (!pausing_) {
            step();
            ++steps_;
        }
    } catch (const std::exception& e) {
        failure_ = device_ + ": " + e.what();
        failed_ = true;
    }
    const std::scoped_lock lock(mutex_);
    running_ = false;
    changed_.notify_all();
}

bool Load::pause(std::chrono::seconds at_most) {
    pausing_ = true;
    {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, at_most, [this] { return !running_; })) return false;
    }
    if (thread_.joinable()) thread_.join();
    return true;
}

}  // namespace farlane::chaos
