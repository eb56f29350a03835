// SPDX-License-Identifier: Apache-2.0
// Receives: the accelerator API over real ports. Hands on: whether work gets done, in order, with
// errors that say what failed. Owns: a target and a fabric per test.
#include <cmath>
#include <cstring>

#include "accel/sdk_fixture.hpp"

namespace farlane::test {
namespace {

using namespace accel;
using accel::Event;  // not the fabric's

TEST_P(AccelSdk, KnowsItsDevice) {
    EXPECT_TRUE(is_accelerator(device_.info()));
    Context context(device_);
    const auto p = context.properties();
    EXPECT_EQ(p.executor, "cpu");
    EXPECT_EQ(p.units, 2u);
    EXPECT_GT(p.memory_bytes, kMemoryBytes / 2);
    EXPECT_EQ(p.memory_free_bytes, p.memory_bytes);
    const auto buffer = context.allocate<float>(1000);
    EXPECT_EQ(context.properties().memory_context_bytes, 4096u);
}

TEST_P(AccelSdk, ColdProgram) {
    Context context(device_);
    Stream& s = context.stream();
    const auto x = floats(10'001), y = floats(10'001);
    const auto dx = context.allocate<float>(x.size());
    const auto dy = context.allocate<float>(y.size());
    const auto result = context.allocate_host<float>(y.size());
    s.upload(dx, x);
    s.upload(dy, y);
    s.launch(Axpy{3.0F, dx, dy});
    s.download(dy, result);
    s.synchronize();
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(result[i], 3.0F * x[i] + y[i], 1e-6F) << i;
}

TEST_P(AccelSdk, EveryKernel) {
    Context context(device_);
    Stream& s = context.stream();
    constexpr std::uint32_t kN = 65;
    const auto a = floats(kN * kN), b = floats(kN * kN);
    const auto da = context.allocate<float>(a.size()), db = context.allocate<float>(b.size());
    const auto dc = context.allocate<float>(a.size());
    s.upload(da, a);
    s.upload(db, b);
    s.launch(Gemm{.a = da, .b = db, .c = dc, .m = kN, .n = kN, .k = kN, .transpose_b = true});
    std::vector<float> c(a.size());
    s.download(dc, c);
    for (std::uint32_t i = 0; i < kN; ++i) {
        for (std::uint32_t j = 0; j < kN; ++j) {
            double want = 0;
            for (std::uint32_t p = 0; p < kN; ++p) want += static_cast<double>(a[i * kN + p]) * b[j * kN + p];
            ASSERT_NEAR(c[i * kN + j], want, 1e-4);
        }
    }

    const auto one = context.allocate<float>(1);
    std::vector<float> value(1);
    s.launch(Reduce{Reduction::maximum, da, one});
    s.download(one, value);
    EXPECT_EQ(value[0], *std::max_element(a.begin(), a.end()));

    const std::vector<float> identity{0, 0, 0, 0, 1, 0, 0, 0, 0};
    const auto dw = context.allocate<float>(9);
    s.upload(dw, identity);
    s.launch(Conv2dF32{.in = da, .weights = dw, .out = dc, .width = kN, .height = kN, .size = 3});
    s.download(dc, c);
    EXPECT_EQ(c, a);

    std::vector<Rgba8> picture(100, Rgba8{10, 20, 30, 40});
    const auto in = context.allocate<Rgba8>(100), out = context.allocate<Rgba8>(100);
    const auto box = context.allocate<std::int16_t>(9);
    s.upload(in, picture);
    s.upload(box, std::vector<std::int16_t>(9, 2));
    s.launch(Conv2dRgba8{.in = in, .weights = box, .out = out, .width = 10, .height = 10, .size = 3, .shift = 1});
    s.download(out, picture);
    EXPECT_EQ(picture[55], (Rgba8{90, 180, 255, 40}));

    const auto message = bytes(1000);
    const auto dm = context.allocate<std::byte>(1000), rows = context.allocate<std::byte>(1000);
    const auto digests = context.allocate<Digest>(10);
    s.upload(dm, message);
    s.launch(
        CopyRows{.from = dm, .to = rows, .rows = 10, .row_bytes = 50, .from_pitch_bytes = 100, .to_pitch_bytes = 50});
    std::vector<std::byte> packed(500);
    s.download(rows.part(0, 500), packed);
    EXPECT_EQ(std::memcmp(packed.data() + 50, message.data() + 100, 50), 0);
    s.launch(Sha256{.messages = dm, .digests = digests, .message_bytes = 0});
    std::vector<Digest> got(10);
    s.download(digests, got);
    EXPECT_EQ(got[9][0], 0xe3);
    EXPECT_EQ(got[9][31], 0x55);
}

TEST_P(AccelSdk, ThousandLaunchesInAPipeline) {
    Context context(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(64), y = context.allocate<float>(64);
    s.fill(x, 1.0F);
    for (int i = 0; i < 1000; ++i) s.launch(Axpy{1.0F, x, y});
    std::vector<float> got(64);
    s.download(y, got);
    for (const float f : got) ASSERT_EQ(f, 1000.0F);
}

TEST_P(AccelSdk, MoreCommandsThanTheQueueHolds) {
    ContextOptions options;
    options.queue_slots = 64;
    Context context(device_, options);
    Stream& s = context.stream();
    const auto b = context.allocate<std::uint32_t>(1000);
    for (std::uint32_t i = 0; i < 1000; ++i) s.fill(b.part(i, 1), i);
    std::vector<std::uint32_t> got(1000);
    s.download(b, got);
    for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(got[i], i);
}

TEST_P(AccelSdk, StreamsAndEvents) {
    Context context(device_);
    Stream first = context.create_stream();
    Stream second = context.create_stream();
    const auto b = context.allocate<std::uint32_t>(1 << 16);
    Event done = context.create_event();
    Event later = context.create_event();
    EXPECT_FALSE(done.query());
    EXPECT_THROW(done.synchronize(), Error);
    EXPECT_THROW(first.wait(done), Error);
    std::vector<std::uint32_t> got(1 << 16);
    for (std::uint32_t round = 1; round <= 20; ++round) {
        first.fill(b, round);
        first.record(done);
        second.wait(done);
        second.fill(b.part(0, 1), round * 1000);
        second.record(later);
        second.download(b, got);
        ASSERT_EQ(got[0], round * 1000);
        ASSERT_EQ(got[1], round);
        ASSERT_GE(elapsed(done, later).count(), 0);
        first.wait(later);
        EXPECT_TRUE(done.query());
    }
    first.synchronize();
    EXPECT_TRUE(first.query());
}

TEST_P(AccelSdk, EventHandlesAreUsedAgain) {
    Context context(device_);
    Stream& s = context.stream();
    for (int i = 0; i < 3000; ++i) {  // more than there are handles
        Event e = context.create_event();
        s.record(e);
        if (i % 100 == 0) e.synchronize();
    }
    s.synchronize();
}

TEST_P(AccelSdk, FailuresNameCommandObjectAndReason) {
    Context context(device_);
    Stream& s = context.stream();
    const auto weights = context.allocate<std::int16_t>(961);
    const auto out = context.allocate<Rgba8>(64);
    s.upload(weights, std::vector<std::int16_t>(961, 32000));
    s.launch(Conv2dRgba8{.in = out, .weights = weights, .out = out, .width = 8, .height = 8, .size = 31});
    s.fill(out, Rgba8{1, 1, 1, 1});  // depends on what failed
    try {
        s.synchronize();
        FAIL() << "should have failed";
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::invalid);
        const std::string text = e.what();
        EXPECT_NE(text.find("LAUNCH conv2d_rgba8"), std::string::npos) << text;
        EXPECT_NE(text.find("operands overlap"), std::string::npos) << text;
        EXPECT_NE(text.find("1 more"), std::string::npos) << text;
    }
    s.fill(out, Rgba8{2, 2, 2, 2});  // usable again
    s.synchronize();
    std::vector<Rgba8> got(64);
    s.download(out, got);
    EXPECT_EQ(got[63], (Rgba8{2, 2, 2, 2}));
}

TEST_P(AccelSdk, DownloadThrowsWhatFailedBefore) {
    Context context(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(64);
    s.launch(Reduce{Reduction::sum, x, x.part(3, 1)});  // inside x
    std::vector<float> got(64);
    EXPECT_THROW(s.download(x, got), Error);
    s.download(x, got);  // and then it goes on
    EXPECT_EQ(got[0], 0.0F);
}

TEST_P(AccelSdk, ArgumentErrorsComeAtOnce) {
    Context context(device_);
    Context other(device_);
    Stream& s = context.stream();
    const auto x = context.allocate<float>(10);
    const auto foreign = other.allocate<float>(10);
    const auto status = [](auto&& call) {
        try {
            call();
        } catch (const Error& e) {
            return e.status();
        }
        return Status::ok;
    };
    EXPECT_EQ(status([&] { s.upload(x, std::vector<float>(11)); }), Status::out_of_bounds);
    EXPECT_EQ(status([&] { (void)x.part(5, 6); }), Status::out_of_bounds);
    EXPECT_EQ(status([&] { s.launch(Gemm{.a = x, .b = x, .c = x, .m = 4, .n = 4, .k = 4}); }), Status::out_of_bounds);
    EXPECT_EQ(status([&] { s.launch(Axpy{1, x, x.part(0, 3)}); }), Status::invalid);
    EXPECT_EQ(status([&] { s.fill(foreign, 1.0F); }), Status::invalid);
    EXPECT_EQ(status([&] { s.fill(Buffer<float>{}, 1.0F); }), Status::invalid);
    EXPECT_EQ(status([&] { (void)context.allocate<float>(0); }), Status::invalid);
    EXPECT_EQ(status([&] { (void)context.allocate<double>(SIZE_MAX / 4); }), Status::no_memory);
    EXPECT_EQ(status([&] { Stream().synchronize(); }), Status::invalid);
    ContextOptions options;
    options.queue_slots = 100;
    EXPECT_EQ(status([&] { Context c(device_, options); }), Status::invalid);
    s.synchronize();
}

TEST_P(AccelSdk, ContextsEnd) {
    for (int round = 0; round < 3; ++round) {
        Context context(device_);
        const auto b = context.allocate<std::uint64_t>(1 << 20);
        std::vector<std::uint64_t> got(1 << 20);
        context.stream().download(b, got);
        EXPECT_EQ(got[12345], 0u);  // nothing of the context before
        context.stream().fill(b, 0xdeadbeefULL);
        context.synchronize();
    }
    Stream orphan;
    Buffer<int> buffer;
    {
        Context context(device_);
        orphan = context.create_stream();
        buffer = context.allocate<int>(10);
    }
    EXPECT_THROW(orphan.fill(buffer, 1), Error);
    buffer = {};
    orphan = {};
    Context after(device_);
    EXPECT_EQ(after.properties().memory_free_bytes, after.properties().memory_bytes);
}

TEST_P(AccelSdk, QueuePairsRunOut) {
    Context context(device_);
    std::vector<Stream> streams;
    try {
        for (int i = 0; i < 100; ++i) streams.push_back(context.create_stream());
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::limit);
    }
    EXPECT_EQ(streams.size(), 15u);
    streams.clear();
    Stream again = context.create_stream();
    again.ping();
}

TEST_P(AccelSdk, FunctionLevelResetEndsTheContext) {
    Context context(device_);
    const auto b = context.allocate<int>(100);
    context.stream().fill(b, 7);
    context.synchronize();
    device_.reset();
    device_.enable();
    try {
        context.stream().fill(b, 8);
        context.synchronize();
        FAIL() << "should have failed";
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::device_reset) << e.what();
    }
    Context fresh(device_);
    const auto c = fresh.allocate<int>(100);
    std::vector<int> got(100);
    fresh.stream().download(c, got);
    EXPECT_EQ(got[0], 0);
}

INSTANTIATE_TEST_SUITE_P(Ports, AccelSdk, kAccelPorts, [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::test
