// SPDX-License-Identifier: Apache-2.0
// Receives: commands of a stream. Hands on: slots and doorbells; what completions say.
// Owns: one enabled queue pair with its completion queue in host memory.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <farlane/uapi/accel.h>
#include <farlane/domain.hpp>
#include <farlane/status.hpp>

#include "lib/accel_device.hpp"

namespace farlane::accel::detail {

/// Order of a command in its queue, from 1; 0 = before all.
using Ticket = std::uint64_t;

struct EventState;
class Queue;

class CommandObject;

/// A command that failed, as people want to read it.
struct CommandFailure {
    Status status = Status::ok;
    std::string text;
    std::uint16_t reason = 0;  ///< enum fl_accel_reason
    Ticket ticket = 0;
    std::shared_ptr<CommandObject> object{};  ///< has more to say (a build log)
    std::uint32_t detail = 0;                 ///< as the device gave it, by reason
    std::optional<std::size_t> argument{};    ///< that is wrong
};

/// How a command ended.
struct CommandEnd {
    const Queue& queue;
    Ticket ticket = 0;
    std::uint64_t value = 0;
    const CommandFailure* failure = nullptr;  ///< null: it ran
};

/// What a command is about, when that has a name of its own: a module, a kernel. Lives as long as commands name it.
class CommandObject {
public:
    virtual ~CommandObject() = default;
    /// For the text of an error: "kernel 'saxpy' (handle 9)".
    [[nodiscard]] virtual std::string describe() const = 0;
    /// What an argument is to be, for the text of an error when it is thrown: "; it takes ..."; may wait for a report.
    [[nodiscard]] virtual std::string argument_help(std::size_t index) { return (void)index, std::string(); }
    /// Why a command that depends on this one can not run; null = not known.
    [[nodiscard]] virtual const CommandFailure* cause() const { return nullptr; }
    /// What to add to the text of a failure when it is thrown; may wait for a report.
    [[nodiscard]] virtual std::string appendix() { return {}; }
    /// While completions are taken; must not throw, nor submit.
    virtual void completed(const CommandEnd& end) noexcept = 0;
};

/// What the records of an argument block are, so that an offset in it can be told as an argument. The first ones count.
struct ArgumentSizes {
    struct One {
        std::uint16_t kind : 2 = 0;    ///< enum fl_accel_argument_kind
        std::uint16_t bytes : 14 = 0;  ///< of the data, without padding
    };
    std::array<One, 15> all{};
    std::uint8_t count = 0;
    bool full = false;
    void add(std::uint32_t kind, std::size_t bytes) noexcept;
    /// Argument that lies at `offset`; nothing when that is beyond what is known.
    [[nodiscard]] std::optional<std::size_t> at(std::uint64_t offset) const noexcept;
    /// What was given as it: "a value of 8 bytes".
    [[nodiscard]] std::string given(std::size_t index) const;
};
/// "a value of 8 bytes", "a buffer", ...; `bytes` 0 = any.
[[nodiscard]] std::string argument_as_text(std::uint32_t kind, std::uint64_t bytes);

/// What the completion of a command is for, besides its status.
struct Sink {
    std::shared_ptr<EventState> event;  ///< gets `value`
    std::uint64_t free_address = 0;     ///< FREE: addresses that may be used again
    std::uint64_t free_bytes = 0;
    std::shared_ptr<CommandObject> object;
    ArgumentSizes arguments;        ///< LAUNCH of a loaded kernel
    std::uint64_t alloc_bytes = 0;  ///< ALLOC, for the text of its failure
    [[nodiscard]] bool any() const noexcept {
        return event != nullptr || free_bytes != 0 || object != nullptr || alloc_bytes != 0;
    }
};

/// A context that the device has given up (docs/accelerator.md, "Contexts"), with what began it.
struct Fate {
    std::optional<CommandFailure> lost;
    void note(const CommandFailure& failure);
};

/// One queue pair. Completions of a pair come in the order of its commands
/// (docs/accelerator.md, "Streams"), so a ticket is done when as many completions have come.
class Queue {
public:
    /// Enables a pair for `context`. Errors: limit; protocol when the device refuses.
    /// `while_waiting` may end the wait for a context that is still ending: it throws.
    Queue(std::shared_ptr<SharedDevice> device, std::uint32_t context, std::uint32_t slots,
          const std::function<void()>& while_waiting);
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

