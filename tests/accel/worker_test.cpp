// SPDX-License-Identifier: Apache-2.0
// The executor's side of worker processes: programs that lie, die and storm; processes and memory that must not stay
// behind.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "accel/worker_fixture.hpp"
#include "backend/worker/jobs.hpp"
#include "backend/worker/probe.hpp"
#include "backend/worker/process.hpp"
#include "backend/worker/signature.hpp"

namespace farlane::test {
namespace {

namespace fs = std::filesystem;

/// The fake worker under another name.
class FakeProgram {
public:
    explicit FakeProgram(const std::string& mode) {
        std::string folder = (fs::temp_directory_path() / "fake-worker-XXXXXX").string();
        if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no folder");
        folder_ = folder;
        fs::create_symlink(FARLANE_FAKE_WORKER, folder_ / mode);
        path = folder_ / mode;
    }
    ~FakeProgram() { fs::remove_all(folder_); }
    FakeProgram(const FakeProgram&) = delete;
    FakeProgram& operator=(const FakeProgram&) = delete;
    fs::path path;

private:
    fs::path folder_;
};

backend::WorkerExecutorOptions fake_options(const FakeProgram& program) {
    auto o = worker_options(1 << 20, 2);
    o.worker = program.path.string();
    return o;
}

// --- job numbers

TEST(WorkerJobs, AreFoundByNumber) {
    using backend::worker::Job;
    backend::worker::Jobs jobs(64);
    std::map<std::uint64_t, std::uint32_t> given;
    std::uint64_t seed = 1;
    for (int round = 0; round < 5000; ++round) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        const std::uint64_t number = (seed >> 33) % 100 << (seed >> 62 << 3);
        if (const auto it = given.find(number); it != given.end()) {
            jobs.give_back(it->second);
            given.erase(it);
        } else if (given.size() < 64) {
            given[number] = jobs.take(number, backend::worker::JobKind::launch, {});
        }
        for (const auto& [n, slot] : given) ASSERT_EQ(jobs.find(n), slot);
        if (given.count(number) == 0) {
            ASSERT_EQ(jobs.find(number), Job::kNone);
        }
    }
}

// --- workers that lie

class HostileWorker : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Modes, HostileWorker,
                         testing::Values("unknown-type", "unknown-job", "far-job", "old-job", "unknown-reason",
                                         "short-record", "odd-length", "no-length", "long-record", "longer-than-there",
                                         "tail-too-far", "ready-twice", "unasked-built", "exits", "hurry"),
                         [](const auto& test) {
                             std::string name = test.param;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name;
                         });

TEST_P(HostileWorker, CostsOnlyItsContext) {
    const FakeProgram program(GetParam());
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    worker->open(1);
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1), 4096).ok());
    backend::LoadRequest request;
    request.module = 1;
    request.kind = FL_ACCEL_MODULE_OPENCL_C;
    request.image_address = worker.base(0);
    request.image_bytes = 10;
    EXPECT_EQ(worker.run([&](auto job) { return worker->load(job, request); }).reason, FL_ACCEL_REASON_CRASHED);
    EXPECT_TRUE(worker->lost(0));
    EXPECT_EQ(worker.commit({0, 0}, worker.base(0), 4096).reason, FL_ACCEL_REASON_CONTEXT_LOST);
    EXPECT_FALSE(worker->lost(1));
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1) + 8192, 4096).ok());
    EXPECT_TRUE(worker.close(0).ok());
    EXPECT_TRUE(worker.close(1).ok());
    EXPECT_TRUE(children().empty());
}

/// A load of text in context 0.
backend::LoadRequest text_of_context_0(WorkerHarness& worker, std::uint32_t stream = 0) {
    backend::LoadRequest request;
    request.owner = {0, stream};
    request.module = stream + 1;
    request.kind = FL_ACCEL_MODULE_OPENCL_C;
    request.image_address = worker.base(0);
    request.image_bytes = 10;
    return request;
}

// The lane may sleep through all of its life: it was ready none the less.
TEST(WorkerProgram, ThatDiesBeforeTheLaneHasHeardOfItHasCrashed) {
    const FakeProgram program("exits");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    const std::uint64_t job = worker.number();
    const auto answer = worker->load(job, text_of_context_0(worker));
    const auto until = std::chrono::steady_clock::now() + WorkerHarness::kForever;
    const auto gone = [&] { return worker->has_done() && children().empty(); };
    while (!gone() && std::chrono::steady_clock::now() < until) ::usleep(1000);
    EXPECT_EQ(worker.wait(job, answer).reason, FL_ACCEL_REASON_CRASHED);
}

