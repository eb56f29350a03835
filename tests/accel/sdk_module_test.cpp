// SPDX-License-Identifier: Apache-2.0
// Receives: modules and kernels over real ports. Hands on: whether programs run, wait for nothing, and fail with the
// build log or the argument's name. Owns: a target with an executor that knows a few kernels.
#include <thread>

#include "accel/module_executor.hpp"

namespace farlane::test {
namespace {

using namespace accel;

class AccelModules : public AccelPrograms {};

TEST_P(AccelModules, ColdProgram) {
    Context context(device_);
    Stream& s = context.stream();
    auto module = context.load(ModuleKind::opencl_c, "scale\nadd\n", {"-DN=3", "first.cl"});
    const Kernel scale = module.kernel("scale"), add = module.kernel("add");
    const auto x = floats(1000), y = floats(1000);
    const auto dx = context.allocate<float>(x.size()), dy = context.allocate<float>(y.size());
    s.upload(dx, x);
    s.upload(dy, y);
    s.launch(scale, {1000}, dx, 2.0F, std::uint32_t{1000});
    s.launch(add, {10, 100}, dy, View<const float>(dx), std::uint32_t{1000});
    std::vector<float> got(1000);
    s.download(dy, got);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], y[i] + 2.0F * x[i]);
    EXPECT_EQ(module.names(), (std::vector<std::string>{"scale", "add"}));
    EXPECT_EQ(module.log(), "options: -DN=3");
}

TEST_P(AccelModules, NothingWaitsForTheBuild) {
    Context context(device_);
    executor_->hold_builds(true);
    auto module = context.load(ModuleKind::opencl_c, "scale\n");
    auto scale = module.kernel("scale");
    const auto x = context.allocate<float>(4);
    context.stream().fill(x, 1.0F);
    context.stream().launch(scale, {4}, x, 3.0F, 4U);
    EXPECT_FALSE(module.query());
    EXPECT_EQ(scale.known_info(), nullptr);
    executor_->hold_builds(false);
    std::vector<float> got(4);
    context.stream().download(x, got);
    EXPECT_EQ(got[3], 3.0F);
    EXPECT_TRUE(module.query());
}

/// With nobody there who could answer: what returns has not waited. So a cold program costs the round trip of its
/// synchronize, and the build.
TEST_P(AccelModules, ColdProgramNeedsNoAnswerBeforeItsEnd) {
    Context context(device_);
    target_->stop();
    Stream& s = context.stream();
    const auto x = context.allocate<float>(1000), y = context.allocate<float>(1000);
    const auto in = floats(1000);
    const auto out = context.allocate_host<float>(1000);
    auto module = context.load(ModuleKind::opencl_c, "scale\nadd\n");
    const Kernel scale = module.kernel("scale"), add = module.kernel("add");
    s.upload(x, in);
    s.launch(scale, {1000}, x, 2.0F, 1000U);
    s.launch(add, {1000}, y, x, 1000U);
    s.download(y, out);
    target_->start();
    s.synchronize();
    for (std::size_t i = 0; i < in.size(); ++i) ASSERT_EQ(out[i], 2.0F * in[i]);
}

TEST_P(AccelModules, KernelsAreKnown) {
    Context context(device_);
    auto module = context.load(ModuleKind::opencl_c, "add\nindex\n");
    auto add = module.kernel("add");
    const KernelInfo& info = add.info();
    ASSERT_EQ(info.arguments.size(), 3u);
    EXPECT_EQ(info.argument_count, 3u);
    EXPECT_EQ(info.max_block, 256u);
    EXPECT_EQ(info.preferred_block, 8u);
    EXPECT_EQ(info.arguments[0].kind, ArgumentKind::address);
    EXPECT_FALSE(info.arguments[0].is_const);
    EXPECT_TRUE(info.arguments[1].is_const);
    EXPECT_EQ(info.arguments[1].name, "in");
    EXPECT_EQ(info.arguments[2].type_name, "uint");
    EXPECT_EQ(info.arguments[2].bytes, 4u);
    EXPECT_EQ(module.kernel("add").handle(), add.handle());
    EXPECT_EQ(module.kernel("index").info().arguments[1].kind, ArgumentKind::shared);
}

