// SPDX-License-Identifier: Apache-2.0
// Receives: what Function, Session and the peer do to one function. Hands on: records to frame,
// calls of the handler. Owns: the windows of one function. Internal; one file per concern:
// function.cpp (API), function_send.cpp, function_receive.cpp, function_credit.cpp,
// function_bind.cpp, function_timeout.cpp. docs/wire.md, "Function".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "proto/codec.hpp"
#include "proto/function.hpp"
#include "proto/incoming_completions.hpp"
#include "proto/incoming_posted.hpp"
#include "proto/incoming_requests.hpp"
#include "proto/intrusive_list.hpp"
#include "proto/outgoing_completions.hpp"
#include "proto/outgoing_posted.hpp"
#include "proto/outgoing_requests.hpp"
#include "proto/session.hpp"
#include "proto/slab.hpp"
#include "proto/workspace.hpp"

namespace farlane::proto {

class SessionCore;

// Of thousands of functions each is used now and then, and then its cache lines have to come from far away: the order
// of the members is that of their use. First what everybody needs, then what sending a posted record needs, then
// receiving one, then the rest.
class alignas(64) FunctionCore : public Slabbed {
public:
    FunctionCore(Function& self, FunctionPlace place, FunctionHandler& handler, const FunctionLimits& limits);
    FunctionCore(const FunctionCore&) = delete;
    FunctionCore& operator=(const FunctionCore&) = delete;

    [[nodiscard]] FunctionHandle handle() const noexcept { return handle_; }

    /// As of memory, which may have been created anew since the last bind.
    FunctionHandle renew_handle() noexcept { return handle_ = {memory.index, memory.generation}; }

    // --- function.cpp
    Status submit(const Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie, bool notify, Time now,
                  std::uint64_t* sequence) noexcept;
    Status request(const Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into, std::uint64_t cookie,
                   Time now) noexcept;
    void answer(RequestId id, Status status) noexcept;
    /// Asks the peer what it has released, behind all that there is.
    void hurry() noexcept;
    /// There may be something to send; `other`: besides new posted records.
    void mark_ready(bool other) noexcept;

    // --- function_send.cpp
    /// Puts records into the frame. True: there is more than fits.
    bool fill(FrameFill& f) noexcept;
    /// One request, or one completion that fits a cache line, is all that fill() would put into a frame.
    [[nodiscard]] bool has_lone() const noexcept {
        if (posted_out.unsent() || posted_out.resends() || hurried || resubmitting) return false;
        const bool completion = completions_out.has_unsent(), request = requests_out.has_unsent();
        return completion != request && (completion ? completions_out.one_whole() : requests_out.one());
    }
    /// Writes it as a record, for which a small frame has room; returns the bytes.
    [[nodiscard]] std::size_t put_lone(std::byte* place, RecordRef& ref) noexcept;
    void acked(const RecordRef& ref) noexcept;
    void lost(const RecordRef& ref) noexcept;

    // --- function_receive.cpp
    /// False: the record could not be taken; its packet must not be acknowledged.
    bool on_tlp(const TlpRecord& r, Time now) noexcept;

    // --- function_credit.cpp
    static constexpr std::uint64_t kUntoldRecords = 16;  ///< the peer is told at once
    void on_credit(const CreditRecord& c) noexcept;
    /// Something was executed or released: is it time to tell the peer?
    void progressed(Time now) noexcept;
    [[nodiscard]] bool write_credit(FrameFill& f) noexcept;
    void limits_now(CreditRecord& out) const noexcept;

    // --- function_bind.cpp
    Status bind(SessionCore& s, std::uint16_t new_binding, const std::optional<Session::Resume>& resume,
                const CreditRecord* limits_told, Time now) noexcept;
    void unbind(Status why) noexcept;
    void resubmitted() noexcept;

    // --- function_timeout.cpp
    [[nodiscard]] Duration completion_timeout() const noexcept;
    [[nodiscard]] Time next_deadline() noexcept;
    void expire(Time now) noexcept;
    void session_answers() noexcept;  ///< leaves quarantine

    SessionCore* session = nullptr;
    Function& self;
    FunctionMemory& memory;
    FunctionCounts& counts;
    FunctionHandler& handler;

private:
    FunctionHandle handle_;  ///< memory's, as of the last bind

public:
    std::uint16_t binding = 0;
    bool gone = false;          ///< lost for good
    bool adopted = false;       ///< memory of an earlier life: what that life had not had released is gone
    bool resubmitting = false;  ///< no answer may pass the writes that an earlier life had given
    bool in_reset = false;      ///< handing back what a reset took; nothing new is accepted
    bool held = false;          ///< the peer's posted records and requests have to wait
    bool quarantined = false;
    bool strip_relaxed = false;  ///< the peer did not agree to relaxed ordering
    bool other_work = true;      ///< more may have to be sent than posted records
    bool credit_due = false;     ///< function_credit.cpp
    bool hurried = false;        ///< a KEEPALIVE goes behind the posted records that are not sent
    RequestsIn requests_in;