TEST(WorkerProgram, HowItEndedIsInTheDetailAndInTheLog) {
    struct Case {
        const char* mode;
        std::uint32_t detail;
        const char* text;
    };
    for (const Case& c : {Case{"aborts", 6, "was ended by signal 6 (SIGABRT); it compiled module 1 of queue pair 0"},
                          Case{"exits-with-3", FL_ACCEL_CRASHED_EXIT + 3, "ended by itself with status 3"},
                          Case{"far-job", 0, "was killed: it wrote into its ring what it must not"}}) {
        const FakeProgram program(c.mode);
        auto o = fake_options(program);
        o.name = "accel7";
        std::string log;
        o.log = [&](const std::string& line) { log += line + '\n'; };
        testing::internal::CaptureStderr();
        WorkerHarness worker(o);
        worker->open(0);
        const auto outcome = worker.run([&](auto job) { return worker->load(job, text_of_context_0(worker)); });
        EXPECT_EQ(outcome.reason, FL_ACCEL_REASON_CRASHED);
        EXPECT_EQ(outcome.detail, c.detail) << c.mode;
        EXPECT_EQ(testing::internal::GetCapturedStderr().find("accel7"), std::string::npos);
        EXPECT_EQ(log.find("accelerator 'accel7': context 0 is lost: its worker process (pid "), 0U) << log;
        EXPECT_NE(log.find(c.text), std::string::npos) << log;
    }
}

TEST(WorkerProgram, ThatCompilesWithoutEndIsEnded) {
    const FakeProgram program("never");
    auto o = fake_options(program);
    o.build_limit_ms = 200;
    WorkerHarness worker(o);
    worker->open(0);
    worker->open(1);
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1), 4096).ok());
    const auto began = std::chrono::steady_clock::now();
    EXPECT_EQ(worker.run([&](auto job) { return worker->load(job, text_of_context_0(worker)); }).reason,
              FL_ACCEL_REASON_BUILD_LIMIT);
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(200));
    EXPECT_TRUE(worker->lost(0));
    EXPECT_FALSE(worker->lost(1));
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1) + 8192, 4096).ok());
}

// Nor does it help to cancel one after the other.
TEST(WorkerProgram, ThatCompilesWithoutEndForNobodyIsEnded) {
    const FakeProgram program("builds-on");
    auto o = fake_options(program);
    o.build_limit_ms = 300;
    WorkerHarness worker(o);
    worker->open(0);
    const auto began = std::chrono::steady_clock::now();
    const auto canceled = [&](std::uint32_t stream) {
        const std::uint64_t job = worker.number();
        const auto answer = worker->load(job, text_of_context_0(worker, stream));
        worker->cancel(job);
        return worker.wait(job, answer).reason;
    };
    EXPECT_EQ(canceled(0), FL_ACCEL_REASON_EXECUTION);
    const std::uint64_t behind = worker.number();
    const auto answer = worker->load(behind, text_of_context_0(worker, 2));
    while (!worker->lost(0) && std::chrono::steady_clock::now() - began < WorkerHarness::kForever) {
        (void)canceled(1);
        ::usleep(20'000);
    }
    EXPECT_TRUE(worker->lost(0));
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(300));
    EXPECT_EQ(worker.wait(behind, answer).reason, FL_ACCEL_REASON_CONTEXT_LOST) << "it never had its turn";
}

TEST(WorkerProgram, BuildsWaitForEachOtherWithinTheLimit) {
    const FakeProgram program("slow");
    auto o = fake_options(program);
    o.build_limit_ms = 2000;
    WorkerHarness worker(o);
    worker->open(0);
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (std::uint32_t stream = 0; stream < 6; ++stream) {  // 3 s in all
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->load(job, text_of_context_0(worker, stream)));
    }
    for (const auto& [job, answer] : jobs) EXPECT_TRUE(worker.wait(job, answer).ok());
}

TEST(WorkerProgram, WhatItSaysOfEnergyIsOnlyBelievedWhenItCanBe) {
    const FakeProgram program("boasts");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    ASSERT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
    EXPECT_EQ(worker->energy_uj(), 1000U);
    ASSERT_TRUE(worker.commit({}, worker.base(0) + 8192, 4096).ok());
    EXPECT_EQ(worker->energy_uj(), 1000U);
}

TEST(WorkerProgram, ThatComplainsWithoutEndIsEnded) {
    const FakeProgram program("complains");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    EXPECT_TRUE(worker.wait_until([&] { return worker->lost(0); }));
    worker->open(1);
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1), 4096).ok());
}

