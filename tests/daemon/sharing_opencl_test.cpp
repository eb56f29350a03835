// SPDX-License-Identifier: Apache-2.0
// Receives: applications that share an accelerator whose contexts run in worker processes. Hands on: proof that
// foreign code of one harms nobody else. Owns: processes.
#include "daemon/share_fixture.hpp"

namespace farlane::test {
namespace {

constexpr const char* kOpenClAccel =
    "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nexecutor = \"opencl\"\nworker = \"" FARLANE_WORKER
    "\"\nmemory = \"128M\"\nthreads = 1\nqueues = 20\n";
constexpr const char* kSource = R"(
kernel void twice(global float *x) { x[get_global_id(0)] *= 2; }
kernel void wild(global float *x) { x[(1L << 44) + get_global_id(0)] = 1; }
)";

struct SharingOpenCl : ShareTest {
    SharingOpenCl() : ShareTest(kOpenClAccel) {}
};

TEST_F(SharingOpenCl, EightProcesses) {
    std::vector<std::unique_ptr<Process>> all;
    for (int i = 0; i < 8; ++i) all.push_back(client("work", "10", i + 1));
    for (auto& p : all) {
        const int code = p->wait(240s);
        EXPECT_EQ(code, 0) << p->output();
    }
    EXPECT_TRUE(comes_true([&] { return attachment().is_null(); }));
}

TEST_F(SharingOpenCl, AWildKernelOfOneLeavesTheOthersAlone) {
    Fabric one = open_fabric(socket()), two = open_fabric(socket());
    Device first = one.attach("accel0", AttachMode::shared), second = two.attach("accel0", AttachMode::shared);
    ShareWork work(second, 1);
    work.round();
    {
        accel::Context bad(first);
        auto x = bad.allocate<float>(64);
        auto module = bad.load(accel::ModuleKind::opencl_c, kSource);
        bad.stream().launch(module.kernel("twice"), {64}, x);
        bad.stream().synchronize();
        work.begin();
        bad.stream().launch(module.kernel("wild"), {1}, x);
        std::string text;
        EXPECT_EQ(status_of([&] { bad.stream().synchronize(); }, &text), Status::io);
        EXPECT_NE(text.find("(SIGSEGV)"), std::string::npos) << text;
        work.round();
        // Both ends log it: why, and whose it was.
        const auto says = [](Daemon& d, const std::string& what) {
            return comes_true([&] { return d.process().output().find(what) != std::string::npos; });
        };
        const std::string context = std::to_string(attachment().at("holders").at(0).at("contexts").at(0).get<int>());
        EXPECT_TRUE(
            says(pair.target, "accelerator 'accel0': context " + context + " is lost: its worker process (pid "));
        EXPECT_TRUE(says(pair.target, ") was ended by signal 11 (SIGSEGV); it ran kernel "));
        EXPECT_TRUE(says(pair.initiator, "context " + context + " of accelerator 'accel0'"));
        EXPECT_TRUE(says(pair.initiator, "(pid " + std::to_string(::getpid()) + "); the log of its target says why"));
    }
    ShareWork again(first, 2);
    again.round();
    work.round();
    EXPECT_EQ(attachment().at("shared").at("contexts_used"), 2);
}

/// 2^40 macros that stand for nothing.
std::string endless_source() {
    std::string text = "#define A0\n";
    for (int i = 1; i <= 40; ++i) {
        const std::string before = " A" + std::to_string(i - 1);
        text += "#define A" + std::to_string(i) + before + before + "\n";
    }
    return text + "kernel void k(global float *x) { A40 }\n";
}

struct SharingBuild : ShareTest {
    SharingBuild() : ShareTest((std::string(kOpenClAccel) + "build_limit_ms = 1500\n").c_str()) {}
};

TEST_F(SharingBuild, SourceThatCompilesWithoutEndCostsItsContextOnly) {
    Fabric one = open_fabric(socket()), two = open_fabric(socket());
    Device first = one.attach("accel0", AttachMode::shared), second = two.attach("accel0", AttachMode::shared);
    ShareWork work(second, 1);
    {
        accel::Context bad(first);
        auto module = bad.load(accel::ModuleKind::opencl_c, endless_source(), {"", "endless.cl"});
        work.round();
        std::string text;
        EXPECT_EQ(status_of([&] { module.wait(); }, &text), Status::timeout);
        EXPECT_NE(text.find("MODULE_LOAD"), std::string::npos) << text;
        EXPECT_NE(text.find("endless.cl"), std::string::npos) << text;
        EXPECT_NE(text.find("compiling took longer than the time limit; the context is lost"), std::string::npos)
            << text;
        EXPECT_EQ(status_of([&] { (void)bad.allocate<float>(1), bad.stream().synchronize(); }), Status::timeout)
            << "what cost the context";
        work.round();
    }
    ShareWork again(first, 2);
    again.round();
}

}  // namespace
}  // namespace farlane::test
