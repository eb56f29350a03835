// SPDX-License-Identifier: Apache-2.0
// Receives: the accelerator API on the CUDA executor. Hands on: whether programs run in the accelerator's own memory.
// Owns: a target whose executor is on the stand-in driver (fake_cuda/).
#include <cstring>
#include <numeric>

#include "accel/cuda_fixture.hpp"
#include "accel/sdk_fixture.hpp"

namespace farlane::test {
namespace {

using namespace accel;

class AccelCuda : public ::testing::Test {
protected:
    void SetUp() override { start(""); }
    void start(const std::string& settings) {
        use_cuda(FARLANE_FAKE_CUDA, settings);
        auto made = firmware::make_accel(
            {"accel0", "accel", {{"executor", "cuda"}, {"memory", "64M"}, {"worker", FARLANE_WORKER}}}, *memory_);
        ASSERT_TRUE(made.ok()) << made.failure().detail;
        static int number = 0;
        const std::string port = "loop:cuda" + std::to_string(number++);
        target_ = std::make_unique<TargetThread>(port);
        target_->add("accel0", std::move(*made));
        target_->start();
        FabricOptions options;
        options.provider = ProviderKind::embedded;
        options.port = port;
        options.connect_timeout = std::chrono::seconds(20);
        fabric_.emplace(Fabric::open(options));
        device_ = fabric_->attach("accel0");
    }
    void TearDown() override {
        device_ = Device();
        fabric_.reset();
    }
    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    std::unique_ptr<TargetThread> target_;
    std::optional<Fabric> fabric_;
    Device device_;
};

TEST_F(AccelCuda, ColdProgram) {
    constexpr std::uint32_t kN = 100'000;
    Context context(device_);
    Stream& s = context.stream();
    EXPECT_TRUE(context.takes(ModuleKind::ptx));
    EXPECT_FALSE(context.takes(ModuleKind::opencl_c));
    std::vector<float> a(kN), b(kN), c(kN);
    std::iota(a.begin(), a.end(), 1.0F);
    std::iota(b.begin(), b.end(), 5.0F);
    auto module = context.load(ModuleKind::ptx, kCudaPtx, {"", "kernels.ptx"});
    const auto da = context.allocate<float>(kN), db = context.allocate<float>(kN), dc = context.allocate<float>(kN);
    s.upload(da, a);
    s.upload(db, b);
    s.launch(module.kernel("add"), {(kN + 255) / 256, 256}, da, db, dc, kN);
    s.download(dc, c);
    for (std::uint32_t i = 0; i < kN; ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
    auto add = module.kernel("add");
    ASSERT_EQ(add.info().arguments.size(), 4u);  // from now on this side checks as well
    s.launch(add, {1, 256}, da, db, dc, 256U);
    EXPECT_THROW(s.launch(add, {1, 256}, da, db, dc, std::uint64_t{256}), Error);
    s.synchronize();
    s.launch(Axpy{2.0F, da, dc});  // built-in kernels run there, too, where there is a compiler for them
    const auto p = context.properties();
    EXPECT_EQ(p.executor, "cuda");
    EXPECT_EQ(p.device_name, "Stand-in GPU");
    EXPECT_EQ(p.vendor, "NVIDIA");
    EXPECT_GT(p.local_bytes, 0u);
    EXPECT_TRUE(p.energy_uj.has_value());
    EXPECT_EQ(module.names().size(), 7u);
}

/// Its memory may lie below what the aperture shows.
class AccelCudaOwnAddresses : public AccelCuda {
    void SetUp() override { start("own_addresses"); }
};

TEST_F(AccelCudaOwnAddresses, ProgramsRunThere) {
    Context context(device_);
    Stream& s = context.stream();
    std::vector<std::uint32_t> values(10'000), got(values.size());
    std::iota(values.begin(), values.end(), 1U);
    for (int round = 0; round < 3; ++round) {
        const auto buffer = context.allocate<std::uint32_t>(values.size());
        s.upload(buffer, values);
        s.download(buffer, got);
        EXPECT_EQ(got, values);
    }
    EXPECT_GT(context.properties().memory_bytes, 0U);
}

TEST_F(AccelCuda, WildKernelCostsItsContextOnly) {
    Context good(device_), bad(device_);
    auto module = bad.load(ModuleKind::ptx, kCudaPtx, {"", "kernels.ptx"});
    bad.stream().launch(module.kernel("wild"), {1, 1}, nullptr);
    try {
        bad.synchronize();
        FAIL() << "should have failed";
    } catch (const Error& e) {
        EXPECT_NE(std::string(e.what()).find("'wild'"), std::string::npos) << e.what();
        EXPECT_THROW((void)bad.allocate<int>(1), Error);
    }
    const auto x = good.allocate<int>(1000);
    good.stream().fill(x, 7);
    std::vector<int> got(1000);
    good.stream().download(x, got);
    EXPECT_EQ(got[999], 7);
}

}  // namespace
}  // namespace farlane::test
