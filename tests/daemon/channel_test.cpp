// SPDX-License-Identifier: Apache-2.0
// Receives: both ends of a channel over a fake attachment. Hands on: proof of order, release,
// completion, refusal, stalls, hostile rings, and that a second daemon goes on where the first
// was killed. Owns: the shared memory.
#include "daemon/channel.hpp"

#include <random>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include "daemon/fake_attachment.hpp"
#include "lib/daemon_channel.hpp"

namespace farlane::daemon {
namespace {

using channel::AppChannel;
using channel::make_tlp;
using channel::Waiter;

constexpr channel::Geometry kSmall{64, 64, 64 * 1024};

UniqueFd copy_of(int fd) {
    return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

struct ChannelTest : testing::Test, BufferTable {
    std::shared_ptr<SharedMemory> memory = *SharedMemory::create("test", kSmall.total_bytes());
    UniqueFd submit_bell{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    UniqueFd complete_bell{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::unique_ptr<SavedState> state = std::make_unique<SavedState>();
    BellRinger bells;
    test::FakeAttachment device;
    std::unique_ptr<Ledger> ledger = std::make_unique<Ledger>(*state);
    std::unique_ptr<Channel> daemon = make(true);
    AppChannel app{kSmall, fds()};
    std::vector<std::byte> registered = std::vector<std::byte>(8192);

    ChannelTest() { daemon->open(); }
    std::vector<UniqueFd> fds() {
        std::vector<UniqueFd> v;
        for (const int fd : {memory->fd(), submit_bell.get(), complete_bell.get()}) v.push_back(copy_of(fd));
        return v;
    }
    std::unique_ptr<Channel> make(bool fresh) {
        auto c =
            std::make_unique<Channel>(Channel::Parts{memory, copy_of(submit_bell.get()), copy_of(complete_bell.get())},
                                      kSmall, *ledger, *this, bells, fresh);
        c->attach_to(device);
        return c;
    }
    /// The daemon dies as by kill -9 and another one takes over; the target stands at these sequences.
    void restart(std::uint64_t posted_next, std::uint64_t non_posted_next) {
        daemon.reset();
        ledger = std::make_unique<Ledger>(*state);
        device = test::FakeAttachment{};
        device.next[FL_CLASS_POSTED] = posted_next;
        device.next[FL_CLASS_NON_POSTED] = non_posted_next;
        daemon = make(false);
        const auto slots = daemon->walk();
        const ResumePlan plan = plan_resume(*state, slots, posted_next, non_posted_next);
        for (const auto count : plan.finished) daemon->finish(count, Status::ok);
        for (const auto count : plan.in_doubt) daemon->finish(count, Status::completer_abort);
        for (const auto& step : plan.steps) ASSERT_EQ(daemon->resubmit(step.index), Status::ok);
        daemon->open();
    }
    std::span<std::byte> buffer(std::uint32_t number) const noexcept override {
        if (number == FL_BUFFER_STAGING) return daemon ? daemon->staging() : std::span<std::byte>();
        return number == 5 ? std::span(const_cast<std::vector<std::byte>&>(registered)) : std::span<std::byte>();
    }
    bool write(std::uint64_t at, std::size_t bytes, int fill = 1) {
        const std::vector<std::byte> data(bytes, static_cast<std::byte>(fill));
        return app.write(make_tlp(FL_TLP_MWR, 2, at, bytes), data);
    }
    void turn() { (void)daemon->turn({}); }
    void complete_with(std::size_t i) { complete(i, Status::ok, static_cast<int>(i)); }
    void complete(std::size_t i, Status status = Status::ok, int fill = 0x5a) {
        auto& r = device.requests.at(i);
        std::memset(r.into.data(), status == Status::ok ? fill : 0xff, r.into.size());
        daemon->on_completion(r.cookie, status);
    }
};

TEST_F(ChannelTest, WritesArriveInOrderWithTheirPayload) {
    ASSERT_TRUE(write(0, 4, 1) && write(4, 64, 2) && write(128, 4096, 3));
    ASSERT_TRUE(app.write_from(make_tlp(FL_TLP_MWR, 2, 8192, 4096, true), 5, 4096));
    turn();
    ASSERT_EQ(device.posted.size(), 4U);
    EXPECT_EQ(device.posted[0].payload, std::vector<std::byte>(4, std::byte{1}));
    EXPECT_EQ(device.posted[1].payload, std::vector<std::byte>(64, std::byte{2}));
    EXPECT_EQ(device.posted[2].payload, std::vector<std::byte>(4096, std::byte{3}));
    EXPECT_EQ(device.posted[3].payload.size(), 4096U);
    EXPECT_TRUE(device.posted[3].tlp.relaxed());
    EXPECT_EQ(device.posted[2].tlp.address, 128U);
    EXPECT_EQ(device.posted[2].tlp.bar, 2);
}

TEST_F(ChannelTest, SlotsAreFreeWhenReleasedNotWhenRead) {
    unsigned given = 0;
    while (write(given, 4)) ++given;
    EXPECT_EQ(given, kSmall.submit_entries);
    turn();
    EXPECT_EQ(device.posted.size(), given);
    EXPECT_FALSE(write(0, 4));
    daemon->on_released(device.posted[0].cookie);
    EXPECT_TRUE(write(0, 4));
    EXPECT_FALSE(write(0, 4));
}

TEST_F(ChannelTest, StagingIsReusedOnlyAfterRelease) {
    unsigned given = 0;
    while (write(0, 4096, static_cast<int>(given))) ++given;
    EXPECT_EQ(given, kSmall.staging_bytes / 4096);
    turn();
    for (unsigned i = 0; i < given; ++i) {
        EXPECT_FALSE(write(0, 4096));
        daemon->on_released(device.posted[i].cookie);
        ASSERT_TRUE(write(0, 4096, 100 + static_cast<int>(i)));
    }
    for (unsigned i = 0; i < given; ++i) EXPECT_EQ(device.posted[i].payload[4095], static_cast<std::byte>(i));
}

TEST_F(ChannelTest, ReadsAreAnsweredInlineAndByReference) {
    Waiter waiter;
    std::array<std::byte, 8> small{};
    std::array<std::byte, 4096> large{};
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 0, 16, 8), {}, small, waiter));
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 2, 0, 4096), {}, large, waiter));
    turn();
    ASSERT_EQ(device.requests.size(), 2U);
    complete(1, Status::ok, 0x77);  // in any order
    app.drain();
    EXPECT_EQ(waiter.outstanding, 1U);
    complete(0, Status::ok, 0x11);
    app.drain();
    EXPECT_EQ(waiter.outstanding, 0U);
    EXPECT_EQ(waiter.status, Status::ok);
    EXPECT_EQ(small[7], std::byte{0x11});
    EXPECT_EQ(large[4095], std::byte{0x77});
    EXPECT_TRUE(daemon->drained());
}

