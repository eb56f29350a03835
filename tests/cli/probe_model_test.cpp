// SPDX-License-Identifier: Apache-2.0
// Receives: the model of `farlane probe`. Hands on: verdicts: what a link that is known gives. Owns: nothing.
#include "farlane/probe_model.hpp"

#include <gtest/gtest.h>

namespace farlane::cli {
namespace {

constexpr std::uint32_t kJumbo = 8972, kStandard = 1472;

TEST(ProbeModel, ShareOfALinkThatIsPayload) {
    EXPECT_NEAR(payload_share(kJumbo, 4096), 0.977, 0.001) << "as simulated, docs/performance.md";
    EXPECT_NEAR(payload_share(kStandard, 4096), 0.90, 0.01);
    EXPECT_LT(payload_share(kStandard, 8), 0.15);
    EXPECT_GT(payload_share(64, 4096), 0) << "a frame too small to be true";
}

TEST(ProbeModel, ShortLinkOfTenGigabit) {
    const auto p = predict({.round_trip_s = 100e-6, .link_bits_per_s = 10e9, .frame_bytes = kJumbo});
    EXPECT_NEAR(p.reads_per_s, 10'000, 1);
    EXPECT_NEAR(p.bulk_bytes_per_s, 1.22e9, 0.01e9);
    EXPECT_NEAR(p.nvme_reads_depth1_per_s, 5'000, 1) << "two round trips";
    EXPECT_NEAR(p.nvme_reads_depth32_per_s, 160'000, 1);
    EXPECT_GT(p.posted_writes_per_s, 1e6);
}

TEST(ProbeModel, LongLinkIsLimitedByTheWindow) {
    const auto p = predict({.round_trip_s = 100e-3, .link_bits_per_s = 10e9, .frame_bytes = kJumbo});
    EXPECT_NEAR(p.posted_writes_per_s, 163'840, 1);
    EXPECT_NEAR(p.bulk_bytes_per_s, 163'840 * 4096.0, 1e6);
}

TEST(ProbeModel, LossCostsWhatIsSentAgain) {
    const LinkFigures without{.round_trip_s = 1e-3, .link_bits_per_s = 10e9, .frame_bytes = kJumbo};
    auto with = without;
    with.loss = 0.05;
    EXPECT_NEAR(predict(with).bulk_bytes_per_s / predict(without).bulk_bytes_per_s, 0.95, 0.001);
}

TEST(ProbeModel, WhatWasMeasuredGoesBeforeTheLink) {
    const auto p =
        predict({.round_trip_s = 1e-3, .link_bits_per_s = 10e9, .payload_bytes_per_s = 5e8, .frame_bytes = kJumbo});
    EXPECT_EQ(p.bulk_bytes_per_s, 5e8);
}

TEST(ProbeModel, ReadsThatTheirWindowHeldBackAreALeast) {
    LinkFigures link{.round_trip_s = 10e-3, .payload_bytes_per_s = 90e6, .frame_bytes = kJumbo};
    EXPECT_TRUE(predict(link).bulk_is_least);
    EXPECT_NEAR(predict(link).posted_writes_per_s, 1'638'400, 1) << "only their own window bounds them";
    link.payload_bytes_per_s = 1e6;
    EXPECT_FALSE(predict(link).bulk_is_least);
    EXPECT_LT(predict(link).posted_writes_per_s, 30'000) << "a slow link";
}

TEST(ProbeModel, MoreAtOnceNeverGetLess) {
    const auto p = predict({.round_trip_s = 33e-6, .payload_bytes_per_s = 57e6, .frame_bytes = 9600});
    EXPECT_NEAR(p.nvme_reads_depth1_per_s, 13'916, 1);
    EXPECT_GE(p.nvme_reads_depth32_per_s, p.nvme_reads_depth1_per_s);
}

TEST(ProbeModel, NothingIsInvented) {
    const auto p = predict({});
    EXPECT_EQ(p.reads_per_s, 0);
    EXPECT_EQ(p.bulk_bytes_per_s, 0);
    const auto without_link = predict({.round_trip_s = 1e-3});
    EXPECT_EQ(without_link.bulk_bytes_per_s, 0);
    EXPECT_GT(without_link.posted_writes_per_s, 0) << "the window bounds them";
    EXPECT_NEAR(without_link.nvme_reads_depth32_per_s, 16'000, 1) << "the round trip bounds them";
}

}  // namespace
}  // namespace farlane::cli
