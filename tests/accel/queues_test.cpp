// SPDX-License-Identifier: Apache-2.0
// Receives: queue registers, doorbells and slots, sane and hostile. Hands on: whether the device
// keeps to the rules of queue pairs. Owns: a device per test.
#include <random>

#include "accel/driver.hpp"

namespace farlane::test {
namespace {

using R = fl_accel_queue_registers;

TEST(AccelQueues, EnableIsRefusedWithAReason) {
    struct Case {
        std::size_t field;
        std::uint32_t value;
        fl_accel_reason reason;
    };
    const Case cases[] = {
        {offsetof(R, sq_entries), 0, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, sq_entries), 100, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, sq_entries), 32, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, sq_entries), 8192, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, cq_entries), 0x80000000u, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, cq_iova), 0x20, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, vector), 17, FL_ACCEL_REASON_BAD_QUEUE},
        {offsetof(R, context), 16, FL_ACCEL_REASON_BAD_CONTEXT},
        {offsetof(R, pasid), 0x100000, FL_ACCEL_REASON_BAD_CONTEXT},
    };
    for (const Case& c : cases) {
        Driver d;
        d.set_up(1);
        d.disable(1);
        d.write32(d.queue_register(1, offsetof(R, cq_iova)), 0x1000);
        d.write32(d.queue_register(1, offsetof(R, sq_entries)), 64);
        d.write32(d.queue_register(1, offsetof(R, cq_entries)), 64);
        d.write32(d.queue_register(1, offsetof(R, vector)), FL_ACCEL_NO_VECTOR);
        d.write32(d.queue_register(1, c.field), c.value);
        d.write32(d.queue_register(1, offsetof(R, control)), FL_ACCEL_QUEUE_ENABLE);
        EXPECT_EQ(d.state(1), FL_ACCEL_QUEUE_DISABLED) << c.field << " " << c.value;
        EXPECT_EQ(d.reason(1), c.reason) << c.field << " " << c.value;
    }
}

TEST(AccelQueues, RegistersAreFixedWhileEnabled) {
    Driver d;
    d.set_up(0);
    d.write32(d.queue_register(0, offsetof(R, cq_iova)), 0x666000);
    d.write32(d.queue_register(0, offsetof(R, context)), 5);
    d.write32(d.queue_register(0, offsetof(R, control)), FL_ACCEL_QUEUE_ENABLE);
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, context))), 0u);
    d.expect_ok(nop(1));
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, commands))), 1u);
}

TEST(AccelQueues, RegistersThatAreNotThereAreIgnored) {
    Driver d;
    d.write32(d.queue_register(16, offsetof(R, control)), FL_ACCEL_QUEUE_ENABLE);
    d.write32(d.queue_register(200, 0), 1);
    d.write32(d.doorbell(16, 0), 1);
    d.write32(d.doorbell(239, 0), 1);
    d.write32(d.doorbell(0, 0), 1);      // not enabled
    d.write32(d.doorbell(0, 0x800), 1);  // no such field
    EXPECT_EQ(d.read32(d.queue_register(16, offsetof(R, state))), 0u);
    EXPECT_FALSE(d.device->busy());
}

TEST(AccelQueues, ManyRoundsOfBothRings) {
    Driver d;
    d.set_up(0, 64);
    for (std::uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(d.run(nop(i)).id, i);
    Command two = bind(0, 0, 0, std::string(100, 'x'));  // three slots, across the end of the ring
    for (std::uint32_t i = 0; i < 200; ++i) {
        two.c.head.command_id.set(i);
        const Done done = d.run(two);
        EXPECT_EQ(done.id, i);
        EXPECT_EQ(done.reason, FL_ACCEL_REASON_HANDLE_RANGE);
        EXPECT_EQ(done.sq_head, 1000 + (i + 1) * 3);
    }
}

TEST(AccelQueues, FullCompletionQueueStopsFetching) {
    Driver d;
    using namespace std;
    d.set_up(0, 1024);
    // A smaller completion queue than submission queue.
    d.disable(0);
    d.set_up(0, 1024);
    d.disable(0);
    d.write32(d.queue_register(0, offsetof(R, cq_entries)), 64);
    d.write32(d.queue_register(0, offsetof(R, sq_entries)), 1024);
    d.write32(d.queue_register(0, offsetof(R, cq_iova)), static_cast<uint32_t>(Driver::kCqIova));
    d.write32(d.queue_register(0, offsetof(R, cq_iova) + 4), static_cast<uint32_t>(Driver::kCqIova >> 32));
    d.write32(d.queue_register(0, offsetof(R, vector)), FL_ACCEL_NO_VECTOR);
    d.write32(d.queue_register(0, offsetof(R, control)), FL_ACCEL_QUEUE_ENABLE);
    for (uint32_t i = 0; i < 200; ++i) d.put(nop(i));
    d.ring();
    d.settle();
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, cq_tail))), 63u);  // one is kept for the pair itself
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, sq_head))), 63u);
    d.write32(d.doorbell(0, offsetof(fl_accel_doorbell, cq_head)), 10);
    d.settle();
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, cq_tail))), 73u);
    d.write32(d.doorbell(0, offsetof(fl_accel_doorbell, cq_head)), 73);
    d.settle();
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, cq_tail))), 136u);
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_ENABLED);
}

