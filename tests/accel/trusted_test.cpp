// SPDX-License-Identifier: Apache-2.0
// Receives: registers that the trusted side writes for untrusted programs. Hands on: proof that a queue pair's DMA
// says whose it is, and that a context gets nothing outside its part. Owns: nothing.
#include "accel/driver.hpp"

namespace farlane::test {
namespace {

using R = fl_accel_queue_registers;

std::uint64_t part_register(std::uint32_t context, std::size_t field) {
    return FL_ACCEL_CONTEXT_OFFSET + std::uint64_t{context} * FL_ACCEL_CONTEXT_STRIDE + field;
}

void set_part(Driver& d, std::uint32_t context, std::uint64_t address, std::uint64_t bytes) {
    using P = fl_accel_context_registers;
    d.write32(part_register(context, offsetof(P, part_address)), static_cast<std::uint32_t>(address));
    d.write32(part_register(context, offsetof(P, part_address) + 4), static_cast<std::uint32_t>(address >> 32));
    d.write32(part_register(context, offsetof(P, part_bytes)), static_cast<std::uint32_t>(bytes));
    d.write32(part_register(context, offsetof(P, part_bytes) + 4), static_cast<std::uint32_t>(bytes >> 32));
}

TEST(AccelTrusted, DmaOfAPairCarriesItsPasid) {
    Driver d;
    ASSERT_NE(d.registers.capabilities.get() & FL_ACCEL_CAP_PASID, 0U);
    d.set_up(0);
    d.disable(0);
    d.write32(Driver::queue_register(0, offsetof(R, pasid)), 77);
    d.set_up(0);
    d.set_up(1, 64, 1);
    d.expect_ok(nop(1), 0);
    EXPECT_EQ(d.host.last_pasid, 77U) << "its completions";
    d.expect_ok(nop(2), 1);
    EXPECT_EQ(d.host.last_pasid, 0U);
    d.expect_ok(alloc(3, d.base, 8192), 0);
    const auto memory = d.host.map(0x20000000, 8192, true, true);
    ASSERT_FALSE(memory.empty());
    d.expect_ok(copy(4, FL_ACCEL_COPY_DEVICE_TO_HOST, 0x20000000, d.base, 8192), 0);
    EXPECT_EQ(d.host.last_pasid, 77U);
    d.expect_ok(copy(5, FL_ACCEL_COPY_HOST_TO_DEVICE, d.base, 0x20000000, 8192), 0);
    EXPECT_EQ(d.host.last_pasid, 77U);
}

TEST(AccelTrusted, AContextIsOfOnePasid) {
    Driver d;
    d.set_up(0);
    d.write32(Driver::queue_register(1, offsetof(R, pasid)), 77);
    d.set_up(1);
    EXPECT_EQ(d.state(1), FL_ACCEL_QUEUE_DISABLED);
    EXPECT_EQ(d.reason(1), FL_ACCEL_REASON_BAD_CONTEXT);
    d.disable(0);
    d.set_up(1);
    EXPECT_EQ(d.state(1), FL_ACCEL_QUEUE_ENABLED) << "the other context has ended";
    d.set_up(0);
    EXPECT_EQ(d.reason(0), FL_ACCEL_REASON_BAD_CONTEXT);
}

TEST(AccelTrusted, AContextGetsNothingOutsideItsPart) {
    Driver d;
    ASSERT_NE(d.registers.capabilities.get() & FL_ACCEL_CAP_CONTEXT_PART, 0U);
    const std::uint64_t first = d.base + (1 << 20), bytes = 1 << 20;
    set_part(d, 1, first, bytes);
    d.set_up(0, 64, 0);
    d.set_up(1, 64, 1);
    set_part(d, 1, d.base, bytes);  // not while it has a queue pair
    d.expect_failure(alloc(1, first - 4096, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
    d.expect_failure(alloc(2, first + bytes, 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
    d.expect_failure(alloc(3, first + bytes - 4096, 8192), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds, 1);
    d.expect_ok(fence(4), 1);
    d.expect_ok(alloc(5, first, bytes), 1);
    d.expect_ok(alloc(6, d.base, 4096), 0);  // without a part: the whole range
    fl_le64 at;
    d.read(part_register(1, offsetof(fl_accel_context_registers, part_address)), &at, 8);
    EXPECT_EQ(at.get(), first);
}

TEST(AccelTrusted, APartIsZeroWhenItsContextHasEnded) {
    Driver d;
    const std::uint64_t first = d.base + (2 << 20);
    set_part(d, 1, first, 1 << 20);
    d.set_up(1, 64, 1);
    d.expect_ok(alloc(1, first, 4096), 1);
    const std::vector<std::uint32_t> words(64, 0xabababab);
    d.push(first, words);
    d.push(first + 65536, words);  // where nothing is allocated
    d.disable(1);
    EXPECT_EQ(d.peek<std::uint32_t>(first, 64), std::vector<std::uint32_t>(64, 0));
    EXPECT_EQ(d.peek<std::uint32_t>(first + 65536, 64), std::vector<std::uint32_t>(64, 0));
    d.set_up(1, 64, 1);
    d.expect_ok(alloc(2, first, 1 << 20), 1);
}

TEST(AccelTrusted, APartThatCanNotBeGivesNothingAndHarmsNobody) {
    Driver d;
    set_part(d, 1, d.base + 5, 4096);
    set_part(d, 2, d.base - 4096, 8192);
    set_part(d, 3, ~std::uint64_t{0} - 4095, 8192);
    d.set_up(0, 64, 0);
    d.expect_ok(alloc(1, d.base, 65536), 0);
    d.push(d.base, std::vector<std::uint32_t>(16, 7));
    for (std::uint32_t context = 1; context <= 3; ++context) {
        d.set_up(context, 64, context);
        d.expect_failure(alloc(2, d.base + (1 << 20), 4096), FL_ACCEL_REASON_BAD_ADDRESS, Status::out_of_bounds,
                         context);
        d.disable(context);
    }
    EXPECT_EQ(d.peek<std::uint32_t>(d.base, 16), std::vector<std::uint32_t>(16, 7));
    d.write32(offsetof(fl_accel_registers, control), FL_ACCEL_CONTROL_RESET);
    d.wait_ready();
    d.set_up(1, 64, 1);
    d.expect_ok(alloc(3, d.base, 4096), 1);  // a reset forgets parts
}

}  // namespace
}  // namespace farlane::test
