// SPDX-License-Identifier: Apache-2.0
// Receives: transactions from the device or the application, and records of its
// peer from the session. Hands on: records to be framed, and transactions in PCIe
// order to its handler. Owns: both windows of one function; the memory that
// outlives the daemon stays the caller's. docs/wire.md, "Order" and "Exactly once".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "proto/memory.hpp"
#include "proto/time.hpp"
#include "proto/tlp.hpp"

namespace farlane::proto {

class Function;
class Session;

/// Names a request that is being executed, for an answer that comes later.
struct RequestId {
    std::uint32_t slot = 0;
    std::uint64_t sequence = 0;
};

/// What a handler did with a request.
enum class Answer : std::uint8_t {
    done,      ///< `status` and `result` are the answer
    by_fetch,  ///< status ok; the data is asked for with fetch() whenever a frame is built
    later,     ///< Function::answer() will be called with the RequestId
};

enum class FunctionEvent : std::uint8_t {
    timeout,      ///< one request had no answer in time; it completed with Status::timeout
    quarantined,  ///< requests fail at once until the session answers again
    answering,    ///< out of quarantine
    resumed,      ///< bound to a new session; nothing was lost
    reset,        ///< the peer lost its state: outstanding requests were completed with
                  ///< Status::completer_abort, posted writes that were not released are gone
    lost,         ///< gone for good (grace over, detached, peer without it)
};

/// What the two ends of a function do with what arrives. Called from the lane that
/// polls the session, never re-entered for the same function; must not block or throw.
/// Handlers may call submit(), answer() and the like on the same function.
class FunctionHandler {
public:
    virtual ~FunctionHandler() = default;
    /// A strict posted record whose turn has come: memory write, MSI or message, whole.
    virtual void on_posted(Function& f, const Tlp& tlp, std::span<const std::byte> payload) noexcept = 0;
    /// A relaxed memory write, or a part of one, on arrival. Check [address, +length_bytes)
    /// of the whole and write payload at address + offset_bytes. Each byte comes once
    /// (once more only after a kill of this side).
    virtual void on_relaxed(Function& f, const Tlp& tlp, std::uint32_t offset_bytes,
                            std::span<const std::byte> payload) noexcept = 0;
    /// A request whose turn has come. `result` has tlp.length_bytes (an atomic: the operand's)
    /// bytes of memory that outlives the daemon.
    virtual Answer on_request(Function& f, const Tlp& tlp, std::span<const std::byte> payload, RequestId id,
                              std::span<std::byte> result, Status& status) noexcept = 0;
    /// Data of an answer given as Answer::by_fetch: bytes [offset_bytes, +out.size()) of what
    /// `address` of the request names. Called again for a resend. Not ok = send zeros.
    [[nodiscard]] virtual Status fetch(Function& f, std::uint64_t address, std::uint32_t pasid,
                                       std::uint32_t offset_bytes, std::span<std::byte> out) noexcept = 0;
    /// Own request is answered, timed out or was given up. On ok its `into` is filled;
    /// else `into` is all-ones. Called exactly once per accepted request.
    virtual void on_completion(Function& f, std::uint64_t cookie, Status status) noexcept = 0;
    /// Own posted record is released by the peer: the memory of its payload is free again.
    /// Called in order of sequence, only for records submitted with notify = true.
    virtual void on_released(Function& f, std::uint64_t cookie) noexcept = 0;
    virtual void on_event(Function& f, FunctionEvent e, const Tlp* about) noexcept = 0;
};

struct FunctionLimits {
    std::uint32_t posted_window = 16384;  ///< records that may wait for release; power of two
    std::uint32_t request_window = kRequestWindow;
    /// Memory reads that arrive have no side effect, as those of a host's memory: one that was under way
    /// at a kill is executed again instead of being answered CA.
    bool repeat_reads = false;
    std::uint32_t reorder_bytes = 1u << 20;  ///< strict payload held for order; posted data credit
    /// Completion timeout: base + 16 x smoothed RTT, at most `completion_timeout_max`.
    Duration completion_timeout = std::chrono::seconds(3);
    Duration completion_timeout_max = std::chrono::seconds(8);
};

// What is counted together stands together.
struct FunctionCounters {
    std::uint64_t payload_bytes_out;    ///< once per record
    std::uint64_t submitted[kClasses];  ///< records given a sequence
    std::uint64_t sent[kClasses];       ///< records put into frames, resends included
    std::uint64_t payload_bytes_in;     ///< once per record
    std::uint64_t received[kClasses];   ///< whole records taken in
    std::uint64_t executed[kClasses];   ///< handed to the handler
    std::uint64_t resent[kClasses];
    std::uint64_t duplicates;
    std::uint64_t timeouts;
};

/// One side of one function. Lives longer than a session: bind() hands it to the next one.
/// One lane, no locks. submit and answer do not allocate once the windows have grown.
class Function {
public:
    /// What `place` names outlives this object; created (FunctionPlace::create) or adopted
    /// (plausible()) by the caller. An adopted one continues its sequences: results that the
    /// peer has not released are sent again, an `intent` in doubt is settled as docs/wire.md says.
    Function(FunctionPlace place, FunctionHandler& handler, const FunctionLimits& limits);
    ~Function();
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;

