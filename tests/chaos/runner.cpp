// SPDX-License-Identifier: Apache-2.0
// Receives: a seed and rounds. Hands on: the verdict on the failure contract, and the summary. Owns: stage and loads.
#include "chaos/runner.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "chaos/patience.hpp"

namespace farlane::chaos {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kStepsAfterwards = 8;
// What tells of an aborted read: of the initiator's end, of the target's, of one that took the state along.
constexpr auto kDoubt = {EventKind::error, EventKind::resumed, EventKind::device_reset};

FabricOptions options(const test::Daemon& daemon) {
    FabricOptions o;
    o.socket = daemon.socket();
    return o;
}

void wait_for_functions(test::Daemon& initiator, std::size_t count) {
    auto client = initiator.client();
    const Time until = Clock::now() + kHangs;
    std::string why;
    while (Clock::now() < until) {
        try {
            if (client.call("list").at("functions").size() == count) return;
        } catch (const Error& e) {
            why = e.what();
        }
        std::this_thread::sleep_for(10ms);
    }
    throw std::runtime_error("the functions of the target are not there: " + why);
}

void add(nlohmann::json& sum, const nlohmann::json& more) {
    for (const auto& [key, value] : more.items())
        sum[key] = value.get<std::uint64_t>() + (sum.contains(key) ? sum[key].get<std::uint64_t>() : 0);
}

nlohmann::json counts_of(const Load& load) {
    nlohmann::json all = load.counts();
    const ReadCounts& r = load.reads();
    add(all, {{"reads", r.answered.load()},
              {"reads_in_doubt", r.in_doubt.load()},
              {"reads_timed_out", r.timed_out.load()},
              {"reads_refused", r.refused.load()},
              {"timeouts_without_a_fault", r.unprovoked.load()}});
    return all;
}

}  // namespace

/// Counts at the begin of a round, of one load.
struct Runner::Before {
    const Load* load;
    std::uint64_t in_doubt, timed_out, doubt_events, timeout_events;
};

Runner::Runner(const Arguments& arguments)
    : arguments_(arguments), stage_(arguments.seed, chronicle_, [this](const std::string& line) { show(line); }) {
    wait_for_functions(stage_.initiator(), 3);
    fabric_ = Fabric::open(options(stage_.initiator()));
    events_.emplace(*fabric_);
}

