// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned processes and applications that share an accelerator through one of them. Hands on: proof
// that each has a context of its own. Owns: processes.
#include <numeric>

#include <gtest/gtest.h>
#include <unistd.h>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

#include "daemon/process.hpp"

namespace farlane::test {
namespace {

constexpr const char* kAccelerator =
    "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"256M\"\nthreads = 1\n";

Fabric open(const Daemon& d) {
    FabricOptions o;
    o.socket = d.socket();
    return Fabric::open(o);
}

/// y = 2x + seed, on the accelerator; every element checked.
void run_axpy(Device& device, std::size_t count, float seed) {
    accel::Context context(device);
    std::vector<float> x(count), y(count, seed), out(count);
    std::iota(x.begin(), x.end(), 0.0F);
    auto dx = context.allocate<float>(count);
    auto dy = context.allocate<float>(count);
    context.stream().upload(dx, std::span<const float>(x));
    context.stream().upload(dy, std::span<const float>(y));
    context.stream().launch(accel::Axpy{2.0F, accel::View<const float>(dx.view()), dy.view()});
    context.stream().download(dy, std::span<float>(out));
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(out[i], 2.0F * x[i] + seed) << i;
}

struct SharingTest : testing::Test {
    Pair pair{kAccelerator};
    SharingTest() { pair.wait_for_functions(1); }
    void TearDown() override {
        if (HasFailure()) std::fprintf(stderr, "%s\n", pair.initiator.process().output().c_str());
        EXPECT_EQ(pair.initiator.stop(), 0) << pair.initiator.process().output();
        EXPECT_EQ(pair.target.stop(), 0) << pair.target.process().output();
    }
};

TEST_F(SharingTest, TwoApplicationsEachWithItsOwnContext) {
    Fabric one = open(pair.initiator), two = open(pair.initiator);
    Device first = one.attach("accel0", AttachMode::shared);
    Device second = two.attach("accel0", AttachMode::shared);
    {
        accel::Context beside(first);
        auto mine = beside.allocate<float>(1000);
        std::vector<float> numbers(1000, 7.0F), back(1000);
        beside.stream().upload(mine, std::span<const float>(numbers));
        run_axpy(second, 50'000, 1.0F);
        run_axpy(first, 50'000, 2.0F);
        beside.stream().download(mine, std::span<float>(back));
        EXPECT_EQ(back, numbers);
    }
    const auto stats = pair.initiator.client().call("stats").at("attachments");
    ASSERT_EQ(stats.size(), 1U);
    EXPECT_EQ(stats[0].at("holders").size(), 2U);
    EXPECT_EQ(stats[0].at("dma_refused"), 0);
    first.detach();
    run_axpy(second, 1000, 3.0F);
    second.detach();
}

}  // namespace
}  // namespace farlane::test
