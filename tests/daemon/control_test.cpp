// SPDX-License-Identifier: Apache-2.0
// Receives: hostile and ordinary clients of the control socket. Hands on: proof that every limit
// holds, that wrong requests are told so, and that nothing leaks. Owns: a server in a thread.
#include "daemon/control_server.hpp"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

using control::ControlClient;
using namespace std::chrono_literals;

std::size_t open_files() {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
    return n;
}

struct ControlTest : testing::Test {
    std::string dir = [] {
        char name[] = "/tmp/farlane-control-XXXXXX";
        return std::string(::mkdtemp(name));
    }();
    std::string path = dir + "/s";
    EventLoop loop;
    std::unique_ptr<ControlServer> server = std::move(*ControlServer::open(loop, path, 0600, ""));
    std::vector<Answer> held;
    std::thread thread;

    ControlTest() {
        server->on_request([this](Request r, const Answer& answer) { serve(std::move(r), answer); });
        thread = std::thread([this] { loop.run(); });
    }
    ~ControlTest() override {
        loop.stop();
        thread.join();
        held.clear();
        server.reset();
        std::filesystem::remove_all(dir);
    }
    void serve(Request r, const Answer& answer) {
        if (r.verb == "hello") return answer({Status::ok, "", {{"role", role_name(r.client.role)}}, {}});
        if (r.verb == "echo") return answer({Status::ok, "", r.args, std::move(r.fds)});
        if (r.verb == "take") return answer({Status::ok, "", {}, {}, 1});
        if (r.verb == "hold") return held.push_back(answer);
        if (r.verb == "release") {
            for (const Answer& a : std::exchange(held, {})) a({});
            return answer({});
        }
        if (r.verb == "twice") {
            answer({});
            return answer(refusal(Status::io, "again"));
        }
        if (r.verb == "events") {
            server->subscribe(r.client.id);
            return answer({});
        }
        if (r.verb == "flood") {
            for (int i = 0; i < 20000; ++i) server->publish({{"role", "test"}, {"kind", std::string(100, 'x')}});
            return answer({});
        }
        answer(refusal(Status::invalid, "unknown verb"));
    }
    /// A connection that sent `text`; its answer, if there is one, has come.
    control::UniqueFd open_and_say(const std::string& text) {
        control::UniqueFd fd = std::move(*control::connect_unix(path));
        EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
        if (text.find("hold") == std::string::npos) {
            char answer[4096];
            pollfd p{fd.get(), POLLIN, 0};
            EXPECT_EQ(::poll(&p, 1, 60000), 1);
            EXPECT_GT(::recv(fd.get(), answer, sizeof answer, 0), 0);
        }
        return fd;
    }
    ControlClient client() { return ControlClient::connect(path); }
    /// What the server says to these bytes until it closes, or for a while.
    std::string talk(const std::string& bytes, bool expect_close) {
        const control::UniqueFd fd = std::move(*control::connect_unix(path));
        std::size_t sent = 0;
        std::string got;
        const auto until = std::chrono::steady_clock::now() + 60s;
        while (std::chrono::steady_clock::now() < until) {
            if (sent < bytes.size()) {
                const ssize_t n =
                    ::send(fd.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n > 0) sent += static_cast<std::size_t>(n);
            }
            char chunk[4096];
            const ssize_t n = ::recv(fd.get(), chunk, sizeof chunk, MSG_DONTWAIT);
            if (n > 0) got.append(chunk, static_cast<std::size_t>(n));
            if (n == 0 || (n < 0 && errno == ECONNRESET)) return got + "|closed";
            if (!expect_close && got.ends_with('\n')) return got;
            pollfd p{fd.get(), POLLIN, 0};
            (void)::poll(&p, 1, 5);
        }
        return got + "|open";
    }
};

