// SPDX-License-Identifier: Apache-2.0
// Receives: options. Hands on: how long a session of two paths stands still when one of them is cut under load.
// Owns: both ends in two threads, two UDP ports each, and the cuts.
#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "cut_port.hpp"
#include "groups.hpp"
#include "lane/initiator.hpp"
#include "lane/target.hpp"
#include "ports.hpp"
#include "sequence_device.hpp"

namespace farlane::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr unsigned kCuts = 20, kPaths = 2;
constexpr auto kWindow = milliseconds(250);  // a cut lasts so long, and so does the look without one before it
constexpr auto kPatience = std::chrono::seconds(20);
constexpr double kGoalMs = 10;

proto::SessionConfig session(std::uint8_t id) {
    proto::SessionConfig c;
    c.instance.fill(id);
    c.name = "paths";
    return c;
}

/// The far end: a thread that spins, and notes how long it was kept from doing so.
class Far {
public:
    explicit Far(const std::vector<std::string>& urls) : memory_(backend::process_memory()) {
        lane::TargetConfig config;
        config.session = session(1);
        target_ = std::make_unique<lane::Target>(lane_, config, *memory_);
        for (const auto& url : urls) target_->listen(lane_.add_port(transport::open_port(url).take()));
        auto device = std::make_unique<SequenceDevice>();
        device_ = device.get();
        (void)target_->add("sequence0", std::move(device));
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    [[nodiscard]] SequenceDevice& device() noexcept { return *device_; }
    [[nodiscard]] double longest_gap_ms() noexcept { return double(gap_ns_.exchange(0)) / 1e6; }

private:
    void run(const std::stop_token& stop) {
        pin_to(1);
        auto before = SequenceDevice::now_ns();
        while (!stop.stop_requested()) {
            lane_.turn();
            const auto now = SequenceDevice::now_ns();
            if (now - before > gap_ns_.load(std::memory_order_relaxed)) gap_ns_ = now - before;
            before = now;
        }
    }
    lane::Lane lane_;
    std::unique_ptr<backend::Memory> memory_;
    std::unique_ptr<lane::Target> target_;
    SequenceDevice* device_ = nullptr;
    std::atomic<std::int64_t> gap_ns_{0};
    std::jthread thread_;
};

/// The near end, turned by this thread: writes numbers without a pause.
class Near {
public:
    explicit Near(const std::vector<std::string>& peers) : memory_(backend::process_memory()) {
        lane::InitiatorConfig config;
        config.session = session(2);
        initiator_ = std::make_unique<lane::Initiator>(lane_, config, *memory_);
        std::vector<lane::PortId> ports;
        std::vector<transport::Address> addresses;
        for (const auto& peer : peers) {
            auto port = std::make_unique<CutPort>(transport::open_port("udp:127.0.0.1:0").take());
            addresses.push_back(port->resolve(peer).take());
            cuts_.push_back(port.get());
            ports.push_back(lane_.add_port(std::move(port)));
        }
        initiator_->connect(ports[0], addresses[0], peers[0]);
        turn_until([&] { return initiator_->peers()[0].state == proto::SessionState::open; }, "no session");
        session_ = initiator_->peers()[0].session;
        if (lane_.add_path(*session_, ports[1], addresses[1]) != Status::ok) throw std::runtime_error("no second path");
        wait_for_paths();
        initiator_->attach("sequence0", [this](auto r) { attachment_ = r.take(); });
        turn_until([&] { return attachment_ != nullptr; }, "the function was not attached");
    }
    ~Near() {
        initiator_->close(false);
        for (int i = 0; i < 8; ++i) lane_.turn();
    }
    void cut(unsigned path, bool off) noexcept { cuts_[path]->cut(off); }
    /// Writes for so long.
    void write_for(std::chrono::nanoseconds time) {
        for (const auto end = Clock::now() + time; Clock::now() < end;) write_some();
    }
    void wait_for_paths() {
        const auto received = [&](std::size_t i) { return session_->paths()[i].packets_received; };
        turn_until([&] { return session_->paths().size() == kPaths; }, "the second path did not open");
        const std::uint64_t before[] = {received(0), received(1)};
        turn_until([&] { return usable(0) && usable(1) && received(0) > before[0] && received(1) > before[1]; },
                   "a path did not come back");
    }
    /// Until all of it has been released; returns how many.
    std::uint64_t drain() {
        attachment_->hurry();
        for (const auto end = Clock::now() + kPatience; !attachment_->posted_drained(); lane_.turn())
            if (Clock::now() > end) throw std::runtime_error("writes were lost");
        return written_;
    }
    [[nodiscard]] double smoothed_rtt_us() const {
        return std::chrono::duration<double, std::micro>(session_->paths()[0].smoothed_rtt).count();
    }

private:
    [[nodiscard]] bool usable(std::size_t i) const { return session_->paths()[i].usable; }
    void write_some() {
        const proto::Tlp tlp{.type = proto::TlpType::memory_write, .bar = 0, .length_bytes = 8, .address = 0};
        for (unsigned i = 0; attachment_ != nullptr && i < 64; ++i) {
            const std::uint64_t next = written_ + 1;
            if (attachment_->submit(tlp, std::as_bytes(std::span(&next, 1)), 0, false) != Status::ok) break;
            written_ = next;
        }
        lane_.turn();
    }
    template <class Done>
    void turn_until(Done done, const char* what) {
        for (const auto end = Clock::now() + kPatience; !done(); write_some())
            if (Clock::now() > end) throw std::runtime_error(what);
    }

