// SPDX-License-Identifier: Apache-2.0
// The OpenCL executor on a real OpenCL device (PoCL), with kernels' memory in the aperture and in the device.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <numeric>

#include "accel/worker_fixture.hpp"

namespace farlane::test {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr const char* kAdd = R"(
kernel void add(global const float* a, global const float* b, global float* c, uint n) {
    const size_t i = get_global_id(0);
    if (i < n) c[i] = a[i] + b[i];
})";

class OpenCl : public testing::TestWithParam<WorkerPlace> {
protected:
    OpenCl()
        : worker([] {
              auto o = worker_options();
              o.place = GetParam();
              o.local_bytes = 64 << 20;
              return o;
          }()) {}

    [[nodiscard]] bool local() const { return GetParam() == WorkerPlace::local; }
    /// Memory for kernels.
    std::uint64_t allocate(std::uint64_t bytes, JobOwner who = {}) {
        const std::uint64_t whole = (bytes + kPage - 1) / kPage * kPage;
        const std::uint64_t address =
            (local() ? worker.local_base(who.context) : worker.base(who.context) + kStaging) + used_[who.context];
        used_[who.context] += whole;
        EXPECT_TRUE(worker.commit(who, address, whole).ok());
        return address;
    }
    void open(std::uint32_t context = 0) {
        worker->open(context);
        ASSERT_TRUE(worker.commit({context, 0}, worker.base(context), kStaging).ok());
    }
    template <class T>
    std::uint64_t put(const std::vector<T>& data, JobOwner who = {}) {
        const std::uint64_t bytes = data.size() * sizeof(T);
        const std::uint64_t address = allocate(bytes, who);
        if (!local()) {
            std::memcpy(worker.at(address), data.data(), bytes);
        } else {
            std::memcpy(worker.at(worker.base(who.context)), data.data(), bytes);
            EXPECT_TRUE(worker.copy(who, address, worker.base(who.context), bytes).ok());
        }
        return address;
    }
    template <class T>
    std::vector<T> get(std::uint64_t address, std::size_t count, JobOwner who = {}) {
        std::vector<T> data(count);
        if (local()) {
            EXPECT_TRUE(worker.copy(who, worker.base(who.context), address, count * sizeof(T)).ok());
            address = worker.base(who.context);
        }
        std::memcpy(data.data(), worker.at(address), count * sizeof(T));
        return data;
    }

    static constexpr std::uint64_t kStaging = 8 << 20;
    WorkerHarness worker;
    std::map<std::uint32_t, std::uint64_t> used_;
};
INSTANTIATE_TEST_SUITE_P(Places, OpenCl, testing::Values(WorkerPlace::aperture, WorkerPlace::local),
                         [](const auto& test) { return test.param == WorkerPlace::local ? "local" : "aperture"; });

TEST_P(OpenCl, AddsVectors) {
    open();
    ASSERT_TRUE(worker.load({}, 1, kAdd, worker.base(0)).ok()) << worker.log;
    EXPECT_EQ(worker.names, "add");
    ASSERT_TRUE(worker.bind({}, 1, 7, "add").ok());
    std::vector<float> a(1000), b(1000);
    std::iota(a.begin(), a.end(), 1.F);
    std::iota(b.begin(), b.end(), 100.F);
    const auto at_a = put(a), at_b = put(b), at_c = allocate(4000);
    const Arguments arguments = Arguments().address(at_a).address(at_b).address(at_c).value(std::uint32_t{1000});
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, 7, arguments, 1024, 64)).ok());
    const auto c = get<float>(at_c, 1000);
    for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
    EXPECT_EQ(worker->usage(0).kernels, 1U);
    EXPECT_GT(worker->usage(0).worker_bytes, 0U);
    EXPECT_TRUE(worker.close(0).ok());
}

// --- modules and kernels

/// The same in both places.
class OpenClModules : public OpenCl {};
INSTANTIATE_TEST_SUITE_P(Places, OpenClModules, testing::Values(WorkerPlace::aperture),
                         [](const auto&) { return "aperture"; });