TEST_F(ControlTest, CallsAndDescriptorsGoRound) {
    auto c = client();
    EXPECT_EQ(c.hello().at("role"), "admin") << "the user of the daemon";
    const control::UniqueFd e(::eventfd(7, EFD_CLOEXEC));
    std::vector<control::UniqueFd> back;
    EXPECT_EQ(c.call_fds("echo", {{"a", "\x01\n\"\xc3\xa4"}}, {e.get(), e.get()}, &back).at("a"), "\x01\n\"\xc3\xa4");
    ASSERT_EQ(back.size(), 2U);
    std::uint64_t count = 0;
    EXPECT_EQ(::read(back[1].get(), &count, sizeof count), 8);
    EXPECT_EQ(count, 7U);
    (void)c.call("twice");
    (void)c.call("echo");
}

TEST_F(ControlTest, WhatIsNoRequestIsToldAndClosed) {
    for (const char* text : {"\n", "x\n", "[]\n", "{}\n", "{\"id\":1}\n", "{\"id\":-1,\"verb\":\"echo\"}\n",
                             "{\"id\":1.5,\"verb\":\"echo\"}\n", "{\"id\":99999999999999999,\"verb\":\"echo\"}\n",
                             "{\"id\":1,\"verb\":7}\n", "{\"id\":1,\"verb\":\"echo\",\"args\":[]}\n",
                             "{\"id\":1,\"verb\":\"echo\",\"fds\":1}\n", "{\"id\":1,\"verb\":\"echo\"\n",
                             "{\"id\":1,\"verb\":\"echo\",\"args\":{\"a\":1e999}}\n"}) {
        const std::string said = talk(text, true);
        EXPECT_NE(said.find("\"status\":\"malformed\""), std::string::npos) << text << said;
        EXPECT_TRUE(said.ends_with("|closed")) << text << said;
    }
    (void)client().call("echo");
}

