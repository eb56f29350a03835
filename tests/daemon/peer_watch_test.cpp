// SPDX-License-Identifier: Apache-2.0
// Receives: states of peers over time. Hands on: proof that an outage is told once, and its end once.
// Owns: nothing.
#include "daemon/peer_watch.hpp"

#include <gtest/gtest.h>

namespace farlane::daemon {
namespace {

using namespace std::chrono_literals;
using proto::SessionState;

struct PeerWatchTest : testing::Test {
    PeerWatch watch;
    lane::Time now{1s};
    std::vector<lane::PeerStatus> peers;

    PeerWatchTest() {
        for (lane::PeerId id : {0U, 1U})
            peers.push_back({id, id == 0 ? "box" : "", "10.0.0." + std::to_string(id) + ":4793", "udp::0",
                             SessionState::hello, Status::ok, nullptr});
    }
    std::vector<std::string> after(lane::Duration d) {
        now += d;
        return watch.look(now, peers);
    }
};

TEST_F(PeerWatchTest, OutageIsToldOnceAndItsEndOnce) {
    peers[1].state = SessionState::open;
    EXPECT_TRUE(after(0s).empty());
    EXPECT_TRUE(after(4999ms).empty()) << "it may be starting";
    const auto told = after(1ms);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_NE(told[0].find("box at udp::0 10.0.0.0:4793 has not answered for 5 s"), std::string::npos) << told[0];
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(after(1s).empty());
    peers[0].state = SessionState::open;
    const auto came = after(1s);
    ASSERT_EQ(came.size(), 1U);
    EXPECT_NE(came[0].find("box at udp::0 10.0.0.0:4793 answers, after 106 s"), std::string::npos) << came[0];
    EXPECT_TRUE(after(1s).empty());
    peers[0].state = SessionState::silent;
    EXPECT_TRUE(after(1s).empty());
    EXPECT_EQ(after(5s).size(), 1U) << "another outage";
}

TEST_F(PeerWatchTest, ShortOutageIsNotTold) {
    peers[0].state = peers[1].state = SessionState::open;
    EXPECT_TRUE(after(1s).empty());
    peers[0].state = SessionState::closed;
    EXPECT_TRUE(after(1s).empty());
    EXPECT_TRUE(after(4s).empty());
    peers[0].state = SessionState::open;
    EXPECT_TRUE(after(1s).empty());
}

TEST_F(PeerWatchTest, ReasonIsTold) {
    peers[0].why = peers[1].why = Status::version;
    (void)after(0s);
    const auto told = after(5s);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_NE(told[1].find("the peer at udp::0 10.0.0.1:4793"), std::string::npos) << told[1];
    EXPECT_NE(told[1].find("no protocol version in common"), std::string::npos) << told[1];
}

}  // namespace
}  // namespace farlane::daemon
