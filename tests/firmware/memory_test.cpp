// SPDX-License-Identifier: Apache-2.0
// Receives: directories in every bad state. Hands on: whether device memory refuses them and keeps its bytes.
// Owns: a temporary directory.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/backend.hpp"

namespace farlane::backend {
namespace {

namespace fs = std::filesystem;

struct MemoryTest : testing::Test {
    std::string top = testing::TempDir() + "farlane_memory_XXXXXX";
    MemoryTest() {
        if (::mkdtemp(top.data()) == nullptr) throw std::runtime_error("mkdtemp");
        dir = top + "/state";
    }
    ~MemoryTest() override { fs::remove_all(top); }
    std::string dir;
};

TEST_F(MemoryTest, ProcessMemoryIsZeroedAndRemembered) {
    const auto m = process_memory();
    bool fresh = false;
    const auto a = m->region("a", 5000, fresh).take();
    EXPECT_TRUE(fresh);
    EXPECT_EQ(a.size(), 5000u);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 4096, 0u);
    for (const std::byte b : a) ASSERT_EQ(b, std::byte{0});
    a[7] = std::byte{9};
    const auto again = m->region("a", 5000, fresh).take();
    EXPECT_FALSE(fresh);
    EXPECT_EQ(again.data(), a.data());
    const auto other = m->region("a", 6000, fresh).take();
    EXPECT_TRUE(fresh);
    EXPECT_EQ(other[7], std::byte{0});
    EXPECT_EQ(a[7], std::byte{9}) << "valid as long as the memory object";
    EXPECT_EQ(m->region("b", 0, fresh).status(), Status::invalid);
}

TEST_F(MemoryTest, DirectoryMemoryOutlivesItsUser) {
    bool fresh = false;
    {
        const auto m = directory_memory(dir).take();
        const auto a = m->region("nvme0.nvme", 100000, fresh).take();
        EXPECT_TRUE(fresh);
        std::memset(a.data(), 0x5a, a.size());
    }
    struct stat st {};
    ASSERT_EQ(::stat(dir.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700u);
    ASSERT_EQ(::stat((dir + "/nvme0.nvme").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    const auto m = directory_memory(dir).take();
    const auto a = m->region("nvme0.nvme", 100000, fresh).take();
    EXPECT_FALSE(fresh);
    for (const std::byte b : a) ASSERT_EQ(b, std::byte{0x5a});
}

TEST_F(MemoryTest, SurvivesKill) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        bool fresh = false;
        if (auto m = directory_memory(dir); m.ok())
            if (auto x = m.value()->region("x", 4096, fresh); x.ok()) {
                std::memset(x.value().data(), 0x77, 4096);
                ::kill(::getpid(), SIGKILL);
            }
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    bool fresh = true;
    const auto m = directory_memory(dir).take();  // the lock died with its holder
    EXPECT_EQ(m->region("x", 4096, fresh).take()[4095], std::byte{0x77});
    EXPECT_FALSE(fresh);
}

TEST_F(MemoryTest, AnotherSizeStartsAnew) {
    bool fresh = false;
    {
        const auto m = directory_memory(dir).take();
        std::memset(m->region("x", 4096, fresh).take().data(), 1, 4096);
    }
    const auto m = directory_memory(dir).take();
    const auto x = m->region("x", 8192, fresh).take();
    EXPECT_TRUE(fresh);
    for (const std::byte b : x) ASSERT_EQ(b, std::byte{0});
    EXPECT_EQ(m->region("x", 4096, fresh).status(), Status::busy);
    EXPECT_EQ(m->region("x", 8192, fresh).take().data(), x.data());
    EXPECT_FALSE(fresh);
}

TEST_F(MemoryTest, SecondUserIsRefused) {
    const auto first = directory_memory(dir).take();
    const auto second = directory_memory(dir);
    ASSERT_EQ(second.status(), Status::busy);
    EXPECT_NE(second.failure().detail.find("in use by another process"), std::string::npos);
}

TEST_F(MemoryTest, LinksAreNotFollowed) {
    fs::create_directory(top + "/elsewhere");
    fs::permissions(top + "/elsewhere", fs::perms::owner_all);
    fs::create_directory_symlink(top + "/elsewhere", dir);
    EXPECT_EQ(directory_memory(dir).status(), Status::denied);
    fs::remove(dir);
    bool fresh = false;
    const auto m = directory_memory(dir).take();
    std::ofstream(top + "/victim") << "precious";
    fs::create_symlink(top + "/victim", dir + "/a");
    EXPECT_EQ(m->region("a", 4096, fresh).status(), Status::denied);
    fs::permissions(top + "/victim", fs::perms::owner_read | fs::perms::owner_write);
    fs::create_hard_link(top + "/victim", dir + "/b");
    EXPECT_EQ(m->region("b", 4096, fresh).status(), Status::denied);
    EXPECT_EQ(fs::file_size(top + "/victim"), 8u);
    ASSERT_EQ(::mkfifo((dir + "/c").c_str(), 0600), 0);
    EXPECT_FALSE(m->region("c", 4096, fresh).ok()) << "and does not wait for a writer";
}

TEST_F(MemoryTest, OpenToOthersIsRefused) {
    fs::create_directory(dir);
    fs::permissions(dir, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec);
    const auto r = directory_memory(dir);
    ASSERT_EQ(r.status(), Status::denied);
    EXPECT_NE(r.failure().detail.find("chmod 0700"), std::string::npos);
    fs::permissions(dir, fs::perms::owner_all);
    const auto m = directory_memory(dir).take();
    std::ofstream(dir + "/loose") << "x";
    fs::permissions(dir + "/loose", fs::perms::owner_read | fs::perms::owner_write | fs::perms::others_read);
    bool fresh = false;
    EXPECT_EQ(m->region("loose", 4096, fresh).status(), Status::denied);
}

TEST_F(MemoryTest, SmallRegionsShareFilesAndOutliveTheirUser) {
    constexpr unsigned kMany = 600;  // more than a file holds
    const auto name = [](unsigned i) { return "function-" + std::to_string(i); };
    bool fresh = false;
    {
        const auto m = directory_memory(dir).take();
        std::set<const std::byte*> places;
        for (unsigned i = 0; i < kMany; ++i) {
            const auto line = m->small_region(name(i), fresh).take();
            ASSERT_TRUE(fresh);
            ASSERT_EQ(line.size(), kSmallRegionBytes);
            ASSERT_EQ(reinterpret_cast<std::uintptr_t>(line.data()) % kSmallRegionBytes, 0u);
            for (const std::byte b : line) ASSERT_EQ(b, std::byte{0});
            ASSERT_TRUE(places.insert(line.data()).second);
            std::memset(line.data(), static_cast<int>(i % 250 + 1), line.size());
        }
        EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 3);
        EXPECT_EQ(m->small_region(name(7), fresh).take()[63], std::byte{8});
        EXPECT_FALSE(fresh);
    }
    const auto m = directory_memory(dir).take();
    for (unsigned i = 0; i < kMany; ++i) {
        const auto line = m->small_region(name(i), fresh).take();
        ASSERT_FALSE(fresh) << i;
        for (const std::byte b : line) ASSERT_EQ(b, std::byte(i % 250 + 1));
    }
    EXPECT_EQ(m->small_region("another", fresh).take()[0], std::byte{0});
    EXPECT_TRUE(fresh);
    EXPECT_EQ(m->small_region(std::string(256, 'a'), fresh).status(), Status::invalid);
    EXPECT_EQ(m->small_region("", fresh).status(), Status::invalid);
}

// What lies in a table of names that was written over is found under other names or not at all.
TEST_F(MemoryTest, SmallRegionsSurviveATableOfNonsense) {
    bool fresh = false;
    std::size_t bytes = 0;
    {
        const auto m = directory_memory(dir).take();
        (void)m->small_region("a", fresh).take();
        bytes = fs::file_size(dir + "/lines-0");
    }
    std::ofstream(dir + "/lines-0", std::ios::binary) << std::string(bytes, '\xff');
    const auto m = directory_memory(dir).take();
    const auto line = m->small_region("a", fresh).take();
    EXPECT_TRUE(fresh);
    for (const std::byte b : line) ASSERT_EQ(b, std::byte{0});
}

// A kill before the first letter of a name leaves a line that is free, whatever lies in it.
TEST_F(MemoryTest, SmallRegionsForgetALineThatWasNotNamed) {
    constexpr std::size_t kLines = 256, kNames = kLines * kSmallRegionBytes, kNameBytes = 256;
    bool fresh = false;
    {
        const auto m = directory_memory(dir).take();
        (void)m->small_region("a", fresh).take();
    }
    {
        std::fstream file(dir + "/lines-0", std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(kSmallRegionBytes) << std::string(kSmallRegionBytes, '\x55');
        file.seekp(kNames + kNameBytes + 1) << "unction-of-an-earlier-life";
    }
    const auto m = directory_memory(dir).take();
    const auto line = m->small_region("fb", fresh).take();
    EXPECT_TRUE(fresh);
    EXPECT_EQ(line.data(), m->small_region("a", fresh).take().data() + kSmallRegionBytes);
    EXPECT_FALSE(fresh);
    for (const std::byte b : line) ASSERT_EQ(b, std::byte{0});
    EXPECT_EQ(m->small_region("fb", fresh).take().data(), line.data());
    (void)m->small_region("function-of-an-earlier-life", fresh).take();
    EXPECT_TRUE(fresh);
}

// Another size than ours: of a version to come, or cut off. It begins anew, as any region does.
TEST_F(MemoryTest, SmallRegionsOfAnotherSizeStartAnew) {
    bool fresh = false;
    {
        const auto m = directory_memory(dir).take();
        m->small_region("a", fresh).take()[0] = std::byte{1};
    }
    fs::resize_file(dir + "/lines-0", 100);
    const auto m = directory_memory(dir).take();
    EXPECT_EQ(m->small_region("a", fresh).take()[0], std::byte{0});
    EXPECT_TRUE(fresh);
}

TEST(ProcessMemoryTest, SmallRegionsStayWhereTheyAre) {
    const auto m = process_memory();
    bool fresh = false;
    const auto first = m->small_region("f0", fresh).take();
    EXPECT_TRUE(fresh);
    first[0] = std::byte{9};
    for (unsigned i = 1; i < 1000; ++i) {
        const auto line = m->small_region("f" + std::to_string(i), fresh).take();
        ASSERT_EQ(reinterpret_cast<std::uintptr_t>(line.data()) % kSmallRegionBytes, 0u);
        ASSERT_EQ(line[0], std::byte{0});
    }
    EXPECT_EQ(m->small_region("f0", fresh).take().data(), first.data());
    EXPECT_FALSE(fresh);
    EXPECT_EQ(first[0], std::byte{9});
}

TEST_F(MemoryTest, NamesAreChecked) {
    const auto m = directory_memory(dir).take();
    bool fresh = false;
    for (const char* bad : {"", ".", "..", "../x", "a/b", ".hidden", "a b", "a\nb"})
        EXPECT_EQ(m->region(bad, 4096, fresh).status(), Status::invalid) << bad;
    EXPECT_EQ(m->region(std::string(300, 'a'), 4096, fresh).status(), Status::invalid);
    EXPECT_EQ(m->region("a", 0, fresh).status(), Status::invalid);
    EXPECT_EQ(m->region("huge", std::size_t{1} << 60, fresh).status(), Status::no_memory);
}

TEST_F(MemoryTest, MissingParentSaysSo) {
    const auto r = directory_memory(top + "/no/such/place");
    ASSERT_FALSE(r.ok());
    EXPECT_NE(r.failure().detail.find("no/such/place"), std::string::npos);
}

}  // namespace
}  // namespace farlane::backend
