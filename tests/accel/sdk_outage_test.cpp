// SPDX-License-Identifier: Apache-2.0
// Receives: an accelerator whose target restarts, or goes. Hands on: verdicts on what its user sees.
// Owns: both ends.
#include "accel/sdk_fixture.hpp"

namespace farlane::test {
namespace {

using namespace accel;
using namespace std::chrono_literals;

class AccelOutage : public ::testing::TestWithParam<Progress> {
protected:
    void SetUp() override {
        port_ = std::to_string(free_udp_port());
        start_target();
        FabricOptions options;
        options.provider = ProviderKind::embedded;
        options.port = "udp:127.0.0.1:0";
        options.peer = "127.0.0.1:" + port_;
        options.progress = GetParam();
        options.connect_timeout = 20s;
        options.completion_timeout = 20s;
        options.keepalive = 100ms;
        options.grace = 60s;
        fabric_.emplace(Fabric::open(options));
        device_ = fabric_->attach("accel0");
    }
    void start_target() {
        lane::TargetConfig config{session_config("target", 0x7a), {}, 64};
        config.session.grace = 60s;
        target_ = std::make_unique<TargetThread>("udp:127.0.0.1:" + port_, config);
        auto made = firmware::make_accel({"accel0", "accel", {{"memory", "32M"}, {"threads", "1"}}}, *memory_);
        ASSERT_TRUE(made.ok());
        target_->add("accel0", std::move(*made));
        target_->start();
    }
    std::string port_;
    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    std::unique_ptr<TargetThread> target_;
    std::optional<Fabric> fabric_;
    Device device_;
};

TEST_P(AccelOutage, RestartedTargetMeansDeviceReset) {
    auto context = std::make_unique<Context>(device_);
    auto buffer = context->allocate<int>(1000);
    context->stream().fill(buffer, 7);
    context->synchronize();
    target_.reset();
    start_target();
    try {
        // Waits for an answer that never comes: the device that could give it is gone.
        while (true) {
            context->stream().fill(buffer, 8);
            context->synchronize();
        }
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::device_reset) << e.what();
    }
    device_.acknowledge_reset();
    Context fresh(device_);  // beside what is left of the old one
    auto other = fresh.allocate<int>(1000);
    std::vector<int> got(1000, 1);
    fresh.stream().download(other, got);
    EXPECT_EQ(got, std::vector<int>(1000, 0));  // never stale data
    buffer = {};
    context.reset();
    fresh.stream().fill(other, 9);
    fresh.stream().download(other, got);
    EXPECT_EQ(got[999], 9);
}

/// Whoever gives up after the reset gets out, too.
TEST_P(AccelOutage, OldContextEndsWithoutANewOne) {
    auto context = std::make_unique<Context>(device_);
    auto buffer = context->allocate<int>(1000);
    context->stream().fill(buffer, 7);
    context->synchronize();
    target_.reset();
    start_target();
    try {
        while (true) {
            context->stream().fill(buffer, 8);
            context->synchronize();
        }
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::device_reset) << e.what();
    }
    device_.acknowledge_reset();
    context.reset();
}

INSTANTIATE_TEST_SUITE_P(Progress, AccelOutage, ::testing::Values(Progress::caller, Progress::thread),
                         [](const auto& p) { return p.param == Progress::caller ? "Caller" : "Thread"; });

}  // namespace
}  // namespace farlane::test
