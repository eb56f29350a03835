// SPDX-License-Identifier: Apache-2.0
// Receives: jobs for the CUDA executor. Hands on: whether memory, copies, launches and modules are as they should be.
// Owns: executors on the stand-in driver (fake_cuda/), which proves our logic and not CUDA's.
#include <bit>
#include <numeric>

#include "accel/cuda_fixture.hpp"

namespace farlane::test {
namespace {

struct Cuda : testing::Test, CudaWorker {};

TEST_F(Cuda, TellsWhatItIs) {
    EXPECT_EQ(worker->kind(), FL_ACCEL_EXECUTOR_CUDA);
    const std::uint64_t always = FL_ACCEL_CAP_PTX | FL_ACCEL_CAP_CUBIN | FL_ACCEL_CAP_ENERGY;
    EXPECT_EQ(worker->capabilities() & ~std::uint64_t{FL_ACCEL_CAP_CUDA_C}, always);
    EXPECT_EQ(worker->units(), 2U);
    EXPECT_EQ(worker->local().bytes, std::uint64_t{64} << 20);
    EXPECT_EQ(worker->local().address % kCudaChunk, 0U);
    const auto names = worker->names();
    const std::string text(reinterpret_cast<const char*>(names.data()), names.size());
    EXPECT_EQ(text, std::string("Stand-in GPU\0NVIDIA\000999.01, CUDA 13.0\0", 38));
}

TEST_F(Cuda, AddsVectors) {
    open();
    load();
    EXPECT_EQ(worker.names, "add;chase;endless;hold;shape;step;wild");
    ASSERT_TRUE(commit(local(), 3 * kCudaPage).ok());
    std::vector<float> a(1000), b(1000);
    std::iota(a.begin(), a.end(), 1.F);
    std::iota(b.begin(), b.end(), 100.F);
    put(local(), a);
    put(local(kCudaPage), b);
    const auto arguments =
        Arguments().address(local()).address(local(kCudaPage)).address(local(2 * kCudaPage)).value(std::uint32_t{1000});
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, kAddKernel, arguments, 1024, 64)).ok());
    const auto c = get<float>(local(2 * kCudaPage), 1000);
    for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
    EXPECT_EQ(worker->usage(0).kernels, 1U);
    EXPECT_TRUE(worker.close(0).ok());
}

// --- memory

TEST_F(Cuda, AllocationsShareChunks) {
    open();
    // Three in one chunk, one across chunks that the others begin and end in, one of whole chunks.
    const std::vector<std::pair<std::uint64_t, std::uint64_t>> all = {{0, kCudaPage},
                                                                      {kCudaPage, 2 * kCudaPage},
                                                                      {kCudaChunk - kCudaPage, 2 * kCudaChunk},
                                                                      {kCudaChunk * 3, 3 * kCudaPage},
                                                                      {kCudaChunk * 4, 2 * kCudaChunk}};
    for (int round = 0; round < 3; ++round) {
        for (const auto& [at, bytes] : all) ASSERT_TRUE(commit(local(at), bytes).ok()) << at;
        for (const auto& [at, bytes] : all) {
            const auto data = get<std::uint32_t>(local(at + bytes - kCudaPage), 1024);
            EXPECT_EQ(std::count(data.begin(), data.end(), 0U), 1024) << "not zero at " << at;
            put(local(at), std::vector<std::uint32_t>(1024, static_cast<std::uint32_t>(at | 1)));
        }
        // In another order each time; what stays is not touched.
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto& [at, bytes] = all[(i + static_cast<std::size_t>(round)) % all.size()];
            EXPECT_EQ(get<std::uint32_t>(local(at), 1024)[1023], at | 1);
            ASSERT_TRUE(worker.scrub({}, local(at), bytes).ok());
        }
    }
    // All chunks came back: there is exactly room for the whole device.
    EXPECT_TRUE(commit(local(), 64 << 20).ok());
    EXPECT_EQ(get<std::uint32_t>(local((64 << 20) - 4), 1)[0], 0U);
}

TEST_F(Cuda, OutOfMemoryCostsNothing) {
    open();
    ASSERT_TRUE(commit(local(), 40 << 20).ok());
    // Another context of the same device does not know, nor does the stand-in count for it: the same context does.
    EXPECT_EQ(commit(local(40 << 20), (24 << 20) + kCudaPage).reason, FL_ACCEL_REASON_OUT_OF_MEMORY);
    EXPECT_TRUE(commit(local(40 << 20), 24 << 20).ok());
    ASSERT_TRUE(worker.scrub({}, local(), 40 << 20).ok());
    EXPECT_TRUE(commit(local(), 40 << 20).ok());
}

