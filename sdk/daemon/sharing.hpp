// SPDX-License-Identifier: Apache-2.0
// Receives: what several clients ask of one accelerator. Hands on: contexts and queue pairs, each to one of them.
// Owns: the device's registers, who has which context, queue pair and interrupt, and the life of the shares.
// docs/control-socket.md, "Sharing"; docs/accelerator.md, "Queue pairs". Lane thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <farlane/uapi/accel.h>

#include "daemon/bar_access.hpp"
#include "daemon/own_requests.hpp"
#include "daemon/share.hpp"

namespace farlane::daemon {

/// Attachments that can share one accelerator.
constexpr std::size_t kMaxShares = 32;
/// Processes that always get in, unless the configuration says otherwise.
constexpr std::uint32_t kSharePlaces = 8;

/// A queue pair as a client wants it.
struct QueueWish {
    std::uint32_t context = 0;
    std::uint32_t entries = 0;                  ///< of both queues
    std::uint64_t cq_iova = 0;                  ///< in a mapping of the client's
    std::uint32_t vector = FL_ACCEL_NO_VECTOR;  ///< of the client's own, from 0
};

/// The driver of a shared accelerator. It trusts neither the device nor the clients.
class Sharing {
public:
    /// `places`: no process takes so many attachments, contexts or queue pairs, by however many attachments, that fewer
    /// processes than these get one each.
    /// `warn` is told what the log should say; it must not wait for anything.
    using Warn = std::function<void(const std::string& line)>;
    Sharing(lane::Lane& lane, lane::Attachment& device, OwnRequests& config, std::uint32_t places = kSharePlaces,
            Warn warn = {});

    // --- life
    /// Resets the device and reads what it has. Once.
    void open();
    using Ready = std::function<void(Result<bool>)>;
    /// Runs when the device can be shared, or with the reason why it can not.
    void when_ready(Ready then);
    /// No new client, and those there are lose it: surprise removal. The device still answers.
    void expel() noexcept;
    /// Nobody uses it any more: leaves the device reset, for whoever is next. `done` may end this object.
    void close(std::function<void()> done);
    /// Who waits for something is never told.
    void forget_waiting() noexcept;
    /// The device touches no memory any more; nothing is asked of it from here on.
    void device_gone();

    // --- clients
    /// Errors: limit.
    [[nodiscard]] Result<std::unique_ptr<Share>> admit(const Client& client);
    /// Takes back what the client has. `done` runs when nothing of the device reaches its memory any more.
    void leave(Share& share, std::function<void()> done);
    /// Nobody has it, and nobody is on the way in.
    [[nodiscard]] bool empty() const noexcept { return shares_.empty() && waiting_.empty(); }
    [[nodiscard]] bool over() const noexcept { return phase_ == Phase::over; }
    /// The client knows that the device lost its state, and starts anew.
    void accept_reset(Share& share, const Answer& answer);
    void open_context(Share& share, const Answer& answer);
    void close_context(Share& share, std::uint32_t context, const Answer& answer);
    /// The caller has checked that the completion queue is in a mapping of the client's.
    void make_queue(Share& share, const QueueWish& wish, const Answer& answer);
    void drop_queue(Share& share, std::uint32_t queue, const Answer& answer);

    // --- from the attachment
    void on_completion(std::uint64_t cookie, Status status) noexcept;
    void on_released(std::uint64_t cookie) noexcept;
    void on_interrupt(std::uint32_t vector) noexcept;
    void on_event(EventKind kind, const std::string& detail) noexcept;
    bool turn(lane::Time now);
    [[nodiscard]] lane::Time next_timer() const noexcept;