TEST(WorkerProgram, ThatAnswersTwiceIsEnded) {
    const FakeProgram program("twice");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    EXPECT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
    EXPECT_TRUE(worker.wait_until([&] { return worker->lost(0); }));
}

TEST(WorkerProgram, ThatReportsNonsenseOfAKernelIsEnded) {
    const FakeProgram program("bad-report");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    EXPECT_EQ(worker.bind({}, 1, 1, "k").reason, FL_ACCEL_REASON_EXECUTION);
    EXPECT_TRUE(worker.wait_until([&] { return worker->lost(0); }));
}

TEST(WorkerProgram, ThatNeverReadsHoldsUpNobody) {
    const FakeProgram program("lies-about-head");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    worker->open(1);
    std::vector<std::pair<std::uint64_t, Executor::Answer>> jobs;
    for (std::uint64_t i = 0; i < 6000; ++i) {  // more than its ring takes
        const std::uint64_t job = worker.number();
        jobs.emplace_back(job, worker->commit(job, {}, worker.base(0) + i % 256 * 4096, 4096));
    }
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1), 4096).ok());
    const std::uint64_t last = jobs.back().first;
    worker->cancel(last);
    EXPECT_EQ(worker.wait(last, jobs.back().second).reason, FL_ACCEL_REASON_EXECUTION);
    for (std::size_t i = 0; i + 1 < jobs.size(); ++i) {
        EXPECT_EQ(worker.wait(jobs[i].first, jobs[i].second).reason, FL_ACCEL_REASON_CONTEXT_LOST);
    }
    EXPECT_TRUE(worker->lost(0));
    EXPECT_FALSE(worker->lost(1));
}

TEST(WorkerProgram, ThatStormsBlocksNobody) {
    const FakeProgram program("storm");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    worker->open(1);
    EXPECT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
    for (std::uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(worker.commit({1, 0}, worker.base(1) + i * 4096, 4096).ok());
    EXPECT_TRUE(worker.close(0).ok());
    EXPECT_TRUE(worker.close(1).ok());
}

TEST(WorkerProgram, CanNotTakeMemoryAway) {
    const FakeProgram program("shrinks");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    EXPECT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
    std::memset(worker.at(worker.base(0)), 1, 1 << 20);
    EXPECT_TRUE(worker.close(0).ok());
}

TEST(WorkerProgram, ThatDoesNotStartIsToldOnce) {
    for (const char* mode : {"wild-start", "not-ready"}) {
        const FakeProgram program(mode);
        WorkerHarness worker(fake_options(program));
        worker->open(0);
        EXPECT_EQ(worker.commit({}, worker.base(0), 4096).reason, FL_ACCEL_REASON_NO_WORKER) << mode;
        EXPECT_TRUE(worker->lost(0));
        EXPECT_EQ(worker.commit({}, worker.base(0), 4096).reason, FL_ACCEL_REASON_NO_WORKER) << mode;
        EXPECT_TRUE(worker.close(0).ok());
    }
}

TEST(WorkerProgram, OfAnotherVersionIsNotUsed) {
    const FakeProgram program("wrong-version");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    const auto reason = worker.commit({}, worker.base(0), 4096).reason;
    EXPECT_EQ(reason, FL_ACCEL_REASON_CONTEXT_LOST);
    EXPECT_TRUE(worker->lost(0));
}

// --- what is found

TEST(WorkerProgram, MissingOneSaysWhereItWasLookedFor) {
    auto o = worker_options();
    o.worker = "/nonexistent/worker";
    const auto made = backend::make_worker_executor(o);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.status(), Status::not_found);
    EXPECT_NE(made.failure().detail.find("/nonexistent/worker"), std::string::npos);
}

TEST(WorkerProgram, ThatFindsNothingSaysWhatItFound) {
    const auto refused = [](const char* mode, const char* device) {
        const FakeProgram program(mode);
        auto o = fake_options(program);
        o.device = device;
        o.wake = [] {};
        return backend::make_worker_executor(o).failure();
    };
    const Failure unknown = refused("good", "radeon");
    EXPECT_EQ(unknown.status, Status::unsupported);
    EXPECT_NE(unknown.detail.find("0: fake, 1: Broken one (P) [no compiler]"), std::string::npos) << unknown.detail;
    const Failure broken = refused("good", "broken");
    EXPECT_NE(broken.detail.find("no compiler"), std::string::npos) << broken.detail;
    EXPECT_EQ(refused("no-json", "").status, Status::protocol);
    EXPECT_EQ(refused("no-probe", "").status, Status::protocol);
    const FakeProgram program("good");
    auto cuda = fake_options(program);
    cuda.kind = FL_ACCEL_EXECUTOR_CUDA;
    cuda.wake = [] {};
    EXPECT_EQ(backend::make_worker_executor(cuda).status(), Status::protocol);
}

