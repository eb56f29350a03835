// SPDX-License-Identifier: Apache-2.0
// Receives: a new session for a function, or the end of one. Hands on: what the peer has not
// released to be sent again; what is lost, to the handler. Owns: nothing more. Cold.
// docs/wire.md, "Resumption"; the crash points are in function_memory.cpp.
#include <algorithm>
#include <cstring>
#include <utility>

#include "proto/function_core.hpp"
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr unsigned kPosted = FL_CLASS_POSTED;
constexpr unsigned kRequest = FL_CLASS_NON_POSTED;
constexpr unsigned kCompletion = FL_CLASS_COMPLETION;

}  // namespace

// An earlier life was killed. A request that it may have begun is answered CA and never executed
// again; so is one whose answer it still owed. One that it had not begun, or that may be repeated, is
// forgotten: the peer sends it again.
void FunctionCore::settle_in_doubt() noexcept {
    const std::uint64_t begun = counts.intent & kMaxSequence;
    const bool repeatable = std::ranges::any_of(memory.results, [&](const ResultSlot& r) {
        return r.request_sequence == begun && r.completion_sequence == 0 && (r.flags & kResultRepeatable) != 0;
    });
    if (counts.intent >> 62 == kRequest && begun == counts.released[kRequest] + 1 && !repeatable)
        counts.released[kRequest] = begun;
    counts.intent = 0;
    for (const ResultSlot& r : memory.results)
        if (r.request_sequence != 0 && r.completion_sequence >= counts.next[kCompletion])
            counts.next[kCompletion] = r.completion_sequence + 1;
    for (ResultSlot& r : memory.results) {
        if (r.request_sequence == 0) continue;
        if (r.request_sequence > counts.released[kRequest]) {
            r.request_sequence = 0;
        } else if (r.completion_sequence == 0) {
            r.status = FL_STATUS_CA;
            r.follows_posted = counts.next[kPosted] - 1;
            r.completion_sequence = counts.next[kCompletion]++;
        }
    }
}

Status FunctionCore::check_resume(const Session::Resume& r) const noexcept {
    const bool ahead = r.released[kPosted] >= posted_out.next() || r.released[kRequest] >= requests_out.next() ||
                       r.released[kCompletion] >= completions_out.next();
    // What an adopted function had been told is not known any more, except of completions.
    const bool behind =
        !adopted && (r.released[kPosted] < posted_out.released() || r.released[kRequest] < requests_out.released());
    return ahead || behind || r.released[kCompletion] < completions_out.released() ? Status::protocol : Status::ok;
}

Status FunctionCore::bind(SessionCore& s, std::uint16_t new_binding, const std::optional<Session::Resume>& resume,
                          const CreditRecord* limits_told, Time now) noexcept {
    if (gone) return Status::device_lost;
    if (resume && resume->kept) {
        if (const Status st = check_resume(*resume); st != Status::ok) return st;
    } else if (!resume && adopted) {
        return Status::invalid;  // without the peer's word nobody knows where to go on
    }
    session = &s;
    binding = new_binding;
    strip_relaxed = !s.relaxed_in_force();
    told = {};
    heard = {};
    placed_units = untold_bytes = 0;
    credit_due = true;
    credit_deadline = kNever;
    s.list_credit(*this);
    posted_out.rewind();
    requests_out.rewind();
    completions_out.rewind();
    const bool reset = resume && !resume->kept;
    if (reset)
        start_over();
    else if (resume)
        continue_from(*resume);
    if (limits_told != nullptr && session == &s) on_credit(*limits_told);
    if (quarantined) s.quarantine(*this);
    if (const Time t = next_deadline(); t != kNever) s.arm_functions(std::max(t, now));
    mark_ready(true);
    if (resume && !reset) handler.on_event(self, FunctionEvent::resumed, nullptr);
    return Status::ok;
}

// The peer lost its state, or this side its own: nothing may be replayed.
void FunctionCore::start_over() noexcept {
    in_reset = true;
    const bool fresh = counts.next[kPosted] == 1 && counts.next[kRequest] == 1 && counts.next[kCompletion] == 1 &&
                       counts.released[kPosted] == 0 && counts.released[kRequest] == 0 &&
                       counts.released[kCompletion] == 0;
    if (!fresh) FunctionPlace(memory, counts).create(handle());
    adopted = resubmitting = false;
    posted_out.restart(1);
    posted_in.restart(0);
    requests_in.clear();
    completions_in.restart(0);
    completions_out.restart();
    abort_requests(Status::completer_abort);
    requests_out.restart(1);
    in_reset = false;
    handler.on_event(self, FunctionEvent::reset, nullptr);
}

void FunctionCore::abort_requests(Status status) noexcept {
    for (std::uint32_t s = requests_out.oldest_waiting(); s != RequestsOut::kNone; s = requests_out.oldest_waiting()) {
        const RequestRecord& q = requests_out.slot(s);
        if (q.into_bytes != 0) std::memset(q.into, 0xff, q.into_bytes);
        const std::uint64_t cookie = q.cookie;
        requests_out.settle(s, false);
        handler.on_completion(self, cookie, status);
    }
}

void FunctionCore::continue_from(const Session::Resume& r) noexcept {
    if (adopted) origin_was_lost(r.released[kPosted], r.released[kRequest]);
    if (r.origin_lost) {
        posted_in.forget_pending();
        requests_in.clear();
        completions_in.forget_held();
    }
    requests_out.executed_to(r.released[kRequest]);
    completions_out.release_to(r.released[kCompletion]);
    release_posted_to(r.released[kPosted]);
}

// This side's earlier life had given sequences that the peer has not released: they are given
// again. An answer that follows one of those writes would show what they did before they are done
// again: it becomes CA. What was read from memory is still good: it waits until they are given.
void FunctionCore::origin_was_lost(std::uint64_t released_posted, std::uint64_t released_requests) noexcept {
    adopted = false;
    resubmitting = limits.repeat_reads;
    for (ResultSlot& r : memory.results) {
        if (r.request_sequence == 0 || r.follows_posted <= released_posted) continue;
        if ((r.flags & kResultRepeatable) != 0) continue;
        r.status = FL_STATUS_CA;
        r.follows_posted = released_posted;
    }
    completions_out.rewind();
    posted_out.restart(released_posted + 1);
    requests_out.restart(released_requests + 1);
    counts.next[kPosted] = released_posted + 1;
    counts.next[kRequest] = released_requests + 1;
}

// Nothing was sent meanwhile: whatever was read then is behind all that is given by now.
void FunctionCore::resubmitted() noexcept {
    if (!std::exchange(resubmitting, false)) return;
    for (ResultSlot& r : memory.results)
        if (r.request_sequence != 0) r.follows_posted = posted_out.next() - 1;
    mark_ready(true);
}

void FunctionCore::release_posted_to(std::uint64_t sequence) noexcept {
    while (posted_out.released() < sequence && posted_out.released() + 1 < posted_out.next()) {
        const PostedRecord& r = posted_out.release_one();
        if (r.notify) handler.on_released(self, r.cookie);
    }
}

void FunctionCore::unbind(Status why) noexcept {
    session = nullptr;
    if (why == Status::ok || gone) return;
    gone = true;
    quarantined = false;
    abort_requests(Status::device_lost);
    handler.on_event(self, FunctionEvent::lost, nullptr);
}

}  // namespace farlane::proto