TEST_P(AccelModules, BuildLogComesWithTheError) {
    Context context(device_);
    Stream& s = context.stream();
    executor_->hold_builds(true);  // a launch behind a build that has failed throws at once
    auto module = context.load(ModuleKind::opencl_c, "scale\nerror: expected ';' in line 7\n", {"", "broken.cl"});
    const Kernel scale = module.kernel("scale");
    const auto x = context.allocate<float>(4);
    s.launch(scale, {4}, x, 3.0F, 4U);
    executor_->hold_builds(false);
    const auto [status, text] = thrown([&] { s.synchronize(); });
    EXPECT_EQ(status, Status::invalid);
    EXPECT_NE(text.find("'broken.cl'"), std::string::npos) << text;
    EXPECT_NE(text.find("(handle " + std::to_string(module.handle()) + ")"), std::string::npos) << text;
    EXPECT_NE(text.find("does not compile"), std::string::npos) << text;
    EXPECT_NE(text.find("expected ';' in line 7"), std::string::npos) << text;
    EXPECT_EQ(module.log(), "error: expected ';' in line 7");
    // From now on its kernels say so at once, and the stream goes on.
    EXPECT_NE(thrown([&] { s.launch(scale, {4}, x, 3.0F, 4U); }).second.find("line 7"), std::string::npos);
    EXPECT_NE(thrown([&] { (void)module.kernel("scale"); }).second.find("line 7"), std::string::npos);
    s.fill(x, 1.0F);
    s.synchronize();
}

TEST_P(AccelModules, WhoWaitsForTheModuleIsToldOnce) {
    Context context(device_);
    executor_->hold_builds(true);
    auto module = context.load(ModuleKind::opencl_c, "error\n");
    (void)module.kernel("scale");
    executor_->hold_builds(false);
    EXPECT_EQ(thrown([&] { module.wait(); }).first, Status::invalid);
    context.synchronize();
    EXPECT_EQ(thrown([&] { (void)module.names(); }).first, Status::invalid);
}

TEST_P(AccelModules, OtherStreamsLearnOfTheBuildToo) {
    Context context(device_);
    Stream other = context.create_stream();
    auto module = context.load(ModuleKind::opencl_c, "error: no\n", {"", "broken.cl"});
    const auto x = context.allocate<float>(4);
    executor_->hold_builds(false);
    const auto launched = thrown([&] { other.launch(module.kernel("scale"), {4}, x, 3.0F, 4U); });
    const auto waited = thrown([&] { other.synchronize(); });
    const std::string text = launched.second + waited.second;  // whichever was the first to know
    EXPECT_NE(text.find("'broken.cl'"), std::string::npos) << text;
    EXPECT_NE(text.find("error: no"), std::string::npos) << text;
}

TEST_P(AccelModules, OtherStreamsWaitOnTheDevice) {
    Context context(device_);
    Stream other = context.create_stream();
    executor_->hold_builds(true);
    auto module = context.load(ModuleKind::opencl_c, "scale\n");
    const Kernel scale = module.kernel("scale");
    const auto x = context.allocate<float>(4);
    other.upload(x, std::vector<float>{1, 2, 3, 4});
    for (int i = 0; i < 3; ++i) other.launch(scale, {4}, x, 2.0F, 4U);
    EXPECT_FALSE(other.query());
    executor_->hold_builds(false);
    std::vector<float> got(4);
    other.download(x, got);
    EXPECT_EQ(got, (std::vector<float>{8, 16, 24, 32}));
    context.synchronize();
}

TEST_P(AccelModules, WrongArgumentsAreNamed) {
    Context context(device_);
    Stream& s = context.stream();
    auto module = context.load(ModuleKind::opencl_c, "scale\nindex\n");
    auto scale = module.kernel("scale");
    const auto x = context.allocate<float>(4);
    for (const bool known : {false, true}) {  // by the device, then here
        if (known) (void)scale.info();
        const auto expect = [&](const std::string& part, auto launch) {
            const auto [status, text] = thrown([&] {
                launch();
                s.synchronize();
            });
            EXPECT_EQ(status, Status::invalid) << text;
            EXPECT_NE(text.find("'scale'"), std::string::npos) << text;
            EXPECT_NE(text.find(part), std::string::npos) << text;
            EXPECT_NO_THROW(s.synchronize());
        };
        expect("argument 2", [&] { s.launch(scale, {4}, x, 2.0F, std::uint64_t{4}); });
        expect("argument 1", [&] { s.launch(scale, {4}, x, x, 4U); });
        expect("argument 0", [&] { s.launch(scale, {4}, 5, 2.0F, 4U); });
        expect("argument 1", [&] { s.launch(scale, {4}, x, SharedBytes{4}, 4U); });
        expect("it takes 3", [&] { s.launch(scale, {4}, x, 2.0F); });
        expect("it takes 3", [&] { s.launch(scale, {4}, x, 2.0F, 4U, 4U); });
    }
    EXPECT_NE(thrown([&] { s.launch(scale, {4}, x, 2.0F, 4.0); }).second.find("'n' (uint)"), std::string::npos);
    s.launch(scale, {4}, nullptr, 2.0F, 0U);
    s.synchronize();
}

