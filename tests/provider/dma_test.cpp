// SPDX-License-Identifier: Apache-2.0
// Receives: each provider. Hands on: proof that a device reaches exactly what is mapped, in the direction given
// and for as long as it is. Owns: a fabric, a device and its queue per test.
#include <algorithm>
#include <cstring>

#include "provider/copier.hpp"
#include "provider/stage.hpp"

namespace farlane::test {
namespace {

class ProviderDma : public ProviderTest {
protected:
    Fabric fabric_ = open();
    Device device_ = attach(fabric_);
    Copier copier_{device_};
    Domain& domain_ = device_.domain();
};

bool all_are(std::span<const std::byte> bytes, std::byte value) {
    return std::ranges::all_of(bytes, [value](std::byte b) { return b == value; });
}

TEST_P(ProviderDma, BuffersOfAnySize) {
    for (const std::size_t bytes : {1U, 63U, 4096U, 4097U, 100'000U, 1U << 20}) {
        DmaBuffer buffer = domain_.allocate(bytes);
        ASSERT_GE(buffer.size(), bytes);
        EXPECT_TRUE(all_are(buffer.bytes(), std::byte{0})) << bytes;
        const auto data = pattern(bytes, static_cast<unsigned>(bytes));
        std::ranges::copy(data, buffer.data());
        const Mapping mapping = domain_.map(buffer, DmaDirection::bidirectional);
        EXPECT_NE(mapping.iova(), 0U);
        EXPECT_EQ(mapping.iova() % 4096, 0U);
        EXPECT_EQ(mapping.size(), buffer.size());
        ASSERT_TRUE(copier_.to_device(mapping.iova(), 0, bytes).ok());
        std::memset(buffer.data(), 0, bytes);
        ASSERT_TRUE(copier_.to_host(0, mapping.iova(), bytes).ok());
        EXPECT_EQ(std::memcmp(buffer.data(), data.data(), bytes), 0) << bytes;
    }
    EXPECT_NE(refusal_of([&] { (void)domain_.allocate(0); }).status, Status::ok);
    EXPECT_EQ(refusal_of([&] { (void)domain_.allocate(std::size_t{1} << 60); }).status, Status::no_memory);
    EXPECT_EQ(refusal_of([&] { (void)domain_.allocate(~std::size_t{0}); }).status, Status::no_memory);
}

TEST_P(ProviderDma, MappingsDoNotOverlapAndAreNeverZero) {
    DmaBuffer buffer = domain_.allocate(1 << 20);
    std::vector<Mapping> all;
    for (std::size_t i = 0; i < 100; ++i)
        all.push_back(domain_.map(buffer, i * 4097, 4096 + i * 13, DmaDirection::bidirectional));
    std::ranges::sort(all, {}, [](const Mapping& m) { return m.iova(); });
    EXPECT_GT(all.front().iova(), 0U);
    for (std::size_t i = 1; i < all.size(); ++i) EXPECT_LE(all[i - 1].iova() + all[i - 1].size(), all[i].iova());
}

TEST_P(ProviderDma, ExactlyTheBytesMapped) {
    DmaBuffer buffer = domain_.allocate(64 * 1024);
    std::memset(buffer.data(), 0x5a, buffer.size());
    const auto data = pattern(20'000, 1);
    copier_.fill(0, data);
    const Mapping m = domain_.map(buffer, 100, data.size(), DmaDirection::from_device);
    ASSERT_TRUE(copier_.to_host(0, m.iova(), data.size()).ok());
    EXPECT_EQ(std::memcmp(buffer.data() + 100, data.data(), data.size()), 0);
    EXPECT_TRUE(all_are(buffer.bytes().first(100), std::byte{0x5a}));
    EXPECT_TRUE(all_are(buffer.bytes().subspan(100 + data.size()), std::byte{0x5a}));

    std::memset(buffer.data(), 0x5a, buffer.size());
    for (const auto& [iova, bytes] : {std::pair{m.iova() - 1, 4UL},
                                      {m.iova() + data.size() - 3, 4UL},
                                      {m.iova() - 4096, 4096UL},
                                      {m.iova() + data.size(), 1UL},
                                      {m.iova() + (1UL << 40), 64UL},
                                      {0UL, 64UL},
                                      {~0UL - 63, 64UL}}) {
        (void)copier_.to_host(0, iova, bytes);
        (void)device_.read32(0, 0);
        EXPECT_TRUE(all_are(buffer.bytes(), std::byte{0x5a})) << iova - m.iova() << "+" << bytes;
    }
    ASSERT_TRUE(copier_.to_host(0, m.iova(), data.size()).ok()) << "the queue goes on";
}

TEST_P(ProviderDma, OnlyInTheDirectionGiven) {
    DmaBuffer buffer = domain_.allocate(8192);
    const auto data = pattern(8192, 2), other = pattern(8192, 3);
    copier_.fill(0, other);
    std::ranges::copy(data, buffer.data());
    {
        const Mapping m = domain_.map(buffer, DmaDirection::to_device);
        EXPECT_EQ(m.direction(), DmaDirection::to_device);
        (void)copier_.to_host(0, m.iova(), 8192);
        (void)device_.read32(0, 0);
        EXPECT_EQ(std::memcmp(buffer.data(), data.data(), 8192), 0) << "not written";
        EXPECT_TRUE(copier_.to_device(m.iova(), 8192, 8192).ok());
        EXPECT_EQ(copier_.look(8192, 8192), data);
    }
    const Mapping m = domain_.map(buffer, DmaDirection::from_device);
    EXPECT_FALSE(copier_.to_device(m.iova(), 16384, 8192).ok()) << "not read";
    const auto got = copier_.look(16384, 8192);  // a copy that failed may have left anything but these bytes
    for (std::size_t at = 0; at < got.size(); at += 64)
        ASSERT_NE(std::memcmp(got.data() + at, buffer.data() + at, 64), 0) << at;
    EXPECT_TRUE(copier_.to_host(0, m.iova(), 8192).ok());
    EXPECT_EQ(std::memcmp(buffer.data(), other.data(), 8192), 0);
}

TEST_P(ProviderDma, NothingAfterUnmap) {
    DmaBuffer buffer = domain_.allocate(8192);
    copier_.fill(0, pattern(8192, 4));
    for (int round = 0; round < 20; ++round) {
        Mapping m = domain_.map(buffer, DmaDirection::bidirectional);
        const std::uint64_t iova = m.iova();
        ASSERT_TRUE(copier_.to_host(0, iova, 8192).ok());
        copier_.begin_to_host(0, iova, 8192);  // on its way while it is unmapped
        m.unmap();
        EXPECT_FALSE(m.valid());
        std::memset(buffer.data(), round + 1, buffer.size());
        (void)copier_.settle();
        (void)copier_.to_host(0, iova, 8192);
        EXPECT_FALSE(copier_.to_device(iova, 0, 64).ok());
        (void)device_.read32(0, 0);
        ASSERT_TRUE(all_are(buffer.bytes(), static_cast<std::byte>(round + 1))) << round;
        m.unmap();  // says nothing
    }
}

TEST_P(ProviderDma, PartsOfABufferAreMappingsOfTheirOwn) {
    DmaBuffer buffer = domain_.allocate(1 << 16);
    const auto data = pattern(4096, 5);
    copier_.fill(0, data);
    Mapping first = domain_.map(buffer, 0, 4096, DmaDirection::from_device);
    const Mapping second = domain_.map(buffer, 4096, 4096, DmaDirection::from_device);
    const Mapping again = domain_.map(buffer, 2048, 4096, DmaDirection::from_device);  // the same bytes once more
    first.unmap();
    ASSERT_TRUE(copier_.to_host(0, second.iova(), 4096).ok());
    EXPECT_EQ(std::memcmp(buffer.data() + 4096, data.data(), 4096), 0);
    EXPECT_TRUE(all_are(buffer.bytes().first(4096), std::byte{0}));
    ASSERT_TRUE(copier_.to_host(0, again.iova(), 4096).ok());
    EXPECT_EQ(std::memcmp(buffer.data() + 2048, data.data(), 4096), 0);
}

TEST_P(ProviderDma, WhatIsNotInTheBufferIsRefused) {
    DmaBuffer buffer = domain_.allocate(4096);
    const std::size_t size = buffer.size();
    const auto map = [&](std::size_t offset, std::size_t bytes) {
        return [&, offset, bytes] { (void)domain_.map(buffer, offset, bytes, DmaDirection::to_device); };
    };
    for (const auto& [offset, bytes] :
         {std::pair{1UL, size}, {size, 1UL}, {0UL, size + 1}, {~0UL, 2UL}, {2UL, ~0UL}, {0UL, 0UL}})
        expect_refused(Status::out_of_bounds, std::to_string(size), map(offset, bytes));
    expect_refused(Status::invalid, "empty", [&] { (void)domain_.map(DmaBuffer(), DmaDirection::to_device); });
}

TEST_P(ProviderDma, UpToTheLimitAndNotBeyond) {
    DmaBuffer buffer = domain_.allocate(4096);
    std::vector<Mapping> all;
    Refusal refusal;
    while (refusal.status == Status::ok && all.size() <= Domain::kMaxMappings)
        refusal =
            refusal_of([&] { all.push_back(domain_.map(buffer, all.size() % 4096, 1, DmaDirection::to_device)); });
    EXPECT_EQ(all.size() + 1, Domain::kMaxMappings) << "one is the queue's";
    EXPECT_EQ(refusal.status, Status::limit) << refusal.text;
    EXPECT_NE(refusal.text.find("4096"), std::string::npos) << refusal.text;
    ASSERT_TRUE(copier_.to_device(all.back().iova(), 0, 1).ok());
    all.pop_back();
    all.push_back(domain_.map(buffer, DmaDirection::to_device));  // one went, one comes
    ASSERT_TRUE(copier_.to_device(all.back().iova(), 0, buffer.size()).ok());
    all.clear();
    for (int i = 0; i < 100; ++i) all.push_back(domain_.map(buffer, DmaDirection::bidirectional));
    ASSERT_TRUE(copier_.to_host(0, all.back().iova(), buffer.size()).ok());
}

TEST_P(ProviderDma, AMappingMayOutliveItsDevice) {
    DmaBuffer buffer = domain_.allocate(4096);
    Mapping m = domain_.map(buffer, DmaDirection::bidirectional);
    device_.detach();
    EXPECT_NO_THROW(m.unmap());
    expect_refused(Status::device_lost, "attach", [&] { (void)device_.domain(); });
}

FARLANE_PROVIDER_SUITE(ProviderDma);

}  // namespace
}  // namespace farlane::test
