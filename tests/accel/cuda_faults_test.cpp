// SPDX-License-Identifier: Apache-2.0
// Receives: jobs that a CUDA context does not survive, and machines that have none. Hands on: whether only what is
// meant ends, and says why. Owns: executors on the stand-in driver (fake_cuda/).
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "accel/cuda_fixture.hpp"

namespace farlane::test {
namespace {

constexpr std::uint64_t kNowhere = 16;

struct CudaFaults : testing::Test, CudaWorker {};

TEST_F(CudaFaults, AWildPointerNamesItsLaunch) {
    open(0);
    open(1);
    load(0);
    load(1);
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    ASSERT_TRUE(commit(local(0, 1), kCudaPage, {1, 0}).ok());
    const auto other = give(WorkerHarness::request({1, 5}, kHold, Arguments().address(local(64, 1)), 1, 1));
    const auto before = give(WorkerHarness::request({0, 3}, kStep, Arguments().address(local()).value(0U), 1, 1));
    EXPECT_TRUE(end(before).ok());
    const auto bad = give(WorkerHarness::request({0, 3}, kWild, Arguments().value(kNowhere), 1, 1));
    const Outcome outcome = end(bad);
    EXPECT_EQ(outcome.reason, FL_ACCEL_REASON_CRASHED);
    EXPECT_EQ(outcome.detail, 700U);
    EXPECT_TRUE(worker.wait_until([&] { return worker->lost(0); }));
    EXPECT_EQ(worker.prepare(WorkerHarness::request({}, kStep, Arguments().address(local()).value(1U), 1, 1)).reason,
              FL_ACCEL_REASON_CONTEXT_LOST);
    // The other context did not notice.
    put(local(64, 1), std::vector<std::uint32_t>{1}, {1, 0});
    EXPECT_TRUE(end(other).ok());
    // And the lost one begins anew.
    EXPECT_TRUE(worker.close(0).ok());
    open(0);
    load(0);
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    EXPECT_TRUE(worker.launch(WorkerHarness::request({}, kStep, Arguments().address(local()).value(0U), 1, 1)).ok());
}

TEST_F(CudaFaults, WhatIsBehindACrashIsLost) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    std::vector<std::uint64_t> jobs = {give(WorkerHarness::request({}, kWild, Arguments().value(kNowhere), 1, 1))};
    const auto arguments = Arguments().address(local()).value(0U);
    auto r = WorkerHarness::request({}, kStep, arguments, 1, 1);
    r.behind = true;
    for (int i = 0; i < 600; ++i) {
        const std::uint64_t job = worker.number();
        if (const auto answer = worker->launch(job, r)) {
            EXPECT_EQ(answer->reason, FL_ACCEL_REASON_CONTEXT_LOST);
        } else {
            jobs.push_back(job);
        }
    }
    unsigned crashed = 0;
    for (const auto job : jobs) {
        const Outcome outcome = end(job);
        EXPECT_FALSE(outcome.ok());
        crashed += outcome.reason == FL_ACCEL_REASON_CRASHED;
    }
    // Those that went to the device together with the one that failed.
    EXPECT_GE(crashed, 1U);
    EXPECT_LE(crashed, 16U);
}

TEST(CudaTimeLimit, AnEndlessKernelEnds) {
    auto o = cuda_options();
    o.time_limit_ms = 300;
    CudaWorker c(o);
    c.open();
    c.load();
    ASSERT_TRUE(c.commit(c.local(), kCudaPage).ok());
    EXPECT_EQ(c.end(c.give(WorkerHarness::request({}, kEndless, Arguments().address(c.local()), 1, 1))).reason,
              FL_ACCEL_REASON_TIME_LIMIT);
    EXPECT_TRUE(c.worker.close(0).ok());
    c.open();
    c.load();
    ASSERT_TRUE(c.commit(c.local(), 64 << 20).ok());  // all memory came back
}

TEST_F(CudaFaults, FreeingWhatAKernelUsesEndsTheContext) {
    open();
    load();
    ASSERT_TRUE(commit(local(), kCudaPage).ok());
    // A pointer into memory that is not there: the device does not see it, the kernel does.
    put(local(), std::vector<std::uint64_t>{local(kCudaChunk), 1});
    const auto arguments = Arguments().address(local()).address(local(64));
    const auto r = WorkerHarness::request({}, kChase, arguments, 1, 1);
    EXPECT_EQ(worker.launch(r).reason, FL_ACCEL_REASON_CRASHED);
}

// --- machines that have none

std::string why_none(const backend::WorkerExecutorOptions& options) {
    auto made = backend::make_worker_executor(options);
    if (made.ok()) return {};
    EXPECT_EQ(made.status(), Status::unsupported);
    return made.failure().detail;
}

TEST(CudaMissing, ADriverWithoutADeviceSaysSo) {
    const std::string text = why_none(cuda_options("no_device"));
    EXPECT_NE(text.find("CUDA_ERROR_NO_DEVICE (100)"), std::string::npos) << text;
    EXPECT_NE(text.find("found: none"), std::string::npos) << text;
}

TEST(CudaMissing, ADriverThatGivesNoAddressesSaysSo) {
    const std::string text = why_none(cuda_options("no_fixed_address"));
    EXPECT_NE(text.find("Stand-in GPU"), std::string::npos) << text;
    EXPECT_NE(text.find("addresses"), std::string::npos) << text;
}

TEST(CudaMissing, ADeviceWithoutAContextSaysSo) {
    const std::string text = why_none(cuda_options("no_context"));
    EXPECT_NE(text.find("[no CUDA context: CUDA_ERROR_OUT_OF_MEMORY (2)]"), std::string::npos) << text;
}

/// Whatever addresses the driver gives, contexts run there.
void run_a_step(const std::string& settings, std::uint64_t least, std::uint64_t end) {
    CudaWorker c(cuda_options(settings));
    EXPECT_GE(c.worker->local().address, least);
    EXPECT_LT(c.worker->local().address, end);
    for (const std::uint32_t context : {0U, 3U}) {
        c.open(context);
        c.load(context);
        const std::uint64_t at = c.local(0, context);
        ASSERT_TRUE(c.commit(at, kCudaPage, {context, 0}).ok());
        const auto arguments = Arguments().address(at).value(0U);
        ASSERT_TRUE(c.worker.launch(WorkerHarness::request({context, 0}, kStep, arguments, 1, 1)).ok());
        EXPECT_EQ(c.get<std::uint32_t>(at, 1, {context, 0})[0], 1U);
    }
}
TEST(CudaAddresses, AreThoseThatTheDriverHasOfItsOwn) {
    run_a_step("own_addresses", std::uint64_t{1} << 33, std::uint64_t{1} << 36);
}
TEST(CudaAddresses, AreNotAlignedByTheDriver) {
    run_a_step("no_alignment", std::uint64_t{1} << 44, (std::uint64_t{1} << 44) + 1);
}

/// What `farlane-accel-worker --check cuda` says.
std::string check_program(const std::string& settings) {
    use_cuda(FARLANE_FAKE_CUDA, settings);
    FILE* from = ::popen((built(FARLANE_WORKER) + " --check cuda 2>&1").c_str(), "r");
    if (from == nullptr) return "no shell to start it";
    std::string text;
    char part[4096];
    for (std::size_t n = 0; (n = std::fread(part, 1, sizeof part, from)) > 0;) text.append(part, n);
    return text + "exit " + std::to_string(WEXITSTATUS(::pclose(from)));
}
std::size_t count_in(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (std::size_t i = text.find(word); i != std::string::npos; i = text.find(word, i + 1)) ++count;
    return count;
}

TEST(CudaCheck, TriesEveryStepFreeAndConfined) {
    const std::string text = check_program("");
    EXPECT_EQ(count_in(text, "copies and launches"), 2U) << text;
    EXPECT_EQ(count_in(text, "freeing"), 2U) << text;
    EXPECT_NE(text.find("all of it works\nexit 0"), std::string::npos) << text;
}

TEST(CudaCheck, NamesWhatWasRefused) {
    const std::string text = check_program("curious");
    if (text.find("does not tell what is refused") != std::string::npos) GTEST_SKIP() << "seccomp here tells nobody";
    EXPECT_NE(text.find("refused: connect (number " + std::to_string(SYS_connect) + "): No such file"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("refused: ptrace (number " + std::to_string(SYS_ptrace) + "): Operation not permitted"),
              std::string::npos)
        << text;
    const bool landlock = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U) >= 2;
    EXPECT_EQ(text.find("refused: open /etc/passwd ") != std::string::npos, landlock) << text;
    EXPECT_NE(text.find("all of it works\nexit 0"), std::string::npos) << text;
}

TEST(CudaCheck, SaysWhichStepFails) {
    const std::string text = check_program("no_context");
    EXPECT_NE(text.find("no CUDA context"), std::string::npos) << text;
    EXPECT_NE(text.find("exit 77"), std::string::npos) << text;
    const std::string later = check_program("no_access");
    EXPECT_NE(later.find("failed: reason"), std::string::npos) << later;
    EXPECT_NE(later.find("something failed\nexit 1"), std::string::npos) << later;
}

TEST(CudaMissing, NoDriverSaysWhatWasLookedFor) {
    auto o = cuda_options();
    use_cuda("/nonexistent", "");
    const std::string text = why_none(o);
    if (text.empty()) GTEST_SKIP() << "this machine has an NVIDIA driver";
    EXPECT_NE(text.find("libcuda.so.1"), std::string::npos) << text;
}

TEST(CudaMissing, PlaceApertureIsRefused) {
    auto o = cuda_options();
    o.place = WorkerPlace::aperture;
    EXPECT_NE(why_none(o).find("place=aperture"), std::string::npos);
}

TEST(CudaMissing, AContextThatDoesNotStartIsNoWorker) {
    CudaWorker c;
    use_cuda(FARLANE_FAKE_CUDA, "no_context");
    c.worker->open(0);
    testing::internal::CaptureStderr();
    EXPECT_EQ(c.worker.commit({}, c.worker.base(0), kCudaPage).reason, FL_ACCEL_REASON_NO_WORKER);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("no CUDA context: CUDA_ERROR_OUT_OF_MEMORY (2)"), std::string::npos) << said;
}

}  // namespace
}  // namespace farlane::test
