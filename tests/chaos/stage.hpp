// SPDX-License-Identifier: Apache-2.0
// Receives: plans. Hands on: their faults, made to two farlaned and the link between them at the given times. Owns: the
// processes, the link and their directory.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "chaos/chronicle.hpp"
#include "chaos/load.hpp"
#include "chaos/plan.hpp"
#include "chaos/relay.hpp"
#include "daemon/process.hpp"

namespace farlane::chaos {

class Stage {
public:
    /// `shown`: told of each fault as it begins and ends.
    Stage(std::uint64_t seed, Chronicle& chronicle, std::function<void(const std::string&)> shown);

    /// Makes the faults of a round and undoes them. `going_on` false: stops early. Throws Broken when a daemon ended by
    /// itself or did not end cleanly.
    void play(const Plan& plan, const std::function<bool()>& going_on);
    /// Both daemons, by SIGTERM. Throws Broken.
    void close();

    [[nodiscard]] test::Daemon& initiator() noexcept { return initiator_; }
    [[nodiscard]] test::Daemon& target() noexcept { return target_; }
    [[nodiscard]] Relay& relay() noexcept { return relay_; }
    /// Of the target's, so far.
    [[nodiscard]] const Ends& target_ends() const noexcept { return target_ends_; }
    /// The last lines of the daemons' logs.
    [[nodiscard]] std::string logs();
    [[nodiscard]] const std::string& directory() const noexcept { return dir_.path(); }
    /// For a run that can not go on: the daemons are ended, the directory stays.
    void abandon();

    static constexpr Milliseconds kCompletionTimeout{1000};  ///< of the driver's reads: shorter than some outages

private:
    struct Playing {
        Fault fault;
        std::size_t number = 0;
    };
    void begin(Playing& p);
    void end(const Playing& p);
    void end_daemons(const Playing& p, bool initiator, bool target);
    void expect_running(test::Daemon& daemon, const char* whose);
    void show(const std::string& text);

    test::TempDir dir_;
    unsigned target_port_ = test::free_udp_port();
    Chronicle& chronicle_;
    std::function<void(const std::string&)> shown_;
    test::Daemon target_;
    Relay relay_;
    test::Daemon initiator_;
    Milliseconds round_trip_{0};
    Ends target_ends_;
    Time zero_ = Clock::now();
};

}  // namespace farlane::chaos
