// SPDX-License-Identifier: Apache-2.0
// Receives: commands. Hands on: whether each does what the document says.
// Owns: a device per test.
#include <bit>
#include <numeric>

#include "accel/driver.hpp"

namespace farlane::test {
namespace {

class AccelCommands : public ::testing::Test {
protected:
    AccelCommands() { d.set_up(0, 1024); }
    Driver d;
};

TEST_F(AccelCommands, NopCompletesWithItsId) {
    const Done done = d.run(nop(77));
    EXPECT_EQ(done.id, 77u);
    EXPECT_EQ(done.status, Status::ok);
    EXPECT_EQ(done.opcode, FL_ACCEL_OP_NOP);
    EXPECT_EQ(done.sq_head, 1u);
}

TEST_F(AccelCommands, OneDoorbellForManyCommands) {
    for (std::uint32_t i = 0; i < 1000; ++i) d.put(nop(i));
    d.ring();
    for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(d.next(0, i % 400 == 0).id, i);
}

TEST_F(AccelCommands, AllocatesAtTheInitiatorsAddresses) {
    d.expect_ok(alloc(1, d.base + (4 << 20), 1 << 20));
    d.expect_ok(alloc(2, d.base, 4 << 20));           // right before it
    d.expect_ok(alloc(3, d.base + (5 << 20), 4096));  // right behind it
    EXPECT_EQ(d.run(query(4, FL_ACCEL_PROPERTY_MEMORY_CONTEXT)).value, (5u << 20) + 4096);
    const Done freed = d.run(free_memory(5, d.base));
    EXPECT_EQ(freed.value, 4u << 20);
    EXPECT_EQ(d.run(query(6, FL_ACCEL_PROPERTY_MEMORY_CONTEXT)).value, (1u << 20) + 4096);
    d.expect_ok(alloc(7, d.base, 4096));
}

TEST_F(AccelCommands, MemoryIsZeroAfterFreeAndKeptByAlloc) {
    for (const std::uint64_t bytes : {std::uint64_t{4096}, std::uint64_t{1} << 20}) {
        // Input may be pushed ahead of the ALLOC that it is for.
        d.push(d.base, std::vector<std::uint32_t>{1, 2, 3});
        d.expect_ok(alloc(1, d.base, bytes));
        EXPECT_EQ(d.peek<std::uint32_t>(d.base, 3), (std::vector<std::uint32_t>{1, 2, 3}));
        d.expect_ok(free_memory(2, d.base));
        EXPECT_EQ(d.peek<std::uint32_t>(d.base, 3), (std::vector<std::uint32_t>{0, 0, 0}));
    }
}

TEST_F(AccelCommands, FillsWithEveryPatternSize) {
    d.expect_ok(alloc(1, d.base, 1 << 20));
    for (const std::uint32_t size : {1u, 2u, 4u, 8u, 16u}) {
        for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{33}, std::uint64_t{3000}}) {
            Command c = fill(2, d.base + 64, count * size, 0);
            std::vector<std::uint8_t> pattern(size);
            for (std::uint32_t i = 0; i < size; ++i) pattern[i] = c.c.u.fill.pattern[i] = static_cast<__u8>(i + 0xa0);
            c.c.u.fill.pattern_bytes.set(size);
            EXPECT_EQ(d.run(c).value, count * size);
            const auto got = d.peek<std::uint8_t>(d.base + 64, count * size + 1);
            for (std::size_t i = 0; i < count * size; ++i) ASSERT_EQ(got[i], pattern[i % size]) << size << " " << i;
            EXPECT_EQ(got.back(), 0) << "one byte too many";
            d.expect_ok(fill(3, d.base, 1 << 20, 0));
        }
    }
}

