// SPDX-License-Identifier: Apache-2.0
// Receives: attachments that are wanted for good (farlane attach --persist). Hands on: attempts to make those that are
// gone again, when their target is there. Owns: the list of them and its file. Lane thread. docs/failures.md,
// "Attachments that come back".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/standing_file.hpp"

namespace farlane::daemon {

class Standing final : public lane::Task {
public:
    Standing(HoldingHost& host, lane::Initiator& initiator, Holdings& holdings, std::string file);
    ~Standing() override;
    Standing(const Standing&) = delete;
    Standing& operator=(const Standing&) = delete;

    /// What an earlier daemon was told. Returns what the log should say.
    [[nodiscard]] std::vector<std::string> restore();
    /// From now on it is made again whenever it is gone.
    [[nodiscard]] Result<bool> keep(const StandingEntry& entry);
    /// No longer. `name` as in detach. False: nothing of that name stands.
    bool forget(const std::string& name);
    /// The user that asked for it; nothing when none of that name stands.
    [[nodiscard]] std::optional<uid_t> owner_of(const std::string& name) const;
    [[nodiscard]] bool stands(const std::string& name, const std::string& target) const;
    /// Those that are not attached now, and why.
    [[nodiscard]] Json waiting() const;
    [[nodiscard]] bool survives_reboot() const noexcept { return !ends_with_reboot(file_); }
    /// Attempts no more: this daemon ends.
    void leave() noexcept { left_ = true; }

    // Task
    bool turn(lane::Time now) noexcept override;
    [[nodiscard]] lane::Time next_timer() const noexcept override;

private:
    static constexpr lane::Duration kLook = std::chrono::milliseconds(100);
    static constexpr lane::Duration kFirstPause = std::chrono::milliseconds(500);
    static constexpr lane::Duration kLongestPause = std::chrono::seconds(10);
    static constexpr lane::Duration kPatience = std::chrono::seconds(5);
    struct Entry {
        StandingEntry what;
        bool attached = false;
        bool reachable = false;
        bool asking = false;
        std::string why = "its target has not answered yet";  ///< it is not attached
        lane::Duration pause = kFirstPause;
        lane::Time next{};
    };

    [[nodiscard]] Entry* find(const std::string& name, const std::string& target) noexcept;
    [[nodiscard]] Result<bool> save() const;
    void look(Entry& e, const std::vector<lane::PeerStatus>& peers, lane::Time now);
    void ask(Entry& e, lane::Time now);
    void answered(const StandingEntry& what, const Reply& reply);

    HoldingHost& host_;
    lane::Initiator& initiator_;
    Holdings& holdings_;
    std::string file_;
    std::vector<Entry> entries_;
    lane::Time look_at_{};
    bool left_ = false;
};

}  // namespace farlane::daemon
