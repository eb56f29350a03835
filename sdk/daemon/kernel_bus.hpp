// SPDX-License-Identifier: Apache-2.0
// Receives: the wish to have functions on this host's PCI bus. Hands on: the module, and work of it
// that takes long to threads of its own. Owns: the open control node, as long as it is needed.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "daemon/config.hpp"
#include "daemon/identity.hpp"
#include "daemon/kernel_memory.hpp"
#include "daemon/kernel_module.hpp"
#include "daemon/reply.hpp"
#include "lane/lane.hpp"

namespace farlane::daemon {

/// Lane thread, except run()'s work.
class KernelBus final : public lane::Task {
public:
    using Opener = std::function<Result<std::shared_ptr<KernelModule>>()>;
    /// `memory`: where journals are kept. `opener`: none = the module of this host.
    KernelBus(lane::Lane& lane, const Config& config, const Identity& identity, backend::Memory& memory, Opener opener);
    ~KernelBus() override;
    KernelBus(const KernelBus&) = delete;
    KernelBus& operator=(const KernelBus&) = delete;

    [[nodiscard]] KernelMode mode() const noexcept { return settings_.mode; }
    /// What attach does unless it is told: the mode says so, and the module is there.
    [[nodiscard]] bool active() const;
    /// The module, with this daemon as the one that feeds it. Opened when it is not.
    [[nodiscard]] Result<std::shared_ptr<KernelModule>> open();
    /// Nothing is on the bus any more: the module may be unloaded.
    void close_if_unused();

    /// Functions kept from an earlier daemon of this instance that nobody has claimed yet.
    void look_for_kept();
    [[nodiscard]] const KernelFunction* kept(const std::string& name, const std::string& peer) const noexcept;
    void claim(std::uint32_t id);
    /// Those nobody claimed are removed: nothing is known of them any more. Returns their names.
    [[nodiscard]] std::vector<std::string> drop_kept();

    /// The journal of a function of that name.
    [[nodiscard]] Result<DmaJournal*> journal(const std::string& name);
    void claim_function(std::uint32_t id) { ours_.insert(id); }
    void release_function(std::uint32_t id);
    /// False: the module removed it by itself (its ring stayed full, somebody took its power away for good).
    [[nodiscard]] static bool has(KernelModule& module, std::uint32_t id);

    /// Where the note of the channel of a node's application is kept.
    [[nodiscard]] Result<SavedState*> node_note(const std::string& name);
    /// Told of functions whose nodes have news.
    void on_node(std::function<void(std::uint32_t)> handler) { on_node_ = std::move(handler); }

    // Task
    bool turn(lane::Time now) noexcept override;
    void woken() noexcept override { look_at_ = {}; }

    /// Runs `work` in a thread of its own and then `then` in the lane, unless the bus is gone by then.
    void run(std::function<void()> work, std::function<void()> then);

    [[nodiscard]] const KernelSettings& settings() const noexcept { return settings_; }
    [[nodiscard]] std::uint32_t completion_timeout_ms() const noexcept { return completion_timeout_ms_; }

private:
    static constexpr std::uint32_t kMaxKept = 256;
    struct Mailbox {
        std::mutex mutex;
        lane::Lane* lane = nullptr;  ///< null: nobody reads any more
    };
    lane::Lane& lane_;
    KernelSettings settings_;
    proto::Instance instance_;
    std::uint32_t grace_ms_, completion_timeout_ms_;
    backend::Memory& memory_;
    Opener opener_;
    std::shared_ptr<KernelModule> module_;
    std::vector<KernelFunction> kept_;
    std::set<std::uint32_t> ours_;
    std::function<void(std::uint32_t)> on_node_;
    lane::Time look_at_{};  ///< next look for events while the lane is awake
    std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
};

/// Where sysfs says that a slot's function is ("10000:01:00.0"); "" when it is empty. `root`: of sysfs.
[[nodiscard]] std::string pci_address_of_slot(std::uint32_t slot, const std::string& root = "/sys");

/// Waits until the kernel has found what is in that slot, at most two seconds. True: the module's `allow` names neither
/// class nor id of it, so its driver_override keeps drivers off. Never in the lane: reading that waits for a driver
/// that probes, and the driver waits for the lane.
[[nodiscard]] bool wait_for_slot(std::uint32_t slot, const std::string& root = "/sys");
[[nodiscard]] bool has_driver(const std::string& address, const std::string& root = "/sys");

/// What an operator needs to know of the module, for doctor. Any thread.
[[nodiscard]] Json kernel_doctor_json(const Config& config);
[[nodiscard]] Json kernel_doctor_check(const Json& kernel);

}  // namespace farlane::daemon