TEST_P(OpenClModules, BuildLogSaysWhatIsWrong) {
    open();
    const Outcome outcome =
        worker.load({}, 1, "kernel void broken(global int* p) { p[0] = undeclared; }", worker.base(0));
    EXPECT_EQ(outcome.reason, FL_ACCEL_REASON_BUILD);
    EXPECT_NE(worker.log.find("undeclared"), std::string::npos) << worker.log;
    EXPECT_EQ(worker.names, "");
    EXPECT_EQ(worker.load({}, 1, kAdd, worker.base(0), "-no-such-option").reason, FL_ACCEL_REASON_BUILD);
    EXPECT_TRUE(worker.load({}, 1, kAdd, worker.base(0), "-DUNUSED=1").ok());
    EXPECT_EQ(worker.bind({}, 1, 1, "subtract").reason, FL_ACCEL_REASON_UNKNOWN_KERNEL);
}

TEST_P(OpenClModules, ModuleHandlesAreUsedAgain) {
    open();
    ASSERT_TRUE(worker.load({}, 1, kAdd, worker.base(0)).ok());
    ASSERT_TRUE(worker.bind({}, 1, 1, "add").ok());
    worker->unload({}, 1);
    EXPECT_EQ(worker.prepare(WorkerHarness::request({}, 1, {}, 1)).reason, FL_ACCEL_REASON_BAD_HANDLE);
    ASSERT_TRUE(worker.load({}, 1, "kernel void other(int x) {} kernel void third(long x) {}", worker.base(0)).ok());
    EXPECT_TRUE(worker.names == "other;third" || worker.names == "third;other") << worker.names;
    EXPECT_TRUE(worker.bind({}, 1, 1, "third").ok());
}

fl_accel_argument_report argument_report(const std::vector<std::byte>& report, std::size_t index) {
    fl_accel_argument_report r;
    std::memcpy(&r, report.data() + sizeof(fl_accel_kernel_report) + index * sizeof r, sizeof r);
    return r;
}

TEST_P(OpenClModules, BindTellsTheArguments) {
    open();
    const char* source = R"(
        typedef struct { float a[5]; char b; } Odd;
        kernel __attribute__((reqd_work_group_size(8, 1, 1)))
        void k(global float* restrict out, global const int* in, constant float* table, local int* scratch,
               float4 v, Odd odd, ulong n) { out[0] = in[0] + table[0] + scratch[0] + v.x + odd.a[0] + n; })";
    ASSERT_TRUE(worker.load({}, 1, source, worker.base(0)).ok()) << worker.log;
    const std::uint64_t at = worker.base(0) + kStaging / 2;
    ASSERT_TRUE(worker.bind({}, 1, 1, "k", at, 4096).ok());
    const std::vector<std::byte> report(worker.at(at), worker.at(at) + 4096);
    fl_accel_kernel_report head;
    std::memcpy(&head, report.data(), sizeof head);
    ASSERT_EQ(head.arguments.get(), 7U);
    EXPECT_EQ(head.argument_report_bytes.get(), sizeof(fl_accel_argument_report));
    EXPECT_EQ(head.required_block[0].get(), 8U);
    EXPECT_GE(head.max_block.get(), 1U);
    const std::array<std::uint32_t, 7> kinds = {
        FL_ACCEL_ARGUMENT_ADDRESS, FL_ACCEL_ARGUMENT_ADDRESS, FL_ACCEL_ARGUMENT_ADDRESS, FL_ACCEL_ARGUMENT_SHARED,
        FL_ACCEL_ARGUMENT_VALUE,   FL_ACCEL_ARGUMENT_VALUE,   FL_ACCEL_ARGUMENT_VALUE};
    for (std::size_t i = 0; i < kinds.size(); ++i) EXPECT_EQ(argument_report(report, i).kind.get(), kinds[i]) << i;
    EXPECT_EQ(argument_report(report, 0).flags.get() & FL_ACCEL_ARGUMENT_CONST, 0U);
    EXPECT_NE(argument_report(report, 0).flags.get() & FL_ACCEL_ARGUMENT_RESTRICT, 0U);
    EXPECT_NE(argument_report(report, 1).flags.get() & FL_ACCEL_ARGUMENT_CONST, 0U);
    EXPECT_NE(argument_report(report, 2).flags.get() & FL_ACCEL_ARGUMENT_CONSTANT, 0U);
    EXPECT_EQ(argument_report(report, 4).bytes.get(), 16U);
    // Not every runtime minds the size of a struct; then it is not known.
    EXPECT_TRUE(argument_report(report, 5).bytes.get() == 24U || argument_report(report, 5).bytes.get() == 0U);
    EXPECT_EQ(argument_report(report, 6).bytes.get(), 8U);
    EXPECT_STREQ(reinterpret_cast<const char*>(argument_report(report, 3).name), "scratch");
    EXPECT_STREQ(reinterpret_cast<const char*>(argument_report(report, 4).type_name), "float4");
}