TEST_F(ChannelTest, FailedReadIsAllOnesWithItsStatus) {
    Waiter waiter;
    std::array<std::byte, 4> into{};
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 0, 0, 4), {}, into, waiter));
    turn();
    complete(0, Status::timeout);
    app.drain();
    EXPECT_EQ(waiter.status, Status::timeout);
    EXPECT_EQ(into[3], std::byte{0xff});
}

TEST_F(ChannelTest, OperandsGoAlong) {
    Waiter waiter;
    const std::array<std::byte, 2> command{std::byte{6}, std::byte{0}};
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_CFGWR, FL_BAR_NONE, 4, 2), command, {}, waiter));
    turn();
    ASSERT_EQ(device.requests.size(), 1U);
    EXPECT_EQ(device.requests[0].payload, std::vector<std::byte>(command.begin(), command.end()));
    EXPECT_TRUE(device.requests[0].into.empty());
}

TEST_F(ChannelTest, FullWindowStallsInOrder) {
    device.window = 2;
    ASSERT_TRUE(write(0, 4) && write(4, 4) && write(8, 4));
    turn();
    EXPECT_EQ(device.posted.size(), 2U);
    EXPECT_GE(device.hurries, 1U);
    EXPECT_TRUE(daemon->prepare_sleep()) << "more submits would not help";
    device.window = 3;
    turn();
    ASSERT_EQ(device.posted.size(), 3U);
    EXPECT_EQ(device.posted[2].tlp.address, 8U);
}

// The application asks and asks and reads nothing: the daemon stops taking in time, and every
// answer is there once it reads.
TEST_F(ChannelTest, UnreadCompletionsStallAndNothingIsLost) {
    const channel::Layout layout{memory->bytes().data(), kSmall};
    channel::Producer submit(layout.header().submit, layout.submit_slots(), kSmall.submit_entries, 0);
    constexpr std::uint64_t kAsked = 150;
    std::uint64_t asked = 0, read = 0;
    std::size_t answered = 0;
    channel::Consumer complete(layout.header().complete, layout.complete_slots(), kSmall.complete_entries, 0, 0);
    for (int round = 0; round < 400; ++round) {
        for (; asked < kAsked && submit.room() != 0; ++asked) {
            fl_slot slot{};
            slot.tlp = make_tlp(FL_TLP_MRD, 0, asked * 4, 4);
            slot.cookie = asked + 1;
            submit.at(submit.head()) = slot;
            submit.publish();
        }
        turn();
        for (; answered < device.requests.size(); ++answered) complete_with(answered);
        if (round < 100) {
            ASSERT_LE(device.requests.size(), kSmall.complete_entries) << "room for what is in flight";
            continue;
        }
        for (; complete.available() != 0; ++read) {
            ASSERT_EQ(complete.at(complete.tail()).cookie, read + 1);
            complete.advance();
            complete.release_to(complete.tail());
        }
    }
    EXPECT_EQ(read, kAsked);
    EXPECT_GT(daemon->counters().stalls, 0U);
}

