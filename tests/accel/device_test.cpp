// SPDX-License-Identifier: Apache-2.0
// Receives: configuration space and registers. Hands on: whether they say what the document says.
// Owns: a device per test.
#include "accel/driver.hpp"

namespace farlane::test {
namespace {

TEST(AccelDevice, IdentifiesItself) {
    Driver d;
    EXPECT_EQ(d.config16(0x00), FL_ACCEL_VENDOR_ID);
    EXPECT_EQ(d.config16(0x02), FL_ACCEL_DEVICE_ID);
    EXPECT_EQ(d.config8(0x0b), 0x12);  // base class
    EXPECT_EQ(d.config8(0x0a), 0x00);
    EXPECT_EQ(d.config8(0x09), 0x00);
    const fl_function_desc& desc = d.device->describe();
    EXPECT_EQ(desc.class_code.get() >> 8, FL_ACCEL_CLASS_CODE);
    EXPECT_EQ(desc.bar[0].size_bytes.get(), FL_ACCEL_BAR0_BYTES);
    EXPECT_EQ(desc.bar[2].size_bytes.get(), 64u << 20);
    EXPECT_EQ(desc.bar[2].flags.get(), FL_BAR_64BIT | FL_BAR_PREFETCHABLE);
    EXPECT_EQ(desc.msix_vectors.get(), 17u);
    EXPECT_NE(desc.serial.get(), 0u);
}

TEST(AccelDevice, ShowsItsLimits) {
    Driver d;
    EXPECT_EQ(d.registers.magic.get(), FL_ACCEL_MAGIC);
    EXPECT_EQ(d.registers.version.get(), FL_ACCEL_VERSION);
    EXPECT_GE(d.registers.max_sq_entries.get(), 1024u);
    EXPECT_GE(d.registers.max_cq_entries.get(), 1024u);
    EXPECT_EQ(d.registers.max_queues.get(), 16u);
    EXPECT_EQ(d.registers.page_bytes.get(), FL_ACCEL_PAGE_BYTES);
    EXPECT_EQ(d.registers.aperture_bytes.get(), 64u << 20);
    EXPECT_EQ(d.registers.memory_address.get() + d.registers.memory_bytes.get(),
              d.registers.aperture_address.get() + d.registers.aperture_bytes.get());
    EXPECT_EQ(d.registers.executor.get(), FL_ACCEL_EXECUTOR_CPU);
    EXPECT_TRUE(d.registers.capabilities.get() & FL_ACCEL_CAP_HOST_READS);
}

TEST(AccelDevice, ReadsOfAnySizeAgree) {
    Driver d;
    d.set_up(0);
    std::vector<std::byte> whole(0x4000 + 64 * 4);
    d.read(0, whole.data(), 0x2000);
    d.read(0x4000, whole.data() + 0x4000, 64 * 4);
    for (const std::size_t at : {0u, 4u, 8u, 96u, 112u, 116u, 120u, 0x4000u, 0x4008u, 0x4028u, 0x4040u}) {
        std::byte part[4];
        d.read(at, part, 4);
        EXPECT_EQ(std::memcmp(part, whole.data() + at, 4), 0) << at;
    }
}

TEST(AccelDevice, RefusesCrookedRegisterWrites) {
    Driver d;
    const std::byte bytes[8] = {};
    EXPECT_EQ(d.device->bar_write(0, 98, {bytes, 4}, 0), Status::unsupported_request);
    EXPECT_EQ(d.device->bar_write(0, 96, {bytes, 2}, 0), Status::unsupported_request);
    EXPECT_EQ(d.device->bar_write(0, 96, {bytes, 4}, 0x3), Status::unsupported_request);
    EXPECT_EQ(d.device->bar_write(0, 96, {bytes, 4}, 0xf), Status::ok);
}

TEST(AccelDevice, ApertureTakesByteEnables) {
    Driver d;
    const std::uint64_t offset = d.base - d.registers.aperture_address.get();
    const std::byte ones[4] = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    ASSERT_EQ(d.device->bar_write(2, offset, ones, 0x5), Status::ok);
    EXPECT_EQ(d.peek<std::uint8_t>(d.base, 4), (std::vector<std::uint8_t>{1, 0, 3, 0}));
    EXPECT_EQ(d.device->bar_memory(2).data()[offset], std::byte{1});
    EXPECT_TRUE(d.device->bar_memory(0).empty());
}

TEST(AccelDevice, OptionErrorsSayWhatIsValid) {
    const auto memory = backend::process_memory();
    const auto make = [&](std::vector<std::pair<std::string, std::string>> options) {
        return firmware::make_accel({"a", "accel", std::move(options)}, *memory);
    };
    struct Case {
        std::pair<std::string, std::string> option;
        std::string expected;
    };
    const Case cases[] = {
        {{"memory", "3M"}, "from 32M"}, {{"memory", "96M"}, "power of two"},
        {{"queues", "0"}, "1"},         {{"executor", "fpga"}, "cpu"},
        {{"threads", "x"}, "1"},        {{"isa", "mmx"}, "avx2"},
        {{"memroy", "64M"}, "memory"},  {{"vendor", "65535"}, "65534"},
        {{"serial", "0"}, "1"},
    };
    for (const Case& c : cases) {
        const auto made = make({c.option});
        ASSERT_FALSE(made.ok()) << c.option.first;
        EXPECT_EQ(made.failure().status, Status::invalid);
        EXPECT_NE(made.failure().detail.find(c.option.first), std::string::npos) << made.failure().detail;
        EXPECT_NE(made.failure().detail.find(c.expected), std::string::npos) << made.failure().detail;
    }
    const auto named = make({{"vendor", "0x1234"}, {"device", "0x5678"}, {"serial", "77"}, {"queues", "3"}});
    ASSERT_TRUE(named.ok());
    const fl_function_desc& desc = named.value()->describe();
    EXPECT_EQ(desc.vendor_id.get(), 0x1234);
    EXPECT_EQ(desc.device_id.get(), 0x5678);
    EXPECT_EQ(desc.serial.get(), 77u);
    EXPECT_EQ(desc.msix_vectors.get(), 4u);
}

// --- reset

TEST(AccelReset, ForgetsAndScrubs) {
    for (const bool function_level : {true, false}) {
        Driver d;
        d.set_up(0);
        d.expect_ok(alloc(1, d.base, 1 << 20));
        d.push(d.base + 100, std::vector<std::uint8_t>{1, 2, 3});
        const std::uint64_t life = d.registers.life.get();
        if (function_level) {
            d.device->reset();
            d.config16(0x04, 0x0006);
        } else {
            d.write32(offsetof(fl_accel_registers, control), FL_ACCEL_CONTROL_RESET);
        }
        d.wait_ready();
        EXPECT_NE(d.registers.life.get(), life);
        EXPECT_EQ(d.state(0), FL_ACCEL_QUEUE_DISABLED);
        EXPECT_EQ(d.peek<std::uint8_t>(d.base + 100, 3), (std::vector<std::uint8_t>{0, 0, 0}));
        d.set_up(0);
        d.expect_ok(alloc(1, d.base, 1 << 20));  // was allocated before
    }
}

TEST(AccelReset, NextHolderFindsNothing) {
    Driver d;
    d.set_up(0);
    d.expect_ok(alloc(1, d.base, 4096));
    d.push(d.base, std::vector<std::uint64_t>{42});
    d.push(d.base + (8 << 20), std::vector<std::uint64_t>{43});  // never allocated
    d.device->detached();
    d.host.forget();
    d.attach();
    EXPECT_EQ(d.peek<std::uint64_t>(d.base, 1), (std::vector<std::uint64_t>{0}));
    EXPECT_EQ(d.peek<std::uint64_t>(d.base + (8 << 20), 1), (std::vector<std::uint64_t>{0}));
}

TEST(AccelReset, EndsAKernelThatRuns) {
    Driver d({{"memory", "64M"}, {"threads", "1"}, {"isa", "portable"}});
    d.set_up(0);
    d.expect_ok(alloc(1, d.base, 32 << 20));
    d.expect_ok(module_load(2, 1));
    d.expect_ok(bind(3, 1, 1, FL_ACCEL_KERNEL_SHA256));
    fl_accel_args_sha256 args{};  // the same 16 MiB for 64 digests: seconds of work
    args.source.set(d.base);
    args.destination.set(d.base + (16 << 20));
    args.message_bytes.set(16 << 20);
    args.message_stride_bytes.set(16 << 20);
    args.count.set(1);
    d.submit(launch(4, 1, args));
    d.device->poll();
    d.device->reset();
    d.config16(0x04, 0x0006);
    d.wait_ready();
    d.set_up(0);
    d.expect_ok(nop(1));
}

TEST(AccelReset, WaitsForReadsInFlight) {
    Driver d;
    d.set_up(0);
    d.expect_ok(alloc(1, d.base, 4096));
    const auto source = d.host.map(0x5000'0000, 4096);
    std::fill(source.begin(), source.end(), std::byte{0xee});
    d.host.hold_reads = true;
    d.submit(copy(2, FL_ACCEL_COPY_HOST_TO_DEVICE, d.base, 0x5000'0000, 4096));
    d.settle();
    ASSERT_GT(d.host.reads_waiting(), 0u);
    d.device->reset();
    d.config16(0x04, 0x0006);
    d.settle();
    EXPECT_EQ(d.read32(offsetof(fl_accel_registers, status)) & FL_ACCEL_STATUS_READY, 0u);
    d.host.hold_reads = false;
    d.wait_ready();
    EXPECT_EQ(d.peek<std::uint8_t>(d.base, 1)[0], 0);  // the late answer was scrubbed
}

TEST(AccelReset, StateOfAnEarlierLifeIsNotKept) {
    FakeHost other;  // threads of the device may wake it as long as the device lives
    Driver d;
    EXPECT_FALSE(d.device->restored(other, 0));  // the target reports device_reset
    d.device->detached();
}

}  // namespace
}  // namespace farlane::test
