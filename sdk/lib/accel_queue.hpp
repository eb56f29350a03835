// SPDX-License-Identifier: Apache-2.0
// Receives: commands of a stream. Hands on: slots and doorbells; what completions say.
// Owns: one enabled queue pair with its completion queue in host memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <farlane/uapi/accel.h>
#include <farlane/domain.hpp>
#include <farlane/status.hpp>

#include "lib/accel_device.hpp"

namespace farlane::accel::detail {

/// Order of a command in its queue, from 1; 0 = before all.
using Ticket = std::uint64_t;

struct EventState;

/// What the completion of a command is for, besides its status.
struct Sink {
    std::shared_ptr<EventState> event;  ///< gets `value`
    std::uint64_t free_address = 0;     ///< FREE: addresses that may be used again
    std::uint64_t free_bytes = 0;
};

/// A command that failed, as people want to read it.
struct CommandFailure {
    Status status = Status::ok;
    std::string text;
};

/// One queue pair. Completions of a pair come in the order of its commands
/// (docs/accelerator.md, "Streams"), so a ticket is done when as many completions have come.
class Queue {
public:
    /// Enables a pair for `context`. Errors: limit; protocol when the device refuses.
    Queue(std::shared_ptr<SharedDevice> device, std::uint32_t context, std::uint32_t slots);
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

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
    /// Throws when the device stopped the pair.
    void check_stopped() const;
    /// Asks the device for the state of the pair; throws when it is not enabled any more.
    void check_enabled();
    /// Disables it and waits until the device has let go; never throws.
    void close() noexcept;

    bool leased = false;  ///< a Stream has it
    bool dirty = false;   ///< something was submitted or pushed since the last synchronize()

private:
    struct Pending {
        std::uint8_t opcode = 0;
        const char* what = "";
        std::uint64_t object = 0;
        Sink sink;
    };
    void program(std::uint32_t context);
    void take(const fl_accel_completion& c);
    void note_failure(const fl_accel_completion& c, const Pending& p);
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
    Ticket submitted_ = 0, completed_ = 0;
    std::uint32_t sq_tail_ = 0, sq_head_ = 0, cq_head_ = 0, cq_head_told_ = 0;
    std::uint64_t failures_ = 0;
    std::optional<CommandFailure> first_failure_;
    std::optional<CommandFailure> stopped_;
    bool open_ = false;
};

[[nodiscard]] const char* opcode_name(unsigned opcode) noexcept;
[[nodiscard]] const char* reason_text(unsigned reason) noexcept;

}  // namespace farlane::accel::detail
