// SPDX-License-Identifier: Apache-2.0
// Receives: a session over two ports, one of which takes no more frames. Hands on: proof that the other one goes on.
// Owns: both ends, turned by hand.
#include <algorithm>
#include <array>
#include <cstring>

#include <gtest/gtest.h>

#include "lane/initiator.hpp"
#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"
#include "transport/fault/fault_port.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;
using D = test::ScratchDevice;
constexpr std::uint64_t kWrites = 200;

struct Completions final : AttachmentSink {
    void on_completion(std::uint64_t, Status s) noexcept override { good += s == Status::ok; }
    void on_released(std::uint64_t) noexcept override {}
    void on_interrupt(std::uint32_t) noexcept override {}
    void on_event(EventKind, const std::string&) noexcept override {}
    unsigned good = 0;
};

class BlockedPort : public testing::TestWithParam<unsigned> {
protected:
    void SetUp() override {
        std::vector<PeerPath> paths;
        for (const std::string name : {"blocked-a", "blocked-b"}) {
            target.listen(target_lane.add_port(transport::open_port("loop:" + name).take()));
            const auto port = lane.add_port(transport::open_port("fault+loop:" + name + "?hold=16").take());
            paths.push_back({port, {}, ""});
        }
        ASSERT_EQ(target.add("scratch0", std::make_unique<D>()).status(), Status::ok);
        initiator.connect(std::move(paths));
        initiator.attach("scratch0", [&](Result<Attachment*> r) { attachment = r.take(); });
        ASSERT_TRUE(turn_until([&] { return attachment != nullptr && usable() == 2; }));
        attachment->set_sink(&completions);
        const std::array<std::byte, 2> enable{std::byte{6}, std::byte{0}};
        const proto::Tlp tlp{.type = proto::TlpType::config_write, .length_bytes = 2, .address = 4};
        ASSERT_EQ(attachment->request(tlp, enable, {}, 1), Status::ok);
        ASSERT_TRUE(turn_until([&] { return completions.good == 1; }));
    }
    void TearDown() override {
        if (attachment != nullptr) attachment->set_sink(nullptr);
    }
    [[nodiscard]] long usable() const {
        const auto all = initiator.peers().at(0).session->paths();
        return std::ranges::count_if(all, [](const auto& p) { return p.usable; });
    }
    bool turn_until(const std::function<bool()>& done) {
        const Time give_up = Lane::clock() + 30s;
        while (!done() && Lane::clock() < give_up) {
            (void)target_lane.turn();
            (void)lane.turn();
        }
        return done();
    }
    /// What the device counts when all writes have reached it, each once.
    void write_and_read() {
        for (std::uint64_t i = 0; i < kWrites; ++i) {
            const std::uint64_t value = ++written;
            const proto::Tlp tlp{
                .type = proto::TlpType::memory_write, .bar = 0, .length_bytes = 8, .address = D::kCounter};
            ASSERT_EQ(attachment->submit(tlp, std::as_bytes(std::span(&value, 1)), 0, false), Status::ok);
            for (int turn = 0; turn < 8; ++turn) {
                (void)lane.turn();
                (void)target_lane.turn();
            }
        }
        std::array<std::uint64_t, 2> counted{};  // and errors
        const proto::Tlp tlp{.type = proto::TlpType::memory_read, .bar = 0, .length_bytes = 16, .address = D::kCounter};
        const unsigned before = completions.good;
        ASSERT_EQ(attachment->request(tlp, {}, std::as_writable_bytes(std::span(counted)), 2), Status::ok);
        ASSERT_TRUE(turn_until([&] { return completions.good == before + 1; })) << "the other path did not go on";
        EXPECT_EQ(counted[0], written);
        EXPECT_EQ(counted[1], 0U);
    }

    std::unique_ptr<backend::Memory> target_memory = backend::process_memory(), memory = backend::process_memory();
    Lane target_lane, lane;
    Target target{target_lane, {test::session_config("target", 0x7a), {}, 64}, *target_memory};
    Initiator initiator{lane, InitiatorConfig{test::session_config("initiator", 1), {}, 60s, 10ms}, *memory};
    Completions completions;
    Attachment* attachment = nullptr;
    std::uint64_t written = 0;
};

TEST_P(BlockedPort, HoldsUpNoOther) {
    auto& port = dynamic_cast<transport::FaultPort&>(lane.port(GetParam()));
    transport::FaultSpec full = port.faults();
    full.delay_ns = std::chrono::nanoseconds(100s).count();  // what it is given it keeps: then it takes no more
    port.set(full);
    for (int round = 0; round < 5; ++round) ASSERT_NO_FATAL_FAILURE(write_and_read());
}

INSTANTIATE_TEST_SUITE_P(EitherPort, BlockedPort, testing::Values(0U, 1U));

}  // namespace
}  // namespace farlane::lane
