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
        EXPECT_EQ(status_of([&] { bad.stream().synchronize(); }), Status::io);
        work.round();
    }
    ShareWork again(first, 2);
    again.round();
    work.round();
    EXPECT_EQ(attachment().at("shared").at("contexts_used"), 2);
}

}  // namespace
}  // namespace farlane::test
