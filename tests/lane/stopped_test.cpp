// SPDX-License-Identifier: Apache-2.0
// Receives: an initiator whose process stood still in the middle of a turn. Hands on: proof that a request made then
// has all of its completion timeout. Owns: both ends, turned by hand.
#include <thread>

#include <gtest/gtest.h>

#include "lane/initiator.hpp"
#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;
using D = test::ScratchDevice;
constexpr std::chrono::milliseconds kCompletionTimeout = 1s;

struct Answer final : AttachmentSink {
    void on_completion(std::uint64_t, Status s) noexcept override { status = s; }
    void on_released(std::uint64_t) noexcept override {}
    void on_interrupt(std::uint32_t) noexcept override {}
    void on_event(EventKind, const std::string&) noexcept override {}
    std::optional<Status> status;
};

TEST(Stopped, RequestOfAStaleTurnHasItsWholeTime) {
    const auto memory = backend::process_memory(), target_memory = backend::process_memory();
    Lane lane, target_lane;
    Target target(target_lane, {test::session_config("target", 0x7a), {}, 64}, *target_memory);
    target.listen(target_lane.add_port(transport::open_port("loop:stopped").take()));
    ASSERT_EQ(target.add("scratch0", std::make_unique<D>()).status(), Status::ok);
    proto::FunctionLimits limits;
    limits.completion_timeout = kCompletionTimeout;
    Initiator initiator(lane, InitiatorConfig{test::session_config("initiator", 1), limits, 60s, 10ms}, *memory);
    initiator.connect(lane.add_port(transport::open_port("loop:stopped").take()), {}, "");
    Attachment* attachment = nullptr;
    initiator.attach("scratch0", [&](Result<Attachment*> r) { attachment = r.take(); });
    const auto turn_until = [&](const std::function<bool()>& done) {
        const Time give_up = Lane::clock() + 60s;
        while (!done() && Lane::clock() < give_up) {
            (void)target_lane.turn();
            (void)lane.turn();
        }
        return done();
    };
    ASSERT_TRUE(turn_until([&] { return attachment != nullptr; }));
    Answer answer;
    attachment->set_sink(&answer);
    std::array<std::byte, 4> id{};
    const proto::Tlp read{.type = proto::TlpType::config_read, .length_bytes = id.size()};

    std::this_thread::sleep_for(kCompletionTimeout * 3 / 2);  // what is tested: no turn for that long
    ASSERT_EQ(attachment->request(read, {}, id, 1), Status::ok);
    for (int turn = 0; turn < 100 && !answer.status; ++turn) (void)lane.turn();  // it looks at the clock now and then
    EXPECT_FALSE(answer.status) << "given up before it could be answered";
    ASSERT_TRUE(turn_until([&] { return answer.status.has_value(); }));
    attachment->set_sink(nullptr);
}

}  // namespace
}  // namespace farlane::lane