// --- launches

TEST_P(OpenClModules, LaunchesThatDoNotFitTheKernelSaySo) {
    open();
    ASSERT_TRUE(worker.load({}, 1, kAdd, worker.base(0)).ok());
    ASSERT_TRUE(worker.bind({}, 1, 1, "add").ok());
    const auto m = allocate(4096);
    const auto reason = [&](const Arguments& a, std::uint32_t items = 64, std::uint32_t block = 0) {
        return worker.prepare(WorkerHarness::request({}, 1, a, items, block));
    };
    const Arguments good = Arguments().address(m).address(m).address(m).value(1U);
    EXPECT_TRUE(reason(good).ok());
    const auto few = reason(Arguments().address(m).address(m));
    EXPECT_EQ(few.reason, FL_ACCEL_REASON_ARGUMENT_COUNT);
    EXPECT_EQ(few.detail, 4U);
    EXPECT_EQ(reason(Arguments().address(m).address(m).address(m).value(1U).value(1U)).reason,
              FL_ACCEL_REASON_ARGUMENT_COUNT);
    const auto size = reason(Arguments().address(m).address(m).address(m).value(std::uint64_t{1}));
    EXPECT_EQ(size.reason, FL_ACCEL_REASON_ARGUMENT_VALUE);
    EXPECT_EQ(size.detail, 56U);
    EXPECT_EQ(reason(Arguments().value(m).address(m).address(m).value(1U)).reason, FL_ACCEL_REASON_ARGUMENT_VALUE);
    const auto outside = reason(Arguments().address(m).address(m + 4096).address(m).value(1U));
    EXPECT_EQ(outside.reason, FL_ACCEL_REASON_NOT_ALLOCATED);
    EXPECT_EQ(outside.detail, 24U);
    LaunchRequest cut = WorkerHarness::request({}, 1, good, 64);
    cut.arguments = good.bytes().first(good.bytes().size() - 4);
    EXPECT_EQ(worker.prepare(cut).reason, FL_ACCEL_REASON_ARGUMENT_BYTES);
    LaunchRequest flat = WorkerHarness::request({}, 1, good, 64);
    flat.dimensions = 0;
    EXPECT_EQ(worker.prepare(flat).reason, FL_ACCEL_REASON_BAD_GRID);
    EXPECT_EQ(reason(good, 0).reason, FL_ACCEL_REASON_BAD_GRID);
    EXPECT_EQ(reason(good, 1U << 24, 1U << 24).reason, FL_ACCEL_REASON_BAD_GRID);
}

TEST_P(OpenClModules, PrepareListsWhatIsTouched) {
    open();
    ASSERT_TRUE(worker.load({}, 1, kAdd, worker.base(0)).ok());
    ASSERT_TRUE(worker.bind({}, 1, 1, "add").ok());
    const auto a = allocate(8192), c = allocate(4096);
    const Arguments arguments = Arguments().address(a + 256).address(0).address(c).value(1U);
    ASSERT_TRUE(worker.prepare(WorkerHarness::request({}, 1, arguments, 1)).ok());
    const auto items = worker.touches.items();
    ASSERT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0].address, a);
    EXPECT_EQ(items[0].bytes, 8192U);
    EXPECT_FALSE(items[0].write);
    EXPECT_EQ(items[1].address, c);
    EXPECT_TRUE(items[1].write);
}

