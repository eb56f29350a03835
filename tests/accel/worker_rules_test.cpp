// SPDX-License-Identifier: Apache-2.0
// Receives: commands for a device whose executor works elsewhere. Hands on: whether order, ranges, local memory and
// lost contexts are as docs/accelerator.md says. Owns: a device on a fake executor.
#include "accel/fake_worker.hpp"

namespace farlane::test {
namespace {

struct Block {
    fl_le64 address, bytes;
};

/// A device with queue 0 on context 0, 1 MiB of memory at its base and a bound kernel 1.
struct Ready : WorkerDevice {
    explicit Ready(bool has_local = true) : WorkerDevice(has_local) {
        Driver& d = *driver;
        d.set_up(0);
        d.expect_ok(alloc(1, base(0), 1 << 20));
        d.push(base(0), std::vector<char>{'x'});
        Command load = module_load(2, 1, FL_ACCEL_MODULE_OPENCL_C);
        load.c.u.module.image_address.set(base(0));
        load.c.u.module.image_bytes.set(1);
        d.submit(load);
        d.settle();
        worker->end(0);
        EXPECT_TRUE(d.next().status == Status::ok);
        d.expect_ok(bind(3, 1, 1, "k"));
    }
    Command kernel(std::uint32_t id, std::uint64_t address, std::uint64_t bytes = 64) const {
        return launch(id, 1, Block{fl_le64(address), fl_le64(bytes)});
    }
};

TEST(AccelWorkerRules, RegistersSayIt) {
    WorkerDevice w;
    const auto& r = w.driver->registers;
    EXPECT_EQ(r.executor.get(), FL_ACCEL_EXECUTOR_OPENCL);
    EXPECT_EQ(r.max_contexts.get(), 2u);
    EXPECT_EQ(r.context_stride.get(), 32u << 20);
    EXPECT_EQ(r.memory_bytes.get(), 30u << 20);
    EXPECT_EQ(r.local_address.get(), FakeWorker::kLocal);
    EXPECT_EQ(r.local_bytes.get(), FakeWorker::kLocalBytes);
    EXPECT_EQ(r.time_limit_ms.get(), 1234u);
    EXPECT_EQ(r.aperture_bytes.get(), 128u << 20);
}

TEST(AccelWorkerRules, LaunchesFlyAndCompleteInOrder) {
    Ready w;
    Driver& d = *w.driver;
    for (std::uint32_t i = 0; i < 3; ++i) d.put(w.kernel(10 + i, w.base(0)));
    d.put(nop(20));
    d.ring();
    d.settle();
    ASSERT_EQ(w.worker->jobs.size(), 3u);
    EXPECT_FALSE(w.worker->jobs[0].behind);
    EXPECT_TRUE(w.worker->jobs[1].behind);
    EXPECT_TRUE(w.worker->jobs[2].behind);
    w.worker->end(1);
    d.settle();
    Done done;
    EXPECT_FALSE(d.poll(done)) << "the second must not complete before the first";
    w.worker->end(0);
    EXPECT_EQ(d.next().id, 10u);
    EXPECT_EQ(d.next().id, 11u);
    d.settle();
    EXPECT_FALSE(d.poll(done)) << "NOP must not complete before the third launch";
    w.worker->end(0);
    EXPECT_EQ(d.next().id, 12u);
    EXPECT_EQ(d.next().id, 20u);
}

TEST(AccelWorkerRules, MoreLaunchesThanFit) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1, 1024);
    constexpr std::uint32_t kCount = 300;
    for (std::uint32_t i = 0; i < kCount; ++i) d.put(w.kernel(1000 + i, w.base(0)), 1);
    d.ring(1);
    d.settle();
    EXPECT_EQ(w.worker->jobs.size(), firmware::accel::kMaxFlights);
    for (std::uint32_t i = 0; i < kCount; ++i) {
        ASSERT_FALSE(w.worker->jobs.empty());
        w.worker->end(0);
        ASSERT_EQ(d.next(1).id, 1000 + i);
        d.settle();
    }
    EXPECT_TRUE(w.worker->jobs.empty());
}

TEST(AccelWorkerRules, CompletionsNeverOverrunTheQueue) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1, 64);
    for (std::uint32_t i = 0; i < 60; ++i) d.put(nop(i), 1);  // 60 of 63 entries are taken
    d.ring(1);
    d.settle();
    for (std::uint32_t i = 0; i < 10; ++i) {
        d.put(w.kernel(100 + i, w.base(0)), 1);
        d.ring(1);
        d.settle();
    }
    EXPECT_EQ(w.worker->jobs.size(), 3u) << "only as many may fly as completions have room";
}