    /// Throws limit when no command of this queue can have so many bytes behind it.
    void check_payload(std::size_t bytes) const;
    /// Room for a command of `slots` slots.
    [[nodiscard]] bool has_room(std::uint32_t slots) const noexcept;
    /// Writes the command and rings the doorbell. `object` is what the text of an error names;
    /// `what` must live for ever. Precondition: has_room().
    Ticket submit(fl_accel_command& command, std::span<const std::byte> payload, const char* what, std::uint64_t object,
                  Sink sink = {});
    /// Takes what has completed. True = something had.
    bool reap();
    [[nodiscard]] bool done(Ticket t) const noexcept { return completed_ >= t; }
    [[nodiscard]] Ticket last() const noexcept { return submitted_; }
    [[nodiscard]] bool idle() const noexcept { return completed_ == submitted_; }
    /// Asks for one interrupt at the next completion.
    void arm();

    /// The first failure since the last call, with how many there were; forgets them.
    [[nodiscard]] std::optional<CommandFailure> take_failure();
    [[nodiscard]] bool has_failed() const noexcept { return failures_ != 0; }
    /// Status of the first failure that nobody took yet, if it was before `t`; ok = none.
    [[nodiscard]] Status failed_status(Ticket t) const noexcept {
        return first_failure_ && first_failure_->ticket <= t ? first_failure_->status : Status::ok;
    }
    /// Forgets a failure that its user was told of otherwise, when it is the only one.
    void forgive(Ticket t) noexcept;
    /// Throws when the device stopped the pair.
    void check_stopped() const;
    /// Asks the device for the state of the pair; throws when it is not enabled any more.
    void check_enabled();
    /// Disables it and waits until the device has let go; never throws.
    void close() noexcept;

    bool leased = false;   ///< a Stream has it
    bool dirty = false;    ///< something was submitted or pushed since the last synchronize()
    Fate* fate = nullptr;  ///< of its context
    /// Where failures go instead of being kept for take_failure(), for who wants to know every one of them.
    std::vector<CommandFailure>* failures_into = nullptr;
    // For order between queues (ContextState::order).
    std::uint32_t event = 0;                              ///< handle, 0 = none yet
    std::uint64_t event_value = 0;                        ///< recorded last
    std::vector<std::pair<const Queue*, Ticket>> behind;  ///< this queue runs behind those

private:
    /// A command under way. Small: there may be thousands. Sinks, which few need, stand in a row of their own.
    struct Pending {
        const char* what = "";
        std::uint64_t object = 0;
        std::uint8_t opcode = 0;
        bool has_sink = false;
    };
    void take(const fl_accel_completion& c);
    [[nodiscard]] CommandFailure failure_of(const fl_accel_completion& c, const Pending& p, const Sink& sink) const;
    [[nodiscard]] std::string explain(const Pending& p, const Sink& sink, std::uint16_t reason,
                                      std::uint32_t detail) const;
    void note_failure(const CommandFailure& failure, const Pending& p, const Sink& sink);
    void stopped(const fl_accel_completion& c);
    [[nodiscard]] std::uint32_t command_id(Ticket t) const noexcept {
        return static_cast<std::uint32_t>(t % FL_ACCEL_NO_COMMAND);
    }
    [[nodiscard]] std::uint64_t doorbell(std::size_t field) const noexcept {
        return FL_ACCEL_DOORBELL_OFFSET + std::uint64_t{number_} * FL_ACCEL_DOORBELL_STRIDE + field;
    }

    std::shared_ptr<SharedDevice> device_;
    std::uint32_t number_ = 0, entries_ = 0;
    std::uint64_t sq_offset_ = 0;  ///< in BAR2
    DmaBuffer cq_;
    Mapping cq_mapping_;
    std::vector<Pending> pending_;  ///< ring, by ticket
    std::deque<Sink> sinks_;        ///< of those that have one, in order
    Ticket submitted_ = 0, completed_ = 0;
    std::uint32_t sq_tail_ = 0, sq_head_ = 0, cq_head_ = 0, cq_head_told_ = 0;
    std::uint64_t failures_ = 0;
    std::optional<CommandFailure> first_failure_;
    std::optional<CommandFailure> stopped_;
    bool open_ = false;
};

/// Which operand of the built-in kernel `kernel` lies at `offset` of its argument block; null = none of that name.
[[nodiscard]] const char* builtin_operand(std::string_view kernel, std::uint32_t offset) noexcept;
[[nodiscard]] const char* opcode_name(unsigned opcode) noexcept;
[[nodiscard]] const char* reason_text(unsigned reason) noexcept;

}  // namespace farlane::accel::detail