    lane::Lane lane_;
    std::unique_ptr<backend::Memory> memory_;
    std::unique_ptr<lane::Initiator> initiator_;
    std::vector<CutPort*> cuts_;
    proto::Session* session_ = nullptr;
    lane::Attachment* attachment_ = nullptr;
    std::uint64_t written_ = 0;
};

void measure(Report& report) {
    std::vector<std::string> urls, peers;
    for (unsigned i = 0; i < kPaths; ++i) {
        peers.push_back("127.0.0.1:" + std::to_string(free_udp_port()));
        urls.push_back("udp:" + peers.back());
    }
    Far far(urls);
    Near near(peers);
    Series s{"paths_stall", "ms", 1.0, true};
    std::vector<double> without, spinning;
    near.write_for(kWindow);
    const double rtt_us = near.smoothed_rtt_us();
    for (unsigned i = 0; i < kCuts; ++i) {
        progress(s.key, static_cast<int>(i) + 1, kCuts);
        far.device().forget_gap();
        near.write_for(kWindow);
        without.push_back(far.device().longest_gap_ms());
        far.device().forget_gap();
        (void)far.longest_gap_ms();
        near.cut(i % kPaths, true);
        near.write_for(kWindow);
        s.ours.push_back(far.device().longest_gap_ms());
        spinning.push_back(far.longest_gap_ms());
        s.limit.push_back(kGoalMs);
        near.cut(i % kPaths, false);
        near.wait_for_paths();
    }
    const auto written = near.drain();
    if (far.device().last() != written || far.device().errors() != 0)
        throw std::runtime_error("writes were lost, repeated or out of order: " +
                                 std::to_string(far.device().errors()));
    s.more = {{"limit_is", "the goal of the median"},
              {"writes", written},
              {"round_trip_us", rtt_us},
              {"without_a_cut_median_ms", median(without)},
              {"without_a_cut_max_ms", *std::max_element(without.begin(), without.end())},
              {"spinning_thread_median_ms", median(spinning)},
              {"spinning_thread_max_ms", *std::max_element(spinning.begin(), spinning.end())}};
    report.add(s);
}

}  // namespace

void measure_paths(const Options&, Report& report) {
    try {
        measure(report);
    } catch (const std::exception& e) {
        report.fail("paths_stall", e.what());
    }
}

}  // namespace farlane::bench
