// SPDX-License-Identifier: Apache-2.0
// Receives: exports and times. Hands on: two farlaned with a link between them, and what they tell. Owns: see pair.hpp.
#include "failures/pair.hpp"

#include <fstream>
#include <thread>

#include <unistd.h>

namespace farlane::test {
namespace {

using Clock = std::chrono::steady_clock;

std::string url(unsigned port) {
    return "127.0.0.1:" + std::to_string(port);
}

}  // namespace

std::string session_keys(const Times& t) {
    return "[session]\nkeepalive_ms = " + std::to_string(Times::kKeepaliveMs) +
           "\nreconnect_delay_ms = 20\ngrace_ms = " + std::to_string(t.grace_ms) +
           "\ncompletion_timeout_ms = " + std::to_string(t.completion_timeout_ms) + "\n";
}

Device attach(Fabric& fabric, const char* name) {
    Device device = fabric.attach(name);
    device.enable();
    return device;
}

Status status_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& e) {
        return e.status();
    }
    return Status::ok;
}

Status until(Status wanted, const std::function<void()>& call) {
    const auto give_up = Clock::now() + 60s;
    Status status{};
    do {
        status = status_of(call);
    } while (status != wanted && Clock::now() < give_up);
    return status;
}

std::int64_t resident_bytes(const Daemon& daemon) {
    std::ifstream in("/proc/" + std::to_string(daemon.client().hello().at("pid").get<int>()) + "/statm");
    std::int64_t total = 0, resident = 0;
    in >> total >> resident;
    return resident * ::sysconf(_SC_PAGESIZE);
}

LinkedPair::LinkedPair(const std::string& exports, const Times& times)
    : target(dir, "box",
             session_keys(times) + "[[port]]\nname = \"lo\"\nurl = \"udp:" + url(target_port) + "\"\nlisten = true\n" +
                 exports),
      link(target_port, 1),
      initiator(dir, "laptop",
                session_keys(times) + "[[port]]\nname = \"lo\"\nurl = \"udp:127.0.0.1:0\"\n[[peer]]\naddress = \"" +
                    url(link.port()) + "\"\n") {}

void LinkedPair::cut(bool on) {
    link.cut(chaos::Relay::to_far, on);
    link.cut(chaos::Relay::to_near, on);
}

Fabric LinkedPair::open(std::size_t functions) {
    FabricOptions o;
    o.socket = initiator.socket();
    Fabric fabric = Fabric::open(o);
    const auto until = Clock::now() + 60s;
    const auto there = [&] {
        try {
            return fabric.list().size() == functions;
        } catch (const Error&) {
            return false;
        }
    };
    while (!there()) {
        if (Clock::now() > until) throw std::runtime_error("the target's functions are not listed");
        std::this_thread::sleep_for(5ms);
    }
    return fabric;
}

std::optional<control::Json> wait_event(control::ControlClient& subscriber, const control::Json& members,
                                        std::chrono::milliseconds at_most) {
    const auto until = Clock::now() + at_most;
    while (Clock::now() < until) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
        auto event = subscriber.next_event(left);
        if (!event) return std::nullopt;
        const auto same = [&](const auto& wanted) {
            return event->contains(wanted.key()) && event->at(wanted.key()) == wanted.value();
        };
        bool all = true;
        for (const auto& wanted : members.items()) all &= same(wanted);
        if (all) return event;
    }
    return std::nullopt;
}

}  // namespace farlane::test
