// SPDX-License-Identifier: Apache-2.0
// Receives: DmaTable. Hands on: verdicts. Owns: nothing.
#include "lane/dma_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace farlane::lane {
namespace {

constexpr std::uint32_t kBoth = FL_MAP_DEVICE_READS | FL_MAP_DEVICE_WRITES;

TEST(DmaTable, RefusesWhatCanNotBeMapped) {
    DmaTable t;
    EXPECT_EQ(t.add({0, 4096, kBoth}), Status::invalid);
    EXPECT_EQ(t.add({4096, 0, kBoth}), Status::invalid);
    EXPECT_EQ(t.add({4096, 1, 0}), Status::invalid);
    EXPECT_EQ(t.add({4096, 1, 4}), Status::invalid);
    EXPECT_EQ(t.add({~0ULL - 10, 100, kBoth}), Status::invalid);
    EXPECT_EQ(t.add({4096, 4096, kBoth}), Status::ok);
    EXPECT_EQ(t.add({4096, 1, kBoth}), Status::busy);
    EXPECT_EQ(t.add({8191, 1, kBoth}), Status::busy);
    EXPECT_EQ(t.add({4000, 97, kBoth}), Status::busy);
    EXPECT_EQ(t.add({4000, 96, kBoth}), Status::ok);
    EXPECT_EQ(t.add({8192, 1, kBoth}), Status::ok);
    EXPECT_EQ(t.remove(4097), Status::not_found);
    EXPECT_EQ(t.remove(4096), Status::ok);
    EXPECT_EQ(t.find(4096, 1, FL_MAP_DEVICE_READS), nullptr);
}

TEST(DmaTable, FindIsByteExactAndKnowsDirections) {
    DmaTable t;
    ASSERT_EQ(t.add({1000, 10, FL_MAP_DEVICE_READS}), Status::ok);
    ASSERT_EQ(t.add({1010, 10, FL_MAP_DEVICE_WRITES}), Status::ok);
    EXPECT_NE(t.find(1000, 10, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(1000, 10, FL_MAP_DEVICE_WRITES), nullptr);
    EXPECT_EQ(t.find(1000, 11, FL_MAP_DEVICE_READS), nullptr);  // a range is one mapping
    EXPECT_EQ(t.find(999, 1, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(1009, 2, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(1000, 0, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(1000, ~0ULL, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_NE(t.find(1019, 1, FL_MAP_DEVICE_WRITES), nullptr);
}

TEST(DmaTable, HoldsAtMostItsLimit) {
    DmaTable t;
    for (std::uint64_t i = 1; i <= DmaTable::kMaxRanges; ++i) ASSERT_EQ(t.add({i * 4096, 4096, kBoth}), Status::ok);
    EXPECT_EQ(t.add({1ULL << 40, 1, kBoth}), Status::limit);
}

TEST(DmaTable, AgreesWithAReferenceModel) {
    std::mt19937_64 random(11);
    DmaTable t;
    std::map<std::uint64_t, DmaRange> model;
    for (int i = 0; i < 20000; ++i) {
        const std::uint64_t at = 1 + random() % 5000;
        const std::uint64_t bytes = 1 + random() % 60;
        if (random() % 3 == 0) {
            bool overlaps = false;
            for (const auto& [iova, r] : model) overlaps |= iova < at + bytes && at < iova + r.length_bytes;
            ASSERT_EQ(t.add({at, bytes, kBoth}), overlaps ? Status::busy : Status::ok);
            if (!overlaps) model[at] = {at, bytes, kBoth};
        } else if (random() % 4 == 0 && !model.empty()) {
            const auto victim = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
            ASSERT_EQ(t.remove(victim->first), Status::ok);
            model.erase(victim);
        } else {
            bool inside = false;
            for (const auto& [iova, r] : model) inside |= at >= iova && at + bytes <= iova + r.length_bytes;
            ASSERT_EQ(t.find(at, bytes, FL_MAP_DEVICE_READS) != nullptr, inside);
        }
    }
}

TEST(DmaTable, EachPasidIsASpaceOfItsOwn) {
    DmaTable t;
    std::byte a{}, b{};
    EXPECT_EQ(t.add({0x1000, 0x1000, FL_MAP_DEVICE_WRITES, &a, 0, false, 0}), Status::ok);
    EXPECT_EQ(t.add({0x1000, 0x1000, FL_MAP_DEVICE_READS, &b, 0, false, 7}), Status::ok) << "the same IOVA";
    EXPECT_EQ(t.add({0x1800, 0x1000, FL_MAP_DEVICE_READS, &b, 0, false, 7}), Status::busy);
    EXPECT_EQ(t.add({0x2000, 0x1000, FL_MAP_DEVICE_READS, &b, 0, false, 7}), Status::ok);
    EXPECT_EQ(t.add({0x800, 0x801, FL_MAP_DEVICE_READS, &b, 0, false, 7}), Status::busy);
    EXPECT_EQ(t.add({0x1000, 0x1000, FL_MAP_DEVICE_READS, &b, 0, false, FL_PASID_MAX + 1}), Status::invalid);
    ASSERT_NE(t.find(0x1000, 16, FL_MAP_DEVICE_WRITES), nullptr);
    EXPECT_EQ(t.find(0x1000, 16, FL_MAP_DEVICE_WRITES)->host, &a);
    EXPECT_EQ(t.find(7, 0x1000, 16, FL_MAP_DEVICE_WRITES), nullptr) << "another's direction";
    ASSERT_NE(t.find(7, 0x1000, 16, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(7, 0x1000, 16, FL_MAP_DEVICE_READS)->host, &b);
    EXPECT_EQ(t.find(6, 0x1000, 16, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(8, 0x1000, 16, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_EQ(t.find(0x2000, 16, FL_MAP_DEVICE_READS), nullptr) << "the function's own space has it not";
    EXPECT_EQ(t.remove(7, 0x1000), Status::ok);
    EXPECT_EQ(t.find(7, 0x1000, 16, FL_MAP_DEVICE_READS), nullptr);
    EXPECT_NE(t.find(0x1000, 16, FL_MAP_DEVICE_WRITES), nullptr);
    EXPECT_EQ(t.remove(7, 0x1000), Status::not_found);
}

}  // namespace
}  // namespace farlane::lane
