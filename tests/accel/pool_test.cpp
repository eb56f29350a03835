// SPDX-License-Identifier: Apache-2.0
// Receives: tasks of several owners. Hands on: in which order a pool of one thread ran their parts. Owns: nothing.
#include "devices/accel/cpu/pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>
#include <utility>

namespace farlane::test {
namespace {

using namespace firmware::accel;

/// Notes when its parts ran; each takes some time.
class Noted final : public PoolTask {
public:
    explicit Noted(std::atomic<unsigned>& clock) : clock_(clock) {}
    backend::Outcome run(std::size_t, Scratch&, const std::atomic<bool>& stop) override {
        if (gate != nullptr) std::exchange(gate, nullptr)->acquire();
        const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
        while (std::chrono::steady_clock::now() < end && !stop) {
        }
        last = ++clock_;
        return {};
    }
    std::binary_semaphore* gate = nullptr;  ///< the first part waits there
    std::atomic<unsigned> last{0};

private:
    std::atomic<unsigned>& clock_;
};

/// Ends at once, after its gate.
class Brief final : public PoolTask {
public:
    backend::Outcome run(std::size_t, Scratch&, const std::atomic<bool>&) override {
        if (gate != nullptr) gate->acquire();
        return {};
    }
    std::binary_semaphore* gate = nullptr;
};

/// Declared behind its tasks, which threads may run until the pool has ended.
struct OneThread {
    explicit OneThread(std::size_t tasks = 8) : pool(1, tasks, 2, [this] { ended.release(); }) {}
    std::counting_semaphore<> ended{0};
    Pool pool;
    std::uint64_t wait() {
        ended.acquire();
        PoolDone done;
        EXPECT_TRUE(pool.take(done));
        return done.job.job;
    }
};

TEST(AccelPool, AShortTaskWaitsForOnePartOfALongOne) {
    std::atomic<unsigned> clock{0};
    std::binary_semaphore gate{0};
    Noted lengthy(clock), brief(clock);
    lengthy.gate = &gate;
    OneThread t;
    t.pool.submit(1, lengthy, 1000, true, 0);
    t.pool.submit(2, brief, 1, true, 1);
    gate.release();
    EXPECT_EQ(t.wait(), 2U);
    EXPECT_EQ(brief.last, 2U);
    EXPECT_EQ(t.wait(), 1U);
}

/// Who has something to do all the time, in more than one queue, does not keep others out for ever.
TEST(AccelPool, AGreedyOwnerLeavesOthersTheirTime) {
    std::atomic<unsigned> clock{0};
    Noted greedy(clock), modest(clock);
    OneThread t;
    t.pool.submit(0, greedy, 4, true, 0);
    t.pool.submit(1, greedy, 4, true, 0);
    t.pool.submit(2, modest, 40, true, 1);
    unsigned more = 0;
    for (std::uint64_t job = t.wait(); job != 2 && more < 20'000; job = t.wait(), ++more)
        t.pool.submit(job, greedy, 4, true, 0);
    EXPECT_LT(more, 20'000U);
}

/// Time that nobody asked for is not there later.
TEST(AccelPool, WhoComesLateHasNoMoreThanTheOthers) {
    std::atomic<unsigned> clock{0};
    std::binary_semaphore gate{0};
    Noted before(clock), late(clock), other(clock);
    late.gate = &gate;
    OneThread t;
    t.pool.submit(1, before, 200, true, 0);
    EXPECT_EQ(t.wait(), 1U);
    t.pool.submit(2, late, 100, true, 1);
    t.pool.submit(3, other, 1, true, 0);
    gate.release();
    EXPECT_EQ(t.wait(), 3U);
    EXPECT_EQ(other.last, 202U) << "behind one part of the late one";
    EXPECT_EQ(t.wait(), 2U);
}

/// Places of tasks that ended are taken again in any order.
TEST(AccelPool, ThousandsOfTasksKeepTheirOrder) {
    constexpr std::uint64_t kTasks = 8000, kCanceled = 4001;
    std::binary_semaphore gate{0};
    Brief first, others;
    first.gate = &gate;
    OneThread t(kTasks);
    for (int round = 0; round < 2; ++round) {
        t.pool.submit(0, first, 1, true, 0);
        for (std::uint64_t job = 1; job < kTasks; ++job) t.pool.submit(job, others, 1, true, job % 2);
        t.pool.cancel(kCanceled);
        t.pool.cancel(kTasks);  // there is none
        EXPECT_EQ(t.wait(), kCanceled);
        gate.release();
        std::uint64_t last[2] = {};
        for (std::uint64_t n = 1; n < kTasks; ++n) {
            const std::uint64_t job = t.wait();
            EXPECT_TRUE(job > last[job % 2] || job == 0) << job << " behind " << last[job % 2];
            EXPECT_NE(job, kCanceled);
            last[job % 2] = job;
        }
    }
}

}  // namespace
}  // namespace farlane::test
