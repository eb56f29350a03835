// SPDX-License-Identifier: Apache-2.0
// Receives: how many processes. Hands on: proof that they work on one accelerator at once, each in a context of its
// own, and that one which is killed is not noticed by the others. Owns: the processes.
//
// What it shows: AttachMode::shared. Nothing in a worker (worker.cpp) knows that there are others.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <iostream>
#include <thread>

#include "common/run.hpp"
#include "sharing/process.hpp"
#include "sharing/worker.hpp"

namespace {

using namespace farlane;
using namespace example;

constexpr std::uint32_t kForEver = 1'000'000;

/// One of the processes: says "ready", waits for a line, says "round" after each one.
void be_worker(Run& run) {
    Fabric fabric = Fabric::open(run.fabric());
    Device device = fabric.attach(run.device(), AttachMode::shared);
    Worker worker(device, run.arguments().number("--worker", 1, 1000));
    std::cout << "ready" << std::endl;
    std::string line;
    std::getline(std::cin, line);
    for (std::uint32_t i = 0; i < run.arguments().number("--rounds", 1, kForEver); ++i) {
        worker.round(i);
        std::cout << "round" << std::endl;
    }
}

struct Member {
    Process process;
    bool ready = false;
    std::uint32_t rounds = 0;
    int code = -1;  ///< how it ended
};

class Team {
public:
    Team(std::uint32_t count, std::uint32_t rounds, const std::vector<std::string>& command) {
        for (std::uint32_t i = 1; i <= count; ++i) {
            std::vector<std::string> one = command;
            const bool victim = i == count;  // is killed, however far it has come
            one.insert(one.end(),
                       {"--worker", std::to_string(i), "--rounds", std::to_string(victim ? kForEver : rounds)});
            members_.push_back({Process(one)});
        }
    }
    [[nodiscard]] std::vector<Member>& members() { return members_; }

    /// Hears what they say until `enough`. Throws farlane::Error when one of them, but `victim`, ends in another way
    /// than well.
    void listen(const std::function<bool()>& enough, const Member* victim) {
        while (!enough()) {
            std::vector<pollfd> wanted;
            for (const Member& m : members_) wanted.push_back({m.process.output(), POLLIN, 0});  // -1 is passed over
            if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
            for (std::size_t i = 0; i < members_.size(); ++i) {
                if (wanted[i].revents != 0) hear(members_[i], victim);
            }
        }
    }
    [[nodiscard]] bool all(const std::function<bool(const Member&)>& is) const {
        return std::all_of(members_.begin(), members_.end(), is);
    }

private:
    static void hear(Member& member, const Member* victim) {
        for (const std::string& line : member.process.lines()) {
            member.ready = member.ready || line == "ready";
            member.rounds += line == "round" ? 1 : 0;
        }
        if (member.process.output() >= 0) return;
        member.code = member.process.wait();
        if (&member != victim && member.code != 0)
            throw Error(member.code == status_exit_code(Status::compare) ? Status::compare : Status::io,
                        "a process failed with code " + std::to_string(member.code));
    }
    std::vector<Member> members_;
};

/// How this program is started again, as a worker.
std::vector<std::string> worker_command(Run& run, const FabricOptions& fabric) {
    std::array<char, PATH_MAX> self{};
    if (::readlink("/proc/self/exe", self.data(), self.size() - 1) < 0)
        throw Error(Status::io, std::string("/proc/self/exe: ") + std::strerror(errno));
    std::vector<std::string> command = {self.data(), "--device", run.device()};
    if (!fabric.socket.empty()) command.insert(command.end(), {"--socket", fabric.socket});
    return command;
}

/// Until the device has at least `bytes` free.
void wait_for_memory(accel::Context& context, std::uint64_t bytes) {
    const Stopwatch time;
    while (context.properties().memory_free_bytes < bytes) {
        if (time.seconds() > 30) throw Error(Status::compare, "memory of a process that has ended does not come back");
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

void lead(Run& run) {
    const std::uint32_t count = run.arguments().number("--processes", 2, 14);
    const std::uint32_t rounds = run.arguments().number("--rounds", 1, kForEver);
    const FabricOptions how = run.fabric(true);
    Fabric fabric = Fabric::open(how);
    run.wait_for_device(fabric);
    Device device = fabric.attach(run.device(), AttachMode::shared);
    accel::Context context(device);  // only to see from outside what the others have
    run.describe(context);
    const std::uint64_t free_at_first = context.properties().memory_free_bytes;

    const Stopwatch time;
    Team team(count, rounds, worker_command(run, how));
    Member& victim = team.members().back();
    team.listen([&] { return team.all([](const Member& m) { return m.ready || m.code >= 0; }); }, nullptr);
    const std::uint64_t free_with_all = context.properties().memory_free_bytes;
    for (Member& m : team.members()) m.process.say("go");
    const auto progress = [&](const char* what) {
        std::uint32_t done = 0;
        for (const Member& m : team.members()) done += std::min(m.rounds, rounds);
        run.report().progress(what, static_cast<double>(done) / (count * rounds));
    };

    const std::uint32_t kill_at = std::max(1U, rounds / 4);
    team.listen([&] { return progress("all work"), victim.rounds >= kill_at; }, nullptr);
    victim.process.kill();
    const Stopwatch since_kill;
    wait_for_memory(context, free_with_all + 1);
    const double back_seconds = since_kill.seconds();
    team.listen([&] { return progress("one was killed"), team.all([](const Member& m) { return m.code >= 0; }); },
                &victim);
    wait_for_memory(context, free_at_first);

    for (const Member& m : team.members()) {
        const bool right = &m == &victim ? m.code == 128 + SIGKILL : m.rounds == rounds;
        if (!right) throw Error(Status::compare, "a process ended after " + std::to_string(m.rounds) + " rounds");
    }
    run.report().result("processes",
                        format("%u, each in a context of its own; %u rounds each in %s, every result checked by its "
                               "process",
                               count, rounds, time_text(time.seconds()).c_str()),
                        {{"count", count}, {"rounds", rounds}, {"finished", count - 1}, {"seconds", time.seconds()}});
    run.report().result(
        "killed",
        format("one, after %u rounds: its memory was back after %s, the others went on", victim.rounds,
               time_text(back_seconds).c_str()),
        {{"after_rounds", victim.rounds}, {"exit_code", victim.code}, {"memory_back_seconds", back_seconds}});
    run.report().result("check", "all memory is free again", {{"free_bytes", free_at_first}});
}

}  // namespace

int main(int argc, char** argv) {
    return example::run({"farlane-example-sharing",
                         "Several processes work on one accelerator; one of them is killed.",
                         {{"--processes", "N", "2 to 14", "8"},
                          {"--rounds", "N", "of each", "50"},
                          {"--worker", "N", "be process N: for itself", ""}}},
                        argc, argv, [](Run& run) { run.arguments().has("--worker") ? be_worker(run) : lead(run); });
}