TEST_P(AccelModules, ShapesAreChecked) {
    Context context(device_);
    Stream& s = context.stream();
    auto module = context.load(ModuleKind::opencl_c, "index\n");
    auto index = module.kernel("index");
    (void)index.info();
    const auto out = context.allocate<std::uint32_t>(64);
    const auto refused = [&](const LaunchShape& shape) {
        return thrown([&] { s.launch(index, shape, out, SharedBytes{64}); }).first;
    };
    EXPECT_EQ(refused({}), Status::invalid);
    EXPECT_EQ(refused({0}), Status::invalid);
    EXPECT_EQ(refused({-1}), Status::invalid);
    EXPECT_EQ(refused({1ULL << 32}), Status::invalid);
    EXPECT_EQ(refused({{1, 1}, 1}), Status::invalid);
    EXPECT_EQ(refused({1, 257}), Status::invalid);
    EXPECT_EQ(refused({{1, 1}, {32, 9}}), Status::invalid);
    s.launch(index, {{2, 2}, {4, 4}, 0, 100}, out, SharedBytes{64});
    std::vector<std::uint32_t> got(64);
    s.download(out, got);
    for (std::uint32_t i = 0; i < 64; ++i) ASSERT_EQ(got[i], 100 + i);
}

TEST_P(AccelModules, UnknownKernelsAreNamed) {
    Context context(device_);
    Stream& s = context.stream();
    executor_->hold_builds(true);
    auto module = context.load(ModuleKind::opencl_c, "scale\nadd\n", {"", "two.cl"});
    auto missing = module.kernel("sclae");  // nobody knows yet
    executor_->hold_builds(false);
    const auto [status, text] = thrown([&] { s.synchronize(); });
    EXPECT_EQ(status, Status::not_found);
    EXPECT_NE(text.find("'sclae'"), std::string::npos) << text;
    EXPECT_NE(text.find("'two.cl'"), std::string::npos) << text;
    EXPECT_EQ(thrown([&] { (void)missing.info(); }).first, Status::not_found);
    module.wait();
    const auto known = thrown([&] { (void)module.kernel("scalee"); });
    EXPECT_NE(known.second.find("it has scale, add"), std::string::npos) << known.second;
}

TEST_P(AccelModules, WhatCanNotBeLoadedIsRefused) {
    Context context(device_), other(device_);
    EXPECT_TRUE(context.takes(ModuleKind::opencl_c));
    EXPECT_FALSE(context.takes(ModuleKind::ptx));
    const auto ptx = thrown([&] { (void)context.load(ModuleKind::ptx, ".version 7.0"); });
    EXPECT_EQ(ptx.first, Status::unsupported);
    EXPECT_NE(ptx.second.find("OpenCL C"), std::string::npos) << ptx.second;
    EXPECT_EQ(thrown([&] { (void)context.load(ModuleKind::opencl_c, ""); }).first, Status::invalid);
    EXPECT_EQ(thrown([&] {
                  (void)context.load(ModuleKind::opencl_c, "scale\n", {std::string(5000, 'x'), ""});
              }).first,
              Status::limit);
    EXPECT_EQ(thrown([&] { (void)context.load_file("/nowhere/x.cl"); }).first, Status::not_found);
    EXPECT_EQ(thrown([&] { (void)context.load_file("x.txt"); }).first, Status::invalid);
    EXPECT_EQ(thrown([&] { (void)Module().names(); }).first, Status::invalid);
    EXPECT_EQ(thrown([&] { context.stream().launch(Kernel(), {1}); }).first, Status::invalid);
    auto module = other.load(ModuleKind::opencl_c, "gate\n");
    EXPECT_EQ(thrown([&] { context.stream().launch(module.kernel("gate"), {1}); }).first, Status::invalid);
    context.synchronize();
    other.synchronize();
}

