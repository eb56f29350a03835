// SPDX-License-Identifier: Apache-2.0
// Receives: transactions of the peer, checked by the codec, in any order. Hands on: each once to
// the handler, in PCIe order. Owns: nothing more. Hot path. docs/wire.md, "Order" and
// "Exactly once": the order of the stores into FunctionMemory is part of the protocol.
#include <atomic>
#include <cstring>

#include "proto/function_core.hpp"
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

// Only the compiler has to keep the order: whoever reads the memory after a kill reads what
// this thread had retired.
void ordered() noexcept {
    std::atomic_signal_fence(std::memory_order_acq_rel);
}

constexpr std::uint64_t intent_of(unsigned record_class, std::uint64_t sequence) noexcept {
    return std::uint64_t{record_class} << 62 | sequence;
}

// What a completion can carry to a driver.
std::uint8_t completion_code(Status status) noexcept {
    switch (status) {
        case Status::ok: return FL_STATUS_SC;
        case Status::unsupported_request:
        case Status::out_of_bounds:
        case Status::not_found:
        case Status::unsupported: return FL_STATUS_UR;
        case Status::config_retry: return FL_STATUS_CRS;
        default: return FL_STATUS_CA;
    }
}

}  // namespace

void FunctionCore::drop(Drop d) noexcept {
    if (d == Drop::retransmit_duplicate) ++counters.duplicates;
    if (session != nullptr) session->counters.drop(d);
}

bool FunctionCore::on_tlp(const TlpRecord& r, Time now) noexcept {
    bool taken = false;
    if (held && r.record_class != RecordClass::completion) [[unlikely]]
        return false;
    switch (r.record_class) {
        case RecordClass::posted: taken = on_posted(r, now); break;
        case RecordClass::non_posted: taken = on_request(r); break;
        case RecordClass::completion: taken = on_completion(r); break;
    }
    if (taken && session != nullptr) session->touch(*this, now);
    return taken;
}

// --- posted

void FunctionCore::placed(const Tlp& tlp) noexcept {
    counts.released[FL_CLASS_POSTED] = tlp.sequence;
    placed_units += posted_data_units(tlp);
    untold_bytes += tlp.length_bytes;
    ++counters.received[FL_CLASS_POSTED];
    ++counters.executed[FL_CLASS_POSTED];
    counters.payload_bytes_in += tlp.length_bytes;
}

void FunctionCore::execute_posted(const Tlp& tlp, std::span<const std::byte> payload) noexcept {
    counts.intent = intent_of(FL_CLASS_POSTED, tlp.sequence);
    ordered();
    handler.on_posted(self, tlp, payload);
    ordered();
    placed(tlp);
    ordered();
    counts.intent = 0;
}

void FunctionCore::place_relaxed(const Tlp& tlp, std::uint32_t offset_bytes,
                                 std::span<const std::byte> payload) noexcept {
    handler.on_relaxed(self, tlp, offset_bytes, payload);
    ordered();
}

bool FunctionCore::on_posted(const TlpRecord& r, Time /*now*/) noexcept {
    const std::uint64_t sequence = r.tlp.sequence;
    if (sequence <= posted_in.placed()) {
        drop(Drop::retransmit_duplicate);
        return true;
    }
    if (posted_in.beyond(sequence)) {
        drop(Drop::sequence_beyond);
        return false;
    }
    const bool relaxed = is_relaxed_write(r.tlp);
    if (sequence == posted_in.placed() + 1 && !r.fragment && !posted_in.has_part(sequence)) [[likely]] {
        if (relaxed) {
            place_relaxed(r.tlp, 0, r.payload);
            placed(r.tlp);
        } else {
            execute_posted(r.tlp, r.payload);
        }
        posted_in.advance();
    } else {
        std::uint64_t fresh = 0;
        switch (posted_in.take(r, !relaxed, fresh)) {
            case PostedIn::Taken::news: break;
            case PostedIn::Taken::duplicate: drop(Drop::retransmit_duplicate); return true;
            case PostedIn::Taken::mismatch: drop(Drop::fragment_mismatch); return true;
            case PostedIn::Taken::no_memory: drop(Drop::sequence_beyond); return false;
        }
        while (relaxed && fresh != 0) {
            const GranuleRun run = first_run(fresh);
            fresh &= ~granule_mask(run);
            const unsigned offset = run.first * kGranuleBytes;
            place_relaxed(r.tlp, offset,
                          r.payload.subspan(offset - r.offset_bytes, run_bytes(run, r.tlp.length_bytes)));
        }
    }
    for (const PostedIn::Slot* s = posted_in.ready(); s != nullptr && session != nullptr; s = posted_in.ready()) {
        if (is_relaxed_write(s->tlp))
            placed(s->tlp);
        else
            execute_posted(s->tlp, s->payload());
        posted_in.advance_kept();
    }
    if (!requests_in.idle()) run_kept_requests();
    if (completions_in.waiting != 0) tell_held_completions();
    return true;
}