TEST_F(ChannelTest, RefusedRecordsAreAnswered) {
    Waiter waiter;
    std::array<std::byte, 4> into{};
    device.next_status = Status::out_of_bounds;
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 0, 1 << 20, 4), {}, into, waiter));
    turn();
    app.drain();
    EXPECT_EQ(waiter.status, Status::out_of_bounds);
    device.next_status = Status::out_of_bounds;
    ASSERT_TRUE(write(1 << 20, 4));
    turn();
    app.drain();
    EXPECT_EQ(app.take_refused(), Status::out_of_bounds);
    EXPECT_EQ(daemon->counters().refused, 2U);
    EXPECT_TRUE(daemon->drained());
}

TEST_F(ChannelTest, MalformedSlotsAreCountedAndTheRestGoesOn) {
    ASSERT_TRUE(app.write(make_tlp(FL_TLP_MSI, 0, 0, 4), std::vector<std::byte>(4)));
    ASSERT_TRUE(app.write_from(make_tlp(FL_TLP_MWR, 2, 0, 4096), 9, 0));     // no such buffer
    ASSERT_TRUE(app.write_from(make_tlp(FL_TLP_MWR, 2, 0, 4096), 5, 4097));  // outside
    ASSERT_TRUE(write(0, 4));
    turn();
    EXPECT_EQ(daemon->counters().malformed, 3U);
    EXPECT_EQ(device.posted.size(), 1U);
    EXPECT_FALSE(daemon->broken());
}

TEST_F(ChannelTest, DeviceStateIsTold) {
    daemon->tell(Status::device_reset);
    app.drain();
    EXPECT_EQ(app.device_state(), Status::device_reset);
    daemon->tell(Status::ok);
    app.drain();
    EXPECT_EQ(app.device_state(), Status::ok);
}

TEST_F(ChannelTest, LostDeviceEndsEverything) {
    Waiter waiter;
    std::array<std::byte, 4> into{};
    ASSERT_TRUE(write(0, 4) && app.request(make_tlp(FL_TLP_MRD, 0, 0, 4), {}, into, waiter));
    turn();
    daemon->fail_in_flight(Status::device_lost, true);
    daemon->tell(Status::device_lost);
    app.drain();
    EXPECT_EQ(waiter.outstanding, 0U);
    EXPECT_EQ(waiter.status, Status::device_lost);
    EXPECT_EQ(app.device_state(), Status::device_lost);
    EXPECT_TRUE(daemon->drained());
    daemon->on_completion(device.requests[0].cookie, Status::device_lost);  // late: nothing
    daemon->on_released(device.posted[0].cookie);
    EXPECT_TRUE(daemon->drained());
}

TEST_F(ChannelTest, SleepersAreWoken) {
    EXPECT_TRUE(daemon->prepare_sleep());
    ASSERT_TRUE(write(0, 4));
    std::uint64_t count = 0;
    EXPECT_EQ(::read(submit_bell.get(), &count, sizeof count), 8);
    EXPECT_FALSE(daemon->prepare_sleep()) << "there is work";
    daemon->woken();
    turn();
    app.announce_sleep(true);
    daemon->on_released(device.posted[0].cookie);
    EXPECT_EQ(::read(complete_bell.get(), &count, sizeof count), 8);
}

TEST_F(ChannelTest, ImpossibleIndicesCloseTheChannel) {
    auto& header = *reinterpret_cast<fl_channel*>(memory->bytes().data());
    header.submit.head = 1000;
    turn();
    EXPECT_TRUE(daemon->broken());
    EXPECT_TRUE(device.posted.empty());
    EXPECT_FALSE(daemon->turn({})) << "nothing is taken any more";
}

// Random bytes everywhere an application can write: only records that pass check_slot() leave,
// and the daemon stays within its memory (sanitizers look).
TEST_F(ChannelTest, HostileMemory) {
    std::mt19937_64 random(1);
    const auto bytes = memory->bytes();
    for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 2000; ++i) bytes[random() % kSmall.staging_offset()] = static_cast<std::byte>(random());
        auto& header = *reinterpret_cast<fl_channel*>(bytes.data());
        if (round % 2 == 0) {
            header.submit.head = state->submit_tail + static_cast<std::uint32_t>(random() % 64);
            header.complete.released = header.complete.head - static_cast<std::uint32_t>(random() % 64);
        }
        turn();
        for (const auto& r : std::exchange(device.requests, {})) daemon->on_completion(r.cookie, Status::ok);
        for (const auto& r : std::exchange(device.posted, {})) daemon->on_released(r.cookie);
        if (daemon->broken()) {
            std::memset(bytes.data(), 0, kSmall.staging_offset());
            *state = SavedState{};
            ledger = std::make_unique<Ledger>(*state);
            daemon = make(true);
            daemon->open();
        }
    }
}