TEST_F(ControlTest, DeepAndLongRequestsAreRefused) {
    std::string deep = "{\"id\":1,\"verb\":\"echo\",\"args\":";
    for (int i = 0; i < 30000; ++i) deep += "[";
    EXPECT_NE(talk(deep + "\n", true).find("malformed"), std::string::npos);
    EXPECT_NE(talk(std::string(100'000, 'x'), true).find("64 KiB"), std::string::npos);
}

TEST_F(ControlTest, UnknownVerbGoesOn) {
    auto c = client();
    EXPECT_THROW(c.call("nonsense"), control::CallError);
    (void)c.call("echo");
}

TEST_F(ControlTest, UndeclaredDescriptorsCloseAndDoNotLeak) {
    (void)client().call("echo");
    const std::size_t before = open_files();
    for (int round = 0; round < 50; ++round) {
        const control::UniqueFd fd = std::move(*control::connect_unix(path));
        control::MessageWriter w;
        std::vector<control::UniqueFd> fds;
        for (int i = 0; i < 100; ++i) fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
        w.push("{\"id\":1,\"verb\":\"echo\"}", std::move(fds));
        (void)w.write_to(fd.get());
        control::MessageReader r(1 << 16);
        pollfd p{fd.get(), POLLIN, 0};
        while (r.read_from(fd.get()) != Status::unreachable) (void)::poll(&p, 1, 100);
    }
    (void)client().call("echo");
    for (int i = 0; i < 1000 && open_files() > before + 2; ++i) std::this_thread::sleep_for(5ms);
    EXPECT_LE(open_files(), before + 2);
}

TEST_F(ControlTest, OutstandingRequestsAreBounded) {
    std::string text;
    for (std::size_t i = 0; i < kMaxOutstanding + 5; ++i)
        text += "{\"id\":" + std::to_string(i) + ",\"verb\":\"hold\"}\n";
    text += "{\"id\":1000,\"verb\":\"release\"}\n";
    const control::UniqueFd fd = std::move(*control::connect_unix(path));
    ASSERT_EQ(::send(fd.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    control::MessageReader r(1 << 16);
    std::size_t limited = 0, replies = 0;
    pollfd p{fd.get(), POLLIN, 0};
    // "release" itself is over the limit: all six are refused, nothing else is answered.
    while (replies < 6 && ::poll(&p, 1, 60000) == 1) {
        ASSERT_EQ(r.read_from(fd.get()), Status::ok);
        while (auto m = r.next()) {
            ++replies;
            limited += m->text.find("\"limit\"") != std::string::npos ? 1 : 0;
        }
    }
    EXPECT_EQ(limited, 6U);
}

// Who says nothing locks nobody out: the one idle longest goes, and is told why.
TEST_F(ControlTest, IdleConnectionsMakeRoom) {
    std::vector<control::UniqueFd> silent;
    for (std::size_t i = 0; i < kMaxClients; ++i) silent.push_back(std::move(*control::connect_unix(path)));
    for (int i = 0; i < 3; ++i) (void)client().call("echo");
    const auto said_by = [](const control::UniqueFd& fd) {
        std::string text(4096, '\0');
        pollfd p{fd.get(), POLLIN, 0};
        if (::poll(&p, 1, 60000) != 1) return std::string("nothing");
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::recv(fd.get(), text.data(), text.size(), 0))));
        return text;
    };
    EXPECT_NE(said_by(silent[0]).find("closed: idle"), std::string::npos) << "the oldest goes first";
    const std::string text = "{\"id\":1,\"verb\":\"echo\"}\n";
    ASSERT_EQ(::send(silent.back().get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    EXPECT_NE(said_by(silent.back()).find("\"ok\":true"), std::string::npos) << "the youngest is still there";
}

TEST_F(ControlTest, WhoHoldsOrWaitsOrListensStays) {
    const auto holder = open_and_say("{\"id\":1,\"verb\":\"take\"}\n");
    const auto waiter = open_and_say("{\"id\":1,\"verb\":\"hold\"}\n");
    auto listener = client();
    listener.subscribe();
    auto speaker = client();
    (void)speaker.call("echo");
    std::vector<control::UniqueFd> silent;
    for (std::size_t i = 0; i < 3 * kMaxClients; ++i) {
        silent.push_back(std::move(*control::connect_unix(path)));
        (void)speaker.call("echo");  // the server has taken the connection before
    }
    for (const auto* fd : {&holder, &waiter}) {
        pollfd p{fd->get(), POLLRDHUP, 0};
        EXPECT_EQ(::poll(&p, 1, 0), 0) << "closed";
    }
    (void)client().call("flood");
    EXPECT_TRUE(listener.next_event(60s).has_value());
}

TEST_F(ControlTest, ConnectionsAreBounded) {
    std::vector<control::UniqueFd> many;
    for (std::size_t i = 0; i < kMaxClients; ++i) many.push_back(open_and_say("{\"id\":1,\"verb\":\"take\"}\n"));
    EXPECT_NE(talk("", true).find("too many connections"), std::string::npos);
    many.clear();
    for (int i = 0; i < 1000; ++i) {
        try {
            (void)client().call("echo");
            return;
        } catch (const Error&) {
            std::this_thread::sleep_for(5ms);
        }
    }
    FAIL() << "room comes back";
}

TEST_F(ControlTest, SlowSubscriberLosesEventsAndIsTold) {
    auto slow = client();
    slow.subscribe();
    auto other = client();
    (void)other.call("flood");  // returns: nobody waits for the slow one
    std::size_t got = 0;
    while (slow.next_event(1s)) ++got;
    EXPECT_LT(got, 20000U);
    EXPECT_GT(got, 100U);
    (void)other.call("flood");
    bool told = false;
    for (auto e = slow.next_event(60s); e && !told; e = slow.next_event(told ? 0s : 60s))
        told = e->at("kind") == "overflow" && e->at("lost") > 0;
    EXPECT_TRUE(told);
}

TEST_F(ControlTest, AnswerToAClientThatLeftIsThrownAway) {
    {
        const control::UniqueFd fd = std::move(*control::connect_unix(path));
        const std::string text = "{\"id\":1,\"verb\":\"hold\"}\n";
        (void)!::send(fd.get(), text.data(), text.size(), 0);
    }
    (void)client().call("release");
    (void)client().call("echo");
}

TEST_F(ControlTest, WhatCanNotBeOpenedIsTold) {
    auto other = ControlServer::open(loop, "/nonexistent/x/s", 0600, "");
    EXPECT_FALSE(other.ok());
    EXPECT_EQ(ControlServer::open(loop, dir + "/t", 0600, "no-such-group").status(), Status::invalid);
}

}  // namespace
}  // namespace farlane::daemon