// --- requests

void FunctionCore::finish_result(std::uint32_t slot, Status status) noexcept {
    memory.results[slot].status = completion_code(status);
    completions_out.answered(slot, posted_out.next() - 1);
    ++counters.submitted[FL_CLASS_COMPLETION];
    mark_ready(true);
}

// Precondition: there is a free result slot; credits see to it.
void FunctionCore::execute_request(const Tlp& tlp, std::span<const std::byte> operand) noexcept {
    const std::uint32_t slot = completions_out.take_slot();
    ResultSlot& r = memory.results[slot];
    r.completion_sequence = 0;
    r.status = FL_STATUS_CA;
    r.flags = limits.repeat_reads && tlp.type == TlpType::memory_read ? kResultRepeatable : 0;
    r.address = tlp.address;
    r.tag = tlp.tag;
    r.pasid = tlp.pasid;
    r.length_bytes = result_bytes(tlp);
    ordered();
    r.request_sequence = tlp.sequence;
    ordered();
    counts.intent = intent_of(FL_CLASS_NON_POSTED, tlp.sequence);
    ordered();
    Status status = Status::ok;
    const Answer a = handler.on_request(self, tlp, operand, RequestId{slot, tlp.sequence},
                                        {memory.result_data[slot], r.length_bytes}, status);
    ordered();
    if (a != Answer::later) {
        if (a == Answer::by_fetch) r.flags |= kResultByFetch;
        finish_result(slot, status);
        ordered();
    }
    counts.released[FL_CLASS_NON_POSTED] = tlp.sequence;
    ordered();
    counts.intent = 0;
    ++counters.received[FL_CLASS_NON_POSTED];
    ++counters.executed[FL_CLASS_NON_POSTED];
}

bool FunctionCore::on_request(const TlpRecord& r) noexcept {
    const std::uint64_t executed = counts.released[FL_CLASS_NON_POSTED];
    const std::uint64_t sequence = r.tlp.sequence;
    if (sequence <= executed) {
        drop(Drop::retransmit_duplicate);
        return true;
    }
    if (sequence - executed > completions_out.free_slots()) {
        drop(Drop::sequence_beyond);
        return false;
    }
    if (sequence == executed + 1 && r.tlp.follows_posted <= posted_in.placed()) [[likely]] {
        const bool was_kept = requests_in.find(sequence) != nullptr;
        if (was_kept) requests_in.remove(sequence);
        execute_request(r.tlp, r.payload);
        if (!requests_in.idle()) run_kept_requests();
        return true;
    }
    if (!requests_in.keep(r)) drop(Drop::retransmit_duplicate);
    return true;
}

void FunctionCore::run_kept_requests() noexcept {
    while (session != nullptr) {
        const std::uint64_t next = counts.released[FL_CLASS_NON_POSTED] + 1;
        const RequestsIn::Slot* s = requests_in.find(next);
        if (s == nullptr || s->tlp.follows_posted > posted_in.placed()) return;
        execute_request(s->tlp, {s->operand.data(), s->operand_bytes});
        requests_in.remove(next);
    }
}

// --- completions