void Runner::show(const std::string& line) const {
    if (!arguments_.verbose) return;
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

std::vector<Load*> Runner::loads() const {
    std::vector<Load*> all;
    if (tally_ != nullptr) all.push_back(tally_.get());
    if (blocks_ != nullptr) all.push_back(blocks_.get());
    if (memory_ != nullptr) all.push_back(memory_.get());
    return all;
}

bool Runner::none_failed() const {
    return std::ranges::none_of(loads(), &Load::failed);
}

void Runner::run() {
    const unsigned first = arguments_.only.value_or(1), last = arguments_.only.value_or(arguments_.rounds);
    for (round_ = first; round_ <= last; ++round_) {
        const Plan plan = make_plan(arguments_.seed, round_);
        chronicle_.round_begins();
        show("round " + std::to_string(round_) + (plan.attach_anew ? ", attached anew" : ""));
        if (tally_ == nullptr || plan.attach_anew) {
            detach();
            attach(round_);
        }
        round(plan);
        ++rounds_done_;
    }
    detach();
    // Before the daemons go: what is left of the fabric would wait for the next ones.
    events_seen_ = events_->all();
    events_.reset();
    fabric_.reset();
    stage_.close();
}

void Runner::attach(unsigned round) {
    const auto seed = [&](const char* load) { return Random(arguments_.seed, round, load).next(); };
    ends_at_attach_ = stage_.target_ends();
    ++attached_;
    tally_ = std::make_unique<TallyLoad>(*fabric_, chronicle_, Stage::kCompletionTimeout, seed("tally"),
                                         arguments_.sabotage);
    blocks_ = std::make_unique<BlockLoad>(*fabric_, chronicle_, Stage::kCompletionTimeout, seed("blocks"),
                                          arguments_.sabotage, model_);
    memory_ = std::make_unique<MemoryLoad>(*fabric_, chronicle_, Stage::kCompletionTimeout, seed("memory"));
}

void Runner::detach() {
    if (tally_ == nullptr) return;
    count_up();
    tally_->detach();
    blocks_->detach();
    memory_->detach();
    tally_.reset();
    blocks_.reset();
    memory_.reset();
}

void Runner::count_up() {
    for (const Load* load : loads()) add(done_[load->device()], counts_of(*load));
}

void Runner::round(const Plan& plan) {
    std::vector<Before> before;
    for (const Load* load : loads())
        before.push_back({load, load->reads().in_doubt, load->reads().timed_out, events_->count(load->device(), kDoubt),
                          events_->count(load->device(), {EventKind::timeout})});
    for (Load* load : loads()) load->start();
    stage_.play(plan, [this] { return none_failed(); });
    work_goes_on();
    pause();
    verify();
    for (const Before& b : before) check_events(*b.load, b);
}

void Runner::work_goes_on() const {
    const Time until = Clock::now() + kHangs;
    for (const Load* load : loads()) {
        const std::uint64_t enough = load->steps() + kStepsAfterwards;
        while (load->steps() < enough && none_failed()) {
            if (Clock::now() > until) throw Broken(load->device() + ": work does not go on after the faults are over");
            std::this_thread::sleep_for(1ms);
        }
    }
}

// Failures first: when one load has failed, the daemons of the others may be down or frozen for good.
void Runner::pause() const {
    const auto expect_none_failed = [this] {
        for (const Load* load : loads())
            if (load->failed()) throw Broken(load->failure());
    };
    expect_none_failed();
    for (Load* load : loads())
        if (!load->pause(kHangs)) throw Broken(load->device() + ": a step does not end");
    expect_none_failed();
}

void Runner::verify() {
    for (Load* load : loads()) {
        try {
            load->verify(stage_.target_ends() - ends_at_attach_);
        } catch (const std::exception& e) {
            throw Broken(load->device() + ": " + e.what());
        }
    }
}

// docs/failures.md: all-ones come with an event, and so does an abort. Whoever subscribed at a farlaned that ended may
// have missed it.
void Runner::check_events(const Load& load, const Before& before) const {
    if (chronicle_.initiator_ended_in_round()) return;
    if (load.reads().timed_out > before.timed_out &&
        !events_->more_than(before.timeout_events, load.device(), {EventKind::timeout}))
        throw Broken(load.device() + ": a read timed out, and no event said so");
    if (load.reads().in_doubt > before.in_doubt && !events_->more_than(before.doubt_events, load.device(), kDoubt))
        throw Broken(load.device() + ": a read was aborted, and no event said why");
}

nlohmann::json Runner::summary(const std::string& failure) {
    if (tally_ != nullptr) count_up();
    if (events_) events_seen_ = events_->all();
    nlohmann::json faults = nlohmann::json::object(), stalls = nlohmann::json::object();
    const auto made = chronicle_.made();
    const auto measured = chronicle_.stalls();
    for (std::size_t i = 0; i < kFaultKinds; ++i) {
        const std::string kind(name(static_cast<FaultKind>(i)));
        faults[kind] = made[i];
        if (measured[i].measured == 0) continue;
        stalls[kind] = {{"measured", measured[i].measured},
                        {"longest_ms", measured[i].longest_ms},
                        {"bound_ms", measured[i].bound_ms},
                        {"beyond", measured[i].beyond}};
    }
    return {{"ok", failure.empty()},   {"failure", failure},
            {"seed", arguments_.seed}, {"rounds", rounds_done_},
            {"attached", attached_},   {"faults", faults},
            {"loads", done_},          {"stalls", stalls},
            {"events", events_seen_},  {"link", stage_.relay().stats()}};
}

void Runner::abandon() {
    stage_.abandon();
    if (arguments_.sabotage == Sabotage::none) return;
    std::error_code ignored;
    std::filesystem::remove_all(stage_.directory(), ignored);
}

std::string Runner::post_mortem() {
    const std::string program = "chaos_runner --seed " + std::to_string(arguments_.seed);
    return "seed " + std::to_string(arguments_.seed) + ", round " + std::to_string(round_) +
           "; its faults, from its begin:\n" + chronicle_.text() + "again: " + program + " --rounds " +
           std::to_string(round_) + " --verbose   (or alone: --round " + std::to_string(round_) + ")\n" +
           "the faults are the same then; what they meet on the way is chance, so try more than once\n" +
           stage_.logs() + "--- state and logs are kept in " + stage_.directory() + "\n";
}

}  // namespace farlane::chaos
