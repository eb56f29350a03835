// SPDX-License-Identifier: Apache-2.0
// Receives: two farlaned whose link lies, and that are stopped. Hands on: proof that a lie costs bounded time and
// memory, has a name, and that work goes on, with nothing lost, when the link behaves. Owns: processes and the link.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <future>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "failures/liar.hpp"
#include "failures/pair.hpp"
#include "failures/row.hpp"
#include "proto/codec.hpp"
#include "proto/seal.hpp"

namespace farlane::test {
namespace {

constexpr std::size_t kAccelBytes = 256 * 1024;
constexpr std::int64_t kMostGrowth = 32 << 20;  // what a lie may cost a daemon: less than its windows and ports take

class Lies : public testing::Test {
protected:
    static constexpr unsigned kCompletionTimeoutMs = 8000;

    void SetUp() override {
        fabric_.emplace(open());
        tally_.emplace(attach(*fabric_, "tally0"));
        events_.subscribe();
        work(20);  // its memory is there from here on
        before_ = {resident_bytes(initiator_), resident_bytes(target_)};
    }
    void TearDown() override {
        link_.behave();
        work(100);
        EXPECT_EQ(tally_->read64(0, tally::kErrors), 0U) << "lost, repeated or overtaken";
        EXPECT_EQ(tally_->read64(0, tally::kRepeats), 0U);
        tally_->detach();
        EXPECT_EQ(initiator_.stop(), 0) << initiator_.process().output();
        EXPECT_EQ(target_.stop(), 0) << target_.process().output();
    }

    Fabric open() {
        FabricOptions o;
        o.socket = initiator_.socket();
        Fabric fabric = Fabric::open(o);
        const auto give_up = Liar::Clock::now() + 60s;
        for (;;) {
            try {
                if (fabric.list().size() == 2) return fabric;
            } catch (const Error&) {
                if (Liar::Clock::now() > give_up) throw;
            }
            std::this_thread::sleep_for(5ms);
        }
    }
    /// Posted writes and a read, so often; the longest read.
    Milliseconds work(unsigned rounds) {
        Milliseconds longest{0};
        for (unsigned i = 0; i < rounds; ++i) {
            tally::count_to(*tally_, words_, words_ + 50);
            const Stopwatch watch;
            EXPECT_EQ(tally_->read64(0, tally::kWords), words_);
            longest = std::max(longest, watch.took());
        }
        return longest;
    }
    /// What both daemons have grown by since the beginning, as a row.
    void judge_memory(const std::string& key) {
        const std::int64_t grown =
            std::max(resident_bytes(initiator_) - before_[0], resident_bytes(target_) - before_[1]);
        memory_row(key + "_memory", std::max<std::int64_t>(grown, 0), kMostGrowth);
    }
    [[nodiscard]] static std::uint64_t drops(const Daemon& d, const char* reason) {
        const auto stats = d.client().call("stats");
        std::uint64_t all = stats.at("ended_sessions").at("drops").at(reason).get<std::uint64_t>();
        for (const auto& s : stats.at("sessions")) all += s.at("drops").at(reason).get<std::uint64_t>();
        return all;
    }
    [[nodiscard]] control::Json path() { return client_.call("stats").at("sessions").at(0).at("paths").at(0); }