TEST_P(OpenCl, AddressesMayPointIntoAnAllocation) {
    open();
    ASSERT_TRUE(
        worker.load({}, 1, "kernel void set(global int* p, int v) { p[get_global_id(0)] = v; }", worker.base(0)).ok());
    ASSERT_TRUE(worker.bind({}, 1, 1, "set").ok());
    const auto m = put(std::vector<int>(1024, -1));
    const auto set = [&](std::uint64_t offset, int v) {
        const Arguments arguments = Arguments().address(m + offset).value(v);
        return worker.launch(WorkerHarness::request({}, 1, arguments, 2));
    };
    EXPECT_TRUE(set(0, 1).ok());
    EXPECT_TRUE(set(1024, 2).ok());
    for (std::uint64_t i = 4; i < 12; ++i) EXPECT_TRUE(set(i * 256, 3).ok());
    const Outcome odd = set(36, 4);  // a buffer in the device begins where the device likes
    EXPECT_EQ(odd.reason, local() ? FL_ACCEL_REASON_MISALIGNED : FL_ACCEL_REASON_NONE);
    const auto got = get<int>(m, 1024);
    EXPECT_EQ(got[0], 1);
    EXPECT_EQ(got[2], -1);
    EXPECT_EQ(got[257], 3);
    EXPECT_EQ(got[9], local() ? -1 : 4);
}

TEST_P(OpenCl, BlocksShareMemory) {
    open();
    const char* source = R"(
        kernel void sums(global const int* in, global int* out, local int* s) {
            const size_t l = get_local_id(0);
            s[l] = in[get_global_id(0)];
            for (size_t n = get_local_size(0) / 2; n > 0; n /= 2) {
                barrier(CLK_LOCAL_MEM_FENCE);
                if (l < n) s[l] += s[l + n];
            }
            if (l == 0) out[get_group_id(0)] = s[0];
        })";
    ASSERT_TRUE(worker.load({}, 1, source, worker.base(0)).ok()) << worker.log;
    ASSERT_TRUE(worker.bind({}, 1, 1, "sums").ok());
    std::vector<int> in(256);
    std::iota(in.begin(), in.end(), 0);
    const auto at_in = put(in), at_out = allocate(4096);
    const Arguments good = Arguments().address(at_in).address(at_out).shared(64 * sizeof(int));
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, 1, good, 256, 64)).ok());
    const auto out = get<int>(at_out, 4);
    for (int g = 0; g < 4; ++g) EXPECT_EQ(out[static_cast<std::size_t>(g)], 64 * 64 * g + 64 * 63 / 2);
    const Arguments much = Arguments().address(at_in).address(at_out).shared(1U << 30);
    const Outcome refused = worker.launch(WorkerHarness::request({}, 1, much, 256, 64));
    EXPECT_EQ(refused.reason, FL_ACCEL_REASON_OUT_OF_MEMORY);
    EXPECT_FALSE(worker->lost(0));
}

TEST_P(OpenCl, ChainsRunInOrder) {
    open();
    ASSERT_TRUE(
        worker.load({}, 1, "kernel void count(global uint* p, uint i) { if (*p == i) *p = i + 1; }", worker.base(0))
            .ok());
    ASSERT_TRUE(worker.bind({}, 1, 1, "count").ok());
    const auto m = put(std::vector<std::uint32_t>(1024));
    constexpr std::uint32_t kCount = 3000;  // more than the ring takes at once
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (std::uint32_t i = 0; i < kCount; ++i) {
        const Arguments arguments = Arguments().address(m).value(i);
        LaunchRequest r = WorkerHarness::request({}, 1, arguments, 1);
        r.behind = i != 0;
        ASSERT_TRUE(worker->chains(r));
        ASSERT_TRUE(worker.prepare(r).ok());
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->launch(job, r));
    }
    for (const auto& [job, answer] : jobs) ASSERT_TRUE(worker.wait(job, answer).ok());
    EXPECT_EQ(get<std::uint32_t>(m, 1)[0], kCount);
    EXPECT_EQ(worker->usage(0).kernels, kCount);
    EXPECT_EQ(worker->usage().kernels, kCount);
}

