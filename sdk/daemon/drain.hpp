// SPDX-License-Identifier: Apache-2.0
// Receives: the wish to end this life of the daemon with nothing in doubt. Hands on: the moment when that is so, or
// what is in the way. Owns: nothing. Lane thread. docs/failures.md, "Upgrade in place".
#pragma once

#include <functional>
#include <string>

#include "daemon/holdings.hpp"
#include "daemon/reply.hpp"
#include "lane/target.hpp"

namespace farlane::daemon {

/// Stops taking work for at most kAttempt at a time: what is out comes to an end meanwhile, or everything goes on and
/// it is tried again. So a request that is never answered delays nothing but the upgrade.
class Drain final : public lane::Task {
public:
    /// Called once, in the lane. Ok: nothing is in doubt now, and everything is still held: the caller ends this life
    /// before it returns. Else everything goes on, and the reply says why.
    using Done = std::function<void(Reply)>;

    Drain(lane::Lane& lane, Holdings& holdings, lane::Target& target);
    ~Drain() override;
    Drain(const Drain&) = delete;
    Drain& operator=(const Drain&) = delete;

    /// `force`: although devices lose their state.
    void start(lane::Duration at_most, bool force, Done done);

    // Task
    bool turn(lane::Time now) noexcept override;
    [[nodiscard]] lane::Time next_timer() const noexcept override;

private:
    static constexpr lane::Duration kAttempt = std::chrono::milliseconds(150);
    static constexpr lane::Duration kRest = std::chrono::milliseconds(350);
    static constexpr lane::Duration kLook = std::chrono::microseconds(200);
    [[nodiscard]] std::string unsettled() const;
    void hold(bool on) noexcept;
    void finish(Reply reply);

    lane::Lane& lane_;
    Holdings& holdings_;
    lane::Target& target_;
    Done done_;  ///< none: nothing is asked for
    bool held_ = false;
    lane::Time next_{};  ///< end of the attempt, or begin of the next one
    lane::Time until_{};
};

}  // namespace farlane::daemon
