// SPDX-License-Identifier: Apache-2.0
// Receives: a frame with room. Hands on: the frame with the records of one function, and what
// became of packets to the windows. Owns: nothing more. Hot path. docs/wire.md, "Function".
#include <cstring>

#include "proto/function_core.hpp"
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr std::size_t kWorthAFragment = 256;

// How many of the `bytes` that are to go fit. A record that fits an empty frame is not cut: the
// receiver can then execute it straight from the frame.
std::size_t part_bytes(const FrameFill& f, TlpType type, std::size_t bytes) noexcept {
    const std::size_t room = f.writer.room();
    const std::size_t record = tlp_record_bytes(bytes);
    if (record <= room) return bytes;
    if (record <= f.empty_room) return 0;
    const std::size_t part = fragment_bytes(type, bytes, room);
    return part >= kWorthAFragment || room >= f.empty_room ? part : 0;
}

Tlp completion_of(const ResultSlot& r, std::uint64_t sequence) noexcept {
    const std::uint16_t length = r.status == FL_STATUS_SC ? r.length_bytes : std::uint16_t{0};
    return {.type = length != 0 ? TlpType::completion_data : TlpType::completion,
            .code = r.status,
            .length_bytes = length,
            .tag = r.tag,
            .sequence = sequence,
            .follows_posted = r.follows_posted};
}

}  // namespace

void FunctionCore::note(FrameFill& f, RefKind kind, std::uint64_t sequence, GranuleRun run, bool resend) noexcept {
    f.add({kind, sequence, handle_.index, binding, run});
    const auto c = static_cast<unsigned>(kind);  // the first three kinds are the classes
    ++counters.sent[c];
    if (resend) [[unlikely]] {
        ++counters.resent[c];
        f.copies = true;
    }
}

FunctionCore::Put FunctionCore::put_posted(FrameFill& f, std::uint64_t sequence) noexcept {
    PostedRecord& r = posted_out.at(sequence);
    if (r.tlp.length_bytes <= kGranuleBytes && !strip_relaxed) [[likely]] {
        std::byte* to = f.writer.whole_tlp(r.tlp, handle());
        if (to == nullptr) return Put::no_room;
        copy_small(to, {r.payload(), r.tlp.length_bytes});
        const bool resend = posted_out.is_resend(sequence);
        posted_out.sent(sequence, GranuleRun{});
        note(f, RefKind::posted, sequence, GranuleRun{}, resend);
        return Put::done;
    }
    const GranuleRun run = first_run(r.queued);
    const std::size_t offset = std::size_t{run.first} * kGranuleBytes;
    const std::size_t bytes = part_bytes(f, r.tlp.type, run_bytes(run, r.tlp.length_bytes));
    if (bytes == 0) return Put::no_room;
    if (strip_relaxed) [[unlikely]]
        r.tlp.attr &= static_cast<std::uint8_t>(~FL_ATTR_RO);
    std::byte* to = f.writer.tlp(r.tlp, handle(), offset, bytes);
    if (to == nullptr) return Put::no_room;
    f.copy(to, r.payload() + offset, bytes);
    posted_out.prefetch_after(sequence);
    const GranuleRun part = run_of(static_cast<unsigned>(offset), static_cast<unsigned>(bytes));
    const bool resend = posted_out.is_resend(sequence);
    posted_out.sent(sequence, part);
    note(f, RefKind::posted, sequence, part, resend);
    return Put::done;
}

FunctionCore::Put FunctionCore::put_request(FrameFill& f, std::uint64_t sequence) noexcept {
    const std::uint32_t slot = requests_out.find(sequence);
    const RequestRecord& r = requests_out.slot(slot);
    const std::size_t operand = carries_payload(r.tlp.type) ? r.tlp.length_bytes : 0;
    std::byte* to = f.writer.tlp(r.tlp, handle(), 0, operand);
    if (to == nullptr) return Put::no_room;
    if (operand != 0) std::memcpy(to, r.operand.data(), operand);
    const bool resend = requests_out.is_resend(sequence);
    requests_out.sent(sequence);
    note(f, RefKind::non_posted, sequence, GranuleRun{}, resend);
    return Put::done;
}

void FunctionCore::fetch_result(std::uint32_t slot, std::size_t offset, std::span<std::byte> to) noexcept {
    const ResultSlot& r = memory.results[slot];
    if (handler.fetch(self, r.address, r.pasid, static_cast<std::uint32_t>(offset), to) != Status::ok)
        std::memset(to.data(), 0, to.size());
}

