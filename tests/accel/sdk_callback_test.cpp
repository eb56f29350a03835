// SPDX-License-Identifier: Apache-2.0
// Receives: callbacks and buffers in local memory. Hands on: whether each call comes once, in order, in time; whether
// bytes get where the host can not write. Owns: a target with an executor that runs when the test says so.
#include <atomic>
#include <future>
#include <thread>

#include "accel/module_executor.hpp"

namespace farlane::test {
namespace {

using namespace accel;

class AccelCallbacks : public AccelPrograms {
protected:
    struct Enough {};
    bool enough_ = false;
    /// Of a context whose waits end when the test has had enough.
    ContextOptions impatient() {
        ContextOptions options;
        options.while_waiting = [this] {
            if (enough_) throw Enough();
        };
        return options;
    }
};

/// Waits for it as the port needs it: with Progress::caller nothing moves by itself.
Status wait_for(std::future<Status> called, Fabric& fabric, Stream& stream, bool caller) {
    while (caller && called.wait_for(std::chrono::milliseconds(0)) != std::future_status::ready) {
        (void)fabric.poll();
        (void)stream.query();
    }
    return called.get();
}

TEST_P(AccelCallbacks, ComeWhenEverythingBeforeHasRun) {
    Context context(device_);
    Stream& s = context.stream();
    const bool caller = GetParam().progress == Progress::caller;
    auto module = context.load(ModuleKind::opencl_c, "gate\nscale\n");
    const auto x = context.allocate<float>(4);
    s.fill(x, 1.0F);
    s.synchronize();
    std::promise<Status> before, behind;
    s.on_complete([&](Status status) { before.set_value(status); });
    EXPECT_EQ(wait_for(before.get_future(), *fabric_, s, caller), Status::ok);
    s.launch(module.kernel("gate"), {1});
    s.launch(module.kernel("scale"), {4}, x, 2.0F, 4U);
    std::atomic<bool> called = false;
    s.on_complete([&](Status status) {
        called = true;
        behind.set_value(status);
    });
    module.wait();
    EXPECT_FALSE(called);
    executor_->open_gate();
    EXPECT_EQ(wait_for(behind.get_future(), *fabric_, s, caller), Status::ok);
    s.synchronize();
}

TEST_P(AccelCallbacks, KeepTheirOrderWhileTheUserWaits) {
    Context context(device_);
    Stream other = context.create_stream();
    std::mutex mutex;
    std::vector<int> one, two;
    for (int i = 0; i < 200; ++i) {
        context.stream().on_complete([&, i](Status) {
            const std::lock_guard lock(mutex);
            one.push_back(i);
        });
        other.on_complete([&, i](Status) {
            const std::lock_guard lock(mutex);
            two.push_back(i);
        });
        if (i % 50 == 49) context.synchronize();
    }
    std::promise<void> last;
    other.on_complete([&](Status) { last.set_value(); });
    context.synchronize();
    last.get_future().wait();
    const std::lock_guard lock(mutex);
    ASSERT_EQ(one.size(), 200u);
    ASSERT_EQ(two.size(), 200u);
    for (int i = 0; i < 200; ++i) ASSERT_EQ(one[static_cast<std::size_t>(i)], i);
    EXPECT_TRUE(std::is_sorted(two.begin(), two.end()));
}

TEST_P(AccelCallbacks, SayWhatFailed) {
    Context context(device_);
    Stream& s = context.stream();
    const bool caller = GetParam().progress == Progress::caller;
    auto module = context.load(ModuleKind::opencl_c, "error\n");
    std::promise<Status> called;
    s.on_complete([&](Status status) { called.set_value(status); });
    EXPECT_EQ(wait_for(called.get_future(), *fabric_, s, caller), Status::invalid);
    EXPECT_EQ(thrown([&] { s.synchronize(); }).first, Status::invalid);
    std::promise<Status> fine;
    s.on_complete([&](Status status) { fine.set_value(status); });
    EXPECT_EQ(wait_for(fine.get_future(), *fabric_, s, caller), Status::ok);
    EXPECT_EQ(thrown([&] { s.on_complete({}); }).first, Status::invalid);
}

TEST_P(AccelCallbacks, AreNotLostWithTheContext) {
    const bool caller = GetParam().progress == Progress::caller;
    Context context(device_);
    auto module = context.load(ModuleKind::opencl_c, "hang\n");
    context.stream().launch(module.kernel("hang"), {1});
    std::promise<Status> called;
    context.stream().on_complete([&](Status status) { called.set_value(status); });
    turn_until_held(1);
    executor_->lose(0, FL_ACCEL_REASON_CRASHED);
    auto future = called.get_future();
    while (caller && future.wait_for(std::chrono::milliseconds(0)) != std::future_status::ready) {
        (void)fabric_->poll();
        (void)thrown([&] { context.synchronize(); });
    }
    EXPECT_EQ(future.get(), Status::io);
    EXPECT_EQ(thrown([&] { context.synchronize(); }).first, Status::io);
}

TEST_P(AccelCallbacks, ClosingCallsWhatIsLeft) {
    std::atomic<int> canceled = 0;
    auto context = std::make_unique<Context>(device_);
    auto module = context->load(ModuleKind::opencl_c, "gate\n");
    Stream other = context->create_stream();
    other.launch(module.kernel("gate"), {1});
    for (int i = 0; i < 10; ++i) {
        other.on_complete([&](Status status) { canceled += status == Status::canceled ? 1 : 0; });
    }
    context.reset();
    EXPECT_EQ(canceled, 10);
    EXPECT_EQ(thrown([&] { other.synchronize(); }).first, Status::canceled);
}

/// What failed behind the point of a callback is not its business, though it be known before the call.
TEST_P(AccelCallbacks, SayNothingOfWhatComesBehind) {
    Context context(device_), other(device_);
    Stream& s = context.stream();
    executor_->hold_builds(true);  // so nobody knows that the module has no such kernel
    auto module = context.load(ModuleKind::opencl_c, "gate\n");
    std::promise<Status> called;
    s.on_complete([&](Status status) { called.set_value(status); });
    (void)module.kernel("nothing");
    executor_->hold_builds(false);
    for (int i = 0; i < 20; ++i) other.stream().ping();  // whoever makes progress: both have ended by then
    EXPECT_EQ(thrown([&] { s.synchronize(); }).first, Status::not_found);
    EXPECT_EQ(called.get_future().get(), Status::ok);
}

TEST_P(AccelCallbacks, MayNotCallTheirContext) {
    Context context(device_), other(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(4);
    std::promise<std::vector<Status>> called;
    s.on_complete([&](Status) {
        called.set_value({thrown([&] { s.synchronize(); }).first, thrown([&] { s.fill(x, 1.0F); }).first,
                          thrown([&] { (void)context.allocate<float>(1); }).first,
                          thrown([&] { s.on_complete([](Status) {}); }).first});
    });
    context.synchronize();
    EXPECT_EQ(called.get_future().get(), std::vector<Status>(4, Status::invalid));
    s.fill(x, 2.0F);
    context.synchronize();
}

/// By what is called meanwhile; then everything is as it was.
TEST_P(AccelCallbacks, WaitsCanBeEnded) {
    enough_ = true;
    Context context(device_, impatient());
    Stream& s = context.stream();
    Stream other = context.create_stream();
    const auto data = bytes((1 << 20) + 5);  // both halves of what a download goes through
    const auto x = context.allocate<std::byte>(data.size()), y = context.allocate<std::byte>(data.size());
    s.upload(x, data);
    other.upload(y, bytes(data.size()));
    auto module = context.load(ModuleKind::opencl_c, "gate\n");
    s.launch(module.kernel("gate"), {1});
    std::vector<std::byte> got(data.size());
    EXPECT_THROW(s.download(x, got), Enough);
    EXPECT_THROW(s.synchronize(), Enough);
    EXPECT_THROW(context.synchronize(), Enough);
    enough_ = false;
    executor_->open_gate();
    other.download(y, got);  // through the memory that the first download was to go through
    s.download(x, got);
    EXPECT_EQ(got, data);
    context.synchronize();
}

/// What the device still writes to is there until it has.
TEST_P(AccelCallbacks, QuestionsCanBeEnded) {
    enough_ = true;
    Context context(device_, impatient());
    auto module = context.load(ModuleKind::opencl_c, "gate\n");
    context.stream().launch(module.kernel("gate"), {1});
    EXPECT_THROW((void)context.properties(), Enough);
    enough_ = false;
    executor_->open_gate();
    context.synchronize();
    EXPECT_EQ(context.properties().device_name, "fake");
}

/// Wherever in a full queue: nobody else gets the address of a buffer that the device has made.
TEST_P(AccelCallbacks, AllocationsCanBeEnded) {
    ContextOptions options = impatient();
    options.queue_slots = FL_ACCEL_MIN_ENTRIES;
    unsigned ended = 0;
    for (unsigned room = 0; room < 4; ++room) {
        Context context(device_, options);
        Stream other = context.create_stream();  // for which allocations are marked
        const auto x = context.allocate<float>(10);
        context.synchronize();
        executor_->hold_builds(true);
        auto module = context.load(ModuleKind::opencl_c, "add\n");
        enough_ = true;
        for (unsigned fills = room; fills < FL_ACCEL_MIN_ENTRIES - 4; ++fills) context.stream().fill(x, 1.0F);
        std::vector<Buffer<float>> kept;
        try {
            while (true) kept.push_back(context.allocate<float>(10));
        } catch (const Enough&) {
            ++ended;
        }
        enough_ = false;
        executor_->hold_builds(false);
        for (int i = 0; i < 4; ++i) kept.push_back(context.allocate<float>(10));
        for (const auto& y : kept) other.fill(y, 2.0F);
        context.synchronize();
    }
    EXPECT_EQ(ended, 4U);
}

/// What a call has for its first time is all there afterwards, or nothing of it is.
TEST_P(AccelCallbacks, FirstTimesCanBeEnded) {
    ContextOptions options = impatient();
    options.queue_slots = FL_ACCEL_MIN_ENTRIES;
    Context context(device_, options);
    Stream& s = context.stream();
    const auto data = bytes(4096);
    const auto x = context.allocate<std::byte>(data.size());
    context.synchronize();
    device_.config_write16(0x04, 0x0002);  // without bus mastering nothing completes
    enough_ = true;
    EXPECT_THROW(while (true) s.fill(x, std::byte{1}), Enough);
    // Eight blocks of staging memory would be more than the context has.
    for (int i = 0; i < 8; ++i) EXPECT_THROW(s.upload(x, data), Enough);
    EXPECT_THROW((void)context.load(ModuleKind::opencl_c, "scale\n"), Enough);
    enough_ = false;
    device_.config_write16(0x04, 0x0006);
    EXPECT_EQ(context.load(ModuleKind::opencl_c, "scale\n").names(), std::vector<std::string>{"scale"});
    s.fill(x, std::byte{2});
    s.upload(x, data);
    std::vector<std::byte> got(data.size());
    s.download(x, got);
    EXPECT_EQ(got, data);
}

TEST_P(AccelCallbacks, MayDropBuffers) {
    Context context(device_);
    auto last = std::make_shared<Buffer<float>>(context.allocate<float>(1000));
    context.stream().fill(*last, 1.0F);
    std::promise<void> called;
    context.stream().on_complete([&, last = std::move(last)](Status) { called.set_value(); });
    context.synchronize();
    called.get_future().wait();
    context.synchronize();
}

INSTANTIATE_TEST_SUITE_P(Ports, AccelCallbacks, kAccelPorts, [](const auto& p) { return std::string(p.param.name); });

/// Buffers lie where the aperture does not reach.
class AccelLocal : public AccelPrograms {
protected:
    [[nodiscard]] bool has_local() const override { return true; }
};

TEST_P(AccelLocal, EverySizeThereAndBack) {
    Context context(device_);
    Stream& s = context.stream();
    EXPECT_EQ(context.properties().local_bytes, ModuleExecutor::kLocalBytes);
    for (const std::size_t n : {std::size_t{1}, std::size_t{4097}, std::size_t{1 << 20}, std::size_t{9'000'001}}) {
        const auto data = bytes(n);
        const auto b = context.allocate<std::byte>(n + 3);
        EXPECT_GE(b.address(), ModuleExecutor::kLocal);
        s.upload(b.part(3, n), data);
        std::vector<std::byte> got(n);
        s.download(b.part(3, n), got);
        ASSERT_EQ(got, data) << n;
        const auto host = context.allocate_host<std::byte>(n), back = context.allocate_host<std::byte>(n);
        std::memcpy(host.data(), data.data(), n);
        s.fill(b, std::byte{0});
        s.upload(b, host);
        s.download(b.part(0, n), back);
        s.synchronize();
        ASSERT_EQ(std::memcmp(back.data(), data.data(), n), 0) << n;
    }
}

TEST_P(AccelLocal, UploadsKeepTheirPlaceAmongStreams) {
    Context context(device_);
    Stream other = context.create_stream();
    const auto a = context.allocate<std::byte>(3 << 20), b = context.allocate<std::byte>(3 << 20);
    for (int i = 0; i < 6; ++i) {
        const auto x = bytes(3 << 20), y = bytes(3 << 20);
        context.stream().upload(a, x);
        other.upload(b, y);
        std::vector<std::byte> got(3 << 20);
        other.download(b, got);
        ASSERT_EQ(got, y);
        context.stream().download(a, got);
        ASSERT_EQ(got, x);
    }
}

TEST_P(AccelLocal, ProgramsRunThere) {
    Context context(device_);
    auto module = context.load(ModuleKind::opencl_c, "scale\nadd\n");
    const auto x = context.allocate<float>(100'000), y = context.allocate<float>(100'000);
    const auto in = floats(100'000);
    context.stream().upload(x, in);
    context.stream().launch(module.kernel("scale"), {100'000}, x, 3.0F, 100'000U);
    context.stream().launch(module.kernel("add"), {100'000}, y, x, 100'000U);
    std::vector<float> got(100'000);
    context.stream().download(y, got);
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], 3.0F * in[i]);
}

TEST_P(AccelLocal, EachContextHasItsRange) {
    Context one(device_), two(device_);
    const auto a = one.allocate<std::byte>(40 << 20);
    const auto b = two.allocate<std::byte>(20 << 20);  // at its own beginning: no address of one is one of two
    EXPECT_EQ(b.address() - a.address(), ModuleExecutor::kLocalBytes);
    EXPECT_EQ(thrown([&] { (void)two.allocate<std::byte>(80 << 20); }).first, Status::no_memory);
    one.synchronize();
    two.synchronize();
}

INSTANTIATE_TEST_SUITE_P(Ports, AccelLocal, kAccelPorts, [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::test
