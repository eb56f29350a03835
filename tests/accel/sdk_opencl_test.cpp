// SPDX-License-Identifier: Apache-2.0
// Receives: the accelerator API on an OpenCL device of this machine. Hands on: whether programs run as people write
// them. Owns: a target whose executor has worker processes. Skipped, with the reason, where there is no OpenCL device.
#include <cstring>
#include <future>

#include "accel/sdk_fixture.hpp"

namespace farlane::test {
namespace {

using namespace accel;

constexpr const char* kSource = R"(
kernel void saxpy(float a, global const float *x, global float *y, uint n) {
    uint i = get_global_id(0);
    if (i < n) y[i] = a * x[i] + y[i];
}
struct span { uint first, count; };
kernel void sum_blocks(struct span s, global const float *in, local float *scratch, global float *out) {
    uint l = get_local_id(0);
    scratch[l] = l < s.count ? in[s.first + get_global_id(0)] : 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint step = get_local_size(0) / 2; step > 0; step /= 2) {
        if (l < step) scratch[l] += scratch[l + step];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (l == 0) out[get_group_id(0)] = scratch[0];
}
kernel void places(global uint2 *out) {
    uint x = get_global_id(0), y = get_global_id(1);
    out[(y - get_global_offset(1)) * get_global_size(0) + x - get_global_offset(0)] = (uint2)(x, y);
}
kernel void wild(global float *x) { x[(1L << 44) + get_global_id(0)] = 1; }
kernel void endless(global volatile int *x) { while (x[0] == 0) {} }
)";

struct OpenclCase {
    const char* name;
    const char* place;
};

class AccelOpencl : public ::testing::TestWithParam<OpenclCase> {
protected:
    void SetUp() override {
        auto made = firmware::make_accel({"accel0",
                                          "accel",
                                          {{"executor", "opencl"},
                                           {"memory", "64M"},
                                           {"place", GetParam().place},
                                           {"time_limit_ms", "4000"},
                                           {"worker", FARLANE_WORKER}}},
                                         *memory_);
        if (!made.ok()) GTEST_SKIP() << made.failure().detail;
        static int number = 0;
        const std::string port = "loop:ocl" + std::to_string(number++);
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
    static std::pair<Status, std::string> thrown(const std::function<void()>& call) {
        try {
            call();
        } catch (const Error& e) {
            return {e.status(), e.what()};
        }
        return {Status::ok, ""};
    }
    std::unique_ptr<backend::Memory> memory_ = backend::process_memory();
    std::unique_ptr<TargetThread> target_;
    std::optional<Fabric> fabric_;
    Device device_;
};

TEST_P(AccelOpencl, ColdProgram) {
    constexpr std::uint32_t kN = 100'003;
    Context context(device_);
    Stream& s = context.stream();
    std::vector<float> x(kN), y(kN), got(kN);
    for (std::uint32_t i = 0; i < kN; ++i) x[i] = static_cast<float>(i), y[i] = 1.0F;
    const auto dx = context.allocate<float>(kN), dy = context.allocate<float>(kN);
    auto module = context.load(ModuleKind::opencl_c, kSource, {"-cl-std=CL1.2", "test.cl"});
    auto saxpy = module.kernel("saxpy");
    s.upload(dx, x);
    s.upload(dy, y);
    s.launch(saxpy, {(kN + 63) / 64, 64}, 2.0F, dx, dy, kN);
    s.download(dy, got);
    for (std::uint32_t i = 0; i < kN; ++i) ASSERT_EQ(got[i], 2.0F * x[i] + 1.0F) << i;
    EXPECT_EQ(saxpy.arguments().size(), 4u);
    EXPECT_EQ(saxpy.arguments()[0].kind, ArgumentKind::value);
    EXPECT_EQ(saxpy.arguments()[0].bytes, 4u);
    EXPECT_TRUE(saxpy.arguments()[1].is_const);
    EXPECT_EQ(saxpy.arguments()[2].name, "y");
    EXPECT_EQ(module.names().size(), 5u);
    const auto p = context.properties();
    EXPECT_EQ(p.executor, "opencl");
    EXPECT_FALSE(p.device_name.empty());
    EXPECT_GE(p.context_kernels, 1u);
    EXPECT_GT(p.worker_bytes, 0u);
}

TEST_P(AccelOpencl, StructuresLocalMemoryAndOffsets) {
    Context context(device_);
    Stream& s = context.stream();
    auto module = context.load(ModuleKind::opencl_c, kSource);
    std::vector<float> in(1024, 0.5F), out(4);
    const auto din = context.allocate<float>(in.size()), dout = context.allocate<float>(4);
    s.upload(din, in);
    struct {
        std::uint32_t first, count;
    } const span{0, 256};
    s.launch(module.kernel("sum_blocks"), {4, 256}, span, din, SharedBytes{1024}, dout);
    s.download(dout, out);
    EXPECT_EQ(out, (std::vector<float>(4, 128.0F)));
    struct Place {
        std::uint32_t x, y;
    };
    const auto places = context.allocate<Place>(12);
    s.launch(module.kernel("places"), {{4, 3}, {}, 0, {10, 20}}, places);
    std::vector<Place> got(12);
    s.download(places, got);
    EXPECT_EQ(got[0].x, 10u);
    EXPECT_EQ(got[0].y, 20u);
    EXPECT_EQ(got[11].x, 13u);
    EXPECT_EQ(got[11].y, 22u);
    EXPECT_EQ(thrown([&] { s.launch(module.kernel("saxpy"), {64}, 2.0, din, dout, 4U); }).first, Status::ok);
    EXPECT_EQ(thrown([&] { s.synchronize(); }).first, Status::invalid);
}

TEST_P(AccelOpencl, SourceThatDoesNotCompile) {
    Context context(device_);
    auto module =
        context.load(ModuleKind::opencl_c, "kernel void k(global int *x) { x[0] = nonsense; }", {"", "bad.cl"});
    const auto x = context.allocate<int>(1);
    context.stream().launch(module.kernel("k"), {1}, x);
    const auto [status, text] = thrown([&] { context.synchronize(); });
    EXPECT_EQ(status, Status::invalid);
    EXPECT_NE(text.find("'bad.cl'"), std::string::npos) << text;
    EXPECT_NE(text.find("nonsense"), std::string::npos) << text;
    EXPECT_NE(module.log().find("nonsense"), std::string::npos);
    auto good = context.load(ModuleKind::opencl_c, "kernel void k(global int *x) { x[0] = 7; }");
    context.stream().launch(good.kernel("k"), {1}, x);
    std::vector<int> got(1);
    context.stream().download(x, got);
    EXPECT_EQ(got[0], 7);
}

TEST_P(AccelOpencl, WildAndEndlessKernelsCostTheirContextOnly) {
    Context good(device_);
    auto fine = good.load(ModuleKind::opencl_c, kSource);
    const auto y = good.allocate<float>(1000);
    const auto use_good = [&] {
        good.stream().fill(y, 1.0F);
        good.stream().launch(fine.kernel("saxpy"), {1000}, 2.0F, y, y, 1000U);
        std::vector<float> got(1000);
        good.stream().download(y, got);
        EXPECT_EQ(got[999], 3.0F);
    };
    use_good();
    for (const bool endless : {false, true}) {
        Context bad(device_);
        auto module = bad.load(ModuleKind::opencl_c, kSource);
        const auto x = bad.allocate<int>(64);
        std::promise<Status> called;
        bad.stream().launch(module.kernel(endless ? "endless" : "wild"), {1}, x);
        bad.stream().on_complete([&](Status status) { called.set_value(status); });
        use_good();
        const auto [status, text] = thrown([&] { bad.synchronize(); });
        EXPECT_EQ(status, endless ? Status::timeout : Status::io) << text;
        EXPECT_NE(text.find(endless ? "'endless'" : "'wild'"), std::string::npos) << text;
        EXPECT_EQ(called.get_future().get(), status);
        EXPECT_EQ(thrown([&] { (void)bad.allocate<int>(1); }).first, status);
        Context fresh(device_);
        const auto z = fresh.allocate<int>(64);
        fresh.stream().fill(z, 3);
        fresh.synchronize();
        use_good();
    }
}

INSTANTIATE_TEST_SUITE_P(Places, AccelOpencl,
                         ::testing::Values(OpenclCase{"Aperture", "aperture"}, OpenclCase{"Local", "local"}),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::test