TEST(AccelWorkerRules, AFailedFlightPoisonsThoseBehind) {
    Ready w;
    Driver& d = *w.driver;
    d.put(w.kernel(10, w.base(0)));
    d.put(w.kernel(11, w.base(0) + 4096));
    d.ring();
    d.settle();
    w.worker->end(0, {FL_ACCEL_REASON_EXECUTION, 77, 0});
    w.worker->end(0, {FL_ACCEL_REASON_POISONED, 0, 0});
    const Done first = d.next();
    EXPECT_EQ(first.reason, FL_ACCEL_REASON_EXECUTION);
    EXPECT_EQ(first.detail, 77u);
    const Done second = d.next();
    EXPECT_EQ(second.reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(second.detail, 10u) << "the command it began with";
    const Done third = d.run(fill(12, w.base(0) + 4096, 64, 1));
    EXPECT_EQ(third.reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(third.detail, 10u);
    const Done count = d.run(fence(13));
    EXPECT_EQ(count.value, 3u);
    EXPECT_EQ(count.detail, 10u);
    d.expect_ok(fill(14, w.base(0) + 4096, 64, 1));
}

TEST(AccelWorkerRules, RangesOfOtherContextsAreOutOfReach) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1, 64, 1);
    d.expect_failure(alloc(1, w.base(0) + (2 << 20), 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
    d.expect_failure(alloc(2, FakeWorker::kLocal, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
    // Behind its range stands bounce memory.
    d.expect_failure(alloc(3, w.base(1) + (30 << 20), 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
    d.expect_failure(alloc(4, w.base(1), 30 << 20), FL_ACCEL_REASON_OUT_OF_MEMORY, Status::no_memory, 1);
    d.expect_ok(alloc(5, w.base(1), 29 << 20), 1);
    d.expect_ok(alloc(6, FakeWorker::kLocal + FakeWorker::kLocalBytes, 4096), 1);
    d.expect_failure(fill(7, w.base(0), 64, 1), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
}

TEST(AccelWorkerRules, AnAllocationTheExecutorRefusesIsNone) {
    Ready w;
    Driver& d = *w.driver;
    w.worker->commit_outcome = {FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    d.expect_failure(alloc(5, FakeWorker::kLocal, 4096), FL_ACCEL_REASON_OUT_OF_MEMORY, Status::no_memory);
    w.worker->commit_outcome = {};
    d.expect_ok(fence(6));
    d.expect_ok(alloc(7, FakeWorker::kLocal, 4096));
}

TEST(AccelWorkerRules, LocalMemoryGoesToTheHostAndBack) {
    Ready w;
    Driver& d = *w.driver;
    constexpr std::size_t kBytes = (3 << 20) + 123;
    constexpr std::uint64_t kIova = 0x50'0000'0000;
    d.expect_ok(alloc(5, FakeWorker::kLocal, 4 << 20));
    for (std::size_t i = 0; i < kBytes; ++i) w.worker->at(FakeWorker::kLocal)[i] = static_cast<std::byte>(i * 7 >> 3);
    const auto host = d.host.map(kIova, kBytes);
    for (const bool deferred : {false, true}) {
        std::fill(host.begin(), host.end(), std::byte{0});
        d.host.defer = deferred;
        d.submit(copy(6, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova, FakeWorker::kLocal, kBytes));
        Done done;
        while (!d.poll(done)) {
            d.settle();
            if (deferred) d.host.release_all(*d.device);
        }
        d.ring_cq();
        if (deferred) d.host.release_all(*d.device);
        d.host.defer = false;
        EXPECT_EQ(done.reason, FL_ACCEL_REASON_NONE);
        EXPECT_EQ(done.value, kBytes);
        ASSERT_EQ(std::memcmp(host.data(), w.worker->at(FakeWorker::kLocal), kBytes), 0);
    }
    for (std::size_t i = 0; i < kBytes; ++i) host[i] = static_cast<std::byte>(i * 5 >> 2);
    d.expect_ok(copy(7, FL_ACCEL_COPY_HOST_TO_DEVICE, FakeWorker::kLocal, kIova, kBytes));
    EXPECT_EQ(std::memcmp(host.data(), w.worker->at(FakeWorker::kLocal), kBytes), 0);
    // What can not be reached fails, and leaves no chunk behind.
    for (std::uint32_t i = 0; i < 20; ++i) {
        d.expect_failure(copy(30 + i, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova + 4096, FakeWorker::kLocal, kBytes),
                         FL_ACCEL_REASON_HOST_ADDRESS, Status::out_of_bounds);
        d.expect_failure(copy(60 + i, FL_ACCEL_COPY_HOST_TO_DEVICE, FakeWorker::kLocal, kIova + kBytes + 4096, 64),
                         FL_ACCEL_REASON_HOST_ADDRESS, Status::out_of_bounds);
        d.expect_ok(fence(90 + i));
    }
    d.expect_ok(copy(8, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova, FakeWorker::kLocal, kBytes));
}

TEST(AccelWorkerRules, DisablingEndsFlightsAndTheContext) {
    Ready w;
    Driver& d = *w.driver;
    w.worker->automatic = false;
    d.put(w.kernel(10, w.base(0)));
    d.put(w.kernel(11, w.base(0)));
    d.ring();
    d.settle();
    d.write32(Driver::queue_register(0, offsetof(fl_accel_queue_registers, control)), 0);
    d.settle();
    EXPECT_EQ(std::count(w.worker->log.begin(), w.worker->log.end(), "cancel"), 2);
    EXPECT_EQ(w.worker->log.back(), "close 0");
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLING);
    // While it ends nobody may join.
    d.set_up(1);
    EXPECT_EQ(d.state(1), FL_ACCEL_QUEUE_DISABLED);
    EXPECT_EQ(d.reason(1), FL_ACCEL_REASON_NOT_READY);
    const std::uint32_t pasid = Driver::queue_register(1, offsetof(fl_accel_queue_registers, pasid));
    d.write32(pasid, 77);
    d.set_up(1);
    EXPECT_EQ(d.reason(1), FL_ACCEL_REASON_NOT_READY) << "who may have it next is told to wait";
    d.write32(pasid, 0);
    w.worker->end(0);
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLED);
    w.worker->automatic = true;
    d.set_up(0);
    EXPECT_EQ(w.worker->log.back(), "open 0");
    d.expect_ok(alloc(1, w.base(0), 30 << 20));
    d.expect_failure(bind(2, 1, 1, "k"), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found);
}

/// One of two pairs does not let go: the other is not let into the old context again.
TEST(AccelWorkerRules, AContextThatNobodyUsesTakesNoNewPair) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1);
    w.worker->automatic = false;
    w.worker->deaf = true;
    d.submit(w.kernel(10, w.base(0)));
    d.settle();
    d.write32(Driver::queue_register(0, offsetof(fl_accel_queue_registers, control)), 0);
    d.set_up(2);  // it has a user still
    EXPECT_EQ(d.state(2), FL_ACCEL_QUEUE_ENABLED);
    d.disable(1);
    d.disable(2);
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLING);
    d.set_up(1);
    EXPECT_EQ(d.state(1), FL_ACCEL_QUEUE_DISABLED);
    EXPECT_EQ(d.reason(1), FL_ACCEL_REASON_NOT_READY);
    w.worker->automatic = true;
    w.worker->end(0);
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLED);
    d.set_up(1);
    EXPECT_EQ(d.state(1), FL_ACCEL_QUEUE_ENABLED);
    d.expect_ok(alloc(1, w.base(0), 30 << 20), 1);
    d.expect_failure(bind(2, 1, 1, "k"), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found, 1);
}

TEST(AccelWorkerRules, DisablingAmidACopyOfLocalMemory) {
    Ready w;
    Driver& d = *w.driver;
    constexpr std::uint64_t kIova = 0x50'0000'0000;
    d.host.map(kIova, 4 << 20);
    d.expect_ok(alloc(5, FakeWorker::kLocal, 4 << 20));
    w.worker->automatic = false;
    d.submit(copy(6, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova, FakeWorker::kLocal, 4 << 20));
    d.settle();
    ASSERT_EQ(w.worker->jobs.size(), firmware::accel::Processor::kChunks);
    w.worker->end(3);
    w.worker->deaf = true;
    d.write32(Driver::queue_register(0, offsetof(fl_accel_queue_registers, control)), 0);
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLING);
    w.worker->automatic = true;
    EXPECT_GE(std::count(w.worker->log.begin(), w.worker->log.end(), "cancel"), 7);
    while (!w.worker->jobs.empty()) w.worker->end(0);
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLED);
    d.set_up(0);
    d.expect_ok(alloc(7, FakeWorker::kLocal, 4 << 20));
    d.expect_ok(copy(8, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova, FakeWorker::kLocal, 4 << 20));
}