    [[nodiscard]] FunctionHandle handle() const noexcept;

    /// Posted record (memory write, MSI, message). A payload of at most 64 bytes is copied;
    /// a longer one is read whenever a frame is built and must stay unchanged until
    /// on_released (ask for it with notify). would_block: window or credits are used up, try
    /// again after progress. `sequence` (optional out) = its posted sequence.
    [[nodiscard]] Status submit(const Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie, bool notify,
                                Time now, std::uint64_t* sequence = nullptr) noexcept;
    /// Request (reads, config, atomics). Its answer goes to `into` (tlp.length_bytes; atomics:
    /// the operand's size; config write: empty), which stays valid until on_completion.
    /// `operand` (config write, atomics) at most 64 bytes, is copied. would_block as above.
    /// timeout: quarantined; nothing was accepted, `into` is all-ones (no on_completion comes).
    [[nodiscard]] Status request(const Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                                 std::uint64_t cookie, Time now) noexcept;
    /// The newest request was made at `now`: whoever made it looked at the clock only when it had left.
    void asked_at(Time now) noexcept;
    /// Answer to a request that was put off with Answer::later; its data is already in `result`.
    void answer(RequestId id, Status status, Time now) noexcept;

    /// Gives up a function that is bound to no session: its requests complete with `why`, its posted
    /// records are dropped (their payloads are released), FunctionEvent::lost follows.
    void abandon(Status why, Time now) noexcept;

    /// After an adopted function was bound with `resume`: what its source still had of the earlier life
    /// has been submitted again, in the order of then. With FunctionLimits::repeat_reads answers wait for it.
    void resubmitted() noexcept;

    /// True when every posted record submitted so far has been released by the peer.
    [[nodiscard]] bool posted_drained() const noexcept;
    /// Sequence of the last posted record submitted / released by the peer.
    [[nodiscard]] std::uint64_t posted_submitted() const noexcept;
    [[nodiscard]] std::uint64_t posted_released() const noexcept;
    /// Sequence that the next record of this class gets.
    [[nodiscard]] std::uint64_t next_sequence(RecordClass c) const noexcept;
    /// The memory is of an earlier life, and no session has been told yet: attach with
    /// `origin_lost` and bind with `resume`.
    [[nodiscard]] bool adopted() const noexcept;
    /// Completion timeouts while the function is bound to no session (Session does it while
    /// it is): when on_timer must be called, kNever = not at all.
    [[nodiscard]] Time next_timer() const noexcept;
    void on_timer(Time now) noexcept;
    /// Number of posted and non-posted records that can be submitted now.
    [[nodiscard]] std::uint32_t room(RecordClass c) const noexcept;
    /// While it is held nothing the peer asks for is executed: it is not acknowledged, and comes again. Answers to
    /// what this side asks are taken.
    void hold(bool on) noexcept;
    /// The peer has released all posted records and answers of this side: a life that ends now leaves nothing
    /// in doubt.
    [[nodiscard]] bool settled() const noexcept;
    /// Ask the peer to release soon (a device that wants its source memory back).
    void hurry() noexcept;

    [[nodiscard]] Session* session() const noexcept;
    [[nodiscard]] const FunctionCounters& counters() const noexcept;

private:
    friend class Session;
    friend class FunctionCore& core_of(Function& f) noexcept;  // the implementation
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace farlane::proto
