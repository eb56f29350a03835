// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration. Hands on: a running lane with both roles. Owns: the lane and its
// thread, ports, initiator, target, exported devices, attachments.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <spdlog/common.h>

#include "backend/backend.hpp"
#include "backend/log_limit.hpp"
#include "daemon/bell.hpp"
#include "daemon/config.hpp"
#include "daemon/drain.hpp"
#include "daemon/holdings.hpp"
#include "daemon/identity.hpp"
#include "daemon/peer_watch.hpp"
#include "daemon/standing.hpp"
#include "lane/initiator.hpp"
#include "lane/target.hpp"

namespace farlane::daemon {

class Engine {
public:
    struct Callbacks {
        std::function<void(Json)> event;                         ///< lane thread
        std::function<void(ClientId, const std::string&)> kick;  ///< lane thread
        /// A line for the log; any thread, must not block. None: written at once.
        std::function<void(spdlog::level::level_enum, std::string)> log;
        KernelBus::Opener open_kernel;  ///< none: the kernel module of this host
    };
    /// Opens everything the configuration names. The failure names what, and where it stands.
    [[nodiscard]] static Result<std::unique_ptr<Engine>> open(const Config& config, const Identity& identity,
                                                              Callbacks callbacks);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Starts the lane's thread; attachments of an earlier daemon are looked for first.
    void start();
    /// Says goodbye; attachments are kept for the grace and resumed by the next daemon. Joins.
    void stop();
    /// Comes to a moment with nothing in doubt and says goodbye there; then stop() is all that is left to do. `done` is
    /// told in the lane: ok, or why not, and then everything goes on.
    void leave_settled(lane::Duration at_most, bool force, std::function<void(Reply)> done);
    /// Runs `work` in the lane. Any thread.
    void post(std::function<void()> work) { lane_.post(std::move(work)); }

    // --- lane thread
    [[nodiscard]] Holdings& holdings() noexcept { return *holdings_; }
    [[nodiscard]] Standing& standing() noexcept { return *standing_; }
    [[nodiscard]] Json stats();
    [[nodiscard]] Json top();
    /// Drops since the start by reason, of the reasons that an operator should know of.
    [[nodiscard]] std::map<std::string_view, std::uint64_t> odd_drops();
    /// What this target exports, and who uses its accelerators, for list and show; `name`: only that one.
    [[nodiscard]] Json exports(const std::string& name = "") const;
    /// Peers and the paths to them, for list and doctor.
    [[nodiscard]] Json peers() const;
    /// What the log should say of peers that do not answer, and of lines that were left out; about once a second.
    [[nodiscard]] std::vector<std::string> look_at_peers() {
        auto lines = peer_watch_.look(lane_.now(), initiator_->peers());
        if (auto rest = lost_contexts_.rest(lane_.now().time_since_epoch())) lines.push_back(std::move(*rest));
        return lines;
    }
    /// Adds and removes exports; those whose settings changed are made anew unless attached.
    [[nodiscard]] std::vector<std::string> apply_exports(const std::vector<ExportSettings>& wanted);

    /// Control thread, now and then.
    void check_bells() noexcept { bells_.check(); }
    /// Turns of the lane so far; any thread. Stands still only when the lane is stuck or asleep.
    [[nodiscard]] const Config& config() const noexcept { return config_; }

private:
    Engine(const Config& config, const Identity& identity, Callbacks callbacks);
    [[nodiscard]] Result<bool> open_ports();
    void leave();
    [[nodiscard]] Result<bool> open_peers();
    [[nodiscard]] Result<lane::PeerPath> resolve(const PathSettings& p);
    [[nodiscard]] Result<bool> open_exports();
    [[nodiscard]] Result<bool> add_export(const ExportSettings& e);
    void log(spdlog::level::level_enum level, const std::string& line) const;
    [[nodiscard]] proto::SessionConfig session_config() const;
    [[nodiscard]] Json port_stats();
    [[nodiscard]] Json session_stats();
    [[nodiscard]] Json paths_json(const proto::Session& s) const;
    [[nodiscard]] std::string port_name(lane::PortId id) const;
    [[nodiscard]] bool half_open(const proto::Session& s) const;
    [[nodiscard]] Json export_stats();

    struct NamedPort {
        PortSettings settings;
        lane::PortId id = 0;
    };

    Config config_;
    Identity identity_;
    Callbacks callbacks_;
    BellRinger bells_;
    std::unique_ptr<backend::Memory> memory_;
    lane::Lane lane_;
    std::unique_ptr<KernelBus> kernel_;
    HoldingHost host_;
    std::unique_ptr<lane::Initiator> initiator_;
    std::unique_ptr<lane::Target> target_;
    std::unique_ptr<Holdings> holdings_;
    std::unique_ptr<Standing> standing_;
    std::unique_ptr<Drain> drain_;
    PeerWatch peer_watch_;
    backend::LogLimit lost_contexts_{
        "lost contexts"};  ///< of all clients, so that nobody starts anew by attaching again
    std::vector<NamedPort> ports_;
    std::vector<ExportSettings> exports_;
    bool left_ = false;
    std::jthread thread_;
};

}  // namespace farlane::daemon
