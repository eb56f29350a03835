// SPDX-License-Identifier: Apache-2.0
// Receives: bulk over ports that want it in pieces. Hands on: proof that it comes so, and whole. Owns: both ends,
// turned by hand.
#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "lane/initiator.hpp"
#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;
using D = test::ScratchDevice;
constexpr std::uint32_t kBurstBytes = 20'000;
constexpr std::size_t kWriteBytes = 4096, kWrites = 64;

/// A port with a burst_bytes, and what it was asked for.
class MeteredPort final : public transport::Port {
public:
    explicit MeteredPort(const std::string& url) : inner_(transport::open_port(url).take()), info_(inner_->info()) {
        info_.burst_bytes = kBurstBytes;
    }
    [[nodiscard]] const transport::PortInfo& info() const noexcept override { return info_; }
    [[nodiscard]] transport::PortCounters counters() const noexcept override { return inner_->counters(); }
    [[nodiscard]] std::size_t rx_burst(std::span<transport::RxFrame> frames) noexcept override {
        const auto n = inner_->rx_burst(frames);
        std::size_t bytes = 0;
        for (const auto& f : frames.first(n)) bytes += f.size_bytes;
        if (n == 0) return 0;
        // A piece comes as a surprise where small frames came last, as one of a timer on a slow machine.
        if (expects_bulk) {
            bulk_came = true;
            most_received = std::max(most_received, bytes);
        }
        expects_bulk = bytes > n * kWriteBytes;
        return n;
    }
    void rx_release(std::span<transport::RxFrame> frames) noexcept override { inner_->rx_release(frames); }
    [[nodiscard]] std::size_t tx_alloc(std::span<transport::TxFrame> frames) noexcept override {
        return inner_->tx_alloc(frames);
    }
    void tx_send(std::span<transport::TxFrame> frames) noexcept override {
        std::size_t bytes = 0;
        for (const auto& f : frames) bytes += f.size_bytes;
        most_sent = std::max(most_sent, bytes);
        inner_->tx_send(frames);
    }
    void tx_free(std::span<transport::TxFrame> frames) noexcept override { inner_->tx_free(frames); }
    [[nodiscard]] Result<transport::Address> resolve(std::string_view text) const override {
        return inner_->resolve(text);
    }
    [[nodiscard]] std::string to_string(const transport::Address& a) const override { return inner_->to_string(a); }

    bool expects_bulk = false, bulk_came = false;
    std::size_t most_sent = 0, most_received = 0;

private:
    std::unique_ptr<transport::Port> inner_;
    transport::PortInfo info_;
};

TEST(BurstBytes, BulkComesInPieces) {
    const auto target_memory = backend::process_memory(), memory = backend::process_memory();
    Lane target_lane, lane;
    Target target{target_lane, {test::session_config("target", 0x7a), {}, 64}, *target_memory};
    auto device = std::make_unique<D>();
    const auto there = device->memory();
    auto owned_far = std::make_unique<MeteredPort>("loop:pieces"),
         owned_near = std::make_unique<MeteredPort>("loop:pieces");
    MeteredPort &far = *owned_far, &near = *owned_near;
    target.listen(target_lane.add_port(std::move(owned_far)));
    ASSERT_EQ(target.add("scratch0", std::move(device)).status(), Status::ok);
    const auto port = lane.add_port(std::move(owned_near));
    Initiator initiator{lane, InitiatorConfig{test::session_config("initiator", 1), {}, 60s, 10ms}, *memory};
    initiator.connect(port, {}, "");
    Attachment* attachment = nullptr;
    initiator.attach("scratch0", [&](Result<Attachment*> r) { attachment = r.take(); });
    const auto turn_until = [&](const std::function<bool()>& done) {
        const Time give_up = Lane::clock() + 30s;
        while (!done() && Lane::clock() < give_up) {
            (void)lane.turn();
            (void)target_lane.turn();
        }
        return done();
    };
    ASSERT_TRUE(turn_until([&] { return attachment != nullptr; }));
    const std::array<std::byte, 2> enable{std::byte{6}, std::byte{0}};
    const proto::Tlp command{.type = proto::TlpType::config_write, .length_bytes = 2, .address = 4};
    ASSERT_EQ(attachment->request(command, enable, {}, 1), Status::ok);
    std::vector<std::byte> source(kWrites * kWriteBytes);
    for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 7 + i / kWriteBytes);
    for (int round = 0; round < 3; ++round) {
        std::fill_n(there.begin(), source.size(), std::byte{0});
        for (std::size_t at = 0; at < source.size(); at += kWriteBytes) {
            const proto::Tlp tlp{.type = proto::TlpType::memory_write,
                                 .attr = FL_ATTR_RO,
                                 .bar = 2,
                                 .length_bytes = kWriteBytes,
                                 .address = at};
            ASSERT_EQ(attachment->submit(tlp, std::span(source).subspan(at, kWriteBytes), 0, false), Status::ok);
        }
        ASSERT_TRUE(turn_until([&] { return attachment->posted_drained(); }));
        ASSERT_EQ(std::memcmp(there.data(), source.data(), source.size()), 0);
    }
    EXPECT_GT(near.most_sent, kBurstBytes / 2);
    EXPECT_LT(near.most_sent, kBurstBytes + near.info().max_frame_bytes);
    ASSERT_TRUE(far.bulk_came);
    EXPECT_LE(far.most_received, kBurstBytes);
}

}  // namespace
}  // namespace farlane::lane