TEST_F(Cuda, PointersInMemoryWork) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    ASSERT_TRUE(commit(local(kCudaChunk), kCudaPage).ok());
    put(local(), std::vector<std::uint64_t>{local(kCudaChunk), 5});
    put(local(kCudaChunk), std::vector<std::uint64_t>{0, 37});
    const auto arguments = Arguments().address(local()).address(local(64));
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, kChase, arguments, 1, 1)).ok());
    EXPECT_EQ(get<std::uint64_t>(local(64), 1)[0], 42U);
}

TEST_F(Cuda, CopiesOfEveryKind) {
    open();
    ASSERT_TRUE(commit(local(), 16 << 20).ok());
    // Across the parts of the aperture that are registered one by one, and not aligned.
    constexpr std::uint64_t kBytes = (9 << 20) + 13;
    for (std::uint64_t i = 0; i < kBytes; ++i) worker.at(worker.base(0))[i + 5] = static_cast<std::byte>(i * 7 >> 3);
    ASSERT_TRUE(worker.copy({}, local(3), worker.base(0) + 5, kBytes).ok());
    std::memset(worker.at(worker.base(0)), 0, kStaging);
    ASSERT_TRUE(worker.copy({}, worker.base(0) + 77, local(3), kBytes).ok());
    const auto wrong = [&](std::uint64_t at) {
        std::uint64_t count = 0;
        for (std::uint64_t i = 0; i < kBytes; ++i) {
            count += worker.at(worker.base(0))[i + at] != static_cast<std::byte>(i * 7 >> 3);
        }
        return count;
    };
    EXPECT_EQ(wrong(77), 0U);
    // Onto itself, both ways.
    ASSERT_TRUE(worker.copy({}, local(1003), local(3), kBytes).ok());
    ASSERT_TRUE(worker.copy({}, worker.base(0), local(1003), kBytes).ok());
    EXPECT_EQ(wrong(0), 0U);
    ASSERT_TRUE(worker.copy({}, local(1), local(1003), kBytes).ok());
    ASSERT_TRUE(worker.copy({}, local(1), local(1), kBytes).ok());
    ASSERT_TRUE(worker.copy({}, worker.base(0), local(1), kBytes).ok());
    EXPECT_EQ(wrong(0), 0U);
    // Staging memory that goes and comes back is registered anew.
    ASSERT_TRUE(worker.scrub({}, worker.base(0), kStaging).ok());
    ASSERT_TRUE(worker.commit({}, worker.base(0) + kCudaPage, kStaging / 2).ok());
    ASSERT_TRUE(worker.copy({}, worker.base(0) + kCudaPage, local(1), 64).ok());
    EXPECT_EQ(worker.at(worker.base(0))[kCudaPage + 63], static_cast<std::byte>(63 * 7 >> 3));
    // Bounce memory is always there.
    const std::uint64_t bounce = worker.base(0) + worker.options().plan.context_bytes;
    ASSERT_TRUE(worker.copy({}, bounce + 100, local(1), 1000).ok());
    EXPECT_EQ(worker.at(bounce)[100 + 999], static_cast<std::byte>(999 * 7 >> 3));
}

TEST_F(Cuda, FillsEveryPattern) {
    open();
    ASSERT_TRUE(commit(local(), 1 << 20).ok());
    for (const std::size_t width : {1, 2, 4, 8, 16}) {
        std::vector<std::byte> pattern(width);
        for (std::size_t i = 0; i < width; ++i) pattern[i] = static_cast<std::byte>(i + width);
        const std::uint64_t bytes = width * 4099;
        ASSERT_TRUE(worker.run([&](auto job) { return worker->fill(job, {}, local(), bytes, pattern, false); }).ok());
        const auto data = get<std::byte>(local(), bytes + 1);
        for (std::uint64_t i = 0; i < bytes; ++i) ASSERT_EQ(data[i], pattern[i % width]) << width << " at " << i;
    }
}

// --- launches