TEST(AccelQueues, WrongDoorbellsStopThePairAlone) {
    struct Case {
        std::size_t field;
        std::uint32_t value;
    };
    for (const Case c :
         {Case{offsetof(fl_accel_doorbell, sq_tail), 66}, Case{offsetof(fl_accel_doorbell, sq_tail), 0},
          Case{offsetof(fl_accel_doorbell, cq_head), 2}, Case{offsetof(fl_accel_doorbell, cq_head), 0xffffffff}}) {
        Driver d;
        d.set_up(0, 64);
        d.set_up(1, 64);
        d.unmask(0);
        d.expect_ok(nop(1));  // counts are 1 now
        d.write32(d.doorbell(0, c.field), c.value);
        EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_ERROR);
        EXPECT_EQ(d.reason(0), FL_ACCEL_REASON_BAD_DOORBELL);
        const Done done = d.next(0, false);
        EXPECT_EQ(done.id, FL_ACCEL_NO_COMMAND);
        EXPECT_EQ(done.opcode, 0u);
        EXPECT_EQ(done.reason, FL_ACCEL_REASON_BAD_DOORBELL);
        EXPECT_EQ(done.status, Status::protocol);
        d.read(0, &d.registers, sizeof d.registers);
        EXPECT_TRUE(d.registers.status.get() & FL_ACCEL_STATUS_QUEUE_ERROR);
        EXPECT_EQ(d.registers.error_queue.get(), 0u);
        EXPECT_EQ(d.registers.error_reason.get(), FL_ACCEL_REASON_BAD_DOORBELL);
        ASSERT_EQ(d.host.interrupts.size(), 1u);
        EXPECT_EQ(d.host.interrupts[0].data, 0x40u);
        d.write32(offsetof(fl_accel_registers, status), FL_ACCEL_STATUS_QUEUE_ERROR);
        EXPECT_FALSE(d.read32(offsetof(fl_accel_registers, status)) & FL_ACCEL_STATUS_QUEUE_ERROR);
        d.expect_ok(nop(2), 1);
        d.disable(0);
        d.set_up(0, 64);
        d.expect_ok(nop(3));
    }
}

TEST(AccelQueues, UnmappedCompletionQueueStopsThePair) {
    Driver d;
    d.set_up(0, 64);
    d.host.unmap(Driver::kCqIova);
    d.submit(nop(1));
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_ERROR);
    EXPECT_EQ(d.reason(0), FL_ACCEL_REASON_CQ_ADDRESS);
    EXPECT_FALSE(d.device->busy());
    d.disable(0);
    d.set_up(0, 64);
    d.expect_ok(nop(1));
}

TEST(AccelQueues, WaitsForRoomAndForBusMastering) {
    Driver d;
    d.set_up(0, 64);
    d.host.room = 2;
    for (std::uint32_t i = 0; i < 5; ++i) d.put(nop(i));
    d.ring();
    for (int i = 0; i < 10; ++i) d.device->poll();
    EXPECT_EQ(d.read32(d.queue_register(0, offsetof(R, cq_tail))), 2u);
    EXPECT_TRUE(d.device->busy());
    d.host.room = ~std::size_t{0};
    for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(d.next().id, i);
    d.config16(0x04, 0x0002);  // no bus mastering
    d.submit(nop(9));
    d.settle();
    EXPECT_FALSE(d.device->busy());
    d.config16(0x04, 0x0006);
    EXPECT_EQ(d.next().id, 9u);
}

TEST(AccelQueues, InterruptsOnceWhenArmed) {
    Driver d;
    d.unmask(3);
    d.set_up(0, 64, 0, 3);
    d.expect_ok(nop(1));
    d.settle();
    EXPECT_TRUE(d.host.interrupts.empty());  // not armed
    d.write32(d.doorbell(0, offsetof(fl_accel_doorbell, cq_arm)), 0);
    ASSERT_EQ(d.host.interrupts.size(), 1u);  // more than 0 are posted already
    EXPECT_EQ(d.host.interrupts[0].address, Driver::kMsiAddress);
    EXPECT_EQ(d.host.interrupts[0].data, 0x43u);
    d.write32(d.doorbell(0, offsetof(fl_accel_doorbell, cq_arm)), 1);
    EXPECT_EQ(d.host.interrupts.size(), 1u);
    d.expect_ok(nop(2));
    d.settle();
    EXPECT_EQ(d.host.interrupts.size(), 2u);
    d.expect_ok(nop(3));
    d.settle();
    EXPECT_EQ(d.host.interrupts.size(), 2u);  // one only
}