TEST_P(OpenCl, WhatIsBehindAFailureDoesNotRun) {
    open();
    ASSERT_TRUE(
        worker.load({}, 1, "kernel void set(global int* p, local int* s, int v) { *p = v; }", worker.base(0)).ok());
    ASSERT_TRUE(worker.bind({}, 1, 1, "set").ok());
    const auto m = put(std::vector<int>(1024));
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (int i = 0; i < 4; ++i) {
        const Arguments arguments = Arguments().address(m).shared(i == 1 ? 1U << 30 : 64).value(i + 1);
        LaunchRequest r = WorkerHarness::request({}, 1, arguments, 1);
        r.behind = i != 0;
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->launch(job, r));
    }
    EXPECT_EQ(worker.wait(jobs[0].first, jobs[0].second).reason, FL_ACCEL_REASON_NONE);
    EXPECT_EQ(worker.wait(jobs[1].first, jobs[1].second).reason, FL_ACCEL_REASON_OUT_OF_MEMORY);
    EXPECT_EQ(worker.wait(jobs[2].first, jobs[2].second).reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(worker.wait(jobs[3].first, jobs[3].second).reason, FL_ACCEL_REASON_POISONED);
    EXPECT_EQ(get<int>(m, 1)[0], 1);
    const Arguments arguments = Arguments().address(m).shared(64).value(9);
    EXPECT_TRUE(worker.launch(WorkerHarness::request({}, 1, arguments, 1)).ok());
    EXPECT_EQ(get<int>(m, 1)[0], 9);
}

// --- memory

TEST_P(OpenCl, CopiesAndFills) {
    open();
    std::vector<std::uint32_t> data(2048);
    std::iota(data.begin(), data.end(), 1U);
    const auto a = put(data), b = allocate(8192);
    EXPECT_EQ(get<std::uint32_t>(b, 2048), std::vector<std::uint32_t>(2048));
    EXPECT_TRUE(worker.copy({}, b + 4, a + 8, 400).ok());
    auto got = get<std::uint32_t>(b, 102);
    EXPECT_EQ(got[0], 0U);
    EXPECT_EQ(got[1], 3U);
    EXPECT_EQ(got[100], 102U);
    EXPECT_EQ(got[101], 0U);
    EXPECT_TRUE(worker.copy({}, a + 40, a, 4000).ok());  // overlapping
    got = get<std::uint32_t>(a, 1011);
    EXPECT_EQ(got[10], 1U);
    EXPECT_EQ(got[1009], 1000U);
    EXPECT_EQ(got[1010], 1011U);
    const std::uint32_t pattern = 0xabcd1234;
    const auto fill = [&](auto job) {
        return worker->fill(job, {}, b + 16, 4000, std::as_bytes(std::span(&pattern, 1)), false);
    };
    EXPECT_TRUE(worker.run(fill).ok());
    got = get<std::uint32_t>(b, 1005);
    EXPECT_EQ(got[3], 5U);
    EXPECT_EQ(got[4], pattern);
    EXPECT_EQ(got[1003], pattern);
    EXPECT_EQ(got[1004], 0U);
}

TEST_P(OpenCl, FreedMemoryIsZeroWhenItComesBack) {
    open();
    const auto m = put(std::vector<std::uint32_t>(1024, 0x55555555));
    EXPECT_TRUE(worker.scrub({}, m, 4096).ok());
    EXPECT_TRUE(worker.commit({}, m, 4096).ok());
    EXPECT_EQ(get<std::uint32_t>(m, 1024), std::vector<std::uint32_t>(1024));
    std::memset(worker.at(worker.base(0)), 0x77, 4096);
    EXPECT_TRUE(worker.close(0).ok());
    EXPECT_EQ(static_cast<int>(*worker.at(worker.base(0))), 0);
}

// --- foreign code

#if defined(__x86_64__)
constexpr const char* kForeign = R"(
long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
kernel void reach(global long* out, global const char* path) {
    const long parent = call(110, 0, 0, 0);                    // getppid
    out[0] = call(62, parent, 0, 0);                           // kill
    out[1] = call(62, -1, 0, 0);
    out[2] = call(41, 1, 1, 0);                                // socket(AF_UNIX)
    out[3] = call(101, 16, parent, 0);                         // ptrace(PTRACE_ATTACH)
    out[4] = call(2, (long)path, 0, 0);                        // open
    out[5] = call(2, (long)path, 0x41, 0600);                  // open(O_CREAT | O_WRONLY)
    out[6] = call(62, call(39, 0, 0, 0), 0, 0);                // kill(getpid(), 0)
})";

