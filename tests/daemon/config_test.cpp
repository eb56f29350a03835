// SPDX-License-Identifier: Apache-2.0
// Receives: the configuration parser. Hands on: proof that every wrong file is refused with its
// place and what is valid, and that the documentation has every key. Owns: nothing.
#include "daemon/config.hpp"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace farlane::daemon {
namespace {

struct Wrong {
    const char* text;
    const char* place;  ///< line:column
    std::vector<const char*> says;
};

class WrongFile : public testing::TestWithParam<Wrong> {};

TEST_P(WrongFile, IsRefusedWithPlaceAndAdvice) {
    const auto c = parse_config(GetParam().text, "f.toml");
    ASSERT_FALSE(c.ok());
    EXPECT_EQ(c.status(), Status::invalid);
    const std::string& detail = c.failure().detail;
    EXPECT_TRUE(detail.starts_with(std::string("f.toml:") + GetParam().place + ":")) << detail;
    for (const char* part : GetParam().says) EXPECT_NE(detail.find(part), std::string::npos) << detail;
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongFile,
    testing::Values(
        Wrong{"[daemon\n", "1:8", {}},
        Wrong{"[demon]\n", "1:2", {"unknown section 'demon'", "did you mean 'daemon'?", "export"}},
        Wrong{"[daemon]\nsockte = \"/x\"\n", "2:1", {"unknown key 'sockte'", "did you mean 'socket'?", "state_dir"}},
        Wrong{"[daemon]\nsocket = \"relative\"\n", "2:10", {"absolute path"}},
        Wrong{"[daemon]\nname = 7\n", "2:8", {"'name' is a string"}},
        Wrong{"[daemon]\nname = \"a b\"\n", "2:8", {"letters, digits"}},
        Wrong{"[daemon]\nsocket_mode = \"0999\"\n", "2:15", {"octal"}},
        Wrong{"[daemon]\nsocket_mode = 432\n", "2:15", {"string in quotes"}},
        Wrong{"[daemon]\ninstance = \"xyz\"\n", "2:12", {"32 hexadecimal"}},
        Wrong{"[daemon]\nshare_places = 33\n", "2:16", {"1 to 32"}},
        Wrong{"[daemon]\nlog_level = \"wran\"\n", "2:13", {"did you mean 'warn'?", "debug"}},
        Wrong{"[lane]\nspin_us = \"50us\"\n", "2:11", {"whole number", "microseconds", "without quotes"}},
        Wrong{"[lane]\nspin_us = -1\n", "2:11", {"from 0 to 1000000", "-1 is outside"}},
        Wrong{"[lane]\nspin_ms = 1\n", "2:1", {"unknown key 'spin_ms'", "did you mean 'spin_us'?"}},
        Wrong{"[lane]\nnever_sleep = 1\n", "2:15", {"true or false"}},
        Wrong{"[session]\nkeepalive = 1\n", "2:1", {"did you mean 'keepalive_ms'?"}},
        Wrong{"[session]\ngrace_ms = 1.5\n", "2:12", {"whole number", "milliseconds"}},
        Wrong{"[port]\nname = \"x\"\n", "1:1", {"[[port]]"}}, Wrong{"[[port]]\nname = \"x\"\n", "1:1", {"needs 'url'"}},
        Wrong{"[[port]]\nname = \"x\"\nurl = \"udp:\"\n[[port]]\nname = \"x\"\nurl = \"udp:\"\n",
              "4:1",
              {"second [[port]]"}},
        Wrong{"[[peer]]\naddress = \"a:1\"\n", "1:1", {"needs 'port'", "no [[port]]"}},
        Wrong{"[[port]]\nname = \"lan\"\nurl = \"udp:\"\n[[peer]]\nport = \"lam\"\n", "4:1", {"did you mean 'lan'?"}},
        Wrong{"[[peer]]\npaths = []\n", "2:9", {"1 to 8"}},
        Wrong{"[[peer]]\npaths = \"a:1\"\n", "2:9", {"a list of 1 to 8 tables", "address = "}},
        Wrong{"[[peer]]\npaths = [\"a:1\"]\n", "2:10", {"a list of tables"}},
        Wrong{"[[peer]]\npaths = [{ adress = \"a:1\" }]\n", "2:12", {"unknown key 'adress'", "port, address"}},
        Wrong{
            "[[port]]\nname = \"lan\"\nurl = \"udp:\"\n[[peer]]\naddress = \"a:1\"\npaths = [{ address = \"a:2\" }]\n",
            "4:1",
            {"both 'paths' and"}},
        Wrong{"[[port]]\nname = \"lan\"\nurl = \"udp:\"\n[[peer]]\npaths = [{ address = \"a:1\" }, { address = \"a:1\" "
              "}]\n",
              "5:31",
              {"same port and address"}},
        Wrong{"[[port]]\nname = \"lan\"\nurl = \"udp:\"\n[[peer]]\npaths = [{ port = \"lam\", address = \"a:1\" }]\n",
              "5:10",
              {"did you mean 'lan'?"}},
        Wrong{"[[export]]\nname = \"n\"\n", "1:1", {"needs 'device'"}},
        Wrong{"[[export]]\nname = \"n\"\ndevice = \"nvmw\"\n", "1:1", {"did you mean 'nvme'?", "accel"}},
        Wrong{"[[export]]\nname = \"n\"\ndevice = \"nvme\"\nsize = [1]\n", "4:8", {"string, a number or a boolean"}},
        Wrong{"daemon = 3\n", "1:10", {"is a table"}}, Wrong{"# a\n[lane]\nx = \"\xff\"\n", "3:5", {"utf-8"}},
        Wrong{"a = 05-27\"\"\"\"2:0\xd0\xa1\n", "1:5", {"value"}}, Wrong{"a = [1T['0\xef\xbb\xb7\n", "1:6", {"value"}},
        Wrong{"# \xc0\xaf\n", "1:2", {"utf-8"}}, Wrong{"a=-n=\" \xcc\x9a\"Mz  --", "1:5", {"floating-point"}},
        Wrong{"\n\xc3\xa9 = 1\n", "2:1", {"expected keys"}},
        Wrong{"[daemon]\nname = \xe3\x80\x80\"x\"\n", "2:8", {"expected space or tab"}}));

TEST(Config, SeveralPathsOfAPeer) {
    const std::string ports = "[[port]]\nname = \"a\"\nurl = \"udp:\"\n[[port]]\nname = \"b\"\nurl = \"udp:\"\n";
    auto c = parse_config(
        ports +
            "[[peer]]\npaths = [{ port = \"a\", address = \"h:1\" }, { port = \"b\", address = \"h:2\" }]\n"
            "[[peer]]\nport = \"b\"\naddress = \"g:1\"\n",
        "f.toml");
    ASSERT_TRUE(c.ok()) << c.failure().detail;
    ASSERT_EQ(c->peers.size(), 2U);
    ASSERT_EQ(c->peers[0].paths.size(), 2U);
    EXPECT_EQ(c->peers[0].paths[0].port, "a");
    EXPECT_EQ(c->peers[0].paths[1].address, "h:2");
    EXPECT_EQ(c->peers[0].paths[1].where, "f.toml:8:43");
    ASSERT_EQ(c->peers[1].paths.size(), 1U) << "the single form";
    EXPECT_EQ(c->peers[1].paths[0].port, "b");
    EXPECT_EQ(c->peers[1].paths[0].address, "g:1");
}

TEST(Config, OtherThanAsciiBelongsIntoCommentsAndQuotes) {
    auto c = parse_config(
        "# \xc3\xa9\n[daemon]\nsocket_group = \"\xc3\xa9 \\\" \xf0\x9f\x98\x80\" # '\xe2\x82\xac\n"
        "state_dir = '/tmp/\xe3\x81\x82'\n",
        "f.toml");
    ASSERT_TRUE(c.ok()) << c.failure().detail;
    EXPECT_EQ(c->daemon.socket_group, "\xc3\xa9 \" \xf0\x9f\x98\x80");
    EXPECT_EQ(c->daemon.state_dir, "/tmp/\xe3\x81\x82");
}

TEST(Config, DefaultsAndEveryKey) {
    auto c = parse_config(R"(
[daemon]
name = "laptop"
[session]
grace_ms = 2500
[lane]
cpu = 1
[[port]]
name = "lan"
url = "udp::0"
listen = true
[[peer]]
address = "127.0.0.1:4793"
[[export]]
name = "nvme0"
device = "nvme"
size = "64M"
queues = 4
)",
                          "f.toml");
    ASSERT_TRUE(c.ok()) << c.failure().detail;
    EXPECT_EQ(c->daemon.socket, "/run/farlane/farlaned.sock");
    EXPECT_EQ(c->daemon.state_dir, "/run/farlane/laptop");
    EXPECT_EQ(c->session.grace, std::chrono::milliseconds(2500));
    EXPECT_EQ(c->session.keepalive, std::chrono::milliseconds(300));
    EXPECT_EQ(c->lane.cpu, 1U);
    EXPECT_EQ(c->peers.at(0).paths.at(0).port, "lan") << "the only port is meant";
    const std::vector<std::pair<std::string, std::string>> options = {{"queues", "4"}, {"size", "64M"}};
    EXPECT_EQ(c->exports.at(0).options, options);
}

