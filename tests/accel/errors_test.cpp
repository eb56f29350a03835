// SPDX-License-Identifier: Apache-2.0
// Receives: wrong commands. Hands on: whether each fails alone, with its reason, and what depends on it.
// Owns: a device per test.
#include "accel/driver.hpp"

namespace farlane::test {
namespace {

class AccelErrors : public ::testing::Test {
protected:
    AccelErrors() {
        d.set_up(0, 256);
        d.expect_ok(alloc(900, memory(), 1 << 20));
        d.expect_ok(module_load(901, 1));
    }
    std::uint64_t memory() const { return d.base + (1 << 20); }
    /// Fails with `reason`, and the queue goes on.
    void fails(const Command& c, fl_accel_reason reason, Status status) {
        d.expect_failure(c, reason, status);
        d.expect_ok(fence(999));
        d.expect_ok(nop(998));
    }
    Driver d;
};

TEST_F(AccelErrors, MalformedCommands) {
    Command c = nop(1);
    c.c.head.opcode = 0;
    fails(c, FL_ACCEL_REASON_BAD_OPCODE, Status::unsupported);
    c.c.head.opcode = 99;
    fails(c, FL_ACCEL_REASON_BAD_OPCODE, Status::unsupported);
    c = nop(2);
    c.c.head.flags.set(1);
    fails(c, FL_ACCEL_REASON_BAD_FLAGS, Status::invalid);
    c = nop(3);
    c.c.head.stream.set(1);
    fails(c, FL_ACCEL_REASON_BAD_STREAM, Status::invalid);
    c = nop(4);
    c.c.head.reserved0.set(1);
    fails(c, FL_ACCEL_REASON_RESERVED, Status::invalid);
    c = nop(5);
    c.c.head.reserved1.set(1);
    fails(c, FL_ACCEL_REASON_RESERVED, Status::invalid);
    c = nop(6);
    c.c.u.raw[47] = 1;
    const Done done = d.run(c);
    EXPECT_EQ(done.reason, FL_ACCEL_REASON_RESERVED);
    EXPECT_EQ(done.detail, 63u);  // which byte
    c = nop(FL_ACCEL_NO_COMMAND);
    fails(c, FL_ACCEL_REASON_BAD_COMMAND_ID, Status::invalid);
    c = event(FL_ACCEL_OP_EVENT_RECORD, 7, 1, 1);
    c.c.u.event.reserved0.set(1);
    fails(c, FL_ACCEL_REASON_RESERVED, Status::invalid);
}

TEST_F(AccelErrors, SlotsThatDoNotFit) {
    for (const unsigned slots : {0u, 17u, 255u, 2u, 16u}) {  // the last two reach past the tail
        Command c = nop(slots);
        c.c.head.slots = static_cast<__u8>(slots);
        d.put_slot(&c.c);
        d.ring();
        const Done done = d.next();
        EXPECT_EQ(done.reason, FL_ACCEL_REASON_BAD_SLOTS) << slots;
        EXPECT_EQ(done.detail, slots);
        d.expect_ok(nop(1));  // it took one slot
    }
    Command two = nop(2);
    two.c.head.slots = 2;
    two.payload.resize(64);
    fails(two, FL_ACCEL_REASON_BAD_SLOTS, Status::invalid);  // takes both
    Command bind_too_short = bind(4, 1, 1, FL_ACCEL_KERNEL_FILL);
    bind_too_short.c.u.bind.name_bytes.set(65);  // needs another slot
    fails(bind_too_short, FL_ACCEL_REASON_BAD_SLOTS, Status::invalid);
    Command launch_too_long = launch(5, 1, fl_accel_args_fill{});
    launch_too_long.c.u.launch.argument_bytes.set(0xffffffff);
    fails(launch_too_long, FL_ACCEL_REASON_BAD_SLOTS, Status::invalid);
}

TEST_F(AccelErrors, Alloc) {
    fails(alloc(1, d.base + 1, 4096), FL_ACCEL_REASON_MISALIGNED, Status::invalid);
    fails(alloc(2, d.base, 100), FL_ACCEL_REASON_MISALIGNED, Status::invalid);
    fails(alloc(3, d.base, 0), FL_ACCEL_REASON_BAD_LENGTH, Status::invalid);
    fails(alloc(4, d.base - 4096, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);  // submission queues
    fails(alloc(5, 0, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    const std::uint64_t end = d.base + d.registers.memory_bytes.get();
    fails(alloc(6, end, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    fails(alloc(7, end - 4096, 8192), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    fails(alloc(8, ~std::uint64_t{4095}, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    fails(alloc(9, d.base, d.registers.memory_bytes.get()), FL_ACCEL_REASON_OUT_OF_MEMORY, Status::no_memory);
    fails(alloc(10, d.base, ~std::uint64_t{4095}), FL_ACCEL_REASON_OUT_OF_MEMORY, Status::no_memory);
    fails(alloc(11, memory(), 4096), FL_ACCEL_REASON_OVERLAP, Status::busy);
    fails(alloc(12, memory() - 4096, 8192), FL_ACCEL_REASON_OVERLAP, Status::busy);
    fails(alloc(13, memory() + 4096, 4096), FL_ACCEL_REASON_OVERLAP, Status::busy);
    d.expect_ok(alloc(14, memory() - 4096, 4096));
}

TEST_F(AccelErrors, TableOfAllocationsIsBounded) {
    Driver small({{"memory", "128M"}, {"threads", "1"}, {"queues", "1"}});
    small.set_up(0, 4096);
    std::uint32_t ok = 0;
    for (std::uint32_t i = 0; i < small.registers.max_allocations.get() + 1; ++i) {
        ok += small.run(alloc(i, small.base + i * 4096ULL, 4096)).status == Status::ok;
    }
    EXPECT_EQ(ok, small.registers.max_allocations.get());
    EXPECT_EQ(small.run(fence(0)).value, 1u);
}

TEST_F(AccelErrors, Free) {
    fails(free_memory(1, d.base), FL_ACCEL_REASON_BAD_FREE, Status::not_found);
    fails(free_memory(2, memory() + 4096), FL_ACCEL_REASON_BAD_FREE, Status::not_found);  // not its start
    Command c = free_memory(3, memory());
    c.c.u.alloc.bytes.set(4096);
    fails(c, FL_ACCEL_REASON_RESERVED, Status::invalid);
    d.expect_ok(free_memory(4, memory()));
    fails(free_memory(5, memory()), FL_ACCEL_REASON_BAD_FREE, Status::not_found);
}

TEST_F(AccelErrors, Copy) {
    const auto d2d = FL_ACCEL_COPY_DEVICE_TO_DEVICE;
    fails(copy(1, static_cast<fl_accel_copy_kind>(9), memory(), memory(), 4), FL_ACCEL_REASON_BAD_KIND,
          Status::unsupported);
    fails(copy(2, d2d, memory(), memory(), 0), FL_ACCEL_REASON_BAD_LENGTH, Status::invalid);
    fails(copy(3, d2d, memory(), 12, 4), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    fails(copy(4, d2d, memory(), memory(), ~std::uint64_t{0}), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    fails(copy(5, d2d, memory(), d.base, 4), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
    fails(copy(6, d2d, memory() + (1 << 20) - 2, memory(), 4), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
    const auto out = FL_ACCEL_COPY_DEVICE_TO_HOST;
    fails(copy(7, out, 0x5000'0000, memory(), 4), FL_ACCEL_REASON_HOST_ADDRESS, Status::out_of_bounds);
    fails(copy(8, out, ~std::uint64_t{0} - 2, memory(), 4), FL_ACCEL_REASON_HOST_ADDRESS, Status::out_of_bounds);
    d.host.map(0x5000'0000, 4096, false, true);
    fails(copy(9, out, 0x5000'0000, memory(), 4), FL_ACCEL_REASON_HOST_ADDRESS, Status::out_of_bounds);
    d.host.map(0x6000'0000, 4096, true, false);
    fails(copy(10, FL_ACCEL_COPY_HOST_TO_DEVICE, memory(), 0x6000'0000, 4), FL_ACCEL_REASON_HOST_ADDRESS,
          Status::out_of_bounds);
    // A mapping that ends in the middle: what fits arrives, the command fails.
    const auto part = d.host.map(0x7000'0000, 8192);
    d.push(memory() + 8191, std::vector<std::uint8_t>{7});
    fails(copy(11, out, 0x7000'0000, memory(), 300'000), FL_ACCEL_REASON_HOST_ADDRESS, Status::out_of_bounds);
    EXPECT_EQ(part[8191], std::byte{7});
}

TEST_F(AccelErrors, ReadThatTheHostDoesNotAnswer) {
    d.host.map(0x5000'0000, 1 << 20);
    d.host.hold_reads = true;
    d.submit(copy(1, FL_ACCEL_COPY_HOST_TO_DEVICE, memory(), 0x5000'0000, 1 << 20));
    Done done;
    while (!d.poll(done)) {
        d.settle();
        d.host.answer_reads(*d.device, Status::timeout);
    }
    EXPECT_EQ(done.reason, FL_ACCEL_REASON_HOST_READ);
    EXPECT_EQ(done.status, Status::io);
    d.host.hold_reads = false;
    d.ring_cq();
    d.expect_ok(fence(2));
}

TEST_F(AccelErrors, Fill) {
    Command c = fill(1, memory(), 4, 1);
    c.c.u.fill.pattern_bytes.set(3);
    fails(c, FL_ACCEL_REASON_BAD_PATTERN, Status::invalid);
    c.c.u.fill.pattern_bytes.set(0);
    fails(c, FL_ACCEL_REASON_BAD_PATTERN, Status::invalid);
    c = fill(2, memory(), 4, 1);
    c.c.u.fill.pattern[4] = 1;
    fails(c, FL_ACCEL_REASON_RESERVED, Status::invalid);
    fails(fill(3, memory(), 0, 1), FL_ACCEL_REASON_BAD_LENGTH, Status::invalid);
    fails(fill(4, memory(), 6, 1), FL_ACCEL_REASON_MISALIGNED, Status::invalid);
    fails(fill(5, memory() + 2, 4, 1), FL_ACCEL_REASON_MISALIGNED, Status::invalid);
    fails(fill(6, d.base, 4, 1), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
}

TEST_F(AccelErrors, ModulesAndKernels) {
    fails(module_load(1, 0), FL_ACCEL_REASON_HANDLE_RANGE, Status::invalid);
    fails(module_load(2, d.registers.max_modules.get() + 1), FL_ACCEL_REASON_HANDLE_RANGE, Status::invalid);
    fails(module_load(3, 1), FL_ACCEL_REASON_HANDLE_IN_USE, Status::busy);
    fails(module_load(4, 2, FL_ACCEL_MODULE_PTX), FL_ACCEL_REASON_BAD_KIND, Status::unsupported);
    fails(module_load(5, 2, 77), FL_ACCEL_REASON_BAD_KIND, Status::unsupported);
    Command image = module_load(6, 2);
    image.c.u.module.image_address.set(memory());
    fails(image, FL_ACCEL_REASON_BAD_IMAGE, Status::invalid);
    image.c.u.module.image_bytes.set(64);
    fails(image, FL_ACCEL_REASON_BAD_IMAGE, Status::invalid);  // the built-in one has none
    image.c.u.module.image_bytes.set(2 << 20);
    fails(image, FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
    fails(module_unload(7, 5), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found);
    fails(module_unload(8, 0xffffffff), FL_ACCEL_REASON_HANDLE_RANGE, Status::invalid);
    fails(bind(9, 0, 1, "fill"), FL_ACCEL_REASON_HANDLE_RANGE, Status::invalid);
    fails(bind(10, 1, 3, "fill"), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found);
    fails(bind(11, 1, 1, "fil"), FL_ACCEL_REASON_UNKNOWN_KERNEL, Status::not_found);
    fails(bind(12, 1, 1, std::string("fill\0", 5)), FL_ACCEL_REASON_UNKNOWN_KERNEL, Status::not_found);
    d.expect_ok(bind(13, 1, 1, "fill"));
    fails(bind(14, 1, 1, "copy"), FL_ACCEL_REASON_HANDLE_IN_USE, Status::busy);
}

TEST_F(AccelErrors, Launch) {
    d.expect_ok(bind(1, 1, 1, FL_ACCEL_KERNEL_FILL));
    fl_accel_args_fill args{};
    args.destination.set(memory());
    args.count.set(1);
    args.pattern_bytes.set(4);
    fails(launch(2, 2, args), FL_ACCEL_REASON_BAD_HANDLE, Status::not_found);
    fails(launch(3, 0, args), FL_ACCEL_REASON_HANDLE_RANGE, Status::invalid);
    fails(launch(4, 1, fl_accel_args_copy{}), FL_ACCEL_REASON_ARGUMENT_BYTES, Status::invalid);
    Command c = launch(5, 1, args);
    c.c.u.launch.grid[1].set(1);
    fails(c, FL_ACCEL_REASON_BAD_GRID, Status::invalid);
    c = launch(6, 1, args);
    c.c.u.launch.shared_bytes.set(1);
    fails(c, FL_ACCEL_REASON_BAD_GRID, Status::invalid);
    args.count.set(0);
    fails(launch(7, 1, args), FL_ACCEL_REASON_ARGUMENT_VALUE, Status::invalid);
    args.count.set(~std::uint64_t{0});
    fails(launch(8, 1, args), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds);
    args.count.set(1);
    args.destination.set(memory() + 1);
    fails(launch(9, 1, args), FL_ACCEL_REASON_MISALIGNED, Status::invalid);
    args.destination.set(d.base);
    fails(launch(10, 1, args), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
    args.destination.set(memory());
    d.expect_ok(launch(11, 1, args));
}

TEST_F(AccelErrors, EventsAndProperties) {
    fails(event(FL_ACCEL_OP_EVENT_RECORD, 1, 0, 1), FL_ACCEL_REASON_HANDLE_RANGE, Status::invalid);
    fails(event(FL_ACCEL_OP_EVENT_WAIT, 2, d.registers.max_events.get() + 1, 1), FL_ACCEL_REASON_HANDLE_RANGE,
          Status::invalid);
    fails(event(FL_ACCEL_OP_EVENT_RECORD, 3, 1, 0), FL_ACCEL_REASON_BAD_VALUE, Status::invalid);
    fails(event(FL_ACCEL_OP_EVENT_WAIT, 4, 1, 0), FL_ACCEL_REASON_BAD_VALUE, Status::invalid);
    fails(query(5, 0), FL_ACCEL_REASON_BAD_PROPERTY, Status::unsupported);
    fails(query(6, FL_ACCEL_PROPERTY_ENERGY_UJ), FL_ACCEL_REASON_BAD_PROPERTY, Status::unsupported);
}

// --- poison

TEST_F(AccelErrors, PoisonFollowsTheData) {
    const std::uint64_t missing = d.base + (8 << 20);
    d.put(fill(1, missing, 4096, 1));                                                  // not allocated
    d.put(copy(2, FL_ACCEL_COPY_DEVICE_TO_DEVICE, memory(), missing + 16, 16));        // reads it
    d.put(copy(3, FL_ACCEL_COPY_DEVICE_TO_DEVICE, memory() + 4096, memory() + 8, 8));  // reads what that wrote
    d.put(fill(4, memory() + 64, 64, 1));                                              // has nothing to do with it
    d.put(nop(5));
    d.put(fence(6));
    d.put(fill(7, memory(), 16, 1));
    d.ring();
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_NOT_ALLOCATED);
    for (const std::uint32_t id : {2u, 3u}) {
        const Done done = d.next();
        EXPECT_EQ(done.id, id);
        EXPECT_EQ(done.reason, FL_ACCEL_REASON_POISONED);
        EXPECT_EQ(done.status, Status::canceled);
        EXPECT_EQ(done.detail, 1u);  // the one it all began with
    }
    EXPECT_EQ(d.next().status, Status::ok);
    EXPECT_EQ(d.next().status, Status::ok);
    const Done fence_done = d.next();
    EXPECT_EQ(fence_done.value, 3u);   // failures
    EXPECT_EQ(fence_done.detail, 1u);  // the first
    EXPECT_EQ(d.next().status, Status::ok);
    EXPECT_EQ(d.run(fence(8)).value, 0u);
}

TEST_F(AccelErrors, FailedAllocPoisonsItsRange) {
    d.put(alloc(1, memory() - 4096, 8192));  // overlaps
    d.put(fill(2, memory() - 4096, 64, 1));
    d.put(free_memory(3, memory() - 4096));
    d.put(fence(4));
    d.put(free_memory(5, memory() - 4096));
    d.ring();
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_OVERLAP);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(d.next().value, 3u);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_BAD_FREE);
}

TEST_F(AccelErrors, FailedModulePoisonsDownToTheResult) {
    fl_accel_args_fill args{};
    args.destination.set(memory() + 128);
    args.count.set(1);
    args.pattern_bytes.set(4);
    d.put(module_load(1, 7, FL_ACCEL_MODULE_CUBIN));
    d.put(bind(2, 7, 7, "fill"));
    d.put(launch(3, 7, args));
    d.put(copy(4, FL_ACCEL_COPY_DEVICE_TO_DEVICE, memory(), memory() + 128, 4));
    d.put(fence(5));
    d.ring();
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_BAD_KIND);
    for (int i = 0; i < 3; ++i) {
        const Done done = d.next();
        EXPECT_EQ(done.reason, FL_ACCEL_REASON_POISONED) << done.id;
        EXPECT_EQ(done.detail, 1u);
    }
    EXPECT_EQ(d.next().value, 4u);
}

TEST_F(AccelErrors, PoisonCrossesQueuePairsOfOneContext) {
    d.set_up(1);
    d.expect_failure(fill(1, d.base, 64, 1), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds);
    d.expect_failure(fill(2, d.base, 64, 1), FL_ACCEL_REASON_POISONED, Status::canceled, 1);
    d.expect_ok(fence(3), 1);  // clears what failed in pair 1 only
    d.expect_failure(fill(4, d.base, 64, 1), FL_ACCEL_REASON_POISONED, Status::canceled, 1);
    d.expect_ok(fence(5), 0);
    d.expect_ok(fence(6), 1);
    d.expect_failure(fill(7, d.base, 64, 1), FL_ACCEL_REASON_NOT_ALLOCATED, Status::out_of_bounds, 1);
}

TEST_F(AccelErrors, FailedRecordFailsThoseWhoWait) {
    d.set_up(1);
    d.expect_failure(event(FL_ACCEL_OP_EVENT_WAIT, 1, 1, 0), FL_ACCEL_REASON_BAD_VALUE, Status::invalid);
    // Behind a failed wait everything depends, a record too; a fence right behind does not hide it.
    d.submit(event(FL_ACCEL_OP_EVENT_WAIT, 2, 4, 1), 1);
    d.settle();
    d.put(event(FL_ACCEL_OP_EVENT_RECORD, 3, 4, 1));
    d.put(fence(4));
    d.ring();
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(d.next().value, 2u);
    EXPECT_EQ(d.next(1).reason, FL_ACCEL_REASON_POISONED);
    d.expect_failure(fill(5, memory(), 4, 1), FL_ACCEL_REASON_POISONED, Status::canceled, 1);
    d.expect_ok(fence(6), 1);
    d.expect_ok(fill(7, memory(), 4, 1), 1);
    d.expect_ok(event(FL_ACCEL_OP_EVENT_RECORD, 8, 4, 1));  // a later record of it counts
    d.expect_ok(event(FL_ACCEL_OP_EVENT_WAIT, 9, 4, 1), 1);
}

TEST_F(AccelErrors, MoreFailuresThanTheListHolds) {
    for (std::uint32_t i = 0; i < 100; ++i) d.put(fill(i, d.base - i * 4096ULL, 64, 1));
    d.put(fill(200, memory(), 4, 1));  // everything depends now
    d.put(nop(201));
    d.put(fence(202));
    d.put(fill(203, memory(), 4, 1));
    d.ring();
    for (std::uint32_t i = 0; i < 100; ++i) EXPECT_NE(d.next().status, Status::ok);
    EXPECT_EQ(d.next().reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(d.next().status, Status::ok);
    EXPECT_EQ(d.next().value, 101u);
    EXPECT_EQ(d.next().status, Status::ok);
}

}  // namespace
}  // namespace farlane::test