TEST_P(OpenCl, NativeCodeReachesNothingElse) {
    open();
    if (worker.load({}, 1, kForeign, worker.base(0)).reason == FL_ACCEL_REASON_BUILD) {
        GTEST_SKIP() << "this device's compiler takes no machine code: " << worker.log;
    }
    ASSERT_TRUE(worker.bind({}, 1, 1, "reach").ok());
    const std::string path = "/etc/hostname";
    const auto at_path = put(std::vector<char>(path.c_str(), path.c_str() + path.size() + 1)), out = allocate(4096);
    const Arguments arguments = Arguments().address(out).address(at_path);
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, 1, arguments, 1)).ok());
    const auto results = get<std::int64_t>(out, 7);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(results[i], -EPERM) << i;
    EXPECT_EQ(results[6], 0);
    // Files are Landlock's: Linux 5.19 and later, if it is built in and turned on.
    if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U) < 2) GTEST_SKIP() << "this kernel has no Landlock";
    EXPECT_EQ(results[4], -EACCES);
    EXPECT_EQ(results[5], -EACCES);
}
#endif

// --- what goes wrong

constexpr const char* kBad = R"(
kernel void wild(global int* p, ulong where) { *(volatile global int*)where = 1; *p = 1; }
kernel void endless(global volatile int* p) { while (*p == 0) { } }
kernel void fine(global int* p) { *p = 42; }
)";

class OpenClFaults : public OpenCl {
protected:
    void prepare_bad(std::uint32_t context = 0) {
        const JobOwner who{context, 0};
        open(context);
        ASSERT_TRUE(worker.load(who, 1, kBad, worker.base(context)).ok()) << worker.log;
        ASSERT_TRUE(worker.bind(who, 1, 1, "wild").ok());
        ASSERT_TRUE(worker.bind(who, 1, 2, "endless").ok());
        ASSERT_TRUE(worker.bind(who, 1, 3, "fine").ok());
        memory_ = allocate(4096, who);
    }
    LaunchRequest wild() {
        arguments_ = Arguments().address(memory_).value(std::uint64_t{0x10});
        return WorkerHarness::request({}, 1, arguments_, 1);
    }
    LaunchRequest endless(std::uint32_t stream = 0) {
        arguments_ = Arguments().address(memory_);
        return WorkerHarness::request({0, stream}, 2, arguments_, 1);
    }
    void expect_lost() {
        EXPECT_TRUE(worker->lost(0));
        EXPECT_EQ(worker.commit({}, worker.base(0) + (32 << 20), kPage).reason, FL_ACCEL_REASON_CONTEXT_LOST);
        EXPECT_EQ(worker.bind({}, 1, 4, "fine").reason, FL_ACCEL_REASON_CONTEXT_LOST);
        EXPECT_EQ(worker.launch(endless()).reason, FL_ACCEL_REASON_CONTEXT_LOST);
    }
    void expect_new_context_works() {
        EXPECT_TRUE(worker.close(0).ok());
        EXPECT_FALSE(worker->lost(0));
        used_.clear();
        prepare_bad();
        arguments_ = Arguments().address(memory_);
        EXPECT_TRUE(worker.launch(WorkerHarness::request({}, 3, arguments_, 1)).ok());
        EXPECT_EQ(get<int>(memory_, 1)[0], 42);
    }
    std::uint64_t memory_ = 0;
    Arguments arguments_;
};
INSTANTIATE_TEST_SUITE_P(Places, OpenClFaults, testing::Values(WorkerPlace::aperture, WorkerPlace::local),
                         [](const auto& test) { return test.param == WorkerPlace::local ? "local" : "aperture"; });

TEST_P(OpenClFaults, AWildPointerCostsTheContext) {
    prepare_bad();
    EXPECT_EQ(worker.launch(wild()).reason, FL_ACCEL_REASON_CRASHED);
    expect_lost();
    expect_new_context_works();
}

