// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof of interrupts: waited for, by eventfd, behind their data.
// Owns: a fabric, a device and its queue per test.
#include <cstring>
#include <thread>

#include <poll.h>
#include <unistd.h>

#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

using namespace std::chrono_literals;

class ProviderInterrupt : public ProviderTest {
protected:
    Fabric fabric_ = open();
    Device device_ = attach(fabric_);
    Copier copier_{device_};
    DmaBuffer buffer_ = device_.domain().allocate(65'536);
    Mapping mapping_ = device_.domain().map(buffer_, DmaDirection::from_device);
    void begin() {
        copier_.arm();
        copier_.begin_to_host(0, mapping_.iova(), buffer_.size());
    }
    void settle() { EXPECT_TRUE(copier_.settle().ok()); }
};

TEST_P(ProviderInterrupt, ComesAfterItsData) {
    device_.enable_interrupts(2);
    for (int round = 1; round <= 20; ++round) {
        const std::vector<std::byte> data(buffer_.size(), static_cast<std::byte>(round));
        copier_.fill(0, data);
        begin();
        ASSERT_TRUE(device_.wait_interrupt(Copier::kVector, kPatience));
        ASSERT_TRUE(copier_.done()) << "the completion is there";
        ASSERT_EQ(std::memcmp(buffer_.data(), data.data(), data.size()), 0) << round;
    }
}

TEST_P(ProviderInterrupt, NoneWithinTheTime) {
    device_.enable_interrupts(2);
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(device_.wait_interrupt(Copier::kVector, 30ms));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 30ms);
    EXPECT_FALSE(device_.wait_interrupt(Copier::kVector, 0ms));
    begin();
    ASSERT_TRUE(device_.wait_interrupt(Copier::kVector, kPatience));
    EXPECT_FALSE(device_.wait_interrupt(Copier::kVector, 0ms)) << "waiting has cleared it";
    EXPECT_FALSE(device_.wait_interrupt(0, 0ms)) << "of another vector";
    settle();
}

TEST_P(ProviderInterrupt, ByItsEventfd) {
    device_.enable_interrupts(2);
    const int fd = device_.interrupt_fd(Copier::kVector);
    EXPECT_EQ(fd, device_.interrupt_fd(Copier::kVector));
    EXPECT_NE(fd, device_.interrupt_fd(0));
    std::uint64_t count = 0;
    EXPECT_EQ(::read(fd, &count, sizeof count), -1) << "it does not block";
    EXPECT_EQ(errno, EAGAIN);
    for (int round = 0; round < 5; ++round) {
        begin();
        pollfd p{fd, POLLIN, 0};
        ASSERT_EQ(::poll(&p, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())), 1);
        ASSERT_EQ(::read(fd, &count, sizeof count), static_cast<ssize_t>(sizeof count));
        EXPECT_EQ(count, 1U);
        settle();
    }
}

TEST_P(ProviderInterrupt, OneThatCameBeforeTheWaitIsNotLost) {
    device_.enable_interrupts(2);
    begin();
    settle();  // the completion is there; its interrupt is behind it
    EXPECT_TRUE(device_.wait_interrupt(Copier::kVector, kPatience));
}

TEST_P(ProviderInterrupt, AnotherThreadMayWait) {
    device_.enable_interrupts(2);
    bool came = false;
    std::thread waiter([&] { came = device_.wait_interrupt(Copier::kVector, kPatience); });
    begin();
    waiter.join();
    EXPECT_TRUE(came);
    settle();
}

TEST_P(ProviderInterrupt, MoreThanThereAreIsRefused) {
    const unsigned most = device_.info().msix_vectors;
    expect_refused(Status::not_found, "enable_interrupts", [&] { (void)device_.interrupt_fd(0); });
    expect_refused(Status::not_found, "enable_interrupts", [&] { (void)device_.wait_interrupt(0, 0ms); });
    for (const unsigned count : {0U, most + 1, 100'000U, ~0U})
        expect_refused(Status::limit, std::to_string(most), [&] { device_.enable_interrupts(count); });
    expect_refused(Status::not_found, "enable_interrupts", [&] { (void)device_.interrupt_fd(0); });
    device_.enable_interrupts(2);
    expect_refused(Status::not_found, "enable_interrupts", [&] { (void)device_.interrupt_fd(2); });
    device_.enable_interrupts(most);  // more, later
    device_.enable_interrupts(2);     // and fewer again: those there are stay
    begin();
    EXPECT_TRUE(device_.wait_interrupt(Copier::kVector, kPatience));
    settle();
}

FARLANE_PROVIDER_SUITE(ProviderInterrupt);

}  // namespace
}  // namespace farlane::test
