// SPDX-License-Identifier: Apache-2.0
// Receives: the framing of the control socket. Hands on: proof that messages and descriptors stay
// together however the bytes are cut. Owns: socket pairs.
#include <array>
#include <string>

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/daemon_wire.hpp"

namespace farlane::control {
namespace {

struct WireTest : testing::Test {
    UniqueFd a, b;
    MessageReader reader{1000};
    WireTest() {
        std::array<int, 2> pair{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()), 0);
        a = UniqueFd(pair[0]);
        b = UniqueFd(pair[1]);
    }
    void raw(const std::string& text) {
        ASSERT_EQ(::send(a.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    }
    static std::vector<UniqueFd> fds(std::size_t n) {
        std::vector<UniqueFd> v;
        for (std::size_t i = 0; i < n; ++i) v.emplace_back(::eventfd(0, EFD_CLOEXEC));
        return v;
    }
    void write(const std::string& text, std::size_t n) {
        MessageWriter w;
        w.push(text, fds(n));
        ASSERT_EQ(w.write_to(a.get()), Status::ok);
    }
    /// Everything that is there, as "text:descriptors ".
    std::string read_all() {
        std::string all;
        while (reader.read_from(b.get()) == Status::ok)
            while (auto m = reader.next()) all += m->text + ":" + std::to_string(m->fds.size()) + " ";
        return all;
    }
};

TEST_F(WireTest, LinesInAnyPieces) {
    for (const char c : std::string("one\ntwo\n")) raw(std::string(1, c));
    raw("thr");
    EXPECT_EQ(read_all(), "one:0 two:0 ");
    raw("ee\n\n");
    EXPECT_EQ(read_all(), "three:0 :0 ");
}

TEST_F(WireTest, DescriptorsStayWithTheirMessage) {
    write("a", 0);
    write("b", 2);
    write("c", 0);
    write("d", 1);
    write("e", 3);
    EXPECT_EQ(read_all(), "a:0 b:2 c:0 d:1 e:3 ");
}

TEST_F(WireTest, DescriptorsBeforeTheRestOfTheirLine) {
    raw("x");
    MessageWriter w;
    w.push("y", fds(0));
    ASSERT_EQ(w.write_to(a.get()), Status::ok);
    write("z", 1);
    EXPECT_EQ(read_all(), "xy:0 z:1 ");
}

TEST_F(WireTest, LongLineIsRefused) {
    raw(std::string(1000, 'x'));
    EXPECT_EQ(reader.read_from(b.get()), Status::ok);
    raw("x\n");
    EXPECT_EQ(reader.read_from(b.get()), Status::limit);
}

TEST_F(WireTest, CloseIsSeen) {
    raw("last\n");
    a.reset();
    EXPECT_EQ(read_all(), "last:0 ");
    EXPECT_EQ(reader.read_from(b.get()), Status::unreachable);
    MessageWriter w;
    w.push("nobody");
    a = std::move(b);
    EXPECT_EQ(w.write_to(a.get()), Status::unreachable);
}

TEST_F(WireTest, LargeMessageGoesInParts) {
    MessageReader large(1 << 22);
    MessageWriter w;
    const std::string text(3 << 20, 'x');
    w.push(text, fds(2));
    std::optional<Message> got;
    while (!got) {
        const Status s = w.write_to(a.get());
        ASSERT_TRUE(s == Status::ok || s == Status::would_block);
        while (large.read_from(b.get()) == Status::ok) {
        }
        got = large.next();
    }
    EXPECT_EQ(got->text, text);
    EXPECT_EQ(got->fds.size(), 2U);
}

TEST(Connect, SaysWhatToDo) {
    EXPECT_EQ(connect_unix("").status(), Status::invalid);
    EXPECT_EQ(connect_unix(std::string(200, 'x')).status(), Status::invalid);
    const auto r = connect_unix("/nonexistent/farlaned.sock");
    EXPECT_EQ(r.status(), Status::unreachable);
    EXPECT_NE(r.failure().detail.find("start it"), std::string::npos);
}

}  // namespace
}  // namespace farlane::control