TEST(AccelWorkerRules, AFreeThatNobodyAnswersDoesNotKeepThePair) {
    Ready w;
    Driver& d = *w.driver;
    w.worker->automatic = false;
    d.submit(free_memory(10, w.base(0)));
    d.settle();
    ASSERT_EQ(w.worker->jobs.size(), 1u);
    d.write32(Driver::queue_register(0, offsetof(fl_accel_queue_registers, control)), 0);
    EXPECT_EQ(w.worker->log.back(), "cancel");
    w.worker->automatic = true;
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLED);
    d.set_up(0);
    d.expect_ok(alloc(1, w.base(0), 1 << 20));
}

TEST(AccelWorkerRules, TheNextOwnerOfAPairFindsNoCommands) {
    Driver d;
    d.set_up(0);
    d.expect_ok(alloc(1, d.base, 4096));
    d.expect_ok(fill(2, d.base, 4096, 0x5ec3e7ed));
    d.disable(0);
    d.set_up(0);
    d.queue(0).sq_tail = 2;  // as if two slots had been written
    d.ring();
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_BAD_SLOTS);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_BAD_SLOTS);
}

TEST(AccelWorkerRules, ALostContextSaysSoUntilItsPairsAreDisabled) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1, 64, 1);
    d.put(w.kernel(10, w.base(0)));
    d.put(w.kernel(11, w.base(0)));
    d.ring();
    d.settle();
    w.worker->lost_contexts[0] = true;
    w.worker->end(0, {FL_ACCEL_REASON_CRASHED, 11, 0});
    w.worker->end(0, {FL_ACCEL_REASON_CONTEXT_LOST, 0, 0});
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_CRASHED);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_CONTEXT_LOST);
    d.expect_ok(nop(12));
    d.expect_ok(fence(13));
    d.expect_failure(fill(14, w.base(0), 64, 1), FL_ACCEL_REASON_CONTEXT_LOST, Status::device_reset);
    d.expect_failure(alloc(15, w.base(0) + (2 << 20), 4096), FL_ACCEL_REASON_CONTEXT_LOST, Status::device_reset);
    d.expect_failure(event(FL_ACCEL_OP_EVENT_WAIT, 16, 1, 1), FL_ACCEL_REASON_CONTEXT_LOST, Status::device_reset);
    d.expect_ok(alloc(1, w.base(1), 4096), 1);
    d.disable(0);
    d.set_up(0);
    d.expect_ok(alloc(17, w.base(0), 4096));
}

