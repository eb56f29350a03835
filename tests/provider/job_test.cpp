// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof that farlane::accel does a thousand jobs on it, every result compared
// with one computed here. Owns: a fabric, a device and a context per test.
#include <cstring>
#include <numeric>

#include <farlane/accel.hpp>

#include "provider/stage.hpp"

namespace farlane::test {
namespace {

class ProviderJob : public ProviderTest {
protected:
    Fabric fabric_ = open();
    Device device_ = attach(fabric_);
};

TEST_P(ProviderJob, AThousandInAPipeline) {
    accel::Context context(device_);
    accel::Stream& s = context.stream();
    constexpr std::uint32_t kCount = 1000, kRounds = 250;
    const auto x = context.allocate<float>(kCount), y = context.allocate<float>(kCount),
               z = context.allocate<float>(kCount);
    const auto sum = context.allocate<float>(1);
    std::vector<float> ramp(kCount), expected(kCount), got(kCount);
    std::iota(ramp.begin(), ramp.end(), 1.0F);
    const auto before = context.properties().kernels_run;  // since power-on: a reset does not set it back
    s.upload(x, ramp);
    for (std::uint32_t round = 1; round <= kRounds; ++round) {  // four jobs each
        s.fill(z, static_cast<float>(round));
        s.launch(accel::Axpy{1.0F, x, z});
        s.copy(y, z);
        s.launch(accel::Reduce{accel::Reduction::maximum, y, sum});
        if (round % 50 != 0) continue;
        float maximum = 0;
        s.download(sum, std::span(&maximum, 1));
        EXPECT_EQ(maximum, static_cast<float>(kCount + round));
        s.download(y, std::span(got));
        for (std::uint32_t i = 0; i < kCount; ++i) ASSERT_EQ(got[i], ramp[i] + static_cast<float>(round)) << i;
    }
    s.synchronize();
    EXPECT_EQ(context.properties().kernels_run - before, 2U * kRounds);
}

TEST_P(ProviderJob, DigestsThroughHostMemory) {
    accel::Context context(device_);
    accel::Stream& s = context.stream();
    // FIPS 180-2, B.1: SHA-256 of "abc".
    constexpr accel::Digest kAbc{0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    constexpr std::size_t kMessages = 200;
    const auto host = context.allocate_host<std::byte>(kMessages * 3);
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<std::byte>("abc"[i % 3]);
    const auto messages = context.allocate<std::byte>(host.size());
    const auto digests = context.allocate<accel::Digest>(kMessages);
    const auto back = context.allocate_host<accel::Digest>(kMessages);
    s.upload(messages, host);
    s.launch(accel::Sha256{.messages = messages, .digests = digests, .message_bytes = 3});
    s.download(digests, back);
    s.synchronize();
    for (const auto& d : back) ASSERT_EQ(d, kAbc);
}

TEST_P(ProviderJob, WaitsOneByOne) {
    accel::Context context(device_);
    const auto word = context.allocate<std::uint32_t>(1);
    for (std::uint32_t i = 0; i < 100; ++i) {
        context.stream().fill(word, i);
        std::uint32_t got = ~i;
        context.stream().download(word, std::span(&got, 1));
        ASSERT_EQ(got, i);
    }
}

FARLANE_PROVIDER_SUITE(ProviderJob);

}  // namespace
}  // namespace farlane::test
