// SPDX-License-Identifier: Apache-2.0
// The CUDA executor: on a libcuda that has no GPU behind it, and, where there is one, on the machine's own.
#include <stdlib.h>

#include <numeric>

#include "accel/worker_fixture.hpp"
#include "backend/worker/cuda/ptx.hpp"

namespace farlane::test {
namespace {

constexpr const char* kPtx = R"(
.version 6.4
.target sm_52
.address_size 64
/* .entry not_this( */
.visible .entry add(
    .param .u64 .ptr .global .align 4 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
    .reg .pred %p<2>; .reg .f32 %f<4>; .reg .b32 %r<6>; .reg .b64 %rd<12>;
    ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; ld.param.u64 %rd3, [c]; ld.param.u32 %r1, [n];
    mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x; mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1; @%p1 bra done;
    mul.wide.u32 %rd4, %r5, 4; add.s64 %rd5, %rd1, %rd4; add.s64 %rd6, %rd2, %rd4; add.s64 %rd7, %rd3, %rd4;
    ld.global.f32 %f1, [%rd5]; ld.global.f32 %f2, [%rd6]; add.f32 %f3, %f1, %f2; st.global.f32 [%rd7], %f3;
done: ret;
}
.visible .entry count(.param .u64 p, .param .u32 i)
{
    .reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [p]; ld.param.u32 %r1, [i]; ld.global.u32 %r2, [%rd1];
    setp.ne.u32 %p1, %r1, %r2; @%p1 bra done; add.u32 %r3, %r2, 1; st.global.u32 [%rd1], %r3;
done: ret;
}
.visible .entry wild()
{
    .reg .b64 %rd<2>; mov.u64 %rd1, 16; st.global.u64 [%rd1], %rd1; ret;
}
.visible .entry endless()
{
    loop: bra loop;
}
)";

/// "fake" or "real".
class Cuda : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        const char* before = ::getenv("LD_LIBRARY_PATH");
        if (before != nullptr) before_ = before;
        if (GetParam() == "fake") ::setenv("LD_LIBRARY_PATH", FARLANE_FAKE_CUDA, 1);
        auto options = worker_options();
        options.kind = FL_ACCEL_EXECUTOR_CUDA;
        options.local_bytes = 64 << 20;
        try {
            worker_ = std::make_unique<WorkerHarness>(options);
        } catch (const std::runtime_error& error) {
            if (GetParam() == "fake") throw;
            GTEST_SKIP() << error.what();
        }
        worker().wait_until([] { return true; });
        (*worker_)->open(0);
        ASSERT_TRUE(worker().commit({}, worker().base(0), kStaging).ok());
    }
    void TearDown() override {
        worker_.reset();
        if (before_.empty()) {
            ::unsetenv("LD_LIBRARY_PATH");
        } else {
            ::setenv("LD_LIBRARY_PATH", before_.c_str(), 1);
        }
    }
    WorkerHarness& worker() { return *worker_; }
    void load() { ASSERT_TRUE(load_text(1, kPtx).ok()) << worker().log; }
    Outcome load_text(std::uint32_t module, const std::string& text) {
        return worker().load({}, module, text, worker().base(0), "", FL_ACCEL_MODULE_PTX);
    }
    std::uint64_t allocate(std::uint64_t bytes) {
        const std::uint64_t at = worker().local_base(0) + used_;
        used_ += (bytes + 4095) / 4096 * 4096;
        EXPECT_TRUE(worker().commit({}, at, (bytes + 4095) / 4096 * 4096).ok());
        return at;
    }
    template <class T>
    std::uint64_t put(const std::vector<T>& data) {
        const std::uint64_t at = allocate(data.size() * sizeof(T));
        std::memcpy(worker().at(worker().base(0)), data.data(), data.size() * sizeof(T));
        EXPECT_TRUE(worker().copy({}, at, worker().base(0), data.size() * sizeof(T)).ok());
        return at;
    }
    template <class T>
    std::vector<T> get(std::uint64_t at, std::size_t count) {
        EXPECT_TRUE(worker().copy({}, worker().base(0), at, count * sizeof(T)).ok());
        std::vector<T> data(count);
        std::memcpy(data.data(), worker().at(worker().base(0)), count * sizeof(T));
        return data;
    }
    static constexpr std::uint64_t kStaging = 4 << 20;
    std::unique_ptr<WorkerHarness> worker_;
    std::string before_;
    std::uint64_t used_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Drivers, Cuda, testing::Values("fake", "real"), [](const auto& test) { return test.param; });

