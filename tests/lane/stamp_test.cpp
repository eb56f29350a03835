// SPDX-License-Identifier: Apache-2.0
// Receives: a port that has more than one burst in a turn. Hands on: proof that no frame is stamped before it came.
// Owns: nothing.
#include <gtest/gtest.h>

#include <array>

#include "lane/lane.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;

/// Two bursts; the second one comes a good while after the first one was taken.
class LatePort final : public transport::Port {
public:
    [[nodiscard]] const transport::PortInfo& info() const noexcept override { return info_; }
    [[nodiscard]] transport::PortCounters counters() const noexcept override { return {}; }
    [[nodiscard]] std::size_t rx_burst(std::span<transport::RxFrame> frames) noexcept override {
        if (bursts_ == 2) return 0;
        const Time before = Lane::clock();
        while (bursts_ == 1 && Lane::clock() - before < 5ms) continue;
        ++bursts_;
        came_ = Lane::clock();
        for (auto& f : frames) f = {frame_.data(), static_cast<std::uint32_t>(frame_.size()), nullptr, nullptr};
        return frames.size();
    }
    void rx_release(std::span<transport::RxFrame>) noexcept override {}
    [[nodiscard]] std::size_t tx_alloc(std::span<transport::TxFrame>) noexcept override { return 0; }
    void tx_send(std::span<transport::TxFrame>) noexcept override {}
    void tx_free(std::span<transport::TxFrame>) noexcept override {}
    [[nodiscard]] Result<transport::Address> resolve(std::string_view) const override {
        return {Status::invalid, "has exactly one peer"};
    }
    [[nodiscard]] std::string to_string(const transport::Address&) const override { return ""; }

    [[nodiscard]] Time came() const noexcept { return came_; }
    [[nodiscard]] int bursts() const noexcept { return bursts_; }

private:
    static transport::PortInfo make_info() {
        transport::PortInfo i;
        i.kind = "late";
        i.max_frame_bytes = 1500;
        i.point_to_point = true;
        return i;
    }
    transport::PortInfo info_ = make_info();
    alignas(8) std::array<std::byte, 8> frame_{};  // too short to be one of ours
    int bursts_ = 0;
    Time came_{};
};

TEST(Stamp, NoFrameIsStampedBeforeItCame) {
    auto port = std::make_unique<LatePort>();
    const LatePort& late = *port;
    Lane lane(LaneConfig{});
    lane.add_port(std::move(port));
    EXPECT_TRUE(lane.turn());
    ASSERT_EQ(late.bursts(), 2);
    // The lane's clock follows CLOCK_MONOTONIC to far less than the 5 ms between the bursts.
    EXPECT_GT(lane.now(), late.came() - 1ms);
}

}  // namespace
}  // namespace farlane::lane