TEST_P(OpenClFaults, WhatWasBehindACrashIsLost) {
    prepare_bad();
    const LaunchRequest first = wild();
    const std::uint64_t a = worker.number(), b = worker.number();
    const auto answer = worker->launch(a, first);
    const Arguments fine = Arguments().address(memory_);
    LaunchRequest second = WorkerHarness::request({}, 3, fine, 1);
    second.behind = true;
    const auto behind = worker->launch(b, second);
    EXPECT_EQ(worker.wait(a, answer).reason, FL_ACCEL_REASON_CRASHED);
    EXPECT_EQ(worker.wait(b, behind).reason, FL_ACCEL_REASON_CONTEXT_LOST);
}

TEST_P(OpenClFaults, CancelingAnEndlessKernelCostsTheContext) {
    prepare_bad();
    const std::uint64_t job = worker.number();
    const auto answer = worker->launch(job, endless());
    worker->cancel(job);
    EXPECT_EQ(worker.wait(job, answer).reason, FL_ACCEL_REASON_EXECUTION);
    EXPECT_TRUE(worker.wait_until([&] { return worker->lost(0); }));
    expect_new_context_works();
}

TEST_P(OpenClFaults, ACanceledBuildCostsNothing) {
    prepare_bad();
    std::string source = "kernel void big(global float* p) { float x = p[0];\n";
    for (int i = 0; i < 4000; ++i) source += "x = sin(x) + p[" + std::to_string(i) + "];\n";
    source += "p[0] = x; }";
    std::memcpy(worker.at(worker.base(0)), source.data(), source.size());
    backend::LoadRequest r;
    r.module = 2;
    r.kind = FL_ACCEL_MODULE_OPENCL_C;
    r.image_address = worker.base(0);
    r.image_bytes = source.size();
    const std::uint64_t job = worker.number();
    const auto answer = worker->load(job, r);
    worker->cancel(job);
    const auto reason = worker.wait(job, answer).reason;
    EXPECT_TRUE(reason == FL_ACCEL_REASON_EXECUTION || reason == FL_ACCEL_REASON_NONE) << reason;
    arguments_ = Arguments().address(memory_);
    EXPECT_TRUE(worker.launch(WorkerHarness::request({}, 3, arguments_, 1)).ok());
    EXPECT_FALSE(worker->lost(0));
}

TEST_P(OpenClFaults, AnotherContextGoesOnWhileOneDies) {
    constexpr std::uint32_t kN = 96, kRounds = 40;
    prepare_bad();
    const JobOwner calm{1, 1};
    open(1);
    const char* gemm = R"(
        kernel void gemm(global const float* a, global const float* b, global float* c, uint n) {
            const size_t x = get_global_id(0) % n, y = get_global_id(0) / n;
            float sum = 0;
            for (uint k = 0; k < n; ++k) sum += a[y * n + k] * b[k * n + x];
            c[y * n + x] += sum;
        })";
    ASSERT_TRUE(worker.load(calm, 1, gemm, worker.base(1)).ok()) << worker.log;
    ASSERT_TRUE(worker.bind(calm, 1, 1, "gemm").ok());
    std::vector<float> a(kN * kN), b(kN * kN), wanted(kN * kN);
    for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<float>(i % 7);
        b[i] = static_cast<float>(i % 5) - 2.F;
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        for (std::size_t k = 0; k < kN; ++k) wanted[i] += a[i / kN * kN + k] * b[k * kN + i % kN] * kRounds;
    }
    const auto at_a = put(a, calm), at_b = put(b, calm), at_c = allocate(kN * kN * 4, calm);
    const Arguments arguments = Arguments().address(at_a).address(at_b).address(at_c).value(kN);
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (std::uint32_t i = 0; i < kRounds; ++i) {
        LaunchRequest r = WorkerHarness::request(calm, 1, arguments, kN * kN);
        r.behind = i != 0;
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->launch(job, r));
        if (i == kRounds / 2) {
            EXPECT_EQ(worker.launch(wild()).reason, FL_ACCEL_REASON_CRASHED);
        }
    }
    for (const auto& [job, answer] : jobs) ASSERT_TRUE(worker.wait(job, answer).ok());
    EXPECT_EQ(get<float>(at_c, kN * kN, calm), wanted);
    EXPECT_TRUE(worker->lost(0));
    EXPECT_FALSE(worker->lost(1));
}

