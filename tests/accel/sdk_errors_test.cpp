// SPDX-License-Identifier: Apache-2.0
// Receives: every mistake that a program can make with an accelerator. Hands on: the texts it gets, on standard output,
// and whether each names command, object, what was given and what to do. Owns: a target with two accelerators.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>

#include "accel/module_executor.hpp"

namespace farlane::test {
namespace {

using namespace accel;

class AccelErrorTexts : public AccelPrograms {
protected:
    void SetUp() override {
        AccelPrograms::SetUp();
        auto second = make_program_device(false);
        target_->add("accel1", std::move(second.device));
    }
    /// `mistake` throws `status`, with a text that has all of `parts` and says so in its own words.
    template <class F>
    void expect(Status status, const std::vector<std::string>& parts, F mistake) {
        const auto [got, text] = thrown(mistake);
        std::printf("  %s\n", text.c_str());
        EXPECT_EQ(got, status) << text;
        for (const auto& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
        EXPECT_FALSE(text.ends_with(": " + std::string(status_text(status)))) << text;
    }
};

TEST_P(AccelErrorTexts, Memory) {
    Context context(device_), other(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(10), theirs = other.allocate<float>(10);
    std::vector<float> ten(10), eleven(11);
    expect(Status::invalid, {"allocate", "0 bytes"}, [&] { (void)context.allocate<float>(0); });
    expect(Status::no_memory, {"allocate", "4294967296 bytes", "at most 31457280"},
           [&] { (void)context.allocate<std::byte>(std::size_t{1} << 32); });
    const auto most = context.allocate<std::byte>(20 << 20);
    expect(Status::no_memory, {"allocate", "20971520", "largest free", "let go"},
           [&] { (void)context.allocate<std::byte>(20 << 20); });
    expect(Status::invalid, {"allocate_host", "0 bytes"}, [&] { (void)context.allocate_host<float>(0); });
    expect(Status::out_of_bounds, {"5 elements from number 6 on", "view of 10"}, [&] { (void)x.part(6, 5); });
    expect(Status::out_of_bounds, {"upload", "44 bytes", "view of 40"}, [&] { s.upload(x, eleven); });
    expect(Status::out_of_bounds, {"download", "40 bytes", "memory of 44"}, [&] { s.download(x, eleven); });
    const auto host = context.allocate_host<float>(4);
    expect(Status::out_of_bounds, {"download", "40 bytes", "host buffer of 16"}, [&] { s.download(x, host); });
    expect(Status::invalid, {"upload: the destination", "context 1", "context 0"}, [&] { s.upload(theirs, ten); });
    expect(Status::invalid, {"download: the source", "context 1"}, [&] { s.download(theirs, ten); });
    expect(Status::invalid, {"fill: the buffer", "context 1"}, [&] { s.fill(theirs, 1.0F); });
    expect(Status::invalid, {"copy: the source", "context 1"}, [&] { s.copy(x, theirs); });
    expect(Status::invalid, {"copy", "40 bytes", "20"}, [&] { s.copy(x.part(0, 5), View<const float>(x)); });
    expect(Status::invalid, {"upload: the destination", "empty", "Context::allocate"},
           [&] { s.upload(Buffer<float>(), std::span<const float>()); });
    expect(Status::invalid, {"fill: the buffer", "empty"}, [&] { s.fill(View<float>(), 1.0F); });
    s.synchronize();
}

/// Its address may be that of something else here, which the device would write instead.
TEST_P(AccelErrorTexts, HostMemoryOfAnotherDevice) {
    Device second = fabric_->attach("accel1");
    {
        Context context(device_), elsewhere(second);
        const auto x = context.allocate<float>(10);
        const auto host = elsewhere.allocate_host<float>(10);
        expect(Status::invalid, {"download: the destination", "40 bytes", "another device", "allocate it"},
               [&] { context.stream().download(x, host); });
        expect(Status::invalid, {"upload: the source", "another device"}, [&] { context.stream().upload(x, host); });
        const auto there = elsewhere.allocate<float>(10);
        expect(Status::invalid, {"copy: the source", "another device"}, [&] { context.stream().copy(x, there); });
        context.synchronize();
    }
}

TEST_P(AccelErrorTexts, Events) {
    Context context(device_), other(device_);
    auto mine = context.create_event(), never = context.create_event(), theirs = other.create_event();
    context.stream().record(mine);
    other.stream().record(theirs);
    expect(Status::invalid, {"record: event", "context 1", "context 0"}, [&] { context.stream().record(theirs); });
    expect(Status::invalid, {"wait: event", "context 1"}, [&] { context.stream().wait(theirs); });
    expect(Status::invalid, {"wait: event", "never recorded", "Stream::record"}, [&] { context.stream().wait(never); });
    expect(Status::invalid, {"synchronize: event", "never recorded"}, [&] { never.synchronize(); });
    expect(Status::invalid, {"elapsed", "context 0", "context 1"}, [&] { (void)elapsed(mine, theirs); });
    accel::Event empty;
    expect(Status::invalid, {"record", "empty event", "create_event"}, [&] { context.stream().record(empty); });
    expect(Status::invalid, {"wait", "empty event"}, [&] { context.stream().wait(empty); });
    expect(Status::invalid, {"on_complete", "empty"}, [&] { context.stream().on_complete({}); });
    context.synchronize();
    other.synchronize();
}

TEST_P(AccelErrorTexts, Modules) {
    Context context(device_), other(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(10);
    auto broken = context.load(ModuleKind::opencl_c, "error: no ';'\n", {"", "broken.cl"});
    expect(Status::invalid, {"MODULE_LOAD of module 'broken.cl'", "does not compile", "build log:", "no ';'"},
           [&] { broken.wait(); });
    expect(Status::unsupported, {"load of module 'a.ptx'", "'accel0'", "PTX", "it takes OpenCL C"}, [&] {
        (void)context.load(ModuleKind::ptx, ".version", {"", "a.ptx"});
    });
    expect(Status::invalid, {"load of module 'none.cl'", "0 bytes"}, [&] {
        (void)context.load(ModuleKind::opencl_c, "", {"", "none.cl"});
    });
    expect(Status::not_found, {"/nowhere/x.cl", "No such file"}, [&] { (void)context.load_file("/nowhere/x.cl"); });
    const std::string folder = ::testing::TempDir() + "folder.cl";
    std::filesystem::create_directory(folder);
    expect(Status::invalid, {"folder.cl", "no regular file"}, [&] { (void)context.load_file(folder); });
    std::filesystem::remove(folder);
    expect(Status::invalid, {"x.txt", ".cl, .spv"}, [&] { (void)context.load_file("x.txt"); });
    auto module = context.load(ModuleKind::opencl_c, "scale\nadd\n", {"", "two.cl"});
    module.wait();
    expect(Status::not_found, {"'two.cl'", "'sclae'", "it has scale, add"}, [&] { (void)module.kernel("sclae"); });
    expect(Status::invalid, {"'two.cl'", "at least one letter"}, [&] { (void)module.kernel(""); });
    const auto kernel = other.load(ModuleKind::opencl_c, "scale\n", {"", "theirs.cl"}).kernel("scale");
    expect(Status::invalid, {"LAUNCH of kernel 'scale'", "'theirs.cl'", "context 1", "context 0"},
           [&] { s.launch(kernel, {1}, x, 1.0F, 1U); });
    expect(Status::invalid, {"LAUNCH of an empty kernel", "Module::kernel"}, [&] { s.launch(Kernel(), {1}); });
    other.synchronize();
}

/// Known here, or only to the device: the text is as good.
TEST_P(AccelErrorTexts, Arguments) {
    Context context(device_), other(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(10), theirs = other.allocate<float>(10);
    auto module = context.load(ModuleKind::opencl_c, "scale\nindex\n", {"", "two.cl"});
    auto scale = module.kernel("scale");
    const std::string who =
        "LAUNCH of kernel 'scale' (handle " + std::to_string(scale.handle()) + ") of module 'two.cl'";
    struct Mistake {
        std::vector<std::string> parts;
        std::function<void(const Kernel&)> launch;
    };
    const Mistake mistakes[] = {
        {{"argument 2", "given was a value of 8 bytes", "takes a value of 4 bytes", "'n' (uint)"},
         [&](const Kernel& k) { s.launch(k, {4}, x, 2.0F, std::uint64_t{4}); }},
        {{"argument 1", "given was a buffer", "takes a value of 4 bytes", "'a' (float)"},
         [&](const Kernel& k) { s.launch(k, {4}, x, x, 4U); }},
        {{"argument 0", "given was a value of 4 bytes", "takes a buffer", "'x' (float*)"},
         [&](const Kernel& k) { s.launch(k, {4}, 5, 2.0F, 4U); }},
        {{"argument 1", "given was SharedBytes"}, [&](const Kernel& k) { s.launch(k, {4}, x, SharedBytes{4}, 4U); }},
        {{"it takes 3 arguments, given are 2"}, [&](const Kernel& k) { s.launch(k, {4}, x, 2.0F); }},
    };
    for (const Mistake& m : mistakes) {
        executor_->hold_builds(true);  // it is on its way before anybody here knows the kernel
        auto fresh = context.load(ModuleKind::opencl_c, "scale\n", {"", "fresh.cl"});
        m.launch(fresh.kernel("scale"));
        executor_->hold_builds(false);
        auto parts = m.parts;
        parts.insert(parts.end(), {"LAUNCH of kernel 'scale'", "'fresh.cl'", "command "});
        expect(Status::invalid, parts, [&] { s.synchronize(); });
    }
    (void)scale.info();
    for (const Mistake& m : mistakes) {
        auto parts = m.parts;
        parts.push_back(who);
        expect(Status::invalid, parts, [&] { m.launch(scale); });
    }
    expect(Status::invalid, {who, "argument 2 'n' (uint)", "takes a value of 4 bytes"},
           [&] { s.launch(scale, {4}, x, 2.0F, 4.0); });
    expect(Status::invalid, {who, "argument 0 'x' (float*)", "context 1", "context 0"},
           [&] { s.launch(scale, {4}, theirs, 2.0F, 4U); });
    expect(Status::invalid, {who, "argument 0 'x'", "empty"}, [&] { s.launch(scale, {4}, View<float>(), 2.0F, 4U); });
    expect(Status::invalid, {who, "grid (4294967296)", "2^32 - 1"},
           [&] { s.launch(scale, {std::uint64_t{1} << 32}, x, 2.0F, 4U); });
    expect(Status::invalid, {who, "grid (4, 4)", "block (2)"}, [&] { s.launch(scale, {{4, 4}, 2}, x, 2.0F, 4U); });
    expect(Status::invalid, {who, "block (32, 9)", "288", "256"}, [&] {
        s.launch(scale, {{1, 1}, {32, 9}}, x, 2.0F, 4U);
    });
    expect(Status::invalid, {who, "no dimensions"}, [&] { s.launch(scale, {}, x, 2.0F, 4U); });
    auto index = module.kernel("index");  // not known yet: it would be told that there are too many
    const std::vector<Argument> many(300, Argument(1.0));
    expect(Status::invalid, {"kernel 'index'", "300 arguments", "4032"}, [&] { s.launch_with(index, {1}, many); });
    s.synchronize();
}

TEST_P(AccelErrorTexts, BuiltInKernels) {
    Context context(device_), other(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(10), y = context.allocate<float>(12), theirs = other.allocate<float>(10);
    const auto p = context.allocate<Rgba8>(9), q = context.allocate<Rgba8>(9);
    const auto w = context.allocate<std::int16_t>(9);
    expect(Status::invalid, {"axpy_f32", "x has 10", "y 12"}, [&] { s.launch(Axpy{1, x, y}); });
    expect(Status::invalid, {"axpy_f32: y", "context 1"}, [&] { s.launch(Axpy{1, x, theirs}); });
    expect(Status::out_of_bounds, {"gemm_f32: a has 10 elements, needs 12"},
           [&] { s.launch(Gemm{.a = x, .b = y, .c = y, .m = 3, .n = 1, .k = 4}); });
    expect(Status::invalid, {"gemm_f32", "ldb = 1", "2 elements"},
           [&] { s.launch(Gemm{.a = x, .b = x, .c = y, .m = 2, .n = 2, .k = 2, .ldb = 1}); });
    expect(Status::invalid, {"gemm_f32", "m = 0"}, [&] { s.launch(Gemm{.a = x, .b = x, .c = y}); });
    expect(Status::invalid, {"reduce_f32", "no elements"}, [&] { s.launch(Reduce{Reduction::sum, {}, y}); });
    expect(Status::invalid, {"conv2d_f32", "size = 2", "odd, 1 to 31"},
           [&] { s.launch(Conv2dF32{.in = x, .weights = x, .out = y, .width = 3, .height = 3, .size = 2}); });
    expect(Status::invalid, {"conv2d_rgba8", "shift = 21", "0 to 20"}, [&] {
        s.launch(Conv2dRgba8{.in = p, .weights = w, .out = q, .width = 3, .height = 3, .size = 3, .shift = 21});
    });
    expect(Status::invalid, {"sha256", "stride_bytes = 3", "message_bytes, 4"}, [&] {
        s.launch(Sha256{.messages = {}, .digests = context.allocate<Digest>(1), .message_bytes = 4, .stride_bytes = 3});
    });
    expect(Status::invalid, {"copy", "rows = 0"}, [&] { s.launch(CopyRows{}); });
    s.synchronize();
}

TEST_P(AccelErrorTexts, WhatCostsTheContext) {
    struct Case {
        fl_accel_reason reason;
        std::uint32_t detail;
        Status status;
        const char *says, *why;
        bool address;  ///< it may have been an address
    };
    constexpr auto kCrashed = FL_ACCEL_REASON_CRASHED;
    constexpr const char* kDied = "worker process died";
    const Case cases[] = {
        {FL_ACCEL_REASON_TIME_LIMIT, 0, Status::timeout, "1234 ms", "time_limit_ms", false},
        {FL_ACCEL_REASON_BUILD_LIMIT, 0, Status::timeout, "compiling", "build_limit_ms", false},
        {kCrashed, SIGSEGV, Status::io, kDied, "(SIGSEGV)", true},
        {kCrashed, SIGABRT, Status::io, kDied, "(SIGABRT)", false},
        {kCrashed, FL_ACCEL_CRASHED_EXIT + 3, Status::io, kDied, "(exit status 3)", false},
        {kCrashed, 700, Status::io, kDied, "(error 700 of the runtime)", true},
        {kCrashed, 719, Status::io, kDied, "(error 719 of the runtime)", false},
        {kCrashed, 0, Status::io, kDied, "the context is lost;", false},
    };
    for (const Case& c : cases) {
        Context context(device_);
        auto module = context.load(ModuleKind::opencl_c, "hang\n", {"", "endless.cl"});
        context.stream().launch(module.kernel("hang"), {1});
        turn_until_held(1);
        executor_->lose(0, c.reason, c.detail);
        const std::vector<std::string> parts{"LAUNCH of kernel 'hang'", "'endless.cl'", c.says, c.why, "open a new"};
        expect(c.status, parts, [&] { context.synchronize(); });
        const auto [status, text] = thrown([&] { (void)context.allocate<float>(1); });
        EXPECT_EQ(status, c.status);
        EXPECT_EQ(text.find("outside of its buffers") != std::string::npos, c.address) << text;
    }
}

/// The pair and the number of the context are free again before the device has let go of them.
TEST_P(AccelErrorTexts, ContextsThatStillEndAreWaitedForWhenNoneIsLeft) {
    struct Enough {};
    ContextOptions impatient;
    impatient.while_waiting = [] { throw Enough(); };
    Context first(device_), second(device_);
    executor_->hold_cancels(true);
    {
        Context context(device_, impatient);
        auto module = context.load(ModuleKind::opencl_c, "hang\n");
        context.stream().launch(module.kernel("hang"), {1});
        turn_until_held(1);
    }
    EXPECT_THROW(Context(device_, impatient), Enough);
    ContextOptions patient;
    patient.while_waiting = [&] { executor_->hold_cancels(false); };
    Context context(device_, patient);
    const auto x = context.allocate<float>(10);
    std::vector<float> got(10);
    context.stream().fill(x, 3.0F);
    context.stream().download(x, got);
    EXPECT_EQ(got, std::vector<float>(10, 3.0F));
}

/// The same when only one of its pairs is left: with the others nobody gets into what the old one had.
TEST_P(AccelErrorTexts, ANewContextNeverJoinsOneThatStillEnds) {
    struct Enough {};
    ContextOptions impatient;
    impatient.while_waiting = [] { throw Enough(); };
    for (const bool alone : {true, false}) {
        std::optional<Context> other, third;
        if (!alone) other.emplace(device_);  // what is known of the device's pairs stays
        executor_->hold_cancels(true);
        {
            Context context(device_, impatient);
            Stream second = context.create_stream();
            auto module = context.load(ModuleKind::opencl_c, "hang\n");
            second.launch(module.kernel("hang"), {1});
            turn_until_held(1);
        }
        Context next(device_, impatient);
        (void)next.create_stream();
        if (alone) third.emplace(device_, impatient);
        EXPECT_THROW(Context(device_, impatient), Enough);
        ContextOptions patient;
        patient.while_waiting = [&] { executor_->hold_cancels(false); };
        Context context(device_, patient);
        context.synchronize();  // throws when a handle of its built-in kernels is taken
        EXPECT_EQ(context.properties().memory_context_bytes, 0U);
    }
}

/// Without interrupts, too, a pair that is not enabled any more is found out.
TEST_P(AccelErrorTexts, WaitsWithoutInterruptsEndToo) {
    auto made = make_program_device(false).device;
    const_cast<fl_function_desc&>(made->describe()).msix_vectors.set(0);  // it says that it has none
    target_->add("silent", std::move(made));
    Device device = fabric_->attach("silent");
    unsigned waits = 0;
    ContextOptions options;
    options.while_waiting = [&] {
        if (++waits >= 50) throw std::runtime_error("nobody noticed");
    };
    Context context(device, options);
    const auto x = context.allocate<float>(10);
    context.stream().fill(x, 1.0F);
    context.synchronize();
    device.write32(FL_ACCEL_BAR_REGISTERS, FL_ACCEL_QUEUE_OFFSET + offsetof(fl_accel_queue_registers, control), 0);
    context.stream().fill(x, 2.0F);
    expect(Status::device_reset, {"reset"}, [&] { context.synchronize(); });
}

TEST_P(AccelErrorTexts, WhatIsOver) {
    auto context = std::make_unique<Context>(device_);
    const auto x = context->allocate<float>(10);
    Stream s = context->create_stream();
    device_.reset();
    expect(Status::device_reset, {"reset", "acknowledge_reset", "open a new context"}, [&] {
        s.fill(x, 1.0F);
        s.synchronize();
    });
    device_.acknowledge_reset();
    context.reset();
    expect(Status::canceled, {"context is closed", "open a new one"}, [&] { s.fill(x, 1.0F); });
    expect(Status::invalid, {"empty stream", "create_stream"}, [&] { Stream().fill(x, 1.0F); });
}

INSTANTIATE_TEST_SUITE_P(Ports, AccelErrorTexts,
                         ::testing::Values(AccelCase{"LoopCaller", "loop:a@", "loop:a@", "", Progress::caller}),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::test