TEST_F(Cuda, ChainsRunInOrder) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    constexpr std::uint32_t kCount = 2000;
    std::vector<std::uint64_t> jobs;
    for (std::uint32_t i = 0; i < kCount; ++i) {
        const auto arguments = Arguments().address(local()).value(i);
        auto r = WorkerHarness::request({}, kStep, arguments, 1, 1);
        r.behind = i != 0;
        jobs.push_back(give(r));
    }
    for (const auto job : jobs) ASSERT_TRUE(end(job).ok());
    EXPECT_EQ(get<std::uint32_t>(local(), 1)[0], kCount);
    EXPECT_EQ(worker->usage(0).kernels, kCount);
}

TEST_F(Cuda, StreamsRunBesideEachOther) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    const auto held = give(WorkerHarness::request({0, 1}, kHold, Arguments().address(local(64)), 1, 1));
    ASSERT_TRUE(
        worker.launch(WorkerHarness::request({0, 2}, kStep, Arguments().address(local()).value(0U), 1, 1)).ok());
    // Memory comes and goes meanwhile.
    ASSERT_TRUE(worker.commit({0, 2}, local(kCudaChunk), kCudaChunk).ok());
    ASSERT_TRUE(worker.scrub({0, 2}, local(kCudaChunk), kCudaChunk).ok());
    EXPECT_FALSE(worker.has_ended(held));
    put(local(64), std::vector<std::uint32_t>{1}, {0, 2});
    EXPECT_TRUE(end(held).ok());
}

TEST_F(Cuda, LaunchesThatDoNotFitSaySoAhead) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    const auto reason = [&](LaunchRequest r) { return worker.prepare(r).reason; };
    const Arguments good = Arguments().address(local());
    EXPECT_EQ(reason(WorkerHarness::request({}, kShape, good, 64, 64)), FL_ACCEL_REASON_NONE);
    EXPECT_EQ(reason(WorkerHarness::request({}, kShape, Arguments(), 64, 64)), FL_ACCEL_REASON_ARGUMENT_COUNT);
    EXPECT_EQ(reason(WorkerHarness::request({}, kShape, Arguments().value(1U), 64, 64)),
              FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(reason(WorkerHarness::request({}, kShape, Arguments().shared(64), 64, 64)),
              FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(reason(WorkerHarness::request({}, kStep, Arguments().address(local()).address(0), 1, 1)),
              FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(reason(WorkerHarness::request({}, kShape, Arguments().address(local(kCudaPage)), 64, 64)),
              FL_ACCEL_REASON_NOT_ALLOCATED);
    EXPECT_EQ(reason(WorkerHarness::request({}, kShape, Arguments().address(worker.base(0)), 64, 64)),
              FL_ACCEL_REASON_BAD_ADDRESS);
    auto r = WorkerHarness::request({}, kShape, good, 2048, 2048);
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_BAD_GRID);
    r.dimensions = 3;
    r.grid = {1, 65536, 1};
    r.block = {1, 1, 1};
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_BAD_GRID);
    r.grid = {1, 65535, 1};
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_NONE);
    r.block = {1, 1, 65};
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_BAD_GRID);
    r.block = {1, 1, 1};
    r.shared_bytes = 98305;
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_BAD_GRID);
    r.shared_bytes = 98304;
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_NONE);
    r.offset = {1, 0, 0};
    EXPECT_EQ(reason(r), FL_ACCEL_REASON_BAD_GRID);
}

TEST_F(Cuda, ShapesArriveAsTheyWere) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    const auto arguments = Arguments().address(local());
    auto r = WorkerHarness::request({}, kShape, arguments, 1, 1);
    r.dimensions = 3;
    r.grid = {7, 6, 5};
    r.block = {4, 3, 2};
    r.shared_bytes = 65536;  // more than a launch has by itself
    const Outcome launched = worker.launch(r);
    ASSERT_TRUE(launched.ok()) << launched.reason << " " << launched.detail;
    EXPECT_EQ(get<std::uint32_t>(local(), 7), (std::vector<std::uint32_t>{7, 6, 5, 4, 3, 2, 65536}));
    // Blocks that the device chooses divide the work items.
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, kShape, Arguments().address(local()), 1000)).ok());
    EXPECT_EQ(get<std::uint32_t>(local(), 7), (std::vector<std::uint32_t>{4, 1, 1, 250, 1, 1, 0}));
}

