// SPDX-License-Identifier: Apache-2.0
// Receives: an attached tally (docs/devices.md). Hands on: numbered posted writes, of which none may be lost, repeated
// or out of order, and reads that see all of them; how long it stood still. Owns: the thread that does it.
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <farlane/fabric.hpp>

namespace farlane::test {

/// Unlike a load that lives through kills it takes no answer but the right one: no abort, no timeout, no all-ones.
class TallyWork {
public:
    using Clock = std::chrono::steady_clock;
    explicit TallyWork(Device& tally) : tally_(tally), thread_([this] { run(); }) {}
    ~TallyWork() { stop(); }
    TallyWork(const TallyWork&) = delete;
    TallyWork& operator=(const TallyWork&) = delete;

    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    /// Until `n` more rounds went through; false when it failed or stands still.
    [[nodiscard]] bool goes_on(std::uint64_t n) const {
        const std::uint64_t until = rounds_ + n;
        const auto deadline = Clock::now() + std::chrono::seconds(60);
        while (rounds_ < until && !failed_ && Clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return rounds_ >= until;
    }
    /// The longest round since the last call, which is the stall when there was one.
    [[nodiscard]] double take_longest_ms() { return static_cast<double>(longest_us_.exchange(0)) / 1000; }
    /// After stop(): "" or what went wrong.
    [[nodiscard]] const std::string& failure() const { return failure_; }
    [[nodiscard]] std::uint64_t written() const { return written_; }

    /// After stop(): the device has taken every word once and in order.
    void verify() {
        ASSERT_EQ(failure_, "");
        EXPECT_EQ(tally_.read64(kBar, kErrors), 0U);
        EXPECT_EQ(tally_.read64(kBar, kRepeats), 0U);
        EXPECT_EQ(tally_.read64(kBar, kTaken), written_);
    }

private:
    static constexpr unsigned kBar = 0;
    static constexpr std::uint64_t kTaken = 0x08, kErrors = 0x10, kRepeats = 0x18, kTicket = 0x28;
    static constexpr std::uint64_t kWindow = 0x8000, kWindowBytes = 0x8000, kWordBytes = 8;

    void run() {
        try {
            while (!stopping_) {
                const auto begin = Clock::now();
                round();
                const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
                if (took > longest_us_) longest_us_ = took;
                ++rounds_;
            }
        } catch (const std::exception& e) {
            failure_ = e.what();
            failed_ = true;
        }
    }
    void round() {
        for (int i = 0; i < 8; ++i) {
            ++written_;
            tally_.write64(kBar, kWindow + written_ * kWordBytes % kWindowBytes, written_);
        }
        expect("words taken", tally_.read64(kBar, kTaken), written_);
        expect("ticket", tally_.read64(kBar, kTicket), ++tickets_);  // a read executed twice would skip one
    }
    static void expect(const char* what, std::uint64_t got, std::uint64_t wanted) {
        if (got != wanted)
            throw std::runtime_error(std::string(what) + ": " + std::to_string(got) + " instead of " +
                                     std::to_string(wanted));
    }

    Device& tally_;
    std::uint64_t written_ = 0, tickets_ = 0;
    std::atomic<std::uint64_t> rounds_{0};
    std::atomic<std::int64_t> longest_us_{0};
    std::atomic<bool> stopping_{false}, failed_{false};
    std::string failure_;
    std::thread thread_;
};

}  // namespace farlane::test
