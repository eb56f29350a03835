// SPDX-License-Identifier: Apache-2.0
// Receives: contexts of which one wants everything. Hands on: whether the others still get what they need, and whether
// the greedy one is told which limit it met. Owns: a device.
#include "accel/fake_worker.hpp"

namespace farlane::test {
namespace {

using Reason = fl_accel_reason;

/// Allocates pages of `context` one by one until that is refused; how many, and why no more.
std::pair<std::uint32_t, Reason> take_all(Driver& d, std::uint32_t queue, std::uint64_t first) {
    for (std::uint32_t n = 0;; ++n) {
        const Done done = d.run(alloc(n, first + n * std::uint64_t{4096}, 4096), queue);
        if (done.status == Status::ok) continue;
        EXPECT_EQ(done.status, Status::no_memory);
        return {n, done.reason};
    }
}

TEST(AccelShares, EachContextFindsPlaceInTheTableOfAllocations) {
    Driver d({{"memory", "256M"}, {"threads", "1"}, {"queues", "4"}});
    for (std::uint32_t c = 0; c < 4; ++c) d.set_up(c, 64, c);
    const std::uint32_t all = d.registers.max_allocations.get(), sure = all / 2 / 4;
    const auto greedy = take_all(d, 0, d.base);
    EXPECT_EQ(greedy.first, all / 2 + sure);
    EXPECT_EQ(greedy.second, FL_ACCEL_REASON_CONTEXT_ALLOCATIONS);
    std::uint64_t at = d.base + std::uint64_t{greedy.first} * 4096;
    for (std::uint32_t c = 1; c < 4; ++c) {
        for (std::uint32_t i = 0; i < sure; ++i, at += 4096) d.expect_ok(alloc(i, at, 4096), c);
    }
    d.expect_failure(alloc(1, at, 4096), FL_ACCEL_REASON_OUT_OF_MEMORY, Status::no_memory, 3);
    // What another gives back is kept for that one, what it gives back itself it can have again.
    d.disable(1);
    d.expect_failure(alloc(1, at, 4096), FL_ACCEL_REASON_CONTEXT_ALLOCATIONS, Status::no_memory, 0);
    d.expect_failure(alloc(1, at, 4096), FL_ACCEL_REASON_CONTEXT_ALLOCATIONS, Status::no_memory, 2);
    d.expect_ok(free_memory(1, d.base), 0);
    d.expect_ok(alloc(1, d.base, 4096), 0);
    d.set_up(1, 64, 1);
    d.expect_ok(alloc(1, at, 4096), 1);
}

TEST(AccelShares, AContextHasAtMostItsPartOfMemory) {
    Driver d({{"memory", "64M"}, {"threads", "1"}, {"context_memory", "2M"}});
    d.set_up(0, 64, 0);
    d.set_up(1, 64, 1);
    EXPECT_EQ(d.run(query(1, FL_ACCEL_PROPERTY_MEMORY_TOTAL)).value, 2U << 20);
    d.expect_ok(alloc(2, d.base, 1 << 20));
    const Done refused = d.run(alloc(3, d.base + (1 << 20), (1 << 20) + 4096));
    EXPECT_EQ(refused.reason, FL_ACCEL_REASON_CONTEXT_MEMORY);
    EXPECT_EQ(refused.detail, offsetof(fl_accel_command, u) + offsetof(fl_accel_alloc_command, bytes));
    d.expect_ok(fence(4));
    d.expect_ok(alloc(5, d.base + (1 << 20), 1 << 20));
    d.expect_failure(alloc(6, d.base + (4 << 20), 4096), FL_ACCEL_REASON_CONTEXT_MEMORY, Status::no_memory);
    d.expect_ok(alloc(7, d.base + (4 << 20), 2 << 20), 1);
    d.expect_ok(free_memory(8, d.base));
    d.expect_ok(alloc(9, d.base, 4096));
}

TEST(AccelShares, AContextHasAtMostItsPartOfLocalMemory) {
    WorkerDevice w(true, 1 << 20);
    Driver& d = *w.driver;
    d.set_up(0, 64, 0);
    d.expect_ok(alloc(1, FakeWorker::kLocal, 1 << 20));
    d.expect_failure(alloc(2, FakeWorker::kLocal + (1 << 20), 4096), FL_ACCEL_REASON_CONTEXT_MEMORY, Status::no_memory);
    d.expect_ok(alloc(3, w.base(0), 4 << 20));
}

TEST(AccelShares, AContextThatCopiesWithoutEndLeavesOthersTheirPartOfThePins) {
    constexpr std::uint64_t kIova = 0x50'0000'0000;
    constexpr std::uint32_t kMany = 1500;  // more than there are
    Driver d({{"memory", "64M"}, {"threads", "1"}});
    d.set_up(0, 4096, 0);
    d.set_up(1, 64, 1);
    d.host.map(kIova, 1 << 16);
    d.expect_ok(alloc(1, d.base, 4096), 0);
    d.expect_ok(alloc(1, d.base + 4096, 4096), 1);
    d.settle();
    d.host.defer = true;
    for (std::uint32_t i = 0; i < kMany; ++i) d.put(copy(10 + i, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova, d.base, 128), 0);
    d.ring(0);
    d.settle();
    Done done;
    std::uint32_t completed = 0;
    while (d.poll(done, 0)) ++completed;
    constexpr std::uint32_t kSure = firmware::accel::Pins::kCapacity / 2 / 2;
    EXPECT_EQ(completed, firmware::accel::Pins::kCapacity - kSure) << "all but what is the other's";
    for (std::uint32_t i = 0; i < kSure; ++i) {
        d.submit(copy(9, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova + 4096, d.base + 4096, 128), 1);
        d.settle();
        ASSERT_TRUE(d.poll(done, 1)) << "the other context waits for the greedy one";
        d.ring_cq(1);
    }
    while (completed < kMany) {
        d.host.release_all(*d.device);
        d.settle();
        while (d.poll(done, 0)) ++completed;
        d.ring_cq(0);
    }
    d.host.defer = false;
    d.host.release_all(*d.device);
}

TEST(AccelShares, WhatIsScarceGoesToOnePairAfterTheOther) {
    Driver d({{"memory", "64M"}, {"threads", "1"}, {"queues", "2"}});
    d.set_up(0, 64, 0);
    d.set_up(1, 64, 1);
    for (std::uint32_t i = 0; i < 60; ++i) d.put(nop(i), 0);
    d.put(nop(100), 1);
    d.ring(0);
    d.ring(1);
    std::uint32_t of_the_greedy = 0;
    Done done;
    for (int turn = 0; turn < 60 && !d.poll(done, 1); ++turn) {
        d.host.room = 1;  // for one completion
        (void)d.device->poll();
        while (d.poll(done, 0)) ++of_the_greedy;
    }
    EXPECT_EQ(done.id, 100U) << "pair 1 waits until pair 0 wants nothing more";
    EXPECT_LE(of_the_greedy, 4U);
}

}  // namespace
}  // namespace farlane::test