TEST_F(AccelCommands, CopiesWithinTheDeviceEvenOverlapping) {
    d.expect_ok(alloc(1, d.base, 4 << 20));
    for (const std::size_t count : {std::size_t{1000}, std::size_t{200'000}}) {
        std::vector<std::uint32_t> data(count);
        std::iota(data.begin(), data.end(), 7u);
        d.push(d.base, data);
        d.expect_ok(copy(2, FL_ACCEL_COPY_DEVICE_TO_DEVICE, d.base + (2 << 20), d.base, count * 4));
        EXPECT_EQ(d.peek<std::uint32_t>(d.base + (2 << 20), count), data);
        d.expect_ok(copy(3, FL_ACCEL_COPY_DEVICE_TO_DEVICE, d.base + 4, d.base, count * 4));
        EXPECT_EQ(d.peek<std::uint32_t>(d.base + 4, count), data);
    }
}

TEST_F(AccelCommands, CopiesToTheHostAndBack) {
    d.expect_ok(alloc(1, d.base, 4 << 20));
    const auto host = d.host.map(0x5000'0000, 4 << 20);
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{63}, std::size_t{4097}, std::size_t{1'000'001}}) {
        std::vector<std::uint8_t> data(bytes);
        for (std::size_t i = 0; i < bytes; ++i) data[i] = static_cast<std::uint8_t>(i * 31 + bytes);
        d.push(d.base + 5, data);
        EXPECT_EQ(d.run(copy(2, FL_ACCEL_COPY_DEVICE_TO_HOST, 0x5000'0003, d.base + 5, bytes)).value, bytes);
        d.settle();
        EXPECT_EQ(std::memcmp(host.data() + 3, data.data(), bytes), 0) << bytes;
        d.expect_ok(copy(3, FL_ACCEL_COPY_HOST_TO_DEVICE, d.base + (2 << 20), 0x5000'0003, bytes));
        EXPECT_EQ(d.peek<std::uint8_t>(d.base + (2 << 20), bytes), data);
    }
}

TEST_F(AccelCommands, ColdProgramPipelinesBehindOneDoorbell) {
    constexpr std::uint32_t kCount = 5000;
    const auto host = d.host.map(0x5000'0000, kCount * 4);
    std::vector<float> x(kCount), y(kCount);
    for (std::uint32_t i = 0; i < kCount; ++i) x[i] = static_cast<float>(i), y[i] = 1.0F;
    d.push(d.base, x);
    d.push(d.base + (1 << 20), y);
    fl_accel_args_axpy_f32 args{};
    args.x.set(d.base);
    args.y.set(d.base + (1 << 20));
    args.count.set(kCount);
    args.a.set(std::bit_cast<std::uint32_t>(2.0F));
    d.put(alloc(1, d.base, 1 << 20));
    d.put(alloc(2, d.base + (1 << 20), 1 << 20));
    d.put(module_load(3, 9));
    d.put(bind(4, 200, 9, FL_ACCEL_KERNEL_AXPY_F32));
    d.put(launch(5, 200, args));
    d.put(copy(6, FL_ACCEL_COPY_DEVICE_TO_HOST, 0x5000'0000, d.base + (1 << 20), kCount * 4));
    d.put(fence(7));
    d.ring();
    for (std::uint32_t id = 1; id <= 7; ++id) {
        const Done done = d.next();
        EXPECT_EQ(done.id, id);
        EXPECT_EQ(done.status, Status::ok) << id << " reason " << done.reason;
        if (id == 4) {
            EXPECT_EQ(done.value, sizeof args);
        }
        if (id == 7) {
            EXPECT_EQ(done.value, 0u);  // nothing failed
        }
    }
    d.settle();
    for (std::uint32_t i = 0; i < kCount; ++i) {
        float got;
        std::memcpy(&got, host.data() + i * 4, 4);
        ASSERT_EQ(got, 2.0F * x[i] + 1.0F) << i;
    }
}

TEST_F(AccelCommands, ModuleUnloadTakesItsKernelsAlong) {
    d.expect_ok(module_load(1, 1));
    d.expect_ok(module_load(2, 2));
    d.expect_ok(bind(3, 1, 1, FL_ACCEL_KERNEL_FILL));
    d.expect_ok(bind(4, 2, 2, FL_ACCEL_KERNEL_FILL));
    d.expect_ok(module_unload(5, 1));
    d.expect_ok(alloc(6, d.base, 4096));
    fl_accel_args_fill args{};
    args.destination.set(d.base);
    args.count.set(4);
    args.pattern[0] = 9;
    args.pattern_bytes.set(1);
    d.expect_failure(launch(7, 1, args), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found);
    d.expect_ok(fence(8));
    d.expect_ok(launch(9, 2, args));
    EXPECT_EQ(d.peek<std::uint8_t>(d.base, 5), (std::vector<std::uint8_t>{9, 9, 9, 9, 0}));
    d.expect_ok(bind(10, 1, 2, FL_ACCEL_KERNEL_SHA256));  // the handle is free again
}

TEST_F(AccelCommands, TimestampsAndEventsTellTime) {
    const std::uint64_t first = d.run(timestamp(1)).value;
    const std::uint64_t second = d.run(event(FL_ACCEL_OP_EVENT_RECORD, 2, 1, 1)).value;
    EXPECT_GT(second, first);
    EXPECT_GT(d.run(timestamp(2)).value, second);
    EXPECT_EQ(d.run(event(FL_ACCEL_OP_EVENT_WAIT, 3, 1, 1)).value, 1u);
    d.expect_ok(event(FL_ACCEL_OP_EVENT_RECORD, 4, 1, 10));
    d.expect_ok(event(FL_ACCEL_OP_EVENT_RECORD, 5, 1, 3));  // an event does not go back
    EXPECT_EQ(d.run(event(FL_ACCEL_OP_EVENT_WAIT, 6, 1, 4)).value, 10u);
}

TEST_F(AccelCommands, EventsOrderQueuePairs) {
    d.set_up(1);
    d.expect_ok(alloc(1, d.base, 4096));
    d.submit(event(FL_ACCEL_OP_EVENT_WAIT, 10, 5, 2), 1);
    d.submit(fill(11, d.base, 4, 2), 1);
    d.settle();
    Done none;
    EXPECT_FALSE(d.poll(none, 1));
    d.expect_ok(event(FL_ACCEL_OP_EVENT_RECORD, 2, 5, 1));
    d.settle();
    EXPECT_FALSE(d.poll(none, 1));  // reached 1, waits for 2
    d.expect_ok(fill(3, d.base, 4, 1));
    d.expect_ok(event(FL_ACCEL_OP_EVENT_RECORD, 4, 5, 2));
    EXPECT_EQ(d.next(1).id, 10u);
    EXPECT_EQ(d.next(1).id, 11u);
    EXPECT_EQ(d.peek<std::uint32_t>(d.base, 1)[0], 2u);
}

TEST_F(AccelCommands, QueriesProperties) {
    EXPECT_EQ(d.run(query(1, FL_ACCEL_PROPERTY_MEMORY_TOTAL)).value, d.registers.memory_bytes.get());
    EXPECT_EQ(d.run(query(2, FL_ACCEL_PROPERTY_MEMORY_FREE)).value, d.registers.memory_bytes.get());
    d.expect_ok(alloc(3, d.base, 8192));
    EXPECT_EQ(d.run(query(4, FL_ACCEL_PROPERTY_MEMORY_FREE)).value, d.registers.memory_bytes.get() - 8192);
    EXPECT_EQ(d.run(query(5, FL_ACCEL_PROPERTY_EXECUTOR)).value, FL_ACCEL_EXECUTOR_CPU);
    EXPECT_EQ(d.run(query(6, FL_ACCEL_PROPERTY_UNITS)).value, 2u);
    const std::uint64_t before = d.run(query(7, FL_ACCEL_PROPERTY_KERNELS_RUN)).value;
    d.expect_ok(module_load(8, 1));
    d.expect_ok(bind(9, 1, 1, FL_ACCEL_KERNEL_SHA256));
    fl_accel_args_sha256 args{};
    args.destination.set(d.base);
    args.count.set(1);
    d.expect_ok(launch(10, 1, args));
    EXPECT_EQ(d.run(query(11, FL_ACCEL_PROPERTY_KERNELS_RUN)).value, before + 1);
    d.expect_ok(query(12, FL_ACCEL_PROPERTY_BUSY_NS));
    // SHA-256 of nothing, FIPS 180-4
    EXPECT_EQ(d.peek<std::uint8_t>(d.base, 4), (std::vector<std::uint8_t>{0xe3, 0xb0, 0xc4, 0x42}));
}

TEST_F(AccelCommands, ContextsDoNotSeeEachOther) {
    d.set_up(1, 64, 3);
    d.expect_ok(alloc(1, d.base, 4096));
    d.expect_ok(module_load(2, 1));
    d.expect_ok(bind(3, 1, 1, FL_ACCEL_KERNEL_FILL));
    d.expect_ok(event(FL_ACCEL_OP_EVENT_RECORD, 4, 1, 7));
    d.expect_failure(fill(1, d.base, 4, 1), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds, 1);
    d.expect_failure(free_memory(2, d.base), FL_ACCEL_REASON_POISONED, Status::canceled, 1);
    d.expect_ok(fence(3), 1);
    d.expect_failure(free_memory(4, d.base), FL_ACCEL_REASON_BAD_FREE, Status::not_found, 1);
    d.expect_failure(alloc(5, d.base, 4096), FL_ACCEL_REASON_OVERLAP, Status::busy, 1);
    d.expect_failure(module_unload(6, 1), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found, 1);
    fl_accel_args_fill args{};
    d.expect_failure(launch(7, 1, args), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found, 1);
    d.submit(event(FL_ACCEL_OP_EVENT_WAIT, 8, 1, 7), 1);
    d.settle();
    Done none;
    EXPECT_FALSE(d.poll(none, 1));  // event 1 of this context was never recorded
}

TEST_F(AccelCommands, LastQueuePairTakesTheContextAlong) {
    d.set_up(1, 64, 3);
    d.set_up(2, 64, 3);
    d.expect_ok(alloc(1, d.base, 1 << 20), 1);
    d.expect_ok(alloc(2, d.base + (4 << 20), 4096), 1);
    d.push(d.base, std::vector<std::uint32_t>{5});
    d.expect_ok(module_load(3, 1), 1);
    d.disable(1);
    d.expect_failure(module_load(4, 1), FL_ACCEL_REASON_HANDLE_IN_USE, Status::busy, 2);
    d.disable(2);
    EXPECT_EQ(d.peek<std::uint32_t>(d.base, 1)[0], 0u);
    EXPECT_EQ(d.run(query(5, FL_ACCEL_PROPERTY_MEMORY_FREE)).value, d.registers.memory_bytes.get());
    d.set_up(1, 64, 3);
    d.expect_ok(module_load(6, 1), 1);
}

}  // namespace
}  // namespace farlane::test
