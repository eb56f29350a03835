// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof that applications that end in any way leave a device as after
// power-on, and that who may not is told so. Owns: processes, and a fabric per test.
#include <sys/stat.h>
#include <unistd.h>

#include <farlane/uapi/accel.h>

#include "provider/application.hpp"
#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

class ProviderProcess : public ProviderTest {
protected:
    Fabric fabric_ = open();

    void SetUp() override { const Device warm = attach(fabric_); }  // nobody of an earlier test has it
    /// Nothing that `hold` did can be seen.
    void expect_as_after_power_on(Device& device) {
        until_ready(device);
        EXPECT_EQ(device.read64(2, kTraceOffset), 0U);
        const std::uint64_t queue = FL_ACCEL_QUEUE_OFFSET;
        EXPECT_EQ(device.read32(0, queue + offsetof(fl_accel_queue_registers, state)), FL_ACCEL_QUEUE_DISABLED);
        EXPECT_EQ(device.read64(0, queue + offsetof(fl_accel_queue_registers, cq_iova)), 0U);
        Copier copier(device);  // all of its memory is free
        for (const std::byte b : copier.look(0, 4096)) ASSERT_EQ(b, std::byte{0});
    }
};

TEST_P(ProviderProcess, KilledItLeavesADeviceAsAfterPowerOn) {
    for (int round = 0; round < 2; ++round) {
        Application other(Role::hold, stage().options());
        ASSERT_EQ(other.line(), "ready");
        other.kill();
        Device device = attach(fabric_);
        expect_as_after_power_on(device);
    }
}

TEST_P(ProviderProcess, EndedWithoutADetachItIsTheSame) {
    Application other(Role::vanish, stage().options());
    ASSERT_EQ(other.line(), "ready");
    EXPECT_EQ(other.end(), 0);
    Device device = attach(fabric_);
    expect_as_after_power_on(device);
}

TEST_P(ProviderProcess, DetachedItIsTheSame) {
    Application other(Role::hold, stage().options());
    ASSERT_EQ(other.line(), "ready");
    EXPECT_EQ(other.end(), 0);
    Device device = attach(fabric_);
    expect_as_after_power_on(device);
}

TEST_P(ProviderProcess, AMappingThatOutlivesItsDeviceIsReachedByNobody) {
    Device device = attach(fabric_);
    DmaBuffer buffer = device.domain().allocate(65'536);
    const Mapping mapping = device.domain().map(buffer, DmaDirection::bidirectional);
    const std::uint64_t iova = mapping.iova();
    device.detach();
    Device next = attach(fabric_);
    Copier copier(next);
    copier.fill(0, pattern(4096, 1));
    (void)copier.to_host(0, iova + 4096, 4096);
    (void)next.read32(0, 0);
    for (const std::byte b : buffer.bytes()) ASSERT_EQ(b, std::byte{0});
}

TEST_P(ProviderProcess, WhoMayNotIsToldSo) {
    if (stage().kind() == ProviderKind::embedded) GTEST_SKIP() << "the data plane is in the application: nobody to ask";
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
    const FabricOptions options = stage().options();
    Application stranger(Role::stranger, options);
    std::string answer = stranger.line();
    EXPECT_TRUE(answer.starts_with("denied ")) << answer;
    EXPECT_NE(answer.find("farlaned.sock") + answer.find(options.socket), std::string::npos) << answer;
    EXPECT_EQ(stranger.end(), 0);
    if (stage().kind() != ProviderKind::kernel) return;

    // He may talk to farlaned, but not open the node.
    const char* const socket = "/run/farlane/farlaned.sock";
    struct stat before {};
    ASSERT_EQ(::stat(socket, &before), 0);
    ASSERT_EQ(::chmod(socket, 0666), 0);
    ASSERT_EQ(::chmod("/run/farlane", 0755), 0);
    Application second(Role::stranger, options);
    answer = second.line();
    EXPECT_EQ(::chmod(socket, before.st_mode & 07777), 0);
    EXPECT_TRUE(answer.starts_with("denied ")) << answer;
    EXPECT_NE(answer.find("/dev/farlane/accel0"), std::string::npos) << answer;
    EXPECT_EQ(second.end(), 0);
    Device device = attach(fabric_);
    EXPECT_EQ(device.read32(0, 0), FL_ACCEL_MAGIC) << "it did no harm";
}

FARLANE_PROVIDER_SUITE(ProviderProcess);

}  // namespace
}  // namespace farlane::test