    Link<FunctionCore> ready_link;
    PostedOut posted_out;
    FunctionCounters counters{};

    alignas(64) PostedIn posted_in;
    // What the peer has been told, function_credit.cpp
    std::uint64_t placed_units = 0;  ///< data units of strict posted records placed in this binding
    std::uint64_t untold_bytes = 0;  ///< posted payload placed since the last credit record
    Time credit_deadline = kNever;
    Link<FunctionCore> credit_link;
    struct Told {
        std::uint64_t released_posted = 0, released_completions = 0;
        std::uint64_t posted_limit = 0, request_limit = 0, data_limit = 0;
    } told;  ///< of the last credit record
    std::uint64_t credit_serial = 0;
    CompletionsIn completions_in;
    CompletionsOut completions_out;
    FunctionLimits limits;

    /// What the last credit record of the peer said besides posted records, so that it is not looked at again.
    struct Heard {
        std::uint64_t executed = ~std::uint64_t{0}, released_completions = 0, request_limit = 0, completion_limit = 0;
        friend bool operator==(const Heard&, const Heard&) = default;
    } heard;
    RequestsOut requests_out;
    Link<FunctionCore> quarantine_link;

private:
    // function_send.cpp
    enum class Put : std::uint8_t { done, no_room };
    [[nodiscard]] bool fill_posted(FrameFill& f) noexcept;
    [[nodiscard]] Put put_posted(FrameFill& f, std::uint64_t sequence) noexcept;
    [[nodiscard]] Put put_request(FrameFill& f, std::uint64_t sequence) noexcept;
    [[nodiscard]] Put put_completion(FrameFill& f, std::uint64_t sequence) noexcept;
    void note(FrameFill& f, RefKind kind, std::uint64_t sequence, GranuleRun run, bool resend) noexcept;
    [[nodiscard]] std::size_t put_lone_request(std::byte* place, RecordRef& ref) noexcept;
    [[nodiscard]] std::size_t put_lone_completion(std::byte* place, RecordRef& ref) noexcept;
    void fetch_result(std::uint32_t slot, std::size_t offset, std::span<std::byte> to) noexcept;

    // function_receive.cpp
    bool on_posted(const TlpRecord& r, Time now) noexcept;
    bool on_request(const TlpRecord& r) noexcept;
    bool on_completion(const TlpRecord& r) noexcept;
    void execute_posted(const Tlp& tlp, std::span<const std::byte> payload) noexcept;
    void place_relaxed(const Tlp& tlp, std::uint32_t offset_bytes, std::span<const std::byte> payload) noexcept;
    void execute_request(const Tlp& tlp, std::span<const std::byte> operand) noexcept;
    void finish_result(std::uint32_t slot, Status status) noexcept;
    void run_kept_requests() noexcept;
    void tell_held_completions() noexcept;
    bool take_completion_part(const TlpRecord& r) noexcept;
    void tell(std::uint32_t request_slot, std::uint8_t code, unsigned length_bytes) noexcept;
    void placed(const Tlp& tlp) noexcept;
    void drop(Drop d) noexcept;

    // function_bind.cpp
    Status check_resume(const Session::Resume& r) const noexcept;
    void start_over() noexcept;
    void continue_from(const Session::Resume& r) noexcept;
    void origin_was_lost(std::uint64_t released_posted, std::uint64_t released_requests) noexcept;
    void abort_requests(Status status) noexcept;
    void release_posted_to(std::uint64_t sequence) noexcept;
    void settle_in_doubt() noexcept;

    [[nodiscard]] bool credit_is_due() const noexcept;
    [[nodiscard]] bool credit_can_wait() const noexcept;
    void hear(const Heard& other) noexcept;
};

/// Bytes of data in the successful completion of a request.
[[nodiscard]] inline std::uint16_t result_bytes(const Tlp& request) noexcept {
    switch (request.type) {
        case TlpType::config_write: return 0;
        case TlpType::compare_swap: return request.length_bytes / 2;
        default: return request.length_bytes;
    }
}

/// True for a write that may be placed on arrival.
[[nodiscard]] inline bool is_relaxed_write(const Tlp& tlp) noexcept {
    return tlp.type == TlpType::memory_write && tlp.relaxed();
}

}  // namespace farlane::proto