    TempDir dir_;
    unsigned target_port_ = free_udp_port();
    std::string keys_ = session_keys({.completion_timeout_ms = kCompletionTimeoutMs});
    Daemon target_{dir_, "box",
                   keys_ + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:" + std::to_string(target_port_) +
                       "?mtu=8972\"\nlisten = true\n" + tally::kExport +
                       "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"64M\"\nthreads = 1\n"};
    Liar link_{target_port_};
    Daemon initiator_{dir_, "laptop",
                      keys_ + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:0?mtu=8972\"\n[[peer]]\naddress = " +
                          "\"127.0.0.1:" + std::to_string(link_.port()) + "\"\n"};
    control::ControlClient client_ = initiator_.client(), events_ = initiator_.client();
    std::optional<Fabric> fabric_;
    std::optional<Device> tally_;
    std::uint64_t words_ = 0;
    std::array<std::int64_t, 2> before_{};
};

// The path carries less than the ports announce, and less than it did.
TEST_F(Lies, MtuSmallerThanAnnounced) {
    const auto grown = Liar::Clock::now() + 60s;
    while (path().at("frame_bytes") < 8972 && Liar::Clock::now() < grown) std::this_thread::sleep_for(5ms);
    ASSERT_EQ(path().at("frame_bytes"), 8972) << "found by probes";
    Device accel = attach(*fabric_, "accel0");
    std::vector<std::byte> data(kAccelBytes, std::byte{7}), back(data.size());
    accel.write(2, 0, data);
    accel.flush();
    link_.set([this](Liar::Way way, std::span<std::byte> frame) {
        if (frame.size() <= 1500) link_.send(way, frame);
    });
    std::ranges::fill(data, std::byte{9});
    const Stopwatch watch;
    accel.write(2, 0, data);
    accel.read(2, 0, back);
    row("lie_mtu_goes_on", watch.took(), 5000ms);
    EXPECT_EQ(back, data);
    EXPECT_LE(path().at("frame_bytes").get<unsigned>(), 1500U) << "and farlane stats says so";
    judge_memory("lie_mtu");
    accel.detach();
}

// One frame in twenty comes two seconds late, when nobody waits for it any more.
TEST_F(Lies, ReorderingOfSeconds) {
    std::mt19937 random(7);
    link_.set([&](Liar::Way way, std::span<std::byte> frame) {
        random() % 20 == 0 ? link_.hold(way, frame, 2s) : link_.send(way, frame);
    });
    const Stopwatch watch;
    Milliseconds longest{0};
    while (watch.took() < 3s) longest = std::max(longest, work(10));  // the first of them come now
    row("lie_reordering_longest_read", longest, 1000ms);
    judge_memory("lie_reordering");
    const auto late = [&] {
        return drops(target_, "retransmit_duplicate") + drops(initiator_, "retransmit_duplicate");
    };
    const auto give_up = Liar::Clock::now() + 60s;
    link_.behave();
    while (late() == 0 && Liar::Clock::now() < give_up) work(10);
    EXPECT_GT(late(), 0U) << "what came twice has a name";
}

TEST_F(Lies, FloodOfDuplicates) {
    constexpr unsigned kCopies = 30;
    link_.set([this](Liar::Way way, std::span<std::byte> frame) {
        for (unsigned i = 0; i < kCopies; ++i) link_.send(way, frame);
    });
    const Stopwatch flooding;
    Milliseconds longest{0};
    while (flooding.took() < 2s) longest = std::max(longest, work(10));
    row("lie_flood_longest_read", longest, 1000ms);
    judge_memory("lie_flood");
    EXPECT_GT(drops(target_, "packet_duplicate"), 100U);
    EXPECT_GT(drops(initiator_, "packet_duplicate"), 100U);
}

// What a frame says of its sender's clock is echoed to it: now it says anything.
TEST_F(Lies, ClocksOfFramesJump) {
    std::mt19937 random(11);
    proto::ClearSeal seal;
    link_.set([&](Liar::Way way, std::span<std::byte> frame) {
        fl_frame_header h;
        if (frame.size() < sizeof h + FL_FRAME_CRC_BYTES) return link_.send(way, frame);
        std::memcpy(&h, frame.data(), sizeof h);
        const std::size_t bytes = h.frame_bytes.get();
        if (h.session.get() == 0 || bytes > frame.size() || bytes < sizeof h + FL_FRAME_CRC_BYTES)
            return link_.send(way, frame);
        h.sent_ns.set(static_cast<std::uint32_t>(random()));
        std::memcpy(frame.data(), &h, sizeof h);
        seal.seal(frame.first(bytes), h.packet_number.get());
        link_.send(way, frame);
    });
    const Stopwatch lying;
    Milliseconds longest{0};
    while (lying.took() < 2s) longest = std::max(longest, work(10));
    row("lie_clock_longest_read", longest, 1000ms);
    judge_memory("lie_clock");
    EXPECT_EQ(drops(target_, "frame_crc"), 0U) << "frames were taken as good ones";
    link_.behave();
    // Round trips of seconds are forgotten as honest ones come.
    const Stopwatch watch;
    while (path().at("smoothed_rtt_ns").get<std::int64_t>() > std::chrono::nanoseconds(50ms).count() &&
           watch.took() < 60s)
        work(5);
    row("lie_clock_forgotten", watch.took(), 5000ms);
}

// The daemons' own clocks jump: they stand still, and find themselves seconds later.
TEST_F(Lies, StoppedDaemons) {
    for (Daemon* const stopped : {&target_, &initiator_}) {
        const bool target = stopped == &target_;
        stopped->process().signal(SIGSTOP);
        auto read = std::async(std::launch::async, [this] { return work(1), true; });
        std::this_thread::sleep_for(2s);  // what is tested: a stop of that length, far beyond the silence
        const Stopwatch watch;
        stopped->process().signal(SIGCONT);
        EXPECT_TRUE(read.get());
        row(target ? "stopped_target_goes_on" : "stopped_initiator_goes_on", watch.took(), kAtOnce);
        if (!target) continue;  // who stood still itself finds what came meanwhile, before it looks at the clock
        ASSERT_TRUE(wait_event(events_, {{"kind", "link_down"}}));
        ASSERT_TRUE(wait_event(events_, {{"kind", "link_up"}}));
    }
    judge_memory("stopped");
}

// Somebody acknowledges, in the name of each end, what the other one has not sent.
TEST_F(Lies, AcknowledgesWhatWasNeverSent) {
    for (const Liar::Way victim : {Liar::to_target, Liar::to_initiator}) {
        const Daemon& lied_to = victim == Liar::to_target ? target_ : initiator_;
        bool done = false;
        const Stopwatch watch;
        link_.set([&, victim](Liar::Way way, std::span<std::byte> frame) {
            fl_frame_header h;
            std::memcpy(&h, frame.data(), std::min(frame.size(), sizeof h));
            if (way == victim && h.session.get() != 0 && !done) {
                done = true;
                alignas(8) std::array<std::byte, 128> out{};
                proto::FrameWriter f;
                const std::uint64_t number = h.packet_number.get() + 1'000'000;
                f.begin(out, h.session.get(), h.path.get(), number, 0, 0, FL_FRAME_CRC_BYTES);
                proto::AckRecord lie;
                lie.largest = 900'000'000;
                lie.first_length = 1;
                (void)f.ack(lie, {});
                const std::size_t bytes = f.finish();
                proto::ClearSeal{}.seal(std::span(out).first(bytes), number);
                link_.send(way, std::span(out).first(bytes));
            }
            link_.send(way, frame);
        });
        const auto told = wait_event(events_, {{"kind", "link_down"}});
        ASSERT_TRUE(told);
        EXPECT_NE(told->at("detail").get<std::string>().find(status_text(Status::protocol)), std::string::npos)
            << told->dump();
        ASSERT_TRUE(wait_event(events_, {{"kind", "link_up"}}));
        work(1);
        row(victim == Liar::to_target ? "lie_ack_to_target_goes_on" : "lie_ack_to_initiator_goes_on", watch.took(),
            2000ms);
        EXPECT_EQ(drops(lied_to, "ack_impossible"), 1U);
    }
    judge_memory("lie_ack");
}

}  // namespace
}  // namespace farlane::test