TEST_F(Cuda, EnergyIsCounted) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    // The meter is read between launches, now and then; each read adds a millijoule.
    const auto arguments = Arguments().address(local());
    const auto until = std::chrono::steady_clock::now() + WorkerHarness::kForever;
    while (worker->energy_uj() == 0 && std::chrono::steady_clock::now() < until) {
        ASSERT_TRUE(worker.launch(WorkerHarness::request({}, kShape, arguments, 1, 1)).ok());
    }
    EXPECT_GT(worker->energy_uj(), 0U);
}

// --- modules

TEST_F(Cuda, PtxThatDoesNotCompileSaysWhy) {
    open();
    EXPECT_EQ(worker.load({}, 1, "this is no PTX", worker.base(0), "", FL_ACCEL_MODULE_PTX).reason,
              FL_ACCEL_REASON_BUILD);
    EXPECT_NE(worker.log.find("Missing .version"), std::string::npos) << worker.log;
    EXPECT_EQ(worker.load({}, 1, kCudaPtx, worker.base(0), "--nonsense", FL_ACCEL_MODULE_PTX).reason,
              FL_ACCEL_REASON_BUILD);
    EXPECT_NE(worker.log.find("--nonsense"), std::string::npos) << worker.log;
    EXPECT_TRUE(worker.load({}, 1, kCudaPtx, worker.base(0), "--maxrregcount=32 -O2", FL_ACCEL_MODULE_PTX).ok());
    EXPECT_EQ(worker.bind({}, 1, 1, "subtract").reason, FL_ACCEL_REASON_UNKNOWN_KERNEL);
    const std::string zero("a\0b", 3);
    EXPECT_EQ(worker.load({}, 2, zero, worker.base(0), "", FL_ACCEL_MODULE_PTX).reason, FL_ACCEL_REASON_BAD_IMAGE);
    EXPECT_EQ(worker.load({}, 2, kCudaPtx, worker.base(0)).reason, FL_ACCEL_REASON_BAD_KIND);
}

TEST_F(Cuda, ImagesForOtherDevicesSaySo) {
    open();
    const std::string newer = ".version 99.0\n.target sm_90\n.address_size 64\n.visible .entry a() { ret; }\n";
    EXPECT_EQ(worker.load({}, 1, newer, worker.base(0), "", FL_ACCEL_MODULE_PTX).reason, FL_ACCEL_REASON_BUILD);
    EXPECT_NE(worker.log.find("newer than this driver, which is of CUDA 13.0"), std::string::npos) << worker.log;
    std::string cubin(64 + 64, '\0');
    std::memcpy(cubin.data(),
                "\x7f"
                "ELF\2\1",
                6);
    cubin[40] = cubin[58] = 64;  // section headers, and how long each is
    cubin[60] = 1;
    cubin[48] = 80;  // of another capability
    EXPECT_EQ(worker.load({}, 1, cubin, worker.base(0), "", FL_ACCEL_MODULE_CUBIN).reason, FL_ACCEL_REASON_BUILD);
    EXPECT_NE(worker.log.find("compute capability 90"), std::string::npos) << worker.log;
}

TEST_F(Cuda, CubinsThatReachOutsideAreNone) {
    open();
    const auto reason = [&](const std::string& image) {
        return worker.load({}, 1, image, worker.base(0), "", FL_ACCEL_MODULE_CUBIN).reason;
    };
    EXPECT_EQ(reason("no ELF file"), FL_ACCEL_REASON_BAD_IMAGE);
    std::string image(64 + 64, '\0');
    std::memcpy(image.data(),
                "\x7f"
                "ELF\2\1",
                6);
    image[40] = 64;  // section headers
    image[58] = 64;
    image[60] = 1;
    EXPECT_EQ(reason(image), FL_ACCEL_REASON_NONE);
    worker->unload({}, 1);
    image[60] = 2;  // one more than there is
    EXPECT_EQ(reason(image), FL_ACCEL_REASON_BAD_IMAGE);
    image[60] = 1;
    image[64 + 24] = 127;  // a section behind the end
    image[64 + 32] = 2;
    EXPECT_EQ(reason(image), FL_ACCEL_REASON_BAD_IMAGE);
}

TEST_F(Cuda, ModulesGoWhenTheirKernelsHaveEnded) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    const auto held = give(WorkerHarness::request({0, 1}, kHold, Arguments().address(local(64)), 1, 1));
    worker->unload({0, 2}, 1);
    load();  // the stand-in ends a context whose running module is unloaded
    EXPECT_FALSE(worker.has_ended(held));
    put(local(64), std::vector<std::uint32_t>{1}, {0, 2});
    EXPECT_TRUE(end(held).ok());
    EXPECT_TRUE(
        worker.launch(WorkerHarness::request({0, 2}, kStep, Arguments().address(local()).value(0U), 1, 1)).ok());
}

