// SPDX-License-Identifier: Apache-2.0
// Receives: files that may be anything. Hands on: proof that only what was written is read. Owns: a directory.
#include "daemon/standing_file.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace farlane::daemon {
namespace {

struct StandingFile : testing::Test {
    std::string dir = testing::TempDir() + "farlane-standing-" + std::to_string(::getpid());
    std::string path = dir + "/attachments.json";
    StandingFile() { std::filesystem::create_directory(dir); }
    ~StandingFile() override { std::filesystem::remove_all(dir); }
};

TEST_F(StandingFile, WhatIsWrittenIsRead) {
    EXPECT_TRUE(read_standing(path)->empty()) << "no file";
    const std::vector<StandingEntry> all = {{"nvme0", "box", Use::bus, 1000}, {"accel0", "other", Use::automatic, 0}};
    ASSERT_TRUE(write_standing(path, all).ok());
    auto read = read_standing(path);
    ASSERT_TRUE(read.ok()) << read.failure().detail;
    ASSERT_EQ(read->size(), 2U);
    EXPECT_EQ((*read)[0].name, "nvme0");
    EXPECT_EQ((*read)[0].target, "box");
    EXPECT_EQ((*read)[0].use, Use::bus);
    EXPECT_EQ((*read)[0].uid, 1000U);
    EXPECT_EQ((*read)[1].use, Use::automatic);
    EXPECT_FALSE(write_standing(dir + "/missing/x", all).ok());
}

TEST_F(StandingFile, WhatIsNoneIsMovedAside) {
    const std::string entry = R"({"name":"n","target":"t","provider":"auto","uid":0})";
    std::string many = entry;
    for (std::size_t i = 0; i < kMaxAttachments; ++i) many += "," + entry;
    const std::vector<std::string> bad = {
        "",
        "{",
        "[]",
        R"({"version":2,"attachments":[]})",
        R"({"version":1})",
        R"({"version":1,"attachments":[7]})",
        R"({"version":1,"attachments":[{"name":"n","target":"t","provider":"elsewhere","uid":0}]})",
        R"({"version":1,"attachments":[{"name":"a/b","target":"t","provider":"auto","uid":0}]})",
        R"({"version":1,"attachments":[{"name":"","target":"t","provider":"auto","uid":0}]})",
        R"({"version":1,"attachments":[{"name":")" + std::string(64, 'n') +
            R"(","target":"t","provider":"auto","uid":0}]})",
        R"({"version":1,"attachments":[)" + many + "]}",
        std::string(70000, ' ') + "{}",
    };
    for (const std::string& text : bad) {
        std::ofstream(path) << text;
        const auto read = read_standing(path);
        ASSERT_FALSE(read.ok()) << text;
        EXPECT_EQ(read.status(), Status::malformed);
        EXPECT_FALSE(std::filesystem::exists(path));
        EXPECT_TRUE(std::filesystem::exists(path + ".bad"));
    }
}

}  // namespace
}  // namespace farlane::daemon