TEST(Config, PrintedDefaultsAreValid) {
    auto c = parse_config(default_config(), "defaults");
    ASSERT_TRUE(c.ok()) << c.failure().detail;
    auto plain = parse_config("", "empty");
    ASSERT_TRUE(plain.ok());
    EXPECT_EQ(c->daemon.socket, plain->daemon.socket);
    EXPECT_EQ(c->lane.spin, plain->lane.spin);
    EXPECT_EQ(c->session.completion_timeout, plain->session.completion_timeout);
    EXPECT_EQ(c->session.reconnect_delay, plain->session.reconnect_delay);
}

TEST(Config, EveryKeyIsDocumentedAsItIs) {
    std::ifstream in(FARLANE_SOURCE_DIR "/docs/configuration.md");
    std::stringstream all;
    all << in.rdbuf();
    const std::string doc = all.str();
    std::size_t rows = 0;
    for (const KeyRow& k : config_keys()) {
        const std::string fallback = k.fallback[0] != '\0' ? std::string("`") + k.fallback + "`" : "-";
        const std::string row =
            std::string("| `") + k.name + "` | " + k.type + " | " + fallback + " | " + k.text + " |";
        EXPECT_NE(doc.find(row), std::string::npos) << "docs/configuration.md lacks: " << row;
        ++rows;
    }
    std::size_t documented = 0;
    for (std::size_t at = doc.find("\n| `"); at != std::string::npos; at = doc.find("\n| `", at + 1)) ++documented;
    EXPECT_EQ(documented, rows) << "docs/configuration.md has keys that there are not";
}

TEST(Config, HugeAndMissingFilesAreRefused) {
    EXPECT_EQ(read_config("/nonexistent/farlaned.toml").status(), Status::not_found);
    std::string nested;
    for (int i = 0; i < 100000; ++i) nested += "[";
    EXPECT_FALSE(parse_config("a = " + nested, "deep").ok());
}

TEST(Nearest, FindsOnlyWhatIsNear) {
    EXPECT_EQ(nearest("attahc", {"attach", "detach"}), "attach");
    EXPECT_EQ(nearest("completely_else", {"attach", "detach"}), "");
}

}  // namespace
}  // namespace farlane::daemon