TEST(WorkerProgram, WhereOnlyTheOtherRuntimeHasDevicesTheErrorSaysSo) {
    const auto refused = [](const char* mode, fl_accel_executor kind) {
        const FakeProgram program(mode);
        auto o = fake_options(program);
        o.kind = kind;
        o.wake = [] {};
        return backend::make_worker_executor(o).failure().detail;
    };
    const std::string no_cuda = refused("only-opencl", FL_ACCEL_EXECUTOR_CUDA);
    EXPECT_NE(no_cuda.find("no libcuda.so.1"), std::string::npos) << no_cuda;
    EXPECT_NE(no_cuda.find("this machine has OpenCL devices (0: fake): executor = \"opencl\" uses them"),
              std::string::npos)
        << no_cuda;
    const std::string no_opencl = refused("only-cuda", FL_ACCEL_EXECUTOR_OPENCL);
    EXPECT_NE(no_opencl.find("Broken one [no compiler]"), std::string::npos) << no_opencl;
    EXPECT_NE(no_opencl.find("this machine has CUDA devices (0: fake GPU): executor = \"cuda\" uses them"),
              std::string::npos)
        << no_opencl;
}

TEST(WorkerProgram, TellsNamesAndInfo) {
    const FakeProgram program("good");
    auto o = fake_options(program);
    o.device = "0";
    WorkerHarness worker(o);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(worker->names().data()), worker->names().size()),
              std::string("fake\0nobody\0"
                          "1\0",
                          14));
    EXPECT_EQ(worker->opencl_info().size(), 8U);
    EXPECT_EQ(worker->capabilities(), FL_ACCEL_CAP_OPENCL_C);
    EXPECT_EQ(worker->units(), 1U);
}

// --- nothing stays behind

TEST(WorkerProcesses, LeaveNothingBehind) {
    const FakeProgram program("good");
    WorkerHarness worker(fake_options(program));
    const fs::path temporary = fs::temp_directory_path();
    const std::string mine = "farlane-accel-" + std::to_string(::getpid()) + "-";  // other programs have theirs beside
    std::size_t files = 0, folders = 0;
    for (int i = 0; i < 50; ++i) {
        worker->open(0);
        ASSERT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
        std::memset(worker.at(worker.base(0)), 1, 1 << 20);
        ASSERT_EQ(children().size(), 1U);
        ASSERT_TRUE(worker.close(0).ok());
        ASSERT_EQ(static_cast<int>(*worker.at(worker.base(0) + 5000)), 0);
        ASSERT_TRUE(children().empty());
        if (i == 0) {
            files = count_of("/proc/self/fd");
            folders = count_of(temporary, mine);
        }
    }
    EXPECT_EQ(count_of("/proc/self/fd"), files);
    EXPECT_LE(count_of(temporary, mine), folders);
}

