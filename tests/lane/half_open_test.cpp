// SPDX-License-Identifier: Apache-2.0
// Receives: hellos of peers that are never heard of again. Hands on: proof that a target keeps few
// sessions for them, and not for long. Owns: a target and the port across.
#include <gtest/gtest.h>

#include "lane/target.hpp"
#include "proto/silent_handler.hpp"

namespace farlane::lane {
namespace {

TEST(HalfOpen, AreFewAndTheOldestGoes) {
    Lane lane;
    const auto memory = backend::process_memory();
    TargetConfig config;
    config.max_half_open = 8;
    Target target(lane, config, *memory);
    target.listen(lane.add_port(transport::open_port("loop:half-open").take()));
    const auto across = transport::open_port("loop:half-open").take();
    proto::test::SilentHandler silent;
    std::vector<std::unique_ptr<proto::Session>> greeters;
    for (std::uint8_t i = 1; i <= 100; ++i) {
        proto::SessionConfig c;
        c.instance.fill(i);
        c.session_id = 1000U + i;
        c.nonce = i;
        c.keepalive = std::chrono::hours(24 * 40);  // and wants to be remembered for months
        greeters.push_back(std::make_unique<proto::Session>(c, silent, std::make_unique<proto::ClearSeal>()));
        (void)greeters.back()->add_path({}, Lane::clock());
        transport::TxFrame f;
        ASSERT_EQ(across->tx_alloc({&f, 1}), 1U);
        f.size_bytes =
            static_cast<std::uint32_t>(greeters.back()->build({f.data, f.capacity_bytes}, Lane::clock()).bytes);
        ASSERT_NE(f.size_bytes, 0U);
        across->tx_send({&f, 1});
        (void)lane.turn();
        transport::RxFrame answer;
        while (across->rx_burst({&answer, 1}) == 1) across->rx_release({&answer, 1});
    }
    std::size_t sessions = 0;
    Time first_end = kNever;
    lane.each_session([&](proto::Session& s, PortId) {
        ++sessions;
        EXPECT_EQ(s.state(), proto::SessionState::hello);
        EXPECT_GT(s.peer().instance[0], 100 - 8) << "the oldest went";
        first_end = std::min(first_end, s.next_timer());
    });
    EXPECT_EQ(sessions, 8U);
    EXPECT_LE(first_end - Lane::clock(), std::chrono::seconds(3)) << "whatever keep-alive they claim";
    EXPECT_GE(lane.ended_sessions().count, 92U);
}

}  // namespace
}  // namespace farlane::lane