    // --- looks
    [[nodiscard]] Json holders() const;
    [[nodiscard]] Json json_of(const Share& share) const;
    [[nodiscard]] Json json() const;
    [[nodiscard]] std::string names() const;  ///< of the clients, for people
    [[nodiscard]] bool settled() const noexcept;

private:
    enum class Phase : std::uint8_t {
        opening,  ///< being reset and read
        ready,
        failed,  ///< it can not be shared: why_
        over,    ///< nobody uses it any more
    };
    /// What the configuration space says of MSI-X.
    struct Msix {
        std::uint32_t capability = 0;  ///< offset; 0 = there is none
        std::uint32_t vectors = 0;
        unsigned bar = 0;
        std::uint64_t table = 0;
    };
    using Process = std::int64_t;  ///< one of those that attach; what is counted for `places`
    static constexpr Process kNoProcess = 0;
    struct ContextSlot {
        Share* owner = nullptr;
        bool used = false;
        bool closing = false;  ///< free when its last queue pair is
        std::uint64_t first = 0, bytes = 0;
        std::vector<Answer> closed;
    };
    struct QueueSlot {
        enum class State : std::uint8_t { free, making, on, dropping };
        State state = State::free;
        Share* owner = nullptr;  ///< null: left behind, free when the device has let go of it
        bool unwanted = false;   ///< dropped while it was being made
        std::uint32_t context = 0;
        std::uint32_t vector = FL_ACCEL_NO_VECTOR;  ///< of the owner's
        std::uint32_t entries = 0;
        lane::Time look_at = lane::kNever;  ///< next question whether the device has let go
        lane::Time deadline = lane::kNever;
        std::vector<Answer> answers;  ///< who waits for it to be made or gone
    };
    struct Leave {
        Share* share;
        lane::Time deadline;  ///< then its memory goes, whatever the device does
        std::function<void()> done;
    };

    // --- sharing_open.cpp
    void fail(Status status, std::string why);
    void look_at_space(const ConfigSpace& space);
    void check_magic();
    void reset_device();
    void read_registers();
    void look_at_registers(std::span<const std::byte> raw);
    [[nodiscard]] std::string unfit() const;
    void program_vectors();
    void ready();
    void forget_all(Status status);
    void look_for_lost();
    void tell_lost(std::uint32_t now_lost);

    // --- sharing.cpp
    [[nodiscard]] std::uint64_t at(std::uint32_t queue, std::size_t field) const noexcept;
    [[nodiscard]] std::uint32_t hardware_vector(std::uint32_t queue) const noexcept;
    void program(std::uint32_t queue, const QueueWish& wish);
    void made(std::uint32_t queue, Status status, std::span<const std::byte> raw);
    void begin_drop(std::uint32_t queue);
    void ask_dropped(std::uint32_t queue);
    void dropped(std::uint32_t queue, Status status, std::span<const std::byte> raw);
    void queue_free(std::uint32_t queue);
    void context_free(std::uint32_t context);
    void set_range(ContextSlot& c, std::uint32_t number) const;
    void program_part(std::uint32_t context);
    [[nodiscard]] bool has_queues(const Share& share) const noexcept;
    void open_memory(std::uint32_t context);
    [[nodiscard]] static Process process_of(pid_t pid, std::uint32_t number) noexcept;
    [[nodiscard]] Reply room_for(Process process, std::size_t all, const std::vector<Process>& users,
                                 const char* what) const;
    template <class Slots, class InUse>
    [[nodiscard]] Reply room_in(const Share& share, const Slots& slots, InUse in_use, const char* what) const;
    [[nodiscard]] std::size_t queues_on(std::uint32_t context) const noexcept;
    [[nodiscard]] std::uint32_t queues_of(std::uint32_t context) const noexcept;
    void share_quota() noexcept;
    bool finish_leaves(lane::Time now);
    [[nodiscard]] Reply usable(const Share& share) const;

    lane::Lane& lane_;
    lane::Attachment& device_;
    OwnRequests& config_;
    std::uint32_t places_;
    Warn warn_;
    BarAccess bars_;
    Phase phase_ = Phase::opening;
    Status why_status_ = Status::ok;
    std::string why_;
    std::vector<Ready> waiting_;
    fl_accel_registers registers_{};
    Msix msix_;
    lane::Time deadline_ = lane::kNever;      ///< of the reset
    lane::Time registers_at_ = lane::kNever;  ///< next look at them
    bool known_ = false;                      ///< its registers are those of docs/accelerator.md
    bool reopen_ = false;
    bool gone_ = false;
    std::uint32_t lost_ = 0;                     ///< contexts that were lost when it was last asked
    std::uint32_t changed_ = 0;                  ///< contexts that ended since the question was put
    bool looking_ = false, look_again_ = false;  ///< it is being asked; and shall be once more
    std::vector<ContextSlot> contexts_;
    std::vector<QueueSlot> queues_;
    std::map<std::uint32_t, Share*> shares_;  ///< by number
    std::uint32_t next_number_ = 1;
    std::vector<Leave> leaves_;
};

}  // namespace farlane::daemon
