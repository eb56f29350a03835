// SPDX-License-Identifier: Apache-2.0
// Receives: what has been executed here, and credit records of the peer. Hands on: credit
// records, and released posted records to the handler. Owns: nothing more.
// docs/wire.md, "Credits". A credit record is sent
//   - at once when 16 records, 64 KiB or a quarter of a window are untold, or the peer is about
//     to run out;
//   - with every pure acknowledgement, unless it is of several packets that may all wait: each of their functions would
//     have its cache lines fetched once more for it; and as the answer to a keep-alive;
//   - otherwise, those of all functions, after a quarter of the round trip, at most 1 ms (posted records), or 5 ms (few
//     bytes that a host has written, and half of each window is left: who waits for them asks with a keep-alive; 100 ms
//     when they come far apart), or 10 ms (no posted records).
// So a register read that follows its answer carries none.
#include <algorithm>
#include <limits>

#include "proto/function_core.hpp"
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr std::uint64_t kUntoldBytes = 64u << 10;
constexpr std::uint64_t kFewBytes = 1024;
constexpr std::uint64_t kMostUnits = FL_TLP_MAX_PAYLOAD_BYTES / FL_CREDIT_DATA_UNIT_BYTES;  // of one record
constexpr std::uint64_t kUntoldCompletions = kRequestWindow / 4;
constexpr Duration kPatientDelay = std::chrono::milliseconds(5);
constexpr Duration kSpacedDelay = std::chrono::milliseconds(100);  // ... of those that come far apart
constexpr Duration kIdleDelay = std::chrono::milliseconds(10);
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

constexpr unsigned kPosted = FL_CLASS_POSTED;
constexpr unsigned kRequest = FL_CLASS_NON_POSTED;
constexpr unsigned kCompletion = FL_CLASS_COMPLETION;

}  // namespace

// Requests and completions have no data limit: their room is the result slots of the one side
// and the buffers of the requests of the other.
void FunctionCore::limits_now(CreditRecord& out) const noexcept {
    out.handle = handle();
    out.released[kPosted] = posted_in.placed();
    out.released[kRequest] = counts.released[kRequest];
    out.released[kCompletion] = completions_in.released();
    out.header_limit[kPosted] = posted_in.placed() + posted_in.window();
    out.header_limit[kRequest] = counts.released[kRequest] + completions_out.free_slots();
    out.header_limit[kCompletion] = completions_in.released() + CompletionsIn::kWindow;
    out.data_limit[kPosted] = placed_units + posted_in.reorder_bytes() / FL_CREDIT_DATA_UNIT_BYTES;
    out.data_limit[kRequest] = out.data_limit[kCompletion] = kNoLimit;
}

bool FunctionCore::credit_is_due() const noexcept {
    const std::uint64_t placed_now = posted_in.placed();
    if (placed_now != told.released_posted) {
        if (placed_now - told.released_posted >= kUntoldRecords || untold_bytes >= kUntoldBytes) return true;
        const std::uint64_t left = told.posted_limit - placed_now;
        if (left == 0 || left < posted_in.window() / 4) return true;
        const std::uint64_t all_units = posted_in.reorder_bytes() / FL_CREDIT_DATA_UNIT_BYTES;
        if (told.data_limit - placed_units < std::max(all_units / 4, kMostUnits)) return true;
    }
    const std::uint64_t executed = counts.released[kRequest];
    const std::uint64_t left = told.request_limit - executed;
    const std::uint64_t grown = executed + completions_out.free_slots() - told.request_limit;
    if (left < kRequestWindow / 4 && (grown >= kUntoldRecords || (grown != 0 && left == 0))) return true;
    return completions_in.released() - told.released_completions >= kUntoldCompletions;
}

// Nobody waits: few bytes of a host, and the peer can go on.
bool FunctionCore::credit_can_wait() const noexcept {
    if (session->initiating || untold_bytes > kFewBytes) return false;
    const std::uint64_t all_units = posted_in.reorder_bytes() / FL_CREDIT_DATA_UNIT_BYTES;
    return told.posted_limit - posted_in.placed() >= posted_in.window() / 2 &&
           told.data_limit - placed_units >= all_units / 2;
}

void FunctionCore::progressed(Time now) noexcept {
    if (credit_due) return;
    credit_due = credit_is_due();
    session->list_credit(*this);
    if (credit_due) return;
    const bool posted = posted_in.placed() != told.released_posted;
    const Time at = now + (!posted             ? kIdleDelay
                           : credit_can_wait() ? (session->spaced != 0 ? kSpacedDelay : kPatientDelay)
                                               : session->credit_delay());
    if (at >= credit_deadline) return;
    credit_deadline = at;
    session->arm_credit(at);
}

bool FunctionCore::write_credit(FrameFill& f) noexcept {
    if (f.refs_full()) return false;
    CreditRecord c;
    limits_now(c);
    if (!f.writer.credit(c)) return false;
    told = {.released_posted = c.released[kPosted],
            .released_completions = c.released[kCompletion],
            .posted_limit = c.header_limit[kPosted],
            .request_limit = c.header_limit[kRequest],
            .data_limit = c.data_limit[kPosted]};
    untold_bytes = 0;
    credit_due = false;
    credit_deadline = kNever;
    f.add({RefKind::credit, ++credit_serial, handle_.index, binding});
    return true;
}

void FunctionCore::on_credit(const CreditRecord& c) noexcept {
    const Heard other{.executed = c.released[kRequest],
                      .released_completions = c.released[kCompletion],
                      .request_limit = c.header_limit[kRequest],
                      .completion_limit = c.header_limit[kCompletion]};
    const bool news = other != heard;
    const bool too_far =
        c.released[kPosted] >= posted_out.next() ||
        (news && (c.released[kRequest] >= requests_out.next() || c.released[kCompletion] >= completions_out.next()));
    if (too_far || c.released[kPosted] < posted_out.released() ||
        (news && c.released[kCompletion] < completions_out.released())) {
        session->counters.drop(Drop::credit_backwards);  // reordered on its way, or nonsense
        return;
    }
    posted_out.limits(c.header_limit[kPosted], c.data_limit[kPosted]);
    if (news) hear(other);
    if (news || posted_out.unsent()) mark_ready(news);
    release_posted_to(c.released[kPosted]);
}

void FunctionCore::hear(const Heard& other) noexcept {
    heard = other;
    requests_out.limit(other.request_limit);
    completions_out.limit(other.completion_limit);
    requests_out.executed_to(other.executed);
    const bool results_freed = other.released_completions > completions_out.released();
    completions_out.release_to(other.released_completions);
    if (results_freed && credit_is_due()) {
        credit_due = true;
        session->list_credit(*this);
    }
}

}  // namespace farlane::proto