TEST(WorkerProcesses, FoldersOfTheDeadAreSweptAway) {
    std::string own = (fs::temp_directory_path() / "worker-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(own.data()), nullptr);
    const char* before = ::getenv("TMPDIR");
    const std::string old = before == nullptr ? "" : before;
    ::setenv("TMPDIR", own.c_str(), 1);
    {
        auto kept = backend::worker::Folder::make();
        ASSERT_TRUE(kept.ok());
        const fs::path left = fs::path(own) / "farlane-accel-left", other = fs::path(own) / "other";
        fs::create_directories(left / "deep");
        fs::create_directories(other);
        backend::worker::Folder::sweep();
        EXPECT_TRUE(fs::exists(left)) << "may not be locked yet";
        backend::worker::Folder::sweep(std::chrono::seconds(0));
        EXPECT_FALSE(fs::exists(left));
        // Of a process that lives it may not be locked yet; of a dead one it is nobody's, however young.
        const pid_t dead = ::fork();
        if (dead == 0) ::_exit(0);
        ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
        const auto of = [&](pid_t pid) { return fs::path(own) / ("farlane-accel-" + std::to_string(pid) + "-AbC123"); };
        for (const pid_t pid : {dead, ::getppid(), ::getpid()}) fs::create_directories(of(pid) / "deep");
        backend::worker::Folder::sweep();
        EXPECT_FALSE(fs::exists(of(dead)));
        EXPECT_TRUE(fs::exists(of(::getppid())));
        EXPECT_TRUE(fs::exists(of(::getpid())));
        backend::sweep_worker_folders();
        EXPECT_FALSE(fs::exists(of(::getpid()))) << "of this process before it began anew";
        EXPECT_TRUE(fs::exists(of(::getppid())));
        fs::remove_all(of(::getppid()));
        EXPECT_TRUE(fs::exists(other));
        EXPECT_TRUE(fs::exists(kept->path()));
    }
    EXPECT_EQ(count_of(own), 1U);
    fs::remove_all(own);
    if (before == nullptr) {
        ::unsetenv("TMPDIR");
    } else {
        ::setenv("TMPDIR", old.c_str(), 1);
    }
}

TEST(WorkerProcesses, KilledFromOutsideCostsTheContext) {
    const FakeProgram program("good");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    ASSERT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
    ASSERT_EQ(children().size(), 1U);
    ASSERT_EQ(::kill(children().front(), SIGKILL), 0);
    EXPECT_TRUE(worker.wait_until([&] { return worker->lost(0); }));
    EXPECT_EQ(worker.commit({}, worker.base(0), 4096).reason, FL_ACCEL_REASON_CONTEXT_LOST);
    EXPECT_TRUE(worker.close(0).ok());
    worker->open(0);
    EXPECT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
}

TEST(WorkerProcesses, EndWithTheExecutor) {
    const FakeProgram program("good");
    {
        WorkerHarness worker(fake_options(program));
        worker->open(0);
        worker->open(1);
        ASSERT_TRUE(worker.commit({}, worker.base(0), 4096).ok());
        const std::uint64_t job = worker.number();
        (void)worker->commit(job, {1, 0}, worker.base(1), 4096);
    }
    EXPECT_TRUE(children().empty());
}

TEST(WorkerProcesses, AResetEndsAllContexts) {
    const FakeProgram program("good");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    worker->open(1);
    ASSERT_TRUE(worker.commit({1, 0}, worker.base(1), 4096).ok());
    std::memset(worker.at(worker.base(1)), 1, 4096);
    std::memset(worker.at(worker.options().plan.address), 1, 4096);
    EXPECT_TRUE(worker.run([&](auto job) { return worker->scrub_all(job); }).ok());
    EXPECT_TRUE(children().empty());
    EXPECT_EQ(static_cast<int>(*worker.at(worker.base(1))), 0);
    EXPECT_EQ(static_cast<int>(*worker.at(worker.options().plan.address)), 0);
    worker->open(1);
    EXPECT_TRUE(worker.commit({1, 0}, worker.base(1), 4096).ok());
    EXPECT_TRUE(worker.run([&](auto job) { return worker->scrub_all(job); }).ok());
    EXPECT_TRUE(worker.run([&](auto job) { return worker->scrub_all(job); }).ok());
}

TEST(WorkerProcesses, BuiltInKernelsNeedNone) {
    const FakeProgram program("good");
    WorkerHarness worker(fake_options(program));
    worker->open(0);
    ASSERT_TRUE(worker.commit({}, worker.base(0), 8192).ok());
    backend::LoadRequest builtin;
    builtin.module = 1;
    EXPECT_TRUE(worker.run([&](auto job) { return worker->load(job, builtin); }).ok());
    EXPECT_EQ(worker.bind({}, 1, 1, FL_ACCEL_KERNEL_AXPY_F32).value, sizeof(fl_accel_args_axpy_f32));
    auto* x = reinterpret_cast<float*>(worker.at(worker.base(0)));
    x[0] = 3;
    x[1024] = 4;
    fl_accel_args_axpy_f32 args{};
    args.x = fl_le64(worker.base(0));
    args.y = fl_le64(worker.base(0) + 4096);
    args.count = fl_le64(1);
    args.a = fl_le32(0x40000000);
    LaunchRequest request;
    request.kernel = 1;
    request.arguments = std::as_bytes(std::span(&args, 1));
    EXPECT_FALSE(worker->chains(request));
    EXPECT_TRUE(worker.launch(request).ok());
    EXPECT_EQ(x[1024], 10.F);
    EXPECT_EQ(worker->usage(0).kernels, 1U);
    EXPECT_TRUE(worker.copy({}, worker.base(0) + 4, worker.base(0) + 4096, 4).ok());
    EXPECT_EQ(x[1], 10.F);
    EXPECT_TRUE(worker.scrub({}, worker.base(0), 8192).ok());
    EXPECT_EQ(x[0], 0.F);
}

}  // namespace
}  // namespace farlane::test
