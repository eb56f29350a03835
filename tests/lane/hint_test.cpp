// SPDX-License-Identifier: Apache-2.0
// Receives: frames for sessions that a lane does not know. Hands on: proof that they are answered
// with hints, few and small ones, and counted by port and reason. Owns: a lane and the port across.
#include <gtest/gtest.h>

#include "lane/lane.hpp"
#include "proto/codec.hpp"

namespace farlane::lane {
namespace {

struct Nobody final : Acceptor {
    void on_hello(PortId, const transport::Address*, const proto::Hello&, Time) noexcept override {}
};

struct HintTest : testing::Test {
    Lane lane;
    Nobody acceptor;
    PortId id = lane.add_port(open());
    std::unique_ptr<transport::Port> across = open();

    static std::unique_ptr<transport::Port> open() {
        return transport::open_port(std::string("loop:hints-") +
                                    testing::UnitTest::GetInstance()->current_test_info()->name())
            .take();
    }
    void send(std::span<const std::byte> bytes) {
        transport::TxFrame f;
        ASSERT_EQ(across->tx_alloc({&f, 1}), 1U);
        std::ranges::copy(bytes, f.data);
        f.size_bytes = static_cast<std::uint32_t>(bytes.size());
        across->tx_send({&f, 1});
    }
    /// A frame of a session that there is not.
    static std::vector<std::byte> stray(std::uint64_t number) {
        std::vector<std::byte> out(FL_FRAME_BASE_BYTES);
        proto::FrameWriter w;
        w.begin(out, 0x12340000, 0, number, 7, 0, FL_FRAME_CRC_BYTES);
        EXPECT_TRUE(w.control(FL_CONTROL_KEEPALIVE, 0, fl_control{}));
        out.resize(w.finish());
        proto::ClearSeal{}.seal(out, number);
        return out;
    }
    std::vector<std::vector<std::byte>> answers() {
        (void)lane.turn();
        std::vector<std::vector<std::byte>> all;
        transport::RxFrame f;
        while (across->rx_burst({&f, 1}) == 1) {
            all.emplace_back(f.data, f.data + f.size_bytes);
            across->rx_release({&f, 1});
        }
        return all;
    }
    [[nodiscard]] std::uint64_t drops(proto::Drop d) const { return lane.drops(id)[static_cast<unsigned>(d)]; }
};

TEST_F(HintTest, StrayFrameIsAnsweredWithItsOwnNumbers) {
    lane.listen(id, acceptor);
    const auto frame = stray(41);
    send(frame);
    auto all = answers();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_LE(all[0].size(), frame.size());
    const auto hint = proto::parse_hint(all[0]);
    ASSERT_TRUE(hint.has_value());
    EXPECT_EQ(hint->session_id, 0x12340000U);
    EXPECT_EQ(hint->packet_number, 41U);
    EXPECT_EQ(lane.counters().hints_sent, 1U);
    EXPECT_EQ(drops(proto::Drop::frame_session), 1U);
}

TEST_F(HintTest, ManyStrayFramesGetFewAnswers) {
    lane.listen(id, acceptor);
    const Time begin = Lane::clock();
    std::size_t got = 0;
    for (std::uint64_t n = 1; n <= 2000; ++n) {
        send(stray(n));
        got += answers().size();
    }
    const auto periods = static_cast<std::size_t>((Lane::clock() - begin) / HintLimit::kBetween);
    EXPECT_GE(got, 1U);
    EXPECT_LE(got, periods + 2);
    EXPECT_EQ(drops(proto::Drop::frame_session), 2000U);
}

TEST_F(HintTest, WhereNobodyAcceptsNothingIsAnswered) {
    send(stray(1));
    EXPECT_TRUE(answers().empty());
}

TEST_F(HintTest, StrayHintsAndGarbageAreCountedAndNotAnswered) {
    lane.listen(id, acceptor);
    std::array<std::byte, FL_FRAME_MIN_BYTES> hint;
    ASSERT_EQ(proto::build_hint(hint, stray(9)), hint.size());
    send(hint);
    EXPECT_TRUE(answers().empty());
    EXPECT_EQ(lane.counters().hints_ignored, 1U);
    send(std::array<std::byte, 9>{});
    EXPECT_TRUE(answers().empty());
    EXPECT_EQ(drops(proto::Drop::frame_short), 1U);
    std::array<std::byte, 64> other{};
    other.fill(std::byte{0x47});
    send(other);
    EXPECT_TRUE(answers().empty());
    EXPECT_EQ(drops(proto::Drop::frame_version), 1U);
    auto broken = stray(3);  // a hello that is none
    std::memset(broken.data() + offsetof(fl_frame_header, session), 0, 4);
    send(broken);
    EXPECT_TRUE(answers().empty());
    EXPECT_EQ(drops(proto::Drop::frame_crc), 1U);
}

TEST(HintLimit, EachSourceHasItsOwnRate) {
    HintLimit limit;
    const auto source = [](std::uint8_t n) {
        transport::Address a;
        a.size = 1;
        a.bytes[0] = static_cast<std::byte>(n);
        return a;
    };
    const Time now{std::chrono::seconds(5)};
    const auto one = source(1), two = source(2);
    EXPECT_TRUE(limit.allow(&one, now));
    EXPECT_FALSE(limit.allow(&one, now + HintLimit::kBetween - std::chrono::nanoseconds(1)));
    EXPECT_TRUE(limit.allow(&two, now));
    EXPECT_TRUE(limit.allow(&one, now + HintLimit::kBetween));
    EXPECT_TRUE(limit.allow(nullptr, now)) << "a port with one peer";
}

}  // namespace
}  // namespace farlane::lane