TEST(AccelQueues, DoorbellOfTwoFieldsInOneWrite) {
    Driver d;
    d.set_up(0, 64);
    d.expect_ok(nop(1));
    d.put(nop(2));
    fl_accel_doorbell bell{};
    bell.sq_tail.set(2);
    bell.cq_head.set(1);
    EXPECT_EQ(d.device->bar_write(0, d.doorbell(0, 0), std::as_bytes(std::span(&bell, 1)).first(8), 0xff), Status::ok);
    EXPECT_EQ(d.next().id, 2u);
}

TEST(AccelQueues, DisableInTheMiddleOfEverything) {
    Driver d({{"memory", "64M"}, {"threads", "1"}, {"isa", "portable"}});
    d.host.map(0x5000'0000, 8 << 20);
    for (int round = 0; round < 3; ++round) {
        d.set_up(0, 64);
        d.expect_ok(alloc(1, d.base, 32 << 20));
        d.expect_ok(module_load(2, 1));
        d.expect_ok(bind(3, 1, 1, FL_ACCEL_KERNEL_SHA256));
        fl_accel_args_sha256 args{};
        args.source.set(d.base);
        args.destination.set(d.base + (24 << 20));
        args.message_bytes.set(24 << 20);
        args.message_stride_bytes.set(24 << 20);
        args.count.set(1);
        if (round == 0) d.put(launch(4, 1, args));
        if (round == 1) d.put(copy(4, FL_ACCEL_COPY_HOST_TO_DEVICE, d.base, 0x5000'0000, 8 << 20));
        if (round == 2) d.put(event(FL_ACCEL_OP_EVENT_WAIT, 4, 9, 9));
        for (std::uint32_t i = 0; i < 20; ++i) d.put(nop(i));
        d.ring();
        d.device->poll();
        d.disable(0);
        Done none;
        EXPECT_FALSE(d.poll(none));
    }
    d.set_up(0, 64);
    EXPECT_EQ(d.run(query(1, FL_ACCEL_PROPERTY_MEMORY_CONTEXT)).value, 0u);
}

TEST(AccelQueues, QueuesTakeTurns) {
    Driver d;
    d.set_up(0, 4096);
    d.set_up(1, 64);
    for (std::uint32_t i = 0; i < 4000; ++i) d.put(nop(i), 0);
    d.put(nop(7), 1);
    d.ring(0);
    d.ring(1);
    d.device->poll();
    Done done;
    EXPECT_TRUE(d.poll(done, 1));  // in the first turn, however much the other has
    EXPECT_EQ(done.id, 7u);
    d.settle();
}

/// Random slots: nothing but failures, in order, one completion each; the pair goes on.
TEST(AccelQueues, RandomSlots) {
    Driver d;
    d.host.map(0x5000'0000, 1 << 20);
    std::mt19937_64 random(20251);
    for (int round = 0; round < 20; ++round) {
        d.set_up(0, 256);
        d.expect_ok(alloc(1, d.base, 1 << 20));
        d.expect_ok(module_load(2, 1));
        for (std::uint32_t k = 1; k <= 8; ++k) {
            static const char* const kNames[] = {"fill",       "copy",       "axpy_f32",     "gemm_f32",
                                                 "reduce_f32", "conv2d_f32", "conv2d_rgba8", "sha256"};
            d.expect_ok(bind(3, k, 1, kNames[k - 1]));
        }
        std::uint32_t completions = 0;
        for (int burst = 0; burst < 40; ++burst) {
            for (int i = 0; i < 100; ++i) {
                fl_accel_command c{};
                auto* bytes = reinterpret_cast<std::uint8_t*>(&c);
                for (std::size_t b = 0; b < sizeof c; ++b) bytes[b] = static_cast<std::uint8_t>(random());
                if (random() % 4 != 0) {  // plausible, to get further in
                    c.head.opcode = static_cast<__u8>(1 + random() % 14);
                    if (c.head.opcode == FL_ACCEL_OP_EVENT_WAIT)
                        c.head.opcode = FL_ACCEL_OP_NOP;  // would wait for ever
                    c.head.slots = static_cast<__u8>(1 + random() % 3);
                    c.head.flags.set(0);
                    c.head.stream.set(0);
                    c.head.reserved0.set(0);
                    c.head.reserved1.set(0);
                    for (std::size_t w = 0; w < 6; ++w) {
                        const std::uint64_t values[] = {0, 1, 4096, d.base, d.base + random() % (2 << 20), 0x5000'0000};
                        const fl_le64 v(values[random() % 6]);
                        std::memcpy(c.u.raw + w * 8, &v, 8);
                    }
                } else if (c.head.opcode == FL_ACCEL_OP_EVENT_WAIT) {
                    c.head.opcode = 0;
                }
                d.put_slot(&c);
            }
            d.ring();
            const std::uint32_t tail = d.queue(0).sq_tail;
            Done done;
            do {
                done = d.next();
                ++completions;
            } while (done.sq_head != tail);
        }
        EXPECT_GE(completions, 1000u);
        d.expect_ok(fence(1));
        d.expect_ok(nop(2));
        d.disable(0);
    }
}

}  // namespace
}  // namespace farlane::test
