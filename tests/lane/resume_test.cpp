// SPDX-License-Identifier: Apache-2.0
// Receives: an initiator whose target was started again, and whose session falls silent and is back while it waits to
// be resumed. Hands on: proof that it asks once, and keeps what it is given. Owns: both ends, turned by hand.
#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "lane/initiator.hpp"
#include "lane/scratch_device.hpp"
#include "lane/target_thread.hpp"
#include "transport/free_udp_port.hpp"

namespace farlane::lane {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<backend::Device> device(bool keeps) {
    auto d = std::make_unique<test::ScratchDevice>();
    d->keeps_state = keeps;
    return d;
}

proto::SessionConfig session_config(const char* name, std::uint8_t id) {
    proto::SessionConfig c = test::session_config(name, id);
    c.keepalive = 50ms;
    c.grace = 600s;
    return c;
}

struct TargetLife {
    Lane lane;
    Target target;
    std::vector<std::string> told;

    TargetLife(const std::string& url, backend::Memory& memory, bool keeps)
        : target(lane, {session_config("target", 0x7a), {}, 64}, memory) {
        target.on_watch([this](const TargetEvent& e) { told.push_back(e.what); });
        auto port = transport::open_port(url);
        if (!port.ok()) throw Error(port.status(), port.failure().detail);
        target.listen(lane.add_port(port.take()));
        EXPECT_EQ(target.add("scratch0", device(keeps)).status(), Status::ok);
    }
    [[nodiscard]] long count(const std::string& what) const { return std::ranges::count(told, what); }
    [[nodiscard]] unsigned state() const {
        unsigned state = ~0U;
        target.each(
            [&](const std::string&, const ExportStatus& s, const backend::Device&) { state = s.desc.state.get(); });
        return state;
    }
};

struct Resumed : testing::TestWithParam<bool> {
    const bool keeps = GetParam();
    const std::unique_ptr<backend::Memory> target_memory = backend::process_memory();
    const std::unique_ptr<backend::Memory> memory = backend::process_memory();
    std::string url;
    std::optional<TargetLife> target;
    Lane lane;
    std::optional<Initiator> initiator;
    Attachment* attachment = nullptr;
    unsigned links_up = 0;
    PortId port = 0;
    std::string at;

    // The target is ended, as by kill -9, and starts again; the session that is open now has just asked for its
    // attachment, and the target has not turned since.
    void SetUp() override {
        port = lane.add_port(transport::open_port("udp:127.0.0.1:0").take());
        at = "127.0.0.1:" + std::to_string(farlane::test::free_udp_port());
        url = "udp:" + at;
        target.emplace(url, *target_memory, keeps);
        start_initiator();
        initiator->attach("scratch0", [this](Result<Attachment*> r) { attachment = r.take(); });
        ASSERT_TRUE(turn_until([&] { return attachment != nullptr; }));
        target.reset();
        target.emplace(url, *target_memory, keeps);
        ASSERT_TRUE(turn_until([&] { return links_up == 2; }));
        ASSERT_EQ(attachment->state(), AttachmentState::down);
        ASSERT_EQ(target->count("resumed") + target->count("device_reset"), 0);
    }
    void start_initiator() {
        initiator.emplace(lane, InitiatorConfig{session_config("initiator", 1), {}, 600s, 10ms}, *memory);
        initiator->on_watch([this](const Event& e) { links_up += e.kind == EventKind::link_up; });
        initiator->connect(port, lane.port(port).resolve(at).take(), at);
    }
    bool turn_until(const std::function<bool()>& done) {
        const Time give_up = Lane::clock() + 60s;
        while (Lane::clock() < give_up) {
            (void)target->lane.turn();
            (void)lane.turn();
            if (done()) return true;
        }
        return false;
    }
    /// Everything that was said before, both ways, has been heard.
    void settle() {
        for (int way = 0; way < 2; ++way) {
            bool heard = false;
            initiator->list(60s, [&](const Result<std::vector<FunctionInfo>>& all) { heard = all.ok(); });
            ASSERT_TRUE(turn_until([&] { return heard; }));
        }
    }
    [[nodiscard]] proto::Session& session() { return *initiator->peers().at(0).session; }
    void expect_attached_once() {
        settle();
        EXPECT_EQ(attachment->state(), keeps ? AttachmentState::ready : AttachmentState::reset);
        EXPECT_EQ(target->count("device_reset"), keeps ? 0 : 1) << "a second question made a second attachment";
        EXPECT_EQ(target->count("detached"), 0) << "what is held was given back";
        EXPECT_EQ(target->state(), FL_FUNCTION_ATTACHED);
    }
};

TEST_P(Resumed, SilentSessionIsNotAskedTwice) {
    initiator->on_state(session(), proto::SessionState::silent, Status::timeout);
    initiator->on_state(session(), proto::SessionState::open, Status::ok);
    ASSERT_TRUE(turn_until([&] { return attachment->state() != AttachmentState::down; }));
    expect_attached_once();
}

TEST_P(Resumed, AnswerThatComesTwiceGivesNothingBack) {
    ASSERT_TRUE(turn_until([&] { return attachment->state() != AttachmentState::down; }));
    proto::AttachReply again;
    again.request = ~0U;  // nobody waits for it
    again.handle = attachment->handle();
    initiator->on_attach_reply(session(), again);
    expect_attached_once();
    // Of something else that is not wanted the target hears.
    again.handle.generation += 1;
    initiator->on_attach_reply(session(), again);
    settle();
    EXPECT_EQ(target->state(), FL_FUNCTION_ATTACHED);
}

// The initiator ends too, when the device's loss of state is known to its function and not yet to its records: what it
// saved names an attachment that is no more. Found by chaos_runner --seed 40001, round 80.
TEST_P(Resumed, InitiatorThatEndsBeforeAResetIsNotedAsksAnew) {
    SavedAttachment saved;
    saved.name = "scratch0";
    saved.handle = attachment->handle();
    saved.info = attachment->info();
    ASSERT_TRUE(turn_until([&] { return attachment->state() != AttachmentState::down; }));
    if (keeps) saved.handle.generation += 1;  // any other record that does not fit
    initiator->close(true);
    initiator.reset();
    attachment = nullptr;
    start_initiator();
    Status status = Status::ok;
    bool answered = false;
    initiator->resume(saved, [&](Result<Attachment*> r) {
        answered = true;
        status = r.status();
        if (r.ok()) attachment = *r;
    });
    ASSERT_TRUE(turn_until([&] { return answered; }));
    ASSERT_EQ(status, Status::ok);
    settle();
    EXPECT_EQ(attachment->state(), AttachmentState::reset) << "its user hears of it";
    EXPECT_EQ(target->state(), FL_FUNCTION_ATTACHED);
    EXPECT_EQ(target->count("attached"), 1) << "a fresh one: nothing of an earlier life is replayed into it";
    attachment->acknowledge_reset();
    EXPECT_EQ(attachment->state(), AttachmentState::ready);
}

INSTANTIATE_TEST_SUITE_P(State, Resumed, testing::Bool(),
                         [](const auto& i) { return std::string(i.param ? "Kept" : "Gone"); });

}  // namespace
}  // namespace farlane::lane
