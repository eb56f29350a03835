// SPDX-License-Identifier: Apache-2.0
// Receives: the program farlaned. Hands on: proof of its command line, exit codes, locks, signals
// and service manager protocol. Owns: processes and a directory.
#include <csignal>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/process.hpp"

namespace farlane::test {
namespace {

constexpr const char* kNothing = "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:0\"\nlisten = true\n";

int run(const TempDir& dir, const std::vector<std::string>& arguments, std::string* output = nullptr) {
    std::vector<std::string> all = {FARLANED};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const std::string log = dir / "run.log";
    write_file(log, "");
    Process p(all, log);
    const int code = p.wait();
    if (output != nullptr) *output = read_file(log);
    return code;
}

TEST(Program, CommandLine) {
    const TempDir dir;
    std::string out;
    EXPECT_EQ(run(dir, {"--version"}, &out), 0);
    EXPECT_TRUE(out.starts_with("farlaned ")) << out;
    EXPECT_EQ(run(dir, {"--help"}, &out), 0);
    EXPECT_NE(out.find("--check"), std::string::npos);
    EXPECT_EQ(run(dir, {"--nonsense"}), 2);
    EXPECT_EQ(run(dir, {"--config", dir / "missing.toml"}, &out), 3);
    EXPECT_NE(out.find("missing.toml"), std::string::npos);
    EXPECT_EQ(run(dir, {"--print-defaults"}, &out), 0);
    write_file(dir / "bad.toml", "[lane]\nspin_us = \"1us\"\n");
    EXPECT_EQ(run(dir, {"--check", dir / "bad.toml"}, &out), 2);
    EXPECT_NE(out.find("bad.toml:2:11: "), std::string::npos) << out;
}

struct Checked {
    const char* what;
    const char* body;
    int code;
    std::vector<const char*> says;
};

// The same words and exit codes before a start (--check) and by a start.
TEST(Program, CheckFindsWhatAStartWould) {
    const TempDir dir;
    const std::string head =
        "[daemon]\nname=\"x\"\nsocket=\"" + (dir / "s") + "\"\nstate_dir=\"" + (dir / "st") + "\"\n";
    const std::string port = "[[port]]\nname=\"p\"\nurl=\"udp:127.0.0.1:0\"\n";
    const Checked all[] = {
        {"empty", "", 2, {"nothing to do", "add one", "[[peer]]", "[[export]]"}},
        {"idle", port.c_str(), 2, {"nothing to do", "[[peer]]", "listen = true"}},
        {"kind of port", "[[port]]\nname=\"p\"\nurl=\"upd:\"\nlisten=true\n", 2, {"c.toml:5:1", "'p'", "udp:"}},
        {"key of port", "[[port]]\nname=\"p\"\nurl=\"udp::0?mtv=9\"\nlisten=true\n", 2, {"'p'", "mtv", "mtu="}},
        {"value of port", "[[port]]\nname=\"p\"\nurl=\"fault+udp::0?loss=2\"\nlisten=true\n", 2, {"'p'", "loss"}},
        {"address of port", "[[port]]\nname=\"p\"\nurl=\"udp:1.2.3.4:x\"\nlisten=true\n", 2, {"'p'", "1.2.3.4:x"}},
        {"name of loop", "[[port]]\nname=\"p\"\nurl=\"loop:\"\nlisten=true\n", 2, {"'p'", "loop:NAME"}},
        {"peer",
         "[[port]]\nname=\"p\"\nurl=\"udp:\"\n[[peer]]\naddress=\"a:b:\"\n[[peer]]\naddress=\":7\"\n",
         2,
         {"[[peer]] address", ":7", "HOST:PORT"}},
        {"no address", "[[port]]\nname=\"p\"\nurl=\"udp:\"\n[[peer]]\n", 2, {"[[peer]] address", "HOST:PORT"}},
        {"unreachable export",
         "[[port]]\nname=\"p\"\nurl=\"udp:\"\n[[export]]\nname=\"n\"\ndevice=\"nvme\"\n",
         2,
         {"nobody can reach", "listen = true"}},
        {"option",
         "[[port]]\nname=\"p\"\nurl=\"udp:\"\nlisten=true\n[[export]]\nname=\"n\"\ndevice=\"nvme\"\nsiez=\"1M\"\n",
         2,
         {"'n'", "siez", "size"}},
        {"value",
         "[[port]]\nname=\"p\"\nurl=\"udp:\"\nlisten=true\n[[export]]\nname=\"a\"\ndevice=\"accel\"\nmemory=\"48M\"\n",
         2,
         {"'a'", "memory", "power of two"}},
    };
    for (const Checked& c : all) {
        write_file(dir / "c.toml", head + c.body);
        for (const char* how : {"--check", "--config"}) {
            std::string out;
            EXPECT_EQ(run(dir, {how, dir / "c.toml"}, &out), c.code) << c.what << ": " << out;
            for (const char* part : c.says) EXPECT_NE(out.find(part), std::string::npos) << c.what << ": " << out;
        }
        EXPECT_NE(::access((dir / "st").c_str(), F_OK), 0) << c.what << " left something behind";
    }
    std::string out;
    write_file(dir / "c.toml", head + kNothing);
    EXPECT_EQ(run(dir, {"--check", dir / "c.toml"}, &out), 0) << out;
    EXPECT_NE(::access((dir / "st").c_str(), F_OK), 0) << "a check makes nothing";
}

TEST(Program, MissingFoldersAreNamed) {
    const TempDir dir;
    for (const char* missing : {"socket", "state_dir"}) {
        const bool socket = std::string(missing) == "socket";
        write_file(dir / "c.toml", "[daemon]\nname=\"x\"\nsocket=\"" + (dir / (socket ? "no/s" : "s")) +
                                       "\"\nstate_dir=\"" + (dir / (socket ? "st" : "no/st")) + "\"\n" + kNothing);
        for (const char* how : {"--check", "--config"}) {
            std::string out;
            EXPECT_EQ(run(dir, {how, dir / "c.toml"}, &out), 3) << out;
            EXPECT_NE(out.find(missing), std::string::npos) << out;
            EXPECT_NE(out.find("the folder " + (dir / "no") + " does not exist"), std::string::npos) << out;
        }
        EXPECT_NE(::access((dir / "no").c_str(), F_OK), 0) << "nothing is made that was not asked for";
    }
}

TEST(Program, WhatCanNotBeOpenedIsNamed) {
    const TempDir dir;
    std::string out;
    const std::string head =
        "[daemon]\nname=\"x\"\nsocket=\"" + (dir / "s") + "\"\nstate_dir=\"" + (dir / "st") + "\"\n";
    write_file(dir / "c.toml", head + "[[port]]\nname=\"p\"\nurl=\"upd:\"\n");
    EXPECT_EQ(run(dir, {"--config", dir / "c.toml"}, &out), 2);
    EXPECT_NE(out.find("[[port]] 'p'"), std::string::npos) << out;
    EXPECT_NE(out.find("udp"), std::string::npos) << "what is valid: " << out;
    write_file(dir / "c.toml", head + kNothing + "[[export]]\nname=\"n\"\ndevice=\"nvme\"\nsiez=\"1M\"\n");
    EXPECT_EQ(run(dir, {"--config", dir / "c.toml"}, &out), 2);
    EXPECT_NE(out.find("siez"), std::string::npos) << out;
    write_file(dir / "c.toml", head + kNothing + "[[peer]]\naddress=\"no port here\"\n");
    EXPECT_NE(run(dir, {"--config", dir / "c.toml"}, &out), 0);
    EXPECT_NE(out.find("[[peer]] address"), std::string::npos) << out;
    // the state of a function: its file, and what to do
    for (const char* folder : {"st", "st/memory"}) (void)::mkdir((dir / folder).c_str(), 0700);
    const std::string state = dir / "st/memory/function-n";
    ASSERT_EQ(::symlink("/dev/null", state.c_str()), 0);
    write_file(dir / "c.toml", head + kNothing + "[[export]]\nname=\"n\"\ndevice=\"nvme\"\nsize=\"1M\"\n");
    EXPECT_NE(run(dir, {"--config", dir / "c.toml"}, &out), 0);
    EXPECT_NE(out.find("[[export]] 'n'"), std::string::npos) << out;
    EXPECT_NE(out.find(state + " is a symbolic link; remove it"), std::string::npos) << out;
}

TEST(Program, FailedStartTellsOnlyWhatFailed) {
    const TempDir dir;
    std::string out;
    const std::string good = "[[export]]\nname=\"n0\"\ndevice=\"nvme\"\nsize=\"1M\"\n";
    const std::string bad = "[[export]]\nname=\"n1\"\ndevice=\"nvme\"\nsize=\"1M\"\nfile=\"" + (dir / "no/x") + "\"\n";
    write_file(dir / "c.toml", "[daemon]\nname=\"c\"\nsocket=\"" + (dir / "s") + "\"\nstate_dir=\"" + (dir / "st") +
                                   "\"\n" + kNothing + good + bad);
    EXPECT_EQ(run(dir, {"--config", dir / "c.toml"}, &out), 3) << out;
    EXPECT_EQ(out.find("exported"), std::string::npos) << out;
    EXPECT_NE(out.find("no/x"), std::string::npos) << out;
}

TEST(Program, TwoOnOneSocketOrState) {
    const TempDir dir;
    Daemon first(dir, "a", kNothing);
    std::string out;
    EXPECT_EQ(run(dir, {"--config", first.config()}, &out), 4);
    EXPECT_NE(out.find("pid " + std::to_string(first.process().pid())), std::string::npos) << out;
    write_file(dir / "b.toml", "[daemon]\nname=\"b\"\nsocket=\"" + first.socket() + "\"\nstate_dir=\"" + (dir / "b") +
                                   "\"\n" + kNothing);
    EXPECT_EQ(run(dir, {"--config", dir / "b.toml"}, &out), 4);
    EXPECT_NE(out.find("socket"), std::string::npos) << out;
    (void)first.client().call("ping");  // and it is still there
}

TEST(Program, SocketOfAKilledDaemonIsTakenOver) {
    const TempDir dir;
    Daemon d(dir, "a", kNothing);
    const auto instance = d.client().hello().at("instance");
    d.process().kill();
    EXPECT_EQ(::access(d.socket().c_str(), F_OK), 0);
    d.start();
    EXPECT_EQ(d.client().hello().at("instance"), instance) << "the same over restarts";
    write_file(dir / "file", "x");
    write_file(dir / "c.toml", "[daemon]\nname=\"c\"\nsocket=\"" + (dir / "file") + "\"\nstate_dir=\"" + (dir / "c") +
                                   "\"\n" + kNothing);
    EXPECT_EQ(run(dir, {"--config", dir / "c.toml"}), 4) << "what is no socket is not removed";
    EXPECT_EQ(read_file(dir / "file"), "x");
}

TEST(Program, StopsCleanlyOnSignals) {
    const TempDir dir;
    Daemon d(dir, "a", kNothing);
    for (const int number : {SIGTERM, SIGINT}) {
        struct stat info {};
        ASSERT_EQ(::stat(d.socket().c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0660U);
        d.process().signal(number);
        EXPECT_EQ(d.process().wait(), 0);
        EXPECT_NE(::access(d.socket().c_str(), F_OK), 0) << "the socket is gone";
        EXPECT_NE(::access((d.socket() + ".lock").c_str(), F_OK), 0) << "and its lock";
        ASSERT_EQ(::stat((dir / "a.state/identity").c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0600U);
        d.start();
    }
}

TEST(Program, HangupAppliesExports) {
    const TempDir dir;
    const std::string one = "[[export]]\nname = \"n0\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
    const std::string two = "[[export]]\nname = \"n1\"\ndevice = \"nvme\"\nsize = \"1M\"\n";
    Daemon d(dir, "a", kNothing + one);
    auto c = d.client();
    const auto names = [&] {
        std::string all;
        const auto stats = c.call("stats");
        for (const auto& e : stats.at("exports")) all += e.at("name").get<std::string>() + " ";
        return all;
    };
    const auto become = [&](const std::string& wanted) {
        for (int i = 0; i < 12000 && names() != wanted; ++i) ::usleep(5000);
        return names();
    };
    EXPECT_EQ(names(), "n0 ");
    d.rewrite(kNothing + one + two);
    d.process().signal(SIGHUP);
    EXPECT_EQ(become("n0 n1 "), "n0 n1 ");
    d.rewrite(kNothing + two);
    d.process().signal(SIGHUP);
    EXPECT_EQ(become("n1 "), "n1 ");
    d.rewrite("nonsense");
    d.process().signal(SIGHUP);
    (void)c.call("ping");
    EXPECT_EQ(names(), "n1 ") << "a file with an error changes nothing";
}

TEST(Program, TellsTheServiceManager) {
    const TempDir dir;
    const std::string path = dir / "notify";
    const control::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strcpy(a.sun_path, path.c_str());
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
    const auto next = [&] {
        pollfd p{fd.get(), POLLIN, 0};
        char text[256] = {};
        if (::poll(&p, 1, 60000) == 1) (void)!::recv(fd.get(), text, sizeof text - 1, 0);
        return std::string(text);
    };
    write_file(dir / "c.toml",
               "[daemon]\nname=\"c\"\nsocket=\"" + (dir / "s") + "\"\nstate_dir=\"" + (dir / "st") + "\"\n" + kNothing);
    Process p({FARLANED, "--config", dir / "c.toml"}, dir / "log",
              {{"NOTIFY_SOCKET", path}, {"WATCHDOG_USEC", "300000"}});
    EXPECT_TRUE(next().starts_with("READY=1\nSTATUS="));
    EXPECT_EQ(next(), "WATCHDOG=1");
    p.signal(SIGTERM);
    std::string last = next();
    while (last == "WATCHDOG=1") last = next();
    EXPECT_EQ(last, "STOPPING=1");
    EXPECT_EQ(p.wait(), 0);
}

}  // namespace
}  // namespace farlane::test
