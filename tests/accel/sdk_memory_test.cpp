// SPDX-License-Identifier: Apache-2.0
// Receives: uploads, downloads, allocations. Hands on: whether no byte is lost, early or late.
// Owns: a target and a fabric per test.
#include <cstring>

#include "accel/sdk_fixture.hpp"

namespace farlane::test {
namespace {

using namespace accel;

class AccelSdkMemory : public AccelSdk {};

TEST_P(AccelSdkMemory, EverySizeThereAndBack) {
    Context context(device_);
    Stream& s = context.stream();
    for (const std::size_t n : {std::size_t{1}, std::size_t{63}, std::size_t{4095}, std::size_t{4097},
                                std::size_t{1 << 20}, std::size_t{5'000'001}}) {
        const auto data = bytes(n);
        const auto b = context.allocate<std::byte>(n + 3);
        s.upload(b.part(3, n), data);
        std::vector<std::byte> got(n);
        s.download(b.part(3, n), got);
        ASSERT_EQ(got, data) << n;
        const auto host = context.allocate_host<std::byte>(n);
        std::memcpy(host.data(), data.data(), n);
        s.fill(b, std::byte{0});
        s.synchronize();
        s.upload(b, host);
        const auto back = context.allocate_host<std::byte>(n);
        s.download(b.part(0, n), back);
        s.synchronize();
        ASSERT_EQ(std::memcmp(back.data(), data.data(), n), 0) << n;
    }
}

/// An upload must not overtake commands that read the old content.
TEST_P(AccelSdkMemory, UploadIntoMemoryInUseKeepsItsPlace) {
    Context context(device_);
    Stream& s = context.stream();
    constexpr std::size_t kN = 3 << 20;  // more than one staging chunk
    const auto b = context.allocate<std::byte>(kN);
    const auto keep = context.allocate<std::byte>(kN);
    std::vector<std::vector<std::byte>> data;
    for (int i = 0; i < 4; ++i) data.push_back(bytes(kN));
    std::vector<std::byte> got(kN);
    s.upload(b, data[0]);
    for (int i = 1; i < 4; ++i) {
        s.copy(keep, b);
        s.upload(b, data[static_cast<std::size_t>(i)]);  // the copy has hardly begun
        s.download(keep, got);
        ASSERT_EQ(got, data[static_cast<std::size_t>(i) - 1]);
        s.download(b, got);
        ASSERT_EQ(got, data[static_cast<std::size_t>(i)]);
    }
}

TEST_P(AccelSdkMemory, UploadIsSeenByOtherStreams) {
    Context context(device_);
    Stream other = context.create_stream();
    const auto b = context.allocate<std::byte>(100'000);
    for (int i = 0; i < 10; ++i) {
        const auto data = bytes(100'000);
        context.stream().upload(b, data);
        std::vector<std::byte> got(data.size());
        other.download(b, got);
        ASSERT_EQ(got, data);
    }
}

TEST_P(AccelSdkMemory, FreedMemoryComesBackClean) {
    Context context(device_);
    Stream& s = context.stream();
    Stream other = context.create_stream();
    for (int round = 0; round < 8; ++round) {  // 5 x 40 MiB do not fit at once
        auto b = context.allocate<std::uint64_t>(5 << 20);
        std::vector<std::uint64_t> got(1000);
        s.download(b.part(777, 1000), got);
        for (const auto v : got) ASSERT_EQ(v, 0u);
        (round % 2 == 0 ? s : other).fill(b, ~std::uint64_t{0});
    }
}

TEST_P(AccelSdkMemory, TooMuchIsAnErrorAndNothingElse) {
    Context context(device_);
    const auto most = context.allocate<std::byte>(40 << 20);
    try {
        (void)context.allocate<std::byte>(30 << 20);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::no_memory);
        EXPECT_NE(std::string(e.what()).find("largest"), std::string::npos) << e.what();
    }
    const auto small = context.allocate<std::byte>(1 << 20);
    context.synchronize();
}

TEST_P(AccelSdkMemory, ContextsShareTheMemory) {
    Context one(device_);
    Context two(device_);
    const auto a = one.allocate<int>(1000);
    const auto b = two.allocate<int>(1000);
    EXPECT_NE(a.address(), b.address());
    one.stream().fill(a, 1);
    two.stream().fill(b, 2);
    std::vector<int> got(1000);
    one.stream().download(a, got);
    EXPECT_EQ(got[999], 1);
    two.stream().download(b, got);
    EXPECT_EQ(got[999], 2);
}

TEST_P(AccelSdkMemory, BufferMayGoWhileItIsUsed) {
    Context context(device_);
    Stream& s = context.stream();
    const auto sum = context.allocate<float>(1);
    {
        const auto x = context.allocate<float>(1 << 20);
        s.fill(x, 0.5F);
        s.launch(Reduce{Reduction::sum, x, sum});
    }
    std::vector<float> got(1);
    s.download(sum, got);
    EXPECT_EQ(got[0], static_cast<float>(1 << 19));
    s.synchronize();
    EXPECT_EQ(context.properties().memory_context_bytes, 4096u);
}

INSTANTIATE_TEST_SUITE_P(Ports, AccelSdkMemory, kAccelPorts, [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace farlane::test
