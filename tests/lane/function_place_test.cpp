// SPDX-License-Identifier: Apache-2.0
// Receives: state directories as earlier lives, and an earlier version, left them. Hands on: proof that what is found
// there is continued, or refused. Owns: the directories.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gtest/gtest.h>
#include <unistd.h>

#include "lane/function_place.hpp"

namespace farlane::lane {
namespace {

namespace fs = std::filesystem;
using proto::FunctionCounts;
using proto::FunctionMemory;

constexpr const char* kName = "function-a";

struct FunctionPlaceTest : testing::Test {
    const std::string dir = testing::TempDir() + "farlane-place-" + std::to_string(::getpid());
    std::unique_ptr<backend::Memory> memory;
    bool fresh = false;

    void SetUp() override {
        fs::create_directory(dir);
        fs::permissions(dir, fs::perms::owner_all);
    }
    void TearDown() override {
        memory.reset();
        fs::remove_all(dir);
    }
    /// As after a restart.
    proto::FunctionPlace place() {
        memory.reset();
        memory = backend::directory_memory(dir).take();
        return function_place(*memory, kName, fresh).take();
    }
    [[nodiscard]] std::string file(const std::string& name) const { return dir + "/" + name; }
    /// Byte for byte what the version before wrote: everything in one file. Not from the structs of today.
    void leave_by_earlier_version(std::uint64_t intent = 0) {
        std::string all(sizeof(FunctionMemory), '\0');
        const auto put = [&](std::size_t at, auto value) { std::memcpy(all.data() + at, &value, sizeof value); };
        std::memcpy(all.data(), "FLUNMEM2", 8);
        put(8, std::uint16_t{3});
        put(10, std::uint16_t{7});
        put(12, std::uint32_t{1});
        std::uint64_t count = 100;
        for (const std::size_t at : {16, 24, 32, 48, 56, 64}) put(at, count++);
        put(40, intent);
        const std::string path = file(kName);
        std::ofstream(path, std::ios::binary) << all;
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
    }
    static void expect_earlier(const FunctionCounts& c) {
        for (unsigned i = 0; i < proto::kClasses; ++i) {
            EXPECT_EQ(c.released[i], 100 + i);
            EXPECT_EQ(c.next[i], 103 + i);
        }
    }
    [[nodiscard]] std::string magic() const {
        std::string first(8, '\0');
        std::ifstream(file(kName), std::ios::binary).read(first.data(), 8);
        return first;
    }
};

TEST_F(FunctionPlaceTest, TakesUpWhatAnEarlierVersionLeft) {
    leave_by_earlier_version();
    {
        auto p = place();
        EXPECT_FALSE(fresh);
        EXPECT_TRUE(p.plausible());
        EXPECT_EQ(p.memory.index, 3);
        EXPECT_EQ(p.memory.generation, 7);
        expect_earlier(p.counts);
        EXPECT_EQ(magic(), "FLUNMEM3") << "the earlier version refuses what it would continue with old counts";
        p.counts.released[0] = 500;
    }
    const auto p = place();
    EXPECT_TRUE(p.plausible());
    EXPECT_EQ(p.counts.released[0], 500u) << "moved once";
}

TEST_F(FunctionPlaceTest, WhatIsInDoubtStaysInDoubt) {
    leave_by_earlier_version(101);
    const auto p = place();
    EXPECT_TRUE(p.plausible());
    EXPECT_EQ(p.counts.intent, 101u);
}

TEST_F(FunctionPlaceTest, AnEarlierVersionIsCheckedAsWell) {
    leave_by_earlier_version(50);  // far behind what was released
    EXPECT_FALSE(place().plausible());
}

// A later version ran, then the earlier one began anew: it knows nothing of lines.
TEST_F(FunctionPlaceTest, WhatIsNewestCountsAfterAWayBack) {
    {
        auto p = place();
        p.create({3, 6});
        p.counts.released[0] = 900;
    }
    leave_by_earlier_version();
    const auto p = place();
    EXPECT_TRUE(p.plausible());
    expect_earlier(p.counts);
}

// Any number of the stores of take_over() were made, and then it was killed.
TEST_F(FunctionPlaceTest, KilledWhileItMoves) {
    constexpr std::size_t kWords = sizeof(FunctionCounts) / sizeof(std::uint64_t);
    for (std::size_t moved = 0; moved <= kWords; ++moved) {
        leave_by_earlier_version();
        memory.reset();
        fs::remove(file("lines-0"));
        memory = backend::directory_memory(dir).take();
        auto line = memory->small_region(kName, fresh).take();
        std::memset(line.data(), 0xee, line.size());
        std::ifstream(file(kName), std::ios::binary)
            .seekg(16)
            .read(reinterpret_cast<char*>(line.data()), static_cast<std::streamsize>(moved * sizeof(std::uint64_t)));
        const auto p = place();
        EXPECT_TRUE(p.plausible()) << moved;
        expect_earlier(p.counts);
    }
}

TEST_F(FunctionPlaceTest, WithoutItsLineItIsRefused) {
    const auto leave = [this] {
        auto p = place();
        p.create({1, 1});
        p.counts.released[0] = 5;
        memory.reset();
    };
    leave();
    EXPECT_TRUE(place().plausible());
    memory.reset();
    fs::remove(file("lines-0"));
    EXPECT_FALSE(place().plausible());
    leave();
    fs::resize_file(file("lines-0"), 1000);
    EXPECT_FALSE(place().plausible());
    leave();
    std::ofstream(file("lines-0"), std::ios::binary | std::ios::in) << std::string(64, '\xff');
    EXPECT_FALSE(place().plausible());
}

// Its file was removed, or made anew: what its line says is of nobody.
TEST_F(FunctionPlaceTest, ALineAloneIsNothing) {
    {
        auto p = place();
        p.create({1, 1});
        p.counts.released[0] = 5;
    }
    memory.reset();
    fs::remove(file(kName));
    auto p = place();
    EXPECT_TRUE(fresh);
    EXPECT_FALSE(p.plausible());
    p.create({1, 2});
    EXPECT_TRUE(p.plausible());
    EXPECT_EQ(p.counts.released[0], 0u);
}

TEST_F(FunctionPlaceTest, WhatCanNotBeKeptIsSaid) {
    memory = backend::directory_memory(dir).take();
    fs::create_symlink(file("elsewhere"), file("lines-0"));
    const auto refused = function_place(*memory, kName, fresh);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.status(), Status::denied);
    EXPECT_NE(refused.failure().detail.find("lines-0"), std::string::npos);
    EXPECT_FALSE(fs::exists(file("elsewhere")));
}

}  // namespace
}  // namespace farlane::lane
