// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: two farlaned processes with one accelerator, applications that share it, and what
// the daemon says of them. Owns: processes.
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/process.hpp"
#include "daemon/share_work.hpp"

namespace farlane::test {

inline constexpr const char* kSharedAccel =
    "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"128M\"\nthreads = 1\nqueues = 20\n";

/// True as soon as `is` is; false when it is not within a minute.
inline bool comes_true(const std::function<bool()>& is) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (!is()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

struct ShareTest : testing::Test {
    Pair pair;
    explicit ShareTest(const char* exports = kSharedAccel) : pair(exports) { pair.wait_for_functions(1); }
    void TearDown() override {
        EXPECT_EQ(pair.initiator.stop(), 0) << pair.initiator.process().output();
        EXPECT_EQ(pair.target.stop(), 0) << pair.target.process().output();
    }

    [[nodiscard]] const std::string& socket() const { return pair.initiator.socket(); }
    [[nodiscard]] std::unique_ptr<Process> client(const std::string& what, const std::string& how, int seed) {
        const std::string log = pair.dir / ("client-" + std::to_string(seed) + ".log");
        return std::make_unique<Process>(
            std::vector<std::string>{SHARE_CLIENT, socket(), what, how, std::to_string(seed)}, log);
    }
    [[nodiscard]] std::string fifo(const std::string& name) {
        const std::string path = pair.dir / name;
        EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
        return path;
    }
    /// Until the client has said its word.
    static bool is_ready(const std::string& fifo_path) {
        const control::UniqueFd fd(::open(fifo_path.c_str(), O_RDWR | O_CLOEXEC));
        pollfd p{fd.get(), POLLIN, 0};
        char word = 0;
        return ::poll(&p, 1, 60'000) == 1 && ::read(fd.get(), &word, 1) == 1;
    }
    /// The attachment of the function, null when there is none.
    [[nodiscard]] control::Json attachment() const {
        const auto all = pair.initiator.client().call("stats").at("attachments");
        return all.empty() ? control::Json(nullptr) : all.at(0);
    }
    [[nodiscard]] std::size_t holders() const {
        const auto a = attachment();
        return a.is_null() ? 0 : a.at("holders").size();
    }
};

/// Status of what `f` throws, ok when it throws nothing.
template <class F>
Status status_of(F&& f, std::string* text = nullptr) {
    try {
        f();
    } catch (const Error& e) {
        if (text != nullptr) *text = e.what();
        return e.status();
    }
    return Status::ok;
}

}  // namespace farlane::test
