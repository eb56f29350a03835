// SPDX-License-Identifier: Apache-2.0
// Receives: a farlaned whose target takes an attach and then no byte. Hands on: proof that this costs bounded time,
// memory and traffic, has a name, and ends when somebody wants it to. Owns: both ends.
#include <atomic>
#include <future>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "failures/pair.hpp"
#include "failures/row.hpp"
#include "failures/stingy_target.hpp"

namespace farlane::test {
namespace {

constexpr std::uint64_t kMostFramesASecond = 20'000;  // a peer that is asked again and again for nothing: 1 ms apart
constexpr Times kTimes{.completion_timeout_ms = 500};

struct NoCredits : testing::Test {
    TempDir dir;
    unsigned port = free_udp_port();
    std::optional<StingyTarget> stingy{std::in_place, port, "tally0"};
    Daemon initiator{dir, "laptop",
                     session_keys(kTimes) + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:0\"\n[[peer]]\naddress = " +
                         "\"127.0.0.1:" + std::to_string(port) + "\"\n"};
    control::ControlClient client = initiator.client(), events = initiator.client();

    Fabric open() {
        FabricOptions o;
        o.socket = initiator.socket();
        return Fabric::open(o);
    }
    /// Attached, whoever the target is.
    Device attach_somehow(Fabric& fabric) {
        const auto give_up = Stopwatch::Clock::now() + 60s;
        for (;;) {
            try {
                return fabric.attach("tally0");
            } catch (const Error&) {
                if (Stopwatch::Clock::now() > give_up) throw;
            }
        }
    }
    std::uint64_t frames() { return client.call("stats").at("sessions").at(0).at("frames_out").get<std::uint64_t>(); }
};

TEST_F(NoCredits, ForEver) {
    events.subscribe();
    Fabric fabric = open();
    Device device = attach_somehow(fabric);
    const Stopwatch watch;
    try {
        (void)device.read64(0, tally::kWords);
        FAIL() << "nobody answers it";
    } catch (const Error& e) {
        EXPECT_EQ(e.status(), Status::timeout) << e.what();
    }
    row("no_credits_read_times_out", watch.took(), Milliseconds(kTimes.completion_timeout_ms + 100));
    EXPECT_TRUE(wait_event(events, {{"kind", "timeout"}, {"function", "tally0"}})) << "it has a name";

    // Writes wait, as many as fit, and then their writer does.
    const std::int64_t before = resident_bytes(initiator);
    std::atomic<std::uint64_t> written = 0;
    auto writer = std::async(std::launch::async, [&] {
        try {
            for (;;) {
                device.write64(0, tally::kWindow, 1);
                ++written;
            }
        } catch (const Error& e) {
            return e.status();
        }
    });
    const auto give_up = Stopwatch::Clock::now() + 60s;
    std::uint64_t seen = ~std::uint64_t{0};
    while (seen != written && Stopwatch::Clock::now() < give_up) {
        seen = written;
        std::this_thread::sleep_for(500ms);
    }
    ASSERT_EQ(seen, written) << "the writer waits";
    const auto shown = client.call("stats").at("attachments").at(0);
    EXPECT_EQ(seen, shown.at("channel").at("submit_entries").get<std::uint64_t>()) << "when its ring is full";
    EXPECT_EQ(shown.at("records").at("submitted").at(0).get<std::uint64_t>(), seen)
        << "farlane stats: they were given,";
    EXPECT_EQ(shown.at("records").at("sent").at(0), 0) << "and none was sent";
    memory_row("no_credits_memory", std::max<std::int64_t>(resident_bytes(initiator) - before, 0), 32 << 20);
    const std::uint64_t sent = frames();
    const Stopwatch second;
    std::this_thread::sleep_for(1s);
    const std::uint64_t sent_then = frames();
    EXPECT_LE(static_cast<double>(sent_then - sent), kMostFramesASecond * second.took().count() / 1000);

    const Stopwatch ending;
    (void)client.call("detach", {{"name", "tally0"}, {"force", true}}, 60s);
    EXPECT_EQ(writer.get(), Status::device_lost);
    row("no_credits_forced_detach", ending.took(), 1000ms);
    device = Device();

    stingy.reset();
    const Daemon honest(dir, "box",
                        session_keys(kTimes) + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:" +
                            std::to_string(port) + "\"\nlisten = true\n" + tally::kExport);
    device = attach_somehow(fabric);
    device.enable();
    device.write64(0, tally::kWindow, 1);
    EXPECT_EQ(device.read64(0, tally::kWords), 1U) << "nothing of the old life";
}

}  // namespace
}  // namespace farlane::test
