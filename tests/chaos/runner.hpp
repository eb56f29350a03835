// SPDX-License-Identifier: Apache-2.0
// Receives: a seed and rounds. Hands on: the verdict on the failure contract, and the summary. Owns: stage and loads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "chaos/arguments.hpp"
#include "chaos/block_load.hpp"
#include "chaos/chronicle.hpp"
#include "chaos/events.hpp"
#include "chaos/memory_load.hpp"
#include "chaos/stage.hpp"
#include "chaos/tally_load.hpp"

namespace farlane::chaos {

class Runner {
public:
    /// Sets the scene. Throws std::exception when that can not be.
    explicit Runner(const Arguments& arguments);

    /// All rounds and a clean end. Throws Broken, farlane::Error, std::runtime_error.
    void run();
    /// Once, at the end. `failure`: what run() threw, "" = nothing.
    [[nodiscard]] nlohmann::json summary(const std::string& failure);
    /// For a run that failed: which round, its faults, how to run it again, logs.
    [[nodiscard]] std::string post_mortem();
    /// Ends the daemons of a failed run. Their directory stays, unless the failure was asked for.
    void abandon();

private:
    struct Before;
    void round(const Plan& plan);
    void attach(unsigned round);
    void detach();
    [[nodiscard]] std::vector<Load*> loads() const;
    [[nodiscard]] bool none_failed() const;
    void work_goes_on() const;
    void pause() const;
    void verify();
    void check_events(const Load& load, const Before& before) const;
    void count_up();
    void show(const std::string& line) const;

    Arguments arguments_;
    Chronicle chronicle_;
    Stage stage_;
    std::optional<Fabric> fabric_;
    std::optional<Events> events_;
    BlockModel model_;
    std::unique_ptr<TallyLoad> tally_;
    std::unique_ptr<BlockLoad> blocks_;
    std::unique_ptr<MemoryLoad> memory_;
    nlohmann::json done_ = nlohmann::json::object();  ///< of loads that have detached
    nlohmann::json events_seen_ = nlohmann::json::object();
    Ends ends_at_attach_;
    unsigned round_ = 0, rounds_done_ = 0, attached_ = 0;
};

/// The summary as a table.
[[nodiscard]] std::string as_table(const nlohmann::json& summary);

}  // namespace farlane::chaos
