// SPDX-License-Identifier: Apache-2.0
// Receives: queue pairs that a device has not let go of. Hands on: verdicts on who has to wait for them.
// Owns: a device that is only registers.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <future>

#include <farlane/accel.hpp>

#include "lib/accel_device.hpp"

namespace farlane::test {
namespace {

using accel::detail::Place;
using accel::detail::SharedDevice;
using namespace std::chrono_literals;

/// Pairs become enabled at once.
class Registers final : public provider::DeviceProvider {
public:
    static constexpr std::uint32_t kPairs = 4, kContexts = 3;
    static constexpr std::uint64_t kMemory = 1 << 20;

    explicit Registers(std::uint64_t context_stride) {
        info_.class_code = FL_ACCEL_CLASS_CODE;
        head_.magic.set(FL_ACCEL_MAGIC);
        head_.version.set(FL_ACCEL_VERSION);
        head_.status.set(FL_ACCEL_STATUS_READY);
        head_.page_bytes.set(FL_ACCEL_PAGE_BYTES);
        head_.max_queues.set(kPairs);
        head_.max_contexts.set(kContexts);
        head_.memory_address.set(kMemory);
        head_.memory_bytes.set(kMemory);
        head_.context_stride.set(context_stride);
        head_.aperture_bytes.set(kMemory);
    }
    fl_accel_queue_registers pairs[kPairs]{};
    fl_accel_queue_state disabled = FL_ACCEL_QUEUE_DISABLED;  ///< that a pair is in when it was disabled
    std::function<void()> state_read;  ///< while the one who reads the state of a pair waits for the answer

    const FunctionInfo& info() const override { return info_; }
    void bar_read(unsigned, std::uint64_t offset, std::span<std::byte> into) override {
        if (offset < FL_ACCEL_QUEUE_OFFSET) {
            std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&head_) + offset, into.size());
            return;
        }
        offset -= FL_ACCEL_QUEUE_OFFSET;
        std::memcpy(into.data(), reinterpret_cast<const std::byte*>(pairs) + offset, into.size());
        if (auto call = std::exchange(state_read, nullptr)) call();
    }
    void bar_write(unsigned, std::uint64_t offset, std::span<const std::byte> data, bool) override {
        offset -= FL_ACCEL_QUEUE_OFFSET;
        auto& pair = pairs[offset / FL_ACCEL_QUEUE_STRIDE];
        const std::uint64_t field = offset % FL_ACCEL_QUEUE_STRIDE;
        std::memcpy(reinterpret_cast<std::byte*>(&pair) + field, data.data(), data.size());
        if (field != offsetof(fl_accel_queue_registers, control)) return;
        pair.state.set(pair.control.get() != 0 ? FL_ACCEL_QUEUE_ENABLED : disabled);
    }

    void config_read(std::uint32_t, std::span<std::byte>) override {}
    void config_write(std::uint32_t, std::span<const std::byte>) override {}
    void bar_write_from(unsigned, std::uint64_t, provider::Buffer&, std::size_t, std::size_t) override {}
    void flush() override {}
    void enable_interrupts(unsigned) override {}
    int interrupt_fd(unsigned) override { return -1; }
    std::shared_ptr<provider::Buffer> allocate(std::size_t) override { return nullptr; }
    std::uint64_t map(const std::shared_ptr<provider::Buffer>&, std::size_t, std::size_t, DmaDirection) override {
        return 0;
    }
    std::uint64_t map_own(std::span<std::byte>, DmaDirection) override { return 0; }
    void unmap(std::uint64_t) override {}
    void acknowledge_reset() override {}
    void check() override {}
    void progress(std::chrono::microseconds) override {}
    void detach() override {}
    Domain& domain() override { return domain_; }

private:
    FunctionInfo info_;
    fl_accel_registers head_{};
    Domain domain_{*this};
};

class AccelPairs : public ::testing::Test {
protected:
    struct Enough {};
    /// A device whose pair 0 lets go of context 0.
    void open(std::uint64_t context_stride = Registers::kMemory) {
        registers_ = std::make_shared<Registers>(context_stride);
        registers_->pairs[0].state.set(FL_ACCEL_QUEUE_DISABLING);
        device_.emplace(registers_);
    }
    /// Of `context`; Enough when it has to wait.
    std::uint32_t pair_of(std::uint32_t context) {
        return device_->enable_queue(context, 64, 0x1000, [] { throw Enough(); }).number;
    }
    std::shared_ptr<Registers> registers_;
    std::optional<SharedDevice> device_;
};

/// A read of a register takes as long as the network does.
TEST_F(AccelPairs, NobodyWaitsForTheAnswerOfTheDeviceWithOthers) {
    open();
    std::future<std::optional<std::uint64_t>> memory;
    bool had = false;
    registers_->state_read = [&] {
        memory = std::async(std::launch::async, [&] { return device_->take_memory(1, 4096, Place::aperture); });
        had = memory.wait_for(20s) == std::future_status::ready;
    };
    EXPECT_THROW((void)pair_of(0), Enough);
    EXPECT_TRUE(had);
}

TEST_F(AccelPairs, APairThatHangsKeepsNobodyFromTheOthers) {
    open();
    EXPECT_EQ(device_->take_context(), 1U);
    EXPECT_EQ(device_->take_context(), 2U);
    for (const std::uint32_t pair : {1U, 2U, 3U}) EXPECT_EQ(pair_of(1), pair);
    EXPECT_THROW((void)pair_of(2), Enough);
    EXPECT_EQ(device_->take_context(), 0U);
    registers_->pairs[0].state.set(FL_ACCEL_QUEUE_DISABLED);
    EXPECT_EQ(pair_of(0), 0U);
}

TEST_F(AccelPairs, OneThatHasLetGoMeanwhileIsAsGoodAsAnyOther) {
    open();
    registers_->pairs[0].state.set(FL_ACCEL_QUEUE_DISABLED);
    EXPECT_EQ(device_->take_context(), 0U);
    EXPECT_EQ(pair_of(0), 0U);
}

TEST_F(AccelPairs, AnAnswerOfBeforeSaysNothingOfOneThatWasTakenAndLeftAgain) {
    open();
    registers_->pairs[0].state.set(FL_ACCEL_QUEUE_DISABLED);
    registers_->disabled = FL_ACCEL_QUEUE_DISABLING;
    registers_->state_read = [&] {
        ASSERT_EQ(pair_of(1), 0U);
        device_->disable_queue(0);
    };
    EXPECT_EQ(pair_of(2), 1U);
}

/// Its device addresses are not free before.
TEST_F(AccelPairs, WhereAllShareOneMemoryANewContextWaits) {
    open(0);
    EXPECT_EQ(device_->take_context(), 0U);
    EXPECT_THROW((void)pair_of(0), Enough);
    EXPECT_EQ(device_->take_context(), 1U);
    EXPECT_EQ(pair_of(1), 1U);
}

}  // namespace
}  // namespace farlane::test
