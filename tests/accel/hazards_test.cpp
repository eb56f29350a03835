// SPDX-License-Identifier: Apache-2.0
// Receives: commands that write what is still on its way to the host. Hands on: whether they wait.
// Owns: a device per test. The fake host sends every record again from its source when it releases it.
#include "accel/driver.hpp"

namespace farlane::test {
namespace {

class AccelHazards : public ::testing::Test {
protected:
    AccelHazards() {
        d.set_up(0, 64);
        d.set_up(1, 64);
        d.expect_ok(alloc(1, d.base, kBytes));
        d.expect_ok(fill(2, d.base, kBytes, 0x11111111));
        host = d.host.map(0x5000'0000, kBytes);
        d.settle();
        d.host.defer = true;
    }
    void copy_out(std::uint64_t bytes = kBytes) {
        d.submit(copy(3, FL_ACCEL_COPY_DEVICE_TO_HOST, 0x5000'0000, d.base, bytes));
        d.settle();
        ASSERT_EQ(d.next(0, false).status, Status::ok);  // the completion does not wait for the release
        ASSERT_GT(d.host.unreleased(), 0u);
    }
    void expect_waits(std::uint32_t n = 0) {
        d.settle();
        Done none;
        EXPECT_FALSE(d.poll(none, n));
        EXPECT_FALSE(d.device->busy());
        EXPECT_GT(d.host.hurried, 0u);
        d.host.release_all(*d.device);
        EXPECT_EQ(host[0], std::byte{0x11});
        EXPECT_EQ(host[kBytes - 1], std::byte{0x11});
        d.host.defer = false;
        EXPECT_EQ(d.next(n, false).status, Status::ok);
    }
    static constexpr std::uint64_t kBytes = 1 << 20;
    Driver d;
    std::span<std::byte> host;
};

TEST_F(AccelHazards, FillWaits) {
    copy_out();
    d.submit(fill(4, d.base + kBytes - 4, 4, 2));
    expect_waits();
}

TEST_F(AccelHazards, FillOfAnotherPairWaits) {
    copy_out();
    d.submit(fill(4, d.base, kBytes, 2), 1);
    expect_waits(1);
}

TEST_F(AccelHazards, CopyWaits) {
    copy_out();
    d.submit(copy(4, FL_ACCEL_COPY_DEVICE_TO_DEVICE, d.base, d.base + 65536, 64));
    expect_waits();
}

TEST_F(AccelHazards, FreeWaits) {
    copy_out();
    d.submit(free_memory(4, d.base));
    expect_waits();
}

TEST_F(AccelHazards, KernelWaits) {
    d.host.defer = false;
    d.expect_ok(module_load(10, 1));
    d.expect_ok(bind(11, 1, 1, FL_ACCEL_KERNEL_FILL));
    d.settle();
    d.host.defer = true;
    copy_out();
    fl_accel_args_fill args{};
    args.destination.set(d.base);
    args.count.set(kBytes);
    args.pattern_bytes.set(1);
    d.submit(launch(4, 1, args));
    expect_waits();
}

TEST_F(AccelHazards, DisableWaits) {
    copy_out();
    d.disable(1);
    d.write32(d.queue_register(0, offsetof(fl_accel_queue_registers, control)), 0);
    d.settle();
    EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLING);
    d.host.release_all(*d.device);
    EXPECT_EQ(host[0], std::byte{0x11});
    while (d.state(0) != FL_ACCEL_QUEUE_DISABLED) d.turn();
    EXPECT_EQ(d.peek<std::uint32_t>(d.base, 1)[0], 0u);  // the context's memory was scrubbed, but only now
}

TEST_F(AccelHazards, ReadersAndOthersDoNotWait) {
    copy_out(4096);
    d.submit(copy(4, FL_ACCEL_COPY_DEVICE_TO_HOST, 0x5000'0000, d.base, 100));
    d.submit(fill(5, d.base + 4096, 4096, 2));
    d.settle();
    EXPECT_EQ(d.next(0, false).status, Status::ok);
    EXPECT_EQ(d.next(0, false).status, Status::ok);
    EXPECT_EQ(d.host.hurried, 0u);
}

TEST_F(AccelHazards, MoreUnreleasedThanThereArePins) {
    d.host.defer = true;
    std::uint32_t ok = 0;
    for (std::uint32_t i = 0; i < 40; ++i) {
        d.submit(copy(i, FL_ACCEL_COPY_DEVICE_TO_HOST, 0x5000'0000, d.base, kBytes));
        Done done;
        while (!d.poll(done)) {
            d.settle();
            if (!d.device->busy() && d.host.hurried > 0) d.host.release_all(*d.device);
        }
        d.ring_cq();
        ok += done.status == Status::ok;
    }
    EXPECT_EQ(ok, 40u);
    d.host.release_all(*d.device);
}

TEST_F(AccelHazards, FreeWaitsForAnotherPairsCommand) {
    d.host.defer = false;
    d.host.hold_reads = true;
    d.submit(copy(4, FL_ACCEL_COPY_HOST_TO_DEVICE, d.base, 0x5000'0000, kBytes), 1);
    d.settle();
    d.submit(free_memory(5, d.base));
    d.settle();
    Done none;
    EXPECT_FALSE(d.poll(none));
    d.host.hold_reads = false;
    EXPECT_EQ(d.next(1).status, Status::ok);
    EXPECT_EQ(d.next(0).status, Status::ok);
    EXPECT_EQ(d.peek<std::uint32_t>(d.base, 1)[0], 0u);
}

TEST_F(AccelHazards, DetachWithEverythingInFlight) {
    copy_out();
    d.host.hold_reads = true;
    d.submit(copy(4, FL_ACCEL_COPY_HOST_TO_DEVICE, d.base, 0x5000'0000, kBytes), 1);
    d.settle();
    d.device->detached();
    d.host.forget();
    EXPECT_FALSE(d.device->busy());
    d.host.hold_reads = false;
    d.host.defer = false;
    d.attach();
    d.set_up(0, 64);
    d.expect_ok(alloc(1, d.base, kBytes));
    EXPECT_EQ(d.peek<std::uint32_t>(d.base, 1)[0], 0u);
}

}  // namespace
}  // namespace farlane::test