TEST(AccelWorkerRules, ALostContextIsToldToWhoHasTheFunction) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1, 64, 1);
    d.unmask(0);
    const auto lost = [&] { return d.read32(offsetof(fl_accel_registers, lost_contexts)); };
    const auto told = [&] { return d.host.interrupts.size(); };
    EXPECT_EQ(lost(), 0u);
    d.submit(w.kernel(10, w.base(0)));
    d.settle();
    w.worker->lost_contexts[0] = true;
    EXPECT_EQ(told(), 0u);
    w.worker->end(0, {FL_ACCEL_REASON_CRASHED, 11, 0});
    EXPECT_EQ(d.next().detail, 11u);
    EXPECT_EQ(told(), 1u);
    EXPECT_EQ(lost(), 1u);
    d.expect_failure(fill(14, w.base(0), 64, 1), FL_ACCEL_REASON_CONTEXT_LOST, Status::device_reset);
    EXPECT_EQ(told(), 1u) << "once";
    // One that had nothing to do tells with its next command.
    w.worker->lost_contexts[1] = true;
    d.expect_ok(nop(15), 1);
    EXPECT_EQ(told(), 2u);
    EXPECT_EQ(lost(), 3u);
    d.disable(0);
    EXPECT_EQ(lost(), 2u);
}