FunctionCore::Put FunctionCore::put_completion(FrameFill& f, std::uint64_t sequence) noexcept {
    const std::uint32_t slot = completions_out.slot_of(sequence);
    const Tlp tlp = completion_of(memory.results[slot], sequence);
    const unsigned length = tlp.length_bytes;
    const GranuleRun run = first_run(completions_out.queued(sequence));
    const std::size_t offset = std::size_t{run.first} * kGranuleBytes;
    std::size_t bytes = run_bytes(run, length);
    if (bytes != 0 && (bytes = part_bytes(f, tlp.type, bytes)) == 0) return Put::no_room;
    std::byte* to = f.writer.tlp(tlp, handle(), offset, bytes);
    if (to == nullptr) return Put::no_room;
    if (bytes != 0) {
        if ((memory.results[slot].flags & kResultByFetch) == 0)
            f.copy(to, memory.result_data[slot] + offset, bytes);
        else
            fetch_result(slot, offset, {to, bytes});
    }
    const GranuleRun part = run_of(static_cast<unsigned>(offset), static_cast<unsigned>(bytes));
    const bool resend = completions_out.is_resend(sequence);
    completions_out.sent(sequence, part);
    note(f, RefKind::completion, sequence, part, resend);
    return Put::done;
}

// Nothing else is there to send.
bool FunctionCore::fill_posted(FrameFill& f) noexcept {
    while (const std::uint64_t posted = posted_out.pick())
        if (f.refs_full() || put_posted(f, posted) == Put::no_room) return true;
    return false;
}

// The order in which the records were submitted: a completion or a request goes out before the
// posted records that were submitted after it. Posted records that wait for credits hold nobody
// up (the receiver keeps the order).
bool FunctionCore::fill(FrameFill& f) noexcept {
    if (!other_work) return fill_posted(f);
    for (;;) {
        if (f.refs_full()) return true;
        const std::uint64_t posted = posted_out.pick();
        const std::uint64_t completion = resubmitting ? 0 : completions_out.pick();
        if (completion != 0) {
            const ResultSlot& r = memory.results[completions_out.slot_of(completion)];
            if (posted == 0 || r.follows_posted < posted) {
                if (put_completion(f, completion) == Put::no_room) return true;
                continue;
            }
        }
        const std::uint64_t request = requests_out.pick();
        if (request != 0) {
            const RequestRecord& r = requests_out.slot(requests_out.find(request));
            if (posted == 0 || r.tlp.follows_posted < posted) {
                if (put_request(f, request) == Put::no_room) return true;
                continue;
            }
        }
        other_work = completion != 0 || request != 0;  // what credits hold back is looked at when there are more
        if (posted == 0) return false;
        if (put_posted(f, posted) == Put::no_room) return true;
        if (!other_work) return fill_posted(f);
    }
}

std::size_t FunctionCore::put_lone(std::byte* place, RecordRef& ref) noexcept {
    other_work = false;
    return requests_out.has_unsent() ? put_lone_request(place, ref) : put_lone_completion(place, ref);
}

std::size_t FunctionCore::put_lone_request(std::byte* place, RecordRef& ref) noexcept {
    const RequestRecord& r = requests_out.newest();
    const bool read = r.tlp.type == TlpType::memory_read;
    const std::size_t operand = read || !carries_payload(r.tlp.type) ? 0 : r.tlp.length_bytes;
    std::byte* const to = put_tlp(place, r.tlp, handle_, r.tlp.attr, 0, operand);
    if (operand != 0) std::memcpy(to, r.operand.data(), operand);
    ref = {RefKind::non_posted, r.tlp.sequence, handle_.index, binding};
    requests_out.sent_one();
    ++counters.sent[FL_CLASS_NON_POSTED];
    return tlp_record_bytes(operand);
}

// What is noted comes before the data: fetching it may bring more.
std::size_t FunctionCore::put_lone_completion(std::byte* place, RecordRef& ref) noexcept {
    const std::uint64_t sequence = completions_out.cursor();
    const std::uint32_t slot = completions_out.slot_of(sequence);
    const Tlp tlp = completion_of(memory.results[slot], sequence);
    std::byte* const to = put_tlp(place, tlp, handle_, 0, 0, tlp.length_bytes);
    ref = {RefKind::completion, sequence, handle_.index, binding, run_of(0, tlp.length_bytes)};
    completions_out.sent_one();
    ++counters.sent[FL_CLASS_COMPLETION];
    if ((memory.results[slot].flags & kResultByFetch) == 0)
        copy_small(to, {memory.result_data[slot], tlp.length_bytes});
    else if (tlp.length_bytes != 0)
        fetch_result(slot, 0, {to, tlp.length_bytes});
    return tlp_record_bytes(tlp.length_bytes);
}

void FunctionCore::acked(const RecordRef& ref) noexcept {
    switch (ref.kind()) {
        case RefKind::non_posted: requests_out.acked(ref.sequence()); break;
        case RefKind::completion: completions_out.acked(ref.sequence(), ref.run()); break;
        default: break;
    }
}

void FunctionCore::lost(const RecordRef& ref) noexcept {
    switch (ref.kind()) {
        case RefKind::posted: posted_out.lost(ref.sequence(), ref.run()); break;
        case RefKind::non_posted: requests_out.lost(ref.sequence()); break;
        case RefKind::completion: completions_out.lost(ref.sequence(), ref.run()); break;
        case RefKind::credit:
            if (ref.sequence() == credit_serial) {
                credit_due = true;
                session->list_credit(*this);
            }
            break;
        default: break;
    }
    mark_ready(true);
}

}  // namespace farlane::proto