TEST_P(AccelModules, HandlesComeBack) {
    Context context(device_);
    Stream other = context.create_stream();
    const auto x = context.allocate<float>(16);
    context.stream().fill(x, 1.0F);
    context.synchronize();
    for (int i = 0; i < 300; ++i) {  // there are 64
        auto module = context.load(ModuleKind::opencl_c, "scale\nadd\ngate\n");
        other.launch(module.kernel("scale"), {16}, x, i % 2 == 0 ? 2.0F : 0.5F, 16U);
    }
    other.synchronize();
    std::vector<Module> all;
    const auto full = thrown([&] {
        for (int i = 0; i < 100; ++i) all.push_back(context.load(ModuleKind::opencl_c, "gate\n"));
    });
    EXPECT_EQ(full.first, Status::limit);
    EXPECT_EQ(all.size(), 63u);
    all.clear();
    context.synchronize();  // the last of them was still being loaded
    auto again = context.load(ModuleKind::opencl_c, "gate\n");
    again.wait();
    EXPECT_EQ(executor_->modules(), 1u);
    std::vector<float> got(16);
    other.download(x, got);
    EXPECT_EQ(got[15], 1.0F);
}

TEST_P(AccelModules, ManyKernelsShareTheirReports) {
    Context context(device_);
    std::vector<Module> modules;
    std::vector<Kernel> kernels;
    for (int i = 0; i < 20; ++i) {
        modules.push_back(context.load(ModuleKind::opencl_c, "scale\nadd\nindex\n"));
        for (const char* name : {"scale", "add", "index"}) kernels.push_back(modules.back().kernel(name));
    }
    for (std::size_t i = 0; i < kernels.size(); ++i) {
        ASSERT_EQ(kernels[i].arguments().size(), i % 3 == 2 ? 2u : 3u) << i;
        ASSERT_EQ(kernels[i].arguments()[0].name, i % 3 == 0 ? "x" : "out") << i;
    }
    for (auto& m : modules) ASSERT_EQ(m.names().size(), 3u);
}

TEST_P(AccelModules, LostContextSaysWhyAndOthersGoOn) {
    Context context(device_), other(device_);
    auto module = context.load(ModuleKind::opencl_c, "hang\nscale\n", {"", "endless.cl"});
    const auto mine = context.allocate<float>(4);
    const auto theirs = other.allocate<float>(4);
    Stream second = context.create_stream();
    context.stream().launch(module.kernel("hang"), {1});
    second.fill(mine, 1.0F);
    second.synchronize();
    turn_until_held(1);
    executor_->lose(0, FL_ACCEL_REASON_TIME_LIMIT);
    const auto [status, text] = thrown([&] { context.stream().synchronize(); });
    EXPECT_EQ(status, Status::timeout) << text;
    EXPECT_NE(text.find("'hang'"), std::string::npos) << text;
    EXPECT_NE(text.find("'endless.cl'"), std::string::npos) << text;
    EXPECT_NE(text.find("longer than the time limit"), std::string::npos) << text;
    for (const auto& later : {thrown([&] { second.fill(mine, 2.0F); }), thrown([&] { (void)context.allocate<int>(1); }),
                              thrown([&] { second.synchronize(); }), thrown([&] { (void)module.kernel("scale"); }),
                              thrown([&] { context.synchronize(); }), thrown([&] { (void)context.create_stream(); })}) {
        EXPECT_EQ(later.first, Status::timeout) << later.second;
        EXPECT_NE(later.second.find("'hang'"), std::string::npos) << later.second;
    }
    other.stream().fill(theirs, 3.0F);
    other.synchronize();
    Context fresh(device_);
    auto again = fresh.load(ModuleKind::opencl_c, "scale\n");
    const auto x = fresh.allocate<float>(4);
    fresh.stream().fill(x, 3.0F);
    fresh.stream().launch(again.kernel("scale"), {4}, x, 2.0F, 4U);
    std::vector<float> got(4);
    fresh.stream().download(x, got);
    EXPECT_EQ(got[0], 6.0F);
}

TEST_P(AccelModules, PropertiesTellMore) {
    Context context(device_);
    auto module = context.load(ModuleKind::opencl_c, "scale\n");
    const auto x = context.allocate<float>(4);
    context.stream().launch(module.kernel("scale"), {4}, x, 1.0F, 4U);
    const auto p = context.properties();
    EXPECT_EQ(p.executor, "opencl");
    EXPECT_EQ(p.device_name, "fake");
    EXPECT_EQ(p.vendor, "nobody");
    EXPECT_EQ(p.driver_version, "one");
    EXPECT_EQ(p.energy_uj, 4711u);
    EXPECT_EQ(p.context_kernels, 1u);
    EXPECT_EQ(p.context_busy.count(), 1000);
    EXPECT_EQ(p.worker_bytes, 4096u);
    EXPECT_EQ(p.time_limit.count(), 1234);
    EXPECT_EQ(p.local_bytes, 0u);
    EXPECT_EQ(p.memory_context_bytes, 4096u + 16384u);
}

INSTANTIATE_TEST_SUITE_P(Ports, AccelModules, kAccelPorts, [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::test