TEST_F(Cuda, SourceIsCompiled) {
    if ((worker->capabilities() & FL_ACCEL_CAP_CUDA_C) == 0) GTEST_SKIP() << "no NVRTC on this machine: no CUDA C";
    open();
    const auto load_source = [&](const std::string& text, const std::string& options = "") {
        return worker.load({}, 1, text, worker.base(0), options, FL_ACCEL_MODULE_CUDA_C).reason;
    };
    EXPECT_EQ(load_source("extern \"C\" __global__ void step(unsigned* p, unsigned n) { *p = missing; }"),
              FL_ACCEL_REASON_BUILD);
    EXPECT_NE(worker.log.find("missing"), std::string::npos) << worker.log;
    const std::string good =
        "extern \"C\" __global__ void step(unsigned* p, unsigned n) { if (*p == n) *p = n + STEP; }";
    ASSERT_EQ(load_source(good, "-DSTEP=1 '-DTEXT=\"a b\"'"), FL_ACCEL_REASON_NONE) << worker.log;
    EXPECT_EQ(worker.names, "step");
    ASSERT_TRUE(worker.bind({}, 1, 1, "step").ok());
}

/// One of them, where operands are in local memory.
void run_axpy(CudaWorker& c) {
    c.open();
    ASSERT_TRUE(c.commit(c.local(), 2 * kCudaPage).ok());
    c.put(c.local(), std::vector<float>(100, 2.F));
    c.put(c.local(kCudaPage), std::vector<float>(100, 1.F));
    backend::LoadRequest request;
    request.module = 1;
    const Outcome loaded = c.worker.run([&](auto job) { return c.worker->load(job, request); });
    ASSERT_TRUE(loaded.ok()) << loaded.reason << " " << loaded.detail;
    ASSERT_TRUE(c.worker.bind({}, 1, 1, FL_ACCEL_KERNEL_AXPY_F32).ok());
    fl_accel_args_axpy_f32 arguments{};
    arguments.x.set(c.local());
    arguments.y.set(c.local(kCudaPage));
    arguments.count.set(100);
    arguments.a.set(std::bit_cast<std::uint32_t>(3.F));
    LaunchRequest r;
    r.kernel = 1;
    r.arguments = std::as_bytes(std::span(&arguments, 1));
    ASSERT_TRUE(c.worker.launch(r).ok());
    EXPECT_EQ(c.get<float>(c.local(kCudaPage), 100), std::vector<float>(100, 7.F));
}

TEST_F(Cuda, BuiltInKernelsRunOnLocalMemory) {
    run_axpy(*this);
    // None of NVRTC's hundred megabytes for those who have no source.
    EXPECT_LT(worker->usage(0).worker_bytes, std::uint64_t{40} << 20);
}

TEST(CudaNoJit, BuiltInKernelsAreCompiledByNvrtc) {
    CudaWorker c(cuda_options("no_jit"));
    if ((c.worker->capabilities() & FL_ACCEL_CAP_CUDA_C) == 0) GTEST_SKIP() << "no NVRTC on this machine: no CUDA C";
    run_axpy(c);
}

// --- older drivers

TEST(CudaOld, ArgumentsAreTakenAsTheyCome) {
    CudaWorker c(cuda_options("", FARLANE_FAKE_CUDA_12_3));
    c.open();
    c.load();
    EXPECT_EQ(c.worker.names, "add;step;hold;chase;shape;wild;endless");
    ASSERT_TRUE(c.commit(c.local(), kCudaPage).ok());
    const auto arguments = Arguments().address(c.local()).value(0U);
    ASSERT_TRUE(c.worker.launch(WorkerHarness::request({}, kStep, arguments, 1, 1)).ok());
    EXPECT_EQ(c.get<std::uint32_t>(c.local(), 1)[0], 1U);
    // Too few: the rest reads as zero instead of what lies behind.
    EXPECT_TRUE(c.worker.launch(WorkerHarness::request({}, kStep, Arguments().address(c.local()), 1, 1)).ok());
    EXPECT_EQ(c.get<std::uint32_t>(c.local(), 1)[0], 1U);
}

}  // namespace
}  // namespace farlane::test
