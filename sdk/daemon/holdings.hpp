// SPDX-License-Identifier: Apache-2.0
// Receives: attach, detach and the life of clients. Hands on: attachments to the initiator and
// its answers to clients. Owns: every attachment of this daemon. Lane thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/holding.hpp"
#include "lane/initiator.hpp"

namespace farlane::daemon {

constexpr std::size_t kMaxAttachments = 64;
/// How long targets are waited for that do not say what they have, unless the client says.
constexpr lane::Duration kLookTime = std::chrono::seconds(2);

/// Who is to use a function.
enum class Use : std::uint8_t {
    automatic,  ///< stock drivers when it is persistent and the kernel module is there, else applications
    applications,
    bus,  ///< this host's PCI bus
};

/// The result of the verb `attach`.
[[nodiscard]] Json attach_result(const Holding& h, bool adopted);

class Holdings final : public lane::Task {
public:
    /// `kick`: the client breaks the rules, its connection is to be closed.
    Holdings(HoldingHost& host, lane::Initiator& initiator, std::string directory, lane::Duration grace,
             std::function<void(ClientId, const std::string&)> kick);
    ~Holdings() override;

    /// Attachments of an earlier daemon. Those without an application are taken up at once, the
    /// others wait for it. Returns what was found, for the log.
    [[nodiscard]] std::vector<std::string> restore();
    /// While they are paused nothing new is taken from applications' rings and the kernel's.
    void pause(bool on) noexcept;
    /// What is not settled yet; "" = another daemon can take everything up, and nothing is in doubt.
    [[nodiscard]] std::string unsettled() const;
    /// A clean stop: attachments stay with their targets for the grace, their records stay here.
    void leave();

    void attach(const Client& client, const std::string& name, bool persistent, const Answer& answer,
                std::optional<lane::Duration> timeout = std::nullopt, Use use = Use::automatic);
    /// The same beside others: each of them has a part of the accelerator `name` (holdings_shared.cpp).
    void attach_shared(const Client& client, const std::string& name, const Answer& answer,
                       std::optional<lane::Duration> timeout = std::nullopt);
    /// Applications that share something, for people; "" = there are none.
    [[nodiscard]] std::string sharers() const;
    /// While applications have it open: refused, or with `drain` when they have not closed it until then.
    void detach(const Client& client, const std::string& name, bool force, const Answer& answer,
                std::optional<lane::Duration> drain = std::nullopt);
    void give_back(const Client& client, std::uint32_t id, const Answer& answer);
    void resume_attachment(const Client& client, const std::string& token, const Answer& answer);
    void resume_done(const Client& client, std::uint32_t id, const Answer& answer);
    void client_gone(ClientId client);
    void list(lane::Duration timeout, const Answer& answer);
    void show(const Client& client, const std::string& name, bool may_attach, const Answer& answer,
              std::optional<lane::Duration> timeout = std::nullopt);

    /// The attachment `id` when `client` uses it; else null and `answer` is told.
    [[nodiscard]] Holding* of(const Client& client, std::uint32_t id, const Answer& answer);
    /// It is attached, or on its way to be.
    [[nodiscard]] bool has(const std::string& name, const std::string& target) const;
    void each(const std::function<void(const Holding&)>& f) const;
    /// For stats: those that share `base`, each with its channel.
    [[nodiscard]] Json shares_json(const Holding& base) const;
    /// Functions; those that applications share count once.
    [[nodiscard]] std::size_t size() const noexcept;

    // Task
    bool turn(lane::Time now) noexcept override;
    [[nodiscard]] lane::Time next_timer() const noexcept override;

private:
    using Pointer = std::shared_ptr<Holding>;
    [[nodiscard]] Holding* named(const std::string& name) const;
    [[nodiscard]] Pointer shared(const Holding& h) const;
    void adopt(Holding& h, const Client& client, const Answer& answer);
    void attached(const Client& client, bool persistent, bool to_bus, Result<lane::Attachment*> result,
                  const Answer& answer);
    void drop(Holding& h, std::function<void(Status)> done, bool surprise = true);
    // holdings_shared.cpp
    void share_new(const Client& client, const std::string& name, Result<lane::Attachment*> result,
                   const Answer& answer);
    void enter(const Pointer& base, const Client& client, const Answer& answer);
    void entered(const Pointer& base, const Client& client, Result<bool> ready, const Answer& answer);
    void leave(const Pointer& h, std::function<void(Status)> done);
    void end_if_empty(Sharing* sharing, std::function<void(Status)> done);
    void try_again(const std::string& name);
    /// `work` for a client that may be gone until it runs.
    [[nodiscard]] std::function<void()> while_waiting(std::function<void()> work);
    void attach_anew(const Pointer& h);
    // holdings_kernel.cpp
    [[nodiscard]] bool wants_bus(Use use, bool persistent);
    void plug(Holding& h, bool adopted, const Answer& answer);
    [[nodiscard]] Reply on_bus_reply(const Holding& h, bool to_bus) const;
    [[nodiscard]] std::string restore_bus(const Pointer& h);
    bool look_after_bus(const Pointer& h);
    bool drop_if_off_bus(const Pointer& h);
    void detach_now(const Pointer& h, const std::string& name, bool force, const Answer& answer);
    [[nodiscard]] bool is_drained(const Holding& h) const noexcept;
    bool look_at_drains(lane::Time now);
    void erase(const Holding& h);
    /// Takes `h` up again once its target is known among the peers, within the grace.
    void resume(Pointer h, std::function<void(Result<lane::Attachment*>)> done);
    bool start_resumes(lane::Time now);
    void resume_alone(const Pointer& h);
    /// `listed`: the function as listed before it was attached for this look, or null.
    void show_config(const Pointer& h, const Json& listed, const Answer& answer);
    [[nodiscard]] std::uint32_t free_id() const;

    HoldingHost& host_;
    lane::Initiator& initiator_;
    std::string directory_;
    lane::Duration grace_;
    std::function<void(ClientId, const std::string&)> kick_;
    std::vector<Pointer> holdings_;
    std::set<std::string> attaching_;  ///< names asked for and not answered
    /// Who wants to share a function that is on its way to be attached or detached: tried again then.
    std::multimap<std::string, std::function<void()>> later_;
    std::set<ClientId> gone_while_attaching_;
    std::size_t waiting_attaches_ = 0;
    struct Resume {
        Pointer holding;
        lane::Time deadline;
        std::function<void(Result<lane::Attachment*>)> done;
    };
    std::vector<Resume> resumes_;
    /// A detach that waits until no application has it open any more.
    struct Drain {
        Pointer holding;
        ClientId client;
        std::string name;
        lane::Time deadline;
        bool force;
        Answer answer;
    };
    std::vector<Drain> drains_;
    static constexpr lane::Duration kBusLook = std::chrono::seconds(1);
    lane::Time bus_look_at_{};              ///< next question whether the module still has what is on the bus
    lane::Time give_up_at_ = lane::kNever;  ///< attachments of an earlier daemon that nobody came for
    std::set<ClientId> kicked_;
};

}  // namespace farlane::daemon