// --- kill -9 of the daemon

TEST_F(ChannelTest, NextDaemonSubmitsWhatWasNotReleased) {
    ASSERT_TRUE(write(0, 4, 1) && write(4, 4096, 2) && write(8, 4, 3));
    turn();
    ASSERT_TRUE(write(12, 4, 4));  // not taken yet
    restart(2, 1);                 // the target has released the first
    ASSERT_EQ(device.posted.size(), 2U);
    EXPECT_EQ(device.posted[0].tlp.address, 4U);
    EXPECT_EQ(device.posted[0].payload, std::vector<std::byte>(4096, std::byte{2}));
    EXPECT_EQ(device.posted[0].sequence, 2U);
    turn();
    ASSERT_EQ(device.posted.size(), 3U);
    EXPECT_EQ(device.posted[2].tlp.address, 12U);
    EXPECT_EQ(device.posted[2].sequence, 4U);
    for (const auto& r : device.posted) daemon->on_released(r.cookie);
    EXPECT_TRUE(daemon->drained());
}

TEST_F(ChannelTest, ReadExecutedBeforeTheKillIsInDoubt) {
    Waiter first, second;
    std::array<std::byte, 4> a{}, b{};
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 0, 0, 4), {}, a, first));
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 0, 4, 4), {}, b, second));
    turn();
    restart(1, 2);
    app.drain();
    EXPECT_EQ(first.status, Status::completer_abort) << "never executed twice";
    ASSERT_EQ(device.requests.size(), 1U);
    EXPECT_EQ(device.requests[0].tlp.address, 4U);
    complete(0);
    app.drain();
    EXPECT_EQ(second.status, Status::ok);
    EXPECT_EQ(second.outstanding, 0U);
    EXPECT_EQ(first.outstanding, 0U);
}

TEST_F(ChannelTest, KillBetweenGivingAndSayingSo) {
    ASSERT_TRUE(write(0, 4, 1) && write(4, 4, 2));
    turn();
    // As if it had been killed before the tail of the second was stored.
    state->submit_tail = 1;
    restart(3, 1);  // both are released at the target
    turn();
    EXPECT_TRUE(device.posted.empty()) << "not executed twice";
    EXPECT_TRUE(daemon->drained());
    ASSERT_TRUE(write(8, 4, 3));
    turn();
    ASSERT_EQ(device.posted.size(), 1U);
    EXPECT_EQ(device.posted[0].tlp.address, 8U);
}

TEST_F(ChannelTest, AnswerThatComesTwiceIsHeardOnce) {
    Waiter waiter;
    std::array<std::byte, 4> into{};
    ASSERT_TRUE(app.request(make_tlp(FL_TLP_MRD, 0, 0, 4), {}, into, waiter));
    turn();
    complete(0);
    // Killed after the answer was pushed, before the slot was marked.
    reinterpret_cast<fl_slot*>(memory->bytes().data() + kSmall.submit_offset())->status = 0;
    state->submit_released = 0;
    restart(1, 1);
    ASSERT_EQ(device.requests.size(), 1U);
    complete(0);
    app.drain();
    EXPECT_EQ(waiter.outstanding, 0U);
    EXPECT_EQ(waiter.status, Status::ok);
}

// Kills at random points of a random load: every write reaches the target once and in order.
TEST_F(ChannelTest, RandomKillsLoseAndRepeatNothing) {
    std::mt19937 random(7);
    std::uint64_t written = 0, released = 0;  // the target's view: addresses are 4 x index
    std::uint64_t base_posted = 1;
    for (int step = 0; step < 4000; ++step) {
        for (unsigned n = random() % 4; n > 0 && write(written * 4, random() % 3 == 0 ? 200 : 4); --n) ++written;
        turn();
        // The target releases some of what it has, in order.
        for (std::size_t n = random() % 4; n > 0 && !device.posted.empty(); --n) {
            const auto r = device.posted.front();
            device.posted.erase(device.posted.begin());
            ASSERT_EQ(r.tlp.address, released * 4) << "step " << step;
            ASSERT_EQ(r.sequence, base_posted + released);
            ++released;
            if (random() % 8 != 0)
                daemon->on_released(r.cookie);
            else
                restart(base_posted + released, 1);  // killed before it heard
        }
        if (random() % 50 == 0) restart(base_posted + released, 1);
    }
    EXPECT_GT(released, 1000U);
    EXPECT_LE(written - released, kSmall.submit_entries);
}

}  // namespace
}  // namespace farlane::daemon