TEST_P(OpenClFaults, KilledFromOutsideWhileAKernelRuns) {
    prepare_bad();
    const std::uint64_t job = worker.number();
    const auto answer = worker->launch(job, endless());
    const auto pids = children();
    ASSERT_EQ(pids.size(), 1U);
    ASSERT_EQ(::kill(pids.front(), SIGKILL), 0);
    EXPECT_EQ(worker.wait(job, answer).reason, FL_ACCEL_REASON_CRASHED);
    expect_lost();
    expect_new_context_works();
}

TEST(OpenClProcesses, LeaveNothingBehind) {
    WorkerHarness worker(worker_options(1 << 20, 2));
    std::size_t files = 0;
    for (int i = 0; i < 3; ++i) {  // worker_test.cpp has more, of a worker that is quicker
        worker->open(0);
        ASSERT_TRUE(worker.commit({}, worker.base(0), 1 << 20).ok());
        ASSERT_TRUE(worker.load({}, 1, kBad, worker.base(0)).ok());
        ASSERT_TRUE(worker.close(0).ok());
        if (i == 0) files = count_of("/proc/self/fd");
    }
    EXPECT_EQ(count_of("/proc/self/fd"), files);
    EXPECT_TRUE(children().empty());
}

/// Many kernels of one stream may take longer than the limit together; each has the time to itself.
TEST(OpenClTimeLimit, CountsForEachKernelOfAChain) {
    auto options = worker_options();
    options.time_limit_ms = 2500;
    WorkerHarness worker(options);
    worker->open(0);
    ASSERT_TRUE(worker.commit({}, worker.base(0), 1 << 20).ok());
    const char* source = "kernel void spin(global volatile uint* p, uint n) { for (uint i = 0; i < n; ++i) p[0] = i; }";
    ASSERT_TRUE(worker.load({}, 1, source, worker.base(0)).ok()) << worker.log;
    ASSERT_TRUE(worker.bind({}, 1, 1, "spin").ok());
    const Arguments arguments = Arguments().address(worker.base(0) + (512 << 10)).value(std::uint32_t{50'000'000});
    LaunchRequest r = WorkerHarness::request({}, 1, arguments, 1);
    const auto elapsed = [begin = std::chrono::steady_clock::now()] {
        return std::chrono::steady_clock::now() - begin;
    };
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (int i = 0; i < 8; ++i, r.behind = true) {
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->launch(job, r));
    }
    // As long as one follows the other, until the limit is behind us.
    for (std::size_t next = 0; next < jobs.size(); ++next) {
        ASSERT_TRUE(worker.wait(jobs[next].first, jobs[next].second).ok()) << next;
        if (elapsed() > std::chrono::milliseconds(options.time_limit_ms * 6 / 5)) continue;
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->launch(job, r));
    }
    EXPECT_FALSE(worker->lost(0));
}

TEST(OpenClTimeLimit, AnEndlessKernelEnds) {
    auto options = worker_options();
    options.time_limit_ms = 1500;  // of the innocent as well: its first launch is compiled within it
    WorkerHarness worker(options);
    for (const std::uint32_t context : {0U, 1U}) {
        const JobOwner who{context, 0};
        worker->open(context);
        ASSERT_TRUE(worker.commit(who, worker.base(context), 1 << 20).ok());
        ASSERT_TRUE(worker.load(who, 1, kBad, worker.base(context)).ok());
        ASSERT_TRUE(worker.bind(who, 1, 1, "endless").ok());
    }
    const Arguments a = Arguments().address(worker.base(0));
    std::memset(worker.at(worker.base(0)), 0, 4096);
    const std::uint64_t endless = worker.number(), behind = worker.number();
    const auto first = worker->launch(endless, WorkerHarness::request({0, 0}, 1, a, 1));
    LaunchRequest next = WorkerHarness::request({0, 0}, 1, a, 1);
    next.behind = true;
    const auto second = worker->launch(behind, next);
    EXPECT_EQ(worker.wait(endless, first).reason, FL_ACCEL_REASON_TIME_LIMIT);
    EXPECT_EQ(worker.wait(behind, second).reason, FL_ACCEL_REASON_CONTEXT_LOST);
    EXPECT_TRUE(worker->lost(0));
    EXPECT_FALSE(worker->lost(1));
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1) + (2 << 20), kPage).ok());
}

}  // namespace
}  // namespace farlane::test