TEST(AccelWorkerRules, AModuleOnItsWay) {
    Ready w;
    Driver& d = *w.driver;
    d.set_up(1);
    Command load = module_load(20, 2, FL_ACCEL_MODULE_OPENCL_C).with_text("-DN=1");
    load.c.u.module.image_address.set(w.base(0));
    load.c.u.module.image_bytes.set(1);
    load.c.u.module.options_bytes.set(5);
    d.submit(load);
    d.settle();
    EXPECT_EQ(w.worker->log.back(), "load -DN=1");
    d.expect_failure(module_load(21, 2), FL_ACCEL_REASON_HANDLE_IN_USE, Status::busy, 1);
    d.expect_ok(fence(27), 1);
    d.expect_failure(bind(22, 2, 2, "k"), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found, 1);
    d.expect_ok(fence(28), 1);
    w.worker->end(0, {FL_ACCEL_REASON_BUILD, 5, 0});
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_BUILD);
    d.expect_ok(fence(23));
    d.submit(load);
    d.settle();
    w.worker->end(0);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_NONE);
    d.expect_failure(bind(24, 2, 2, "none"), FL_ACCEL_REASON_UNKNOWN_KERNEL, Status::not_found);
    d.expect_ok(fence(25));
    d.expect_ok(bind(26, 2, 2, "k"));
}

TEST(AccelWorkerRules, ReportsGoWhereTheLaneCanWrite) {
    Ready w;
    Driver& d = *w.driver;
    d.expect_ok(alloc(5, FakeWorker::kLocal, 4096));
    Command names = query(6, FL_ACCEL_PROPERTY_DEVICE_NAMES);
    names.c.u.query.report_address.set(FakeWorker::kLocal);
    names.c.u.query.report_bytes.set(64);
    d.expect_failure(names, FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    names.c.u.query.report_address.set(w.base(0) + (1 << 20));
    d.expect_failure(names, FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
    names.c.u.query.report_address.set(w.base(0) + 4096);
    names.c.u.query.report_bytes.set(4);
    const Done done = d.run(names);
    EXPECT_EQ(done.value, 17u);
    EXPECT_EQ(d.peek<char>(w.base(0) + 4096, 5), (std::vector<char>{'f', 'a', 'k', 'e', 0}));
    EXPECT_EQ(d.run(query(7, FL_ACCEL_PROPERTY_CONTEXT_KERNELS)).value, 100u);
    EXPECT_EQ(d.run(query(8, FL_ACCEL_PROPERTY_WORKER_BYTES)).value, 300u);
    EXPECT_EQ(d.run(query(9, FL_ACCEL_PROPERTY_ENERGY_UJ)).value, 12345u);
    EXPECT_EQ(d.run(query(10, FL_ACCEL_PROPERTY_LOCAL_FREE)).value, FakeWorker::kLocalBytes - 4096);
    d.expect_failure(query(11, FL_ACCEL_PROPERTY_OPENCL_INFO), FL_ACCEL_REASON_BAD_PROPERTY, Status::unsupported);
}

TEST(AccelWorkerRules, ALaunchWaitsForTheLinkToReleaseWhatItWrites) {
    Ready w;
    Driver& d = *w.driver;
    constexpr std::uint64_t kIova = 0x50'0000'0000;
    d.host.map(kIova, 1 << 16);
    d.host.defer = true;
    d.submit(copy(6, FL_ACCEL_COPY_DEVICE_TO_HOST, kIova, w.base(0), 1 << 16));
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_NONE);
    d.submit(w.kernel(7, w.base(0) + 4096));
    d.settle();
    EXPECT_TRUE(w.worker->jobs.empty()) << "a resend would carry what the kernel writes";
    d.host.release_all(*d.device);
    d.settle();
    ASSERT_EQ(w.worker->jobs.size(), 1u);
    w.worker->end(0);
    d.host.defer = false;
    d.host.release_all(*d.device);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_NONE);
}

TEST(AccelWorkerRules, AResetAmidEverything) {
    Ready w;
    Driver& d = *w.driver;
    w.worker->automatic = false;
    d.put(w.kernel(10, w.base(0)));
    d.put(w.kernel(11, w.base(0)));
    d.ring();
    d.settle();
    d.write32(offsetof(fl_accel_registers, control), FL_ACCEL_CONTROL_RESET);
    d.settle();
    EXPECT_EQ(w.worker->log.back(), "scrub_all");
    w.worker->automatic = true;
    d.wait_ready();
    d.set_up(0);
    d.expect_ok(alloc(1, w.base(0), 1 << 20));
}

}  // namespace
}  // namespace farlane::test
