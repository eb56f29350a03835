// SPDX-License-Identifier: Apache-2.0
// Receives: calls of the device or the application. Hands on: records into the windows.
// Owns: nothing more. docs/wire.md, "Function".
#include "proto/function.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "proto/function_core.hpp"
#include "proto/session_core.hpp"

namespace farlane::proto {

namespace {

constexpr std::uint32_t kMaxPostedWindow = 1u << 20;
constexpr std::uint32_t kMaxRequests = 1u << 15;

FunctionLimits checked(FunctionLimits l) noexcept {
    l.posted_window = std::bit_ceil(std::clamp<std::uint32_t>(l.posted_window, 1, kMaxPostedWindow));
    l.request_window = std::bit_ceil(std::clamp<std::uint32_t>(l.request_window, 1, kMaxRequests));
    l.reorder_bytes = std::clamp<std::uint32_t>(l.reorder_bytes, FL_TLP_MAX_PAYLOAD_BYTES, 1u << 30);
    return l;
}

bool is_valid_posted(const Tlp& tlp, std::span<const std::byte> payload) noexcept {
    return class_of(tlp.type) == FL_CLASS_POSTED && check_tlp(tlp) == kNoDrop && check_message(tlp, payload) == kNoDrop;
}

}  // namespace

struct Function::State : FunctionCore {
    using FunctionCore::FunctionCore;
};

FunctionCore::FunctionCore(Function& self_, FunctionPlace place, FunctionHandler& handler_,
                           const FunctionLimits& limits_)
    : self(self_),
      memory(place.memory),
      counts(place.counts),
      handler(handler_),
      handle_{memory.index, memory.generation},
      adopted((settle_in_doubt(), counts.next[FL_CLASS_POSTED] != 1 || counts.next[FL_CLASS_NON_POSTED] != 1 ||
                                      counts.next[FL_CLASS_COMPLETION] != 1 || counts.released[FL_CLASS_POSTED] != 0 ||
                                      counts.released[FL_CLASS_NON_POSTED] != 0)),
      posted_out(counts.next[FL_CLASS_POSTED], checked(limits_).posted_window),
      posted_in(counts.released[FL_CLASS_POSTED], checked(limits_).posted_window, checked(limits_).reorder_bytes),
      completions_in(counts.released[FL_CLASS_COMPLETION]),
      completions_out(memory, counts),
      limits(checked(limits_)),
      requests_out(counts.next[FL_CLASS_NON_POSTED], limits.request_window) {}

void FunctionCore::mark_ready(bool other) noexcept {
    other_work = other_work || other;
    if (session == nullptr) return;
    session->ready.push_back(*this);
    session->rouse();
}

// One that credits hold back asks at once as well: the answer may be what it waits for.
void FunctionCore::hurry() noexcept {
    hurried = posted_out.unsent();
    if (session == nullptr || (hurried && !posted_out.blocked())) return;
    session->due |= kDueKeepalive;
    session->rouse();
}

Status FunctionCore::submit(const Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie, bool notify,
                            Time /*now*/, std::uint64_t* sequence) noexcept {
    if (gone) return Status::device_lost;
    if (in_reset) return Status::would_block;
    const bool plain = is_plain(tlp, TlpType::memory_write);
    if (payload.size() != tlp.length_bytes || (!plain && !is_valid_posted(tlp, payload))) return Status::invalid;
    PostedRecord* r = posted_out.prepare();
    if (r == nullptr) return Status::would_block;
    if (plain) [[likely]]  // field by field: the caller has just stored them one by one
        r->tlp = {.type = TlpType::memory_write,
                  .attr = tlp.attr,
                  .byte_enables = 0,
                  .bar = tlp.bar,
                  .code = 0,
                  .length_bytes = tlp.length_bytes,
                  .address = tlp.address};
    else
        r->tlp = tlp;
    r->tlp.sequence = posted_out.next();
    r->tlp.follows_posted = 0;
    r->tlp.tag = 0;
    r->cookie = cookie;
    r->notify = notify;
    if (payload.size() <= r->inlined.size()) {
        r->source = nullptr;
        copy_small(r->inlined.data(), payload);
    } else {
        r->source = payload.data();
    }
    posted_out.commit();
    counts.next[FL_CLASS_POSTED] = posted_out.next();
    ++counters.submitted[FL_CLASS_POSTED];
    counters.payload_bytes_out += payload.size();
    if (sequence != nullptr) *sequence = r->tlp.sequence;
    mark_ready(false);
    if (posted_out.room() == 0 && limits.posted_window < kUntoldRecords) [[unlikely]]
        hurry();  // the peer does not know that this window is full
    return Status::ok;
}

Status FunctionCore::request(const Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                             std::uint64_t cookie, Time now) noexcept {
    if (gone) return Status::device_lost;
    if (in_reset) return Status::would_block;
    const bool valid = is_plain(tlp, TlpType::memory_read)
                           ? operand.empty() && into.size() == tlp.length_bytes
                           : class_of(tlp.type) == FL_CLASS_NON_POSTED && check_tlp(tlp) == kNoDrop &&
                                 operand.size() == (carries_payload(tlp.type) ? tlp.length_bytes : 0) &&
                                 into.size() == result_bytes(tlp);
    if (!valid) return Status::invalid;
    if (quarantined) [[unlikely]] {
        std::fill(into.begin(), into.end(), std::byte{0xff});
        return Status::timeout;
    }
    std::uint32_t slot = 0;
    RequestRecord* r = requests_out.prepare(slot);
    if (r == nullptr) return Status::would_block;
    // Field by field: the caller has just stored them one by one, and a wide load would wait for that.
    r->tlp = {.type = tlp.type,
              .attr = tlp.attr,
              .byte_enables = tlp.byte_enables,
              .bar = tlp.bar,
              .code = tlp.code,
              .length_bytes = tlp.length_bytes,
              .pasid = tlp.pasid,
              .address = tlp.address,
              .follows_posted = posted_out.next() - 1};
    r->cookie = cookie;
    r->into = into.data();
    r->into_bytes = static_cast<std::uint16_t>(into.size());
    if (!operand.empty()) std::memcpy(r->operand.data(), operand.data(), operand.size());
    const bool first = requests_out.oldest_waiting() == RequestsOut::kNone;
    requests_out.commit(slot, now);
    counts.next[FL_CLASS_NON_POSTED] = requests_out.next();
    ++counters.submitted[FL_CLASS_NON_POSTED];
    // The exact deadline is needed only when the timer might be too late for it.
    if (first && session != nullptr && session->functions_timer > now + limits.completion_timeout)
        session->arm_functions(now + completion_timeout());
    mark_ready(true);
    return Status::ok;
}

void FunctionCore::answer(RequestId id, Status status) noexcept {
    if (id.slot >= kRequestWindow) return;
    ResultSlot& r = memory.results[id.slot];
    if (id.sequence == 0 || r.request_sequence != id.sequence || r.completion_sequence != 0) return;
    r.flags = 0;
    finish_result(id.slot, status);
}

// --- the API

Function::Function(FunctionPlace place, FunctionHandler& handler, const FunctionLimits& limits)
    : state_(std::make_unique<State>(*this, place, handler, limits)) {}

Function::~Function() {
    if (state_->session != nullptr) state_->session->forget(*state_);
}

FunctionHandle Function::handle() const noexcept {
    return state_->handle();
}

Status Function::submit(const Tlp& tlp, std::span<const std::byte> payload, std::uint64_t cookie, bool notify, Time now,
                        std::uint64_t* sequence) noexcept {
    return state_->submit(tlp, payload, cookie, notify, now, sequence);
}

Status Function::request(const Tlp& tlp, std::span<const std::byte> operand, std::span<std::byte> into,
                         std::uint64_t cookie, Time now) noexcept {
    return state_->request(tlp, operand, into, cookie, now);
}

void Function::asked_at(Time now) noexcept {
    state_->requests_out.asked_at(now);
}

void Function::answer(RequestId id, Status status, Time /*now*/) noexcept {
    state_->answer(id, status);
}

void Function::abandon(Status why, Time /*now*/) noexcept {
    if (state_->session == nullptr) state_->unbind(why);
}

void Function::resubmitted() noexcept {
    state_->resubmitted();
}

bool Function::posted_drained() const noexcept {
    return state_->posted_out.released() + 1 == state_->posted_out.next();
}

std::uint64_t Function::posted_submitted() const noexcept {
    return state_->posted_out.next() - 1;
}

std::uint64_t Function::posted_released() const noexcept {
    return state_->posted_out.released();
}

std::uint64_t Function::next_sequence(RecordClass c) const noexcept {
    switch (c) {
        case RecordClass::posted: return state_->posted_out.next();
        case RecordClass::non_posted: return state_->requests_out.next();
        case RecordClass::completion: return state_->completions_out.next();
    }
    return 0;
}

std::uint32_t Function::room(RecordClass c) const noexcept {
    switch (c) {
        case RecordClass::posted: return state_->posted_out.room();
        case RecordClass::non_posted: return state_->quarantined ? 0 : state_->requests_out.room();
        case RecordClass::completion: return 0;
    }
    return 0;
}

bool Function::adopted() const noexcept {
    return state_->adopted;
}

void Function::hurry() noexcept {
    if (!posted_drained()) state_->hurry();
}

void Function::hold(bool on) noexcept {
    state_->held = on;
}

bool Function::settled() const noexcept {
    return posted_drained() && state_->completions_out.free_slots() == CompletionsOut::kSlots;
}

Time Function::next_timer() const noexcept {
    return state_->next_deadline();
}

void Function::on_timer(Time now) noexcept {
    state_->expire(now);
}

Session* Function::session() const noexcept {
    return state_->session == nullptr ? nullptr : &state_->session->self;
}

const FunctionCounters& Function::counters() const noexcept {
    return state_->counters;
}

FunctionCore& core_of(Function& f) noexcept {
    return *f.state_;
}

}  // namespace farlane::proto