TEST_P(Cuda, AddsVectors) {
    load();
    EXPECT_EQ(worker().names, "add;count;endless;wild");
    EXPECT_EQ(worker().bind({}, 1, 1, "subtract").reason, FL_ACCEL_REASON_UNKNOWN_KERNEL);
    ASSERT_TRUE(worker().bind({}, 1, 1, "add").ok());
    std::vector<float> a(1000), b(1000);
    std::iota(a.begin(), a.end(), 1.F);
    std::iota(b.begin(), b.end(), 50.F);
    const auto at_a = put(a), at_b = put(b), at_c = allocate(8192);
    EXPECT_EQ(get<float>(at_c, 2000), std::vector<float>(2000)) << "memory that was not cleared";
    const Arguments good = Arguments().address(at_a).address(at_b).address(at_c + 4).value(std::uint32_t{1000});
    ASSERT_TRUE(worker().launch(WorkerHarness::request({}, 1, good, 1024, 128)).ok());
    const auto c = get<float>(at_c, 1002);
    EXPECT_EQ(c[0], 0.F);
    for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(c[i + 1], a[i] + b[i]) << i;
    EXPECT_EQ(c[1001], 0.F);
    EXPECT_EQ(worker()->usage(0).kernels, 1U);
}

TEST_P(Cuda, LaunchesThatDoNotFitSaySo) {
    load();
    ASSERT_TRUE(worker().bind({}, 1, 1, "add").ok());
    const auto m = allocate(4096);
    const auto reason = [&](const Arguments& a, std::uint32_t block = 64) {
        return worker().launch(WorkerHarness::request({}, 1, a, 1U << 20, block)).reason;
    };
    const Arguments good = Arguments().address(m).address(m).address(m).value(1U);
    EXPECT_EQ(reason(Arguments().address(m)), FL_ACCEL_REASON_ARGUMENT_COUNT);
    EXPECT_EQ(reason(Arguments().value(m).address(m).address(m).value(1U)), FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(reason(Arguments().address(m).value(1U).address(m).value(1U)), FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(reason(Arguments().address(m).shared(8).address(m).value(1U)), FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(reason(Arguments().address(worker().base(0)).address(m).address(m).value(1U)),
              FL_ACCEL_REASON_BAD_ADDRESS);
    EXPECT_EQ(reason(good, 0), FL_ACCEL_REASON_BAD_GRID) << "CUDA does not choose blocks";
    EXPECT_EQ(reason(good, 4096), FL_ACCEL_REASON_BAD_GRID);
    LaunchRequest shared = WorkerHarness::request({}, 1, good, 1024, 64);
    shared.shared_bytes = 1 << 24;
    EXPECT_EQ(worker().launch(shared).reason, FL_ACCEL_REASON_BAD_GRID);
    EXPECT_EQ(reason(good), FL_ACCEL_REASON_NONE);
}

TEST_P(Cuda, BrokenPtxHasALog) {
    EXPECT_EQ(load_text(1, ".entry nothing").reason, FL_ACCEL_REASON_BUILD);
    EXPECT_FALSE(worker().log.empty());
}

TEST_P(Cuda, ChainsRunInOrder) {
    load();
    ASSERT_TRUE(worker().bind({}, 1, 1, "count").ok());
    const auto m = put(std::vector<std::uint32_t>(1024));
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (std::uint32_t i = 0; i < 2000; ++i) {
        const Arguments arguments = Arguments().address(m).value(i);
        LaunchRequest r = WorkerHarness::request({}, 1, arguments, 1, 1);
        r.behind = i != 0;
        const std::uint64_t job = worker().number();
        jobs.emplace_back(job, worker()->launch(job, r));
    }
    for (const auto& [job, answer] : jobs) ASSERT_TRUE(worker().wait(job, answer).ok());
    EXPECT_EQ(get<std::uint32_t>(m, 1)[0], 2000U);
    EXPECT_EQ(worker()->usage(0).kernels, 2000U);
}

TEST_P(Cuda, CopiesAndFills) {
    std::vector<std::uint32_t> data(2048);
    std::iota(data.begin(), data.end(), 1U);
    const auto a = put(data), b = allocate(8192);
    EXPECT_TRUE(worker().copy({}, b + 4, a + 8, 400).ok());
    EXPECT_EQ(get<std::uint32_t>(b, 102)[100], 102U);
    EXPECT_TRUE(worker().copy({}, a + 40, a, 4000).ok());  // overlapping
    EXPECT_EQ(get<std::uint32_t>(a, 1011)[1009], 1000U);
    const auto before = get<std::uint8_t>(b, 353);
    std::array<std::uint8_t, 16> pattern;
    std::iota(pattern.begin(), pattern.end(), static_cast<std::uint8_t>(0x81));
    for (const std::size_t size : {1U, 2U, 4U, 8U, 16U}) {
        const auto part = std::as_bytes(std::span(pattern)).first(size);
        EXPECT_TRUE(worker().run([&](auto job) { return worker()->fill(job, {}, b + 32, 320, part, false); }).ok());
        const auto got = get<std::uint8_t>(b, 353);
        for (std::size_t i = 0; i < 320; ++i) ASSERT_EQ(got[32 + i], 0x81 + i % size) << size << " " << i;
        EXPECT_EQ(got[31], before[31]);
        EXPECT_EQ(got[352], before[352]);
    }
    EXPECT_TRUE(worker().scrub({}, b, 8192).ok());
}

TEST_P(Cuda, AWildPointerCostsTheContext) {
    load();
    ASSERT_TRUE(worker().bind({}, 1, 1, "wild").ok());
    EXPECT_EQ(worker().launch(WorkerHarness::request({}, 1, {}, 1, 1)).reason, FL_ACCEL_REASON_CRASHED);
    EXPECT_TRUE(worker()->lost(0));
    EXPECT_TRUE(worker().close(0).ok());
    worker()->open(0);
    EXPECT_TRUE(worker().commit({}, worker().base(0), kStaging).ok());
}

TEST_P(Cuda, CancelingAnEndlessKernelCostsTheContext) {
    load();
    ASSERT_TRUE(worker().bind({}, 1, 1, "endless").ok());
    const std::uint64_t job = worker().number();
    const auto answer = worker()->launch(job, WorkerHarness::request({}, 1, {}, 1, 1));
    worker()->cancel(job);
    EXPECT_EQ(worker().wait(job, answer).reason, FL_ACCEL_REASON_EXECUTION);
    EXPECT_TRUE(worker().wait_until([&] { return worker()->lost(0); }));
}

TEST_P(Cuda, TooMuchMemoryIsRefused) {
    if (GetParam() == "real") GTEST_SKIP() << "takes what the device has";
    EXPECT_EQ(worker().commit({}, worker().local_base(0), (std::uint64_t{1} << 28) + 4096).reason,
              FL_ACCEL_REASON_OUT_OF_MEMORY);
}

TEST(CudaPtx, FindsKernelsAndTheirParameters) {
    using backend::worker::cuda::ptx_kernels;
    const auto kernels = ptx_kernels(R"(
        .func (.param .b32 r) helper(.param .b64 x) { ret; }
        .entry none { ret; }
        .visible .entry many( // comment ( , )
            .param .u64 .ptr .global .align 16 p, .param .align 8 .b8 s[24], .param .f32 f, .param .u8 c )
        .maxntid 128, 1, 1 { .reg .b32 %r<3>; })");
    ASSERT_EQ(kernels.size(), 2U);
    EXPECT_TRUE(kernels.at("none").empty());
    const auto& many = kernels.at("many");
    ASSERT_EQ(many.size(), 4U);
    EXPECT_TRUE(many[0].is_pointer);
    EXPECT_EQ(many[0].bytes, 8U);
    EXPECT_EQ(many[1].bytes, 24U);
    EXPECT_EQ(many[2].bytes, 4U);
    EXPECT_EQ(many[3].bytes, 1U);
    for (const char* text :
         {"", ".entry", ".entry k(", ".entry k(.param", ".entry k(.param .b8 s[", "/*", ".entry k(,,,"}) {
        EXPECT_LE(ptx_kernels(text).size(), 1U) << text;
    }
}

}  // namespace
}  // namespace farlane::test
