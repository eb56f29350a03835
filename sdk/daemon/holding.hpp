// SPDX-License-Identifier: Apache-2.0
// Receives: what the application of one attachment asks for, and what happens to its device.
// Hands on: mappings, interrupts, completions. Owns: one attachment, its channel, its buffers
// and the record of it that outlives the daemon. Lane thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/channel.hpp"
#include "daemon/kernel_bus.hpp"
#include "daemon/node_channel.hpp"
#include "daemon/own_requests.hpp"
#include "daemon/reply.hpp"
#include "daemon/sharing.hpp"

namespace farlane::daemon {

constexpr std::uint32_t kMaxBuffers = 1024;

/// What a holding needs of the daemon.
struct HoldingHost {
    lane::Lane& lane;
    BellRinger& bells;
    std::function<void(const Event&)> emit;  ///< to subscribers
    KernelBus* kernel = nullptr;             ///< this host's PCI bus, if there is one
    std::uint32_t share_places = kSharePlaces;
    Sharing::Warn warn = {};
};

/// A holding whose user is this host's PCI bus (holding_kernel.cpp).
struct BusPort {
    enum class Phase : std::uint8_t {
        plugging,    ///< the device is reset, its configuration space read, the module told
        live,        ///< on the bus
        unplugging,  ///< the module is removing it
    };
    BusPort(std::shared_ptr<KernelModule> m, DmaJournal& journal) : module(std::move(m)), memory(journal) {}
    std::shared_ptr<KernelModule> module;
    KernelMemory memory;
    KernelFunction function;
    std::unique_ptr<NodeChannel> node;  ///< of the application that has /dev/farlane/<name> open
    Phase phase = Phase::plugging;
    bool freeing = false;      ///< the device is being reset between two applications of the node
    bool reset_again = false;  ///< that had no answer
    std::uint32_t freed_generation = 0;
    bool not_allowed = false;  ///< the module kept drivers off when it came
    bool state_lost = false;   ///< the device forgot everything: it has to be unplugged and plugged again
    std::vector<std::function<void(Status)>> unplugged;
};

class Holding final : public lane::AttachmentSink,
                      public lane::Task,
                      public BufferTable,
                      public std::enable_shared_from_this<Holding> {
public:
    enum class Phase : std::uint8_t {
        waiting,   ///< an earlier daemon had it; its application is expected back
        resuming,  ///< being taken up again
        ready,     ///< attached
        ending,    ///< being detached
    };
    Holding(HoldingHost& host, std::unique_ptr<StateFile> file);
    ~Holding() override;

    // --- life
    void start(lane::Attachment& a, const Client& owner, bool persistent);
    void take_user(const Client& client);
    /// The application is gone. True: nobody needs the attachment any more.
    [[nodiscard]] bool release_user();
    /// Ends the application's use at once: surprise removal.
    void expel();
    void end();  ///< no callback of the attachment comes any more
    /// The attachment outlives this object: it forgets it.
    void let_go() noexcept;
    /// Runs when no application uses it any more and its records have drained.
    void when_free(std::function<void()> then);

    /// While it is paused nothing new is taken from the rings.
    void pause(bool on) noexcept;
    /// Nothing that was asked has no answer yet: another daemon can take it up, and nothing is in doubt.
    [[nodiscard]] bool settled() const noexcept;

    // --- taking up again (holding_resume.cpp)
    [[nodiscard]] Reply open_resumed_channel(Channel::Parts parts);
    [[nodiscard]] lane::SavedAttachment saved_attachment();
    void resumed(lane::Attachment& a, std::function<void()> then);

    // --- this host's PCI bus (holding_kernel.cpp)
    using Plugged = std::function<void(Reply)>;
    /// Resets the device and plugs it. Precondition: no user, attached.
    void plug(Plugged done);
    /// The module kept the function over the restart of this daemon: goes on with its channel.
    [[nodiscard]] Result<bool> recover(KernelFunction kept);
    /// Orderly (the driver is unbound while the device answers) or by surprise.
    void unplug(bool surprise, std::function<void(Status)> done);
    /// There is something new about the application of its node.
    void look_at_node();
    [[nodiscard]] bool on_bus() const noexcept { return bus_ != nullptr; }
    [[nodiscard]] const BusPort* bus() const noexcept { return bus_.get(); }

    // --- several applications (holding_shared.cpp)
    /// From now on they share it, each with a holding of its own (start_share). Precondition: no user, attached.
    void share_out();
    /// The last of them is gone: `done` when it can be used otherwise.
    void end_sharing(std::function<void()> done);
    void start_share(std::unique_ptr<Share> share, const Client& client);
    /// Of the function: who shares it; null when nobody does.
    [[nodiscard]] Sharing* sharing() const noexcept { return sharing_.get(); }
    /// Of one of its applications; null when it has the function alone.
    [[nodiscard]] Share* share() const noexcept { return share_.get(); }
    [[nodiscard]] bool in_use() const noexcept { return user_.has_value() || (sharing_ && !sharing_->over()); }
    void open_context(const Answer& answer);
    void close_context(std::uint32_t context, const Answer& answer);
    void make_queue(const QueueWish& wish, const Answer& answer);
    void drop_queue(std::uint32_t queue, const Answer& answer);

    // --- what the application asks for
    [[nodiscard]] Reply open_channel(const channel::Geometry& geometry);
    [[nodiscard]] Reply register_buffer(std::shared_ptr<SharedMemory> memory, std::optional<std::uint32_t> number);
    [[nodiscard]] Reply unregister_buffer(std::uint32_t number);
    void map(std::uint32_t number, std::uint64_t offset, std::uint64_t bytes, std::uint32_t direction,
             std::uint64_t token, const Answer& answer);
    void unmap(std::uint64_t iova, const Answer& answer);
    [[nodiscard]] Reply enable_interrupts(std::uint32_t count, std::uint32_t first, std::vector<UniqueFd> fds);
    [[nodiscard]] Reply acknowledge_reset();
    void acknowledge_reset(const Answer& answer);
    void reset(const Answer& answer);
    void read_space(OwnRequests::SpaceDone done);

    // --- looks
    [[nodiscard]] std::uint32_t id() const noexcept { return file_->state().id; }
    [[nodiscard]] const FunctionInfo& info() const noexcept { return info_; }
    [[nodiscard]] bool named(const std::string& name) const;
    [[nodiscard]] Phase phase() const noexcept { return phase_; }
    [[nodiscard]] bool persistent() const noexcept { return file_->state().persistent != 0; }
    [[nodiscard]] const std::optional<Client>& user() const noexcept { return user_; }
    [[nodiscard]] uid_t owner_uid() const noexcept { return file_->state().uid; }
    [[nodiscard]] lane::Attachment* attachment() const noexcept { return attachment_; }
    [[nodiscard]] const SavedState& saved() const noexcept { return file_->state(); }
    [[nodiscard]] bool lost() const noexcept;
    [[nodiscard]] bool misbehaved() const noexcept { return misbehaved_ || (channel_ && channel_->broken()); }
    [[nodiscard]] std::string token() const;
    [[nodiscard]] Json json() const;
    [[nodiscard]] Json stats() const;
    [[nodiscard]] Json holders() const;
    void set_phase(Phase p) noexcept { phase_ = p; }
    /// The record of it is not needed any more.
    void forget() noexcept { file_->forget(); }

    // BufferTable
    [[nodiscard]] std::span<std::byte> buffer(std::uint32_t number) const noexcept override;
    // AttachmentSink
    void on_completion(std::uint64_t cookie, Status status) noexcept override;
    void on_released(std::uint64_t cookie) noexcept override;
    void on_interrupt(std::uint32_t vector) noexcept override;
    void on_event(EventKind kind, const std::string& detail) noexcept override;
    void on_device_error(std::uint32_t severity, std::uint32_t source) noexcept override;
    // Task
    bool turn(lane::Time now) noexcept override;
    [[nodiscard]] lane::Time next_timer() const noexcept override;
    [[nodiscard]] bool prepare_sleep() noexcept override;
    void woken() noexcept override;

private:
    struct Retired {
        std::uint32_t tail;  ///< records before this one may still read it
        std::shared_ptr<SharedMemory> memory;
    };
    struct Flr;

    [[nodiscard]] Status usable() const noexcept;
    [[nodiscard]] Reply unusable() const;
    void watch_channel();
    void drop_channel();
    void unmap_all();
    [[nodiscard]] Status unmap_now(SavedMapping& m) noexcept;
    void note_handle() noexcept;
    [[nodiscard]] bool run_replay() noexcept;
    void finish_drain();
    void flr_step(const std::shared_ptr<Flr>& flr);
    /// Ok when a stock driver would give the device addresses that mean something here.
    void check_platform(const std::shared_ptr<ConfigSpace>& space, const Answer& answer);
    struct Asking;
    void ask_step(const std::shared_ptr<Asking>& asking);
    [[nodiscard]] Status use_bus_memory();
    [[nodiscard]] Result<bool> open_bus_channel(UniqueFd submit_bell, bool fresh);
    [[nodiscard]] Reply does_not_answer(Status status) const;
    void add_to_bus(const std::shared_ptr<ConfigSpace>& space, const Plugged& done);
    void added_to_bus(Result<KernelFunction> result, UniqueFd submit_bell, const Plugged& done);
    void plug_failed(const Reply& why, const Plugged& done);
    void leave_bus(Status status);
    bool bus_event(EventKind kind) noexcept;
    bool turn_bus(lane::Time now) noexcept;
    void free_node() noexcept;
    void fail_node(Status status, bool requests) noexcept;
    [[nodiscard]] std::vector<ResumeStep> plan_channel(Channel& channel, const SavedState& saved, bool reset);
    [[nodiscard]] Channel& channel_of(const ResumeStep& step) noexcept;
    [[nodiscard]] Json bus_json() const;
    [[nodiscard]] bool can_share(const Answer& answer) const;

    HoldingHost& host_;
    std::unique_ptr<StateFile> file_;
    Ledger ledger_;
    OwnRequests own_;
    FunctionInfo info_;
    lane::Attachment* attachment_ = nullptr;
    std::unique_ptr<Share> share_;  ///< longer than the channel
    std::unique_ptr<Sharing> sharing_;
    std::unique_ptr<BusPort> bus_;  ///< longer than the channel, which is in its memory
    std::unique_ptr<Channel> channel_;
    std::map<std::uint32_t, std::shared_ptr<SharedMemory>> buffers_;
    std::vector<Retired> retired_;
    std::uint32_t next_buffer_ = 1;
    std::vector<UniqueFd> vectors_;
    std::optional<Client> user_;
    std::deque<std::function<bool()>> waiting_ops_;  ///< map and unmap that wait for room; true = done
    std::vector<std::function<void()>> when_free_;
    std::deque<ResumeStep> replay_;
    std::function<void()> replayed_;
    Phase phase_ = Phase::ready;
    bool misbehaved_ = false;
    bool draining_ = false;
};

}  // namespace farlane::daemon
