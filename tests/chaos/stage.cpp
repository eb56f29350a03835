// SPDX-License-Identifier: Apache-2.0
// Receives: plans. Hands on: their faults, made at the given times. Owns: the processes, the link and their directory.
#include "chaos/stage.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <thread>
#include <vector>

#include "chaos/block_load.hpp"
#include "chaos/reader.hpp"

namespace farlane::chaos {
namespace {

constexpr Milliseconds kLook{10};  // how often a waiting stage looks whether to go on
constexpr std::size_t kLogBytes = 4000;

// The device's own reads of host memory are more patient than the driver's of registers: an NVMe command that fails for
// an outage would test the driver's recovery and not the fabric.
std::string session(unsigned completion_timeout_ms) {
    return "[session]\nkeepalive_ms = 100\nreconnect_delay_ms = 20\ngrace_ms = 120000\ncompletion_timeout_ms = " +
           std::to_string(completion_timeout_ms) + "\n";
}

std::string target_config(unsigned port) {
    return session(8000) + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:" + std::to_string(port) +
           "\"\nlisten = true\n[[export]]\nname = \"tally0\"\ndevice = \"tally\"\n" +
           "[[export]]\nname = \"accel0\"\ndevice = \"accel\"\nmemory = \"32M\"\nthreads = 1\n" +
           "[[export]]\nname = \"nvme0\"\ndevice = \"nvme\"\nsize = \"" + std::to_string(BlockModel::kBlocks * 4096) +
           "\"\n";
}

std::string initiator_config(unsigned port) {
    return session(Stage::kCompletionTimeout.count()) +
           "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:0\"\n[[peer]]\naddress = \"127.0.0.1:" +
           std::to_string(port) + "\"\n";
}

link::Impairments keys(const Weather& w) {
    link::Impairments all;
    const auto percent = [&](const char* key, unsigned value) {
        if (value != 0) all[key] = std::to_string(value) + "%";
    };
    const auto ms = [&](const char* key, unsigned value) {
        if (value != 0) all[key] = std::to_string(value) + "ms";
    };
    percent("loss", w.loss);
    percent("dup", w.duplicated);
    percent("reorder", w.reordered);
    percent("corrupt", w.corrupted);
    ms("delay", w.delay_ms);
    ms("jitter", w.jitter_ms);
    ms("reorder_by", w.reordered_by_ms);
    return all;
}

std::string tail(const std::string& text) {
    return text.size() <= kLogBytes ? text : "[...]" + text.substr(text.size() - kLogBytes);
}

}  // namespace

Stage::Stage(std::uint64_t seed, Chronicle& chronicle, std::function<void(const std::string&)> shown)
    : chronicle_(chronicle),
      shown_(std::move(shown)),
      target_(dir_, "target", target_config(target_port_)),
      relay_(target_port_, seed),
      initiator_(dir_, "initiator", initiator_config(relay_.port())) {}

void Stage::show(const std::string& text) {
    char line[160];
    const double s = std::chrono::duration<double>(Clock::now() - zero_).count();
    std::snprintf(line, sizeof line, "  %9.3f s  %s", s, text.c_str());
    shown_(line);
}

void Stage::play(const Plan& plan, const std::function<bool()>& going_on) {
    struct Action {
        Milliseconds at;
        bool begins;
        std::size_t index;
    };
    std::vector<Playing> playing;
    std::vector<Action> actions;
    for (const Fault& fault : plan.faults) {
        actions.push_back({fault.begins, true, playing.size()});
        if (fault.kind != FaultKind::weather) actions.push_back({fault.begins + fault.lasts, false, playing.size()});
        playing.push_back({fault});
    }
    std::ranges::stable_sort(actions, [](const Action& a, const Action& b) { return a.at < b.at; });
    const Time zero = Clock::now();
    for (const Action& action : actions) {
        while (going_on() && Clock::now() < zero + action.at)
            std::this_thread::sleep_until(std::min(zero + action.at, Clock::now() + kLook));
        if (!going_on()) return;
        if (action.begins)
            begin(playing[action.index]);
        else
            end(playing[action.index]);
    }
    relay_.set({});
    round_trip_ = Milliseconds(0);
    for (const Playing& p : playing)
        if (p.fault.kind == FaultKind::weather) chronicle_.over(p.number, round_trip_);
    expect_running(initiator_, "initiator");
    expect_running(target_, "target");
}

void Stage::begin(Playing& p) {
    show(p.fault.text());
    p.number = chronicle_.begins(p.fault);
    switch (p.fault.kind) {
        case FaultKind::kill_initiator:
        case FaultKind::restart_initiator: return end_daemons(p, true, false);
        case FaultKind::kill_target:
        case FaultKind::restart_target: return end_daemons(p, false, true);
        case FaultKind::kill_both: return end_daemons(p, true, true);
        case FaultKind::freeze_initiator: return initiator_.process().signal(SIGSTOP);
        case FaultKind::freeze_target: return target_.process().signal(SIGSTOP);
        case FaultKind::cut: relay_.cut(Relay::to_far, true); return relay_.cut(Relay::to_near, true);
        case FaultKind::cut_one: return relay_.cut(p.fault.second ? Relay::to_near : Relay::to_far, true);
        case FaultKind::weather: break;
    }
    relay_.set(keys(p.fault.weather));
    round_trip_ = p.fault.weather.round_trip();
}

void Stage::end(const Playing& p) {
    switch (p.fault.kind) {
        case FaultKind::kill_initiator:
        case FaultKind::restart_initiator: initiator_.start(); break;
        case FaultKind::kill_target:
        case FaultKind::restart_target: target_.start(); break;
        case FaultKind::kill_both:
            (p.fault.second ? target_ : initiator_).start();
            (p.fault.second ? initiator_ : target_).start();
            break;
        case FaultKind::freeze_initiator: initiator_.process().signal(SIGCONT); break;
        case FaultKind::freeze_target: target_.process().signal(SIGCONT); break;
        case FaultKind::cut:
        case FaultKind::cut_one:
            relay_.cut(Relay::to_far, false);
            relay_.cut(Relay::to_near, false);
            break;
        case FaultKind::weather: break;
    }
    chronicle_.over(p.number, round_trip_);
    show("over: " + std::string(name(p.fault.kind)));
}

void Stage::end_daemons(const Playing& p, bool initiator, bool target) {
    const bool kill = p.fault.kind != FaultKind::restart_initiator && p.fault.kind != FaultKind::restart_target;
    if (initiator) expect_running(initiator_, "initiator");
    if (target) expect_running(target_, "target");
    if (target) ++(kill ? target_ends_.kills : target_ends_.restarts);
    if (kill) {
        // Both before either is waited for: as close together as can be.
        if (initiator) initiator_.process().signal(SIGKILL);
        if (target) target_.process().signal(SIGKILL);
        if (initiator) initiator_.process().kill();
        if (target) target_.process().kill();
    } else if (const int code = (initiator ? initiator_ : target_).stop(); code != 0) {
        throw Broken(std::string("farlaned of the ") + (initiator ? "initiator" : "target") +
                     " was asked to stop and ended with " + std::to_string(code));
    }
    chronicle_.daemon_gone(p.number);
}

void Stage::expect_running(test::Daemon& daemon, const char* whose) {
    if (daemon.process().running()) return;
    throw Broken(std::string("farlaned of the ") + whose + " ended by itself");
}

void Stage::close() {
    for (test::Daemon* const daemon : {&initiator_, &target_}) {
        const char* whose = daemon == &initiator_ ? "initiator" : "target";
        expect_running(*daemon, whose);
        if (const int code = daemon->stop(); code != 0)
            throw Broken(std::string("farlaned of the ") + whose + " ended with " + std::to_string(code));
    }
}

std::string Stage::logs() {
    return "--- log of the initiator's farlaned\n" + tail(initiator_.process().output()) +
           "--- log of the target's farlaned\n" + tail(target_.process().output());
}

void Stage::abandon() {
    initiator_.process().kill();
    target_.process().kill();
}

}  // namespace farlane::chaos