// The request is over: its data is in place when the code says so.
void FunctionCore::tell(std::uint32_t request_slot, std::uint8_t code, unsigned length_bytes) noexcept {
    RequestRecord& q = requests_out.slot(request_slot);
    Status status = status_from_code(code);
    if (status == Status::ok && length_bytes != q.into_bytes) {
        drop(Drop::record_field);
        status = Status::completer_abort;
    }
    if (status != Status::ok && q.into_bytes != 0) std::memset(q.into, 0xff, q.into_bytes);
    const std::uint64_t cookie = q.cookie;
    ++counters.executed[FL_CLASS_COMPLETION];
    counters.payload_bytes_in += length_bytes;
    requests_out.settle(request_slot, true);
    handler.on_completion(self, cookie, status);
}

bool FunctionCore::on_completion(const TlpRecord& r) noexcept {
    const std::uint64_t sequence = r.tlp.sequence;
    if (sequence <= completions_in.released()) {
        drop(Drop::retransmit_duplicate);
        return true;
    }
    if (completions_in.beyond(sequence)) {
        drop(Drop::sequence_beyond);
        return false;
    }
    const bool simple = sequence == completions_in.released() + 1 && !r.fragment && completions_in.idle() &&
                        r.tlp.follows_posted <= posted_in.placed();
    if (!simple) return take_completion_part(r);
    ++counters.received[FL_CLASS_COMPLETION];
    completions_in.advance();
    counts.released[FL_CLASS_COMPLETION] = sequence;
    const std::uint32_t request = requests_out.waiting(r.tlp.tag);
    if (request == RequestsOut::kNone) {
        drop(Drop::completion_unexpected);
        return true;
    }
    const RequestRecord& q = requests_out.slot(request);
    if (!r.payload.empty() && r.payload.size() == q.into_bytes) std::memcpy(q.into, r.payload.data(), q.into_bytes);
    requests_out.prefetch_after(request);
    tell(request, r.tlp.code, r.tlp.length_bytes);
    return true;
}

bool FunctionCore::take_completion_part(const TlpRecord& r) noexcept {
    CompletionsIn::Slot& s = completions_in.at(r.tlp.sequence);
    if (s.sequence != r.tlp.sequence) {
        completions_in.open(s, r.tlp.sequence);
        s.tag = r.tlp.tag;
        s.code = r.tlp.code;
        s.length_bytes = r.tlp.length_bytes;
        s.follows_posted = r.tlp.follows_posted;
    } else if (s.tag != r.tlp.tag || s.code != r.tlp.code || s.length_bytes != r.tlp.length_bytes ||
               s.follows_posted != r.tlp.follows_posted) {
        drop(Drop::fragment_mismatch);
        return true;
    }
    const std::uint64_t fresh =
        granule_mask(run_of(r.offset_bytes, static_cast<unsigned>(r.payload.size()))) & ~s.received;
    if (s.done || fresh == 0) {
        drop(Drop::retransmit_duplicate);
        return true;
    }
    s.received |= fresh;
    const std::uint32_t request = requests_out.waiting(s.tag);
    if (request == RequestsOut::kNone) {
        drop(Drop::completion_unexpected);
        s.done = true;
    } else {
        const RequestRecord& q = requests_out.slot(request);
        if (!r.payload.empty() && s.length_bytes == q.into_bytes)
            std::memcpy(q.into + r.offset_bytes, r.payload.data(), r.payload.size());
        if (s.received == all_granules(s.length_bytes)) {
            ++counters.received[FL_CLASS_COMPLETION];
            s.waiting = true;
            ++completions_in.waiting;
        }
    }
    tell_held_completions();
    return true;
}

// Tells what is whole and no longer held back by posted records; releases from the old end.
void FunctionCore::tell_held_completions() noexcept {
    const std::uint64_t first = completions_in.released() + 1;
    for (std::uint64_t n = first; completions_in.waiting != 0 && n < first + CompletionsIn::kWindow; ++n) {
        CompletionsIn::Slot& s = completions_in.at(n);
        if (s.sequence != n || !s.waiting || s.follows_posted > posted_in.placed()) continue;
        s.waiting = false;
        s.done = true;
        --completions_in.waiting;
        const std::uint32_t request = requests_out.waiting(s.tag);
        if (request != RequestsOut::kNone)
            tell(request, s.code, s.length_bytes);
        else
            drop(Drop::completion_unexpected);
    }
    completions_in.advance_done();
    counts.released[FL_CLASS_COMPLETION] = completions_in.released();
}

}  // namespace farlane::proto
