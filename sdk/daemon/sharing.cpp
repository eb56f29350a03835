// SPDX-License-Identifier: Apache-2.0
// Receives: what several clients ask of one accelerator. Hands on: contexts and queue pairs, each to one of them.
// Owns: see the header. How the device is opened: sharing_open.cpp; who comes and goes: sharing_life.cpp.
#include "daemon/sharing.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

namespace farlane::daemon {
namespace {

using Registers = fl_accel_queue_registers;

constexpr auto kDropTime = std::chrono::seconds(5);
constexpr auto kBetweenAsks = std::chrono::microseconds(300);
constexpr std::size_t kMaxAnswers = 8;  // that wait for one thing: who asks again and again fills no memory
constexpr std::uint64_t kQueueWindows = std::uint64_t{1} << 32;
constexpr std::uint64_t kContextWindows = std::uint64_t{2} << 32;

const char* reason_text(std::uint32_t reason) noexcept {
    switch (reason) {
#define FARLANE_REASON_TEXT(NAME, name, code, status, text) \
    case code: return text;
        FL_ACCEL_REASON_TABLE(FARLANE_REASON_TEXT)
#undef FARLANE_REASON_TEXT
        default: return "unknown reason";
    }
}

}  // namespace

std::uint64_t Sharing::at(std::uint32_t queue, std::size_t field) const noexcept {
    return FL_ACCEL_QUEUE_OFFSET + std::uint64_t{queue} * FL_ACCEL_QUEUE_STRIDE + field;
}

std::uint32_t Sharing::hardware_vector(std::uint32_t queue) const noexcept {
    return msix_.vectors < 2 ? FL_ACCEL_NO_VECTOR : 1 + queue % (msix_.vectors - 1);
}

Reply Sharing::usable(const Share& share) const {
    if (phase_ == Phase::ready && share.state() == lane::AttachmentState::reset)
        return refusal(Status::device_reset, "the accelerator was reset: acknowledge_reset comes first");
    if (phase_ == Phase::ready && bars_.full())
        return refusal(Status::would_block, "'" + device_.info().name + "' does not take what waits for it (" +
                                                std::to_string(BarAccess::kMaxWaiting) +
                                                " accesses): its link is down or slow; try again");
    if (phase_ == Phase::ready) return {};
    if (phase_ == Phase::opening) return refusal(Status::device_reset, "the accelerator is being reset");
    return refusal(phase_ == Phase::failed ? why_status_ : Status::device_lost,
                   phase_ == Phase::failed ? why_ : "'" + device_.info().name + "' was removed");
}

// One whose number can not be told, as it is in a pid namespace that farlaned does not see, counts by its attachments.
Sharing::Process Sharing::process_of(pid_t pid, std::uint32_t number) noexcept {
    return pid != 0 ? Process{pid} : -Process{number};
}

/// Whether the client's process can have one more of `all`. Its first is there for it as long as any is; more only
/// while enough stay for processes that have none.
Reply Sharing::room_for(Process process, std::size_t all, const std::vector<Process>& users, const char* what) const {
    const std::string text = std::to_string(all) + " " + what + " of '" + device_.info().name + "'";
    if (users.size() >= all) return refusal(Status::limit, "all " + text + " are in use, by " + names());
    const std::size_t free = all - users.size();
    const auto own = std::ranges::count(users, process);
    std::set<Process> processes(users.begin(), users.end());
    processes.erase(kNoProcess);
    const std::size_t places = std::min<std::size_t>(places_, (all + 1) / 2);
    const std::size_t kept = places - std::min(places, processes.size());
    if (own == 0 || free > kept) return {};
    return refusal(Status::limit,
                   "this process has " + std::to_string(own) + " of " + text + "; the " + std::to_string(free) +
                       " that are free are kept for others (share_places = " + std::to_string(places_) + ")");
}

/// The same, of what is in `slots`.
template <class Slots, class InUse>
Reply Sharing::room_in(const Share& share, const Slots& slots, InUse in_use, const char* what) const {
    std::vector<Process> users;
    for (const auto& slot : slots)
        if (in_use(slot))
            users.push_back(slot.owner != nullptr ? process_of(slot.owner->client().pid, slot.owner->number())
                                                  : kNoProcess);
    return room_for(process_of(share.client().pid, share.number()), slots.size(), users, what);
}

// --- contexts

std::uint32_t Sharing::queues_of(std::uint32_t context) const noexcept {
    return static_cast<std::uint32_t>(std::ranges::count_if(
        queues_, [context](const QueueSlot& q) { return q.state != QueueSlot::State::free && q.context == context; }));
}

// Contexts that share one range get equal parts of it: what one takes is never missing to another.
void Sharing::set_range(ContextSlot& c, std::uint32_t number) const {
    const fl_accel_registers& r = registers_;
    const std::uint64_t all = r.memory_bytes.get(), stride = r.context_stride.get();
    if (stride != 0) {
        c.first = r.memory_address.get() + stride * number;
        c.bytes = all;
        return;
    }
    c.bytes = all / r.max_contexts.get() / FL_ACCEL_PAGE_BYTES * FL_ACCEL_PAGE_BYTES;
    c.first = r.memory_address.get() + c.bytes * number;
}

void Sharing::program_part(std::uint32_t context) {
    using Part = fl_accel_context_registers;
    const std::uint64_t at = FL_ACCEL_CONTEXT_OFFSET + std::uint64_t{context} * FL_ACCEL_CONTEXT_STRIDE;
    bars_.write64(FL_ACCEL_BAR_REGISTERS, at + offsetof(Part, part_address), contexts_[context].first);
    bars_.write64(FL_ACCEL_BAR_REGISTERS, at + offsetof(Part, part_bytes), contexts_[context].bytes);
}

void Sharing::open_context(Share& share, const Answer& answer) {
    if (Reply r = usable(share); r.status != Status::ok) return answer(std::move(r));
    Reply room = room_in(
        share, contexts_, [](const ContextSlot& c) { return c.used; }, "contexts");
    if (room.status != Status::ok) return answer(std::move(room));
    const auto slot = std::ranges::find(contexts_, false, &ContextSlot::used);
    const auto number = static_cast<std::uint32_t>(slot - contexts_.begin());
    set_range(*slot, number);
    slot->used = true;
    slot->owner = &share;
    if (registers_.context_stride.get() == 0) program_part(number);
    const fl_accel_registers& r = registers_;
    answer({Status::ok,
            "",
            {{"context", number},
             {"memory_address", slot->first},
             {"memory_bytes", slot->bytes},
             {"local_address", r.local_address.get() + r.local_stride.get() * number},
             {"local_bytes", r.local_stride.get() != 0 ? r.local_bytes.get() : 0}},
            {}});
}

/// Its memory is open while it has a queue pair that is on: the device makes it zero when the last one ends.
void Sharing::open_memory(std::uint32_t context) {
    const ContextSlot& c = contexts_[context];
    const std::uint64_t seen = registers_.aperture_address.get(), seen_end = seen + registers_.aperture_bytes.get();
    const std::uint64_t from = std::max(c.first, seen), to = std::min(c.first + c.bytes, seen_end);
    if (from < to)
        c.owner->add_window({FL_ACCEL_BAR_APERTURE, from - seen, to - from, true, true, kContextWindows | context});
}

std::size_t Sharing::queues_on(std::uint32_t context) const noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(queues_, [context](const QueueSlot& q) {
        return q.state == QueueSlot::State::on && !q.unwanted && q.context == context;
    }));
}

void Sharing::close_context(Share& share, std::uint32_t context, const Answer& answer) {
    if (context >= contexts_.size() || !contexts_[context].used || contexts_[context].owner != &share)
        return answer(refusal(Status::denied, "context " + std::to_string(context) + " is not this attachment's"));
    ContextSlot& c = contexts_[context];
    if (c.closed.size() >= kMaxAnswers) return answer(refusal(Status::busy, "the context is being closed"));
    share.remove_windows(kContextWindows | context);
    c.closing = true;
    c.closed.push_back(answer);
    for (std::uint32_t q = 0; q < queues_.size(); ++q)
        if (queues_[q].state != QueueSlot::State::free && queues_[q].context == context) begin_drop(q);
    context_free(context);
}

// Free when the device has let go of its last queue pair: then its memory is scrubbed and free, too.
void Sharing::context_free(std::uint32_t context) {
    ContextSlot& c = contexts_[context];
    if (!c.closing || queues_of(context) != 0) return;
    const auto closed = std::move(c.closed);
    c = {};
    if (context < 32) {
        lost_ &= ~(1U << context);
        changed_ |= 1U << context;
    }
    for (const Answer& answer : closed) answer({});
}

// --- queue pairs

void Sharing::make_queue(Share& share, const QueueWish& wish, const Answer& answer) {
    if (Reply r = usable(share); r.status != Status::ok) return answer(std::move(r));
    const bool own = wish.context < contexts_.size() && contexts_[wish.context].used &&
                     contexts_[wish.context].owner == &share && !contexts_[wish.context].closing;
    if (!own)
        return answer(refusal(Status::denied, "context " + std::to_string(wish.context) + " is not this attachment's"));
    const std::uint32_t most = std::min(registers_.max_sq_entries.get(), registers_.max_cq_entries.get());
    if (!std::has_single_bit(wish.entries) || wish.entries < FL_ACCEL_MIN_ENTRIES || wish.entries > most)
        return answer(refusal(Status::invalid, "'entries' is a power of two from " +
                                                   std::to_string(FL_ACCEL_MIN_ENTRIES) + " to " +
                                                   std::to_string(most)));
    const auto in_use = [](const QueueSlot& q) { return q.state != QueueSlot::State::free; };
    Reply room = room_in(share, queues_, in_use, "queue pairs");
    if (room.status != Status::ok) return answer(std::move(room));
    const auto slot = std::ranges::find(queues_, QueueSlot::State::free, &QueueSlot::state);
    const auto number = static_cast<std::uint32_t>(slot - queues_.begin());
    *slot = {};
    slot->state = QueueSlot::State::making;
    slot->owner = &share;
    slot->context = wish.context;
    slot->entries = wish.entries;
    slot->vector = wish.vector;
    slot->answers.push_back(answer);
    program(number, wish);
    bars_.read(FL_ACCEL_BAR_REGISTERS, at(number, 0), sizeof(Registers),
               [this, number](Status status, std::span<const std::byte> raw) { made(number, status, raw); });
}

void Sharing::program(std::uint32_t queue, const QueueWish& wish) {
    const auto put = [&](std::size_t field, std::uint32_t value) {
        bars_.write32(FL_ACCEL_BAR_REGISTERS, at(queue, field), value);
    };
    bars_.write64(FL_ACCEL_BAR_REGISTERS, at(queue, offsetof(Registers, cq_iova)), wish.cq_iova);
    put(offsetof(Registers, sq_entries), wish.entries);
    put(offsetof(Registers, cq_entries), wish.entries);
    put(offsetof(Registers, context), wish.context);
    put(offsetof(Registers, pasid), queues_[queue].owner->number());
    put(offsetof(Registers, vector), wish.vector != FL_ACCEL_NO_VECTOR ? hardware_vector(queue) : FL_ACCEL_NO_VECTOR);
    put(offsetof(Registers, control), FL_ACCEL_QUEUE_ENABLE);
}

void Sharing::made(std::uint32_t queue, Status status, std::span<const std::byte> raw) {
    QueueSlot& q = queues_[queue];
    if (q.state != QueueSlot::State::making) return;  // forgotten meanwhile
    Registers r;
    std::memcpy(static_cast<void*>(&r), raw.data(), sizeof r);
    const auto refuse = [&q](Status s, const std::string& why) {
        for (const Answer& answer : std::exchange(q.answers, {})) answer(refusal(s, why));
    };
    if (status == Status::ok && r.state.get() == FL_ACCEL_QUEUE_DISABLED) {
        refuse(Status::protocol, std::string("the accelerator refuses the queue pair: ") + reason_text(r.reason.get()));
        return queue_free(queue);
    }
    const std::uint64_t bytes = std::uint64_t{q.entries} * FL_ACCEL_COMMAND_BYTES;
    const std::uint64_t seen = registers_.aperture_address.get(), place = r.sq_address.get();
    const bool inside = place >= seen && bytes <= registers_.aperture_bytes.get() &&
                        place - seen <= registers_.aperture_bytes.get() - bytes && place % FL_ACCEL_PAGE_BYTES == 0 &&
                        place + bytes <= registers_.memory_address.get();
    if (status != Status::ok || !inside || q.unwanted) {
        refuse(status != Status::ok ? status : Status::protocol, "the queue pair could not be made");
        q.state = QueueSlot::State::on;
        return begin_drop(queue);
    }
    q.state = QueueSlot::State::on;
    if (queues_on(q.context) == 1) open_memory(q.context);
    const std::uint64_t owner = kQueueWindows | queue;
    const std::uint64_t doorbell = FL_ACCEL_DOORBELL_OFFSET + std::uint64_t{queue} * FL_ACCEL_DOORBELL_STRIDE;
    // Not to read: an earlier owner of the place left commands there.
    q.owner->add_window({FL_ACCEL_BAR_APERTURE, place - seen, bytes, false, true, owner});
    q.owner->add_window({FL_ACCEL_BAR_REGISTERS, doorbell, FL_ACCEL_DOORBELL_STRIDE, true, true, owner});
    q.owner->add_window({FL_ACCEL_BAR_REGISTERS, at(queue, 0), sizeof(Registers), true, false, owner});
    for (const Answer& answer : std::exchange(q.answers, {}))
        answer({Status::ok, "", {{"queue", queue}, {"sq_address", place}}, {}});
}

void Sharing::drop_queue(Share& share, std::uint32_t queue, const Answer& answer) {
    const bool own =
        queue < queues_.size() && queues_[queue].state != QueueSlot::State::free && queues_[queue].owner == &share;
    if (!own)
        return answer(refusal(Status::denied, "queue pair " + std::to_string(queue) + " is not this attachment's"));
    if (queues_[queue].state == QueueSlot::State::making)
        return answer(refusal(Status::busy, "the queue pair is being made"));
    if (queues_[queue].answers.size() >= kMaxAnswers)
        return answer(refusal(Status::busy, "the queue pair is being dropped"));
    queues_[queue].answers.push_back(answer);
    begin_drop(queue);
}

void Sharing::begin_drop(std::uint32_t queue) {
    QueueSlot& q = queues_[queue];
    q.unwanted = true;
    if (q.state != QueueSlot::State::on) return;  // made() or dropped() goes on with it
    if (q.owner != nullptr) {
        q.owner->remove_windows(kQueueWindows | queue);
        if (queues_on(q.context) == 0) q.owner->remove_windows(kContextWindows | q.context);
    }
    q.state = QueueSlot::State::dropping;
    q.deadline = lane_.now() + kDropTime;
    bars_.write32(FL_ACCEL_BAR_REGISTERS, at(queue, offsetof(Registers, control)), 0);
    ask_dropped(queue);
}

void Sharing::ask_dropped(std::uint32_t queue) {
    queues_[queue].look_at = lane::kNever;
    bars_.read(FL_ACCEL_BAR_REGISTERS, at(queue, 0), sizeof(Registers),
               [this, queue](Status status, std::span<const std::byte> raw) { dropped(queue, status, raw); });
}

// A pair that the device does not let go of is nobody's, and is asked after for ever: nobody else gets it before.
void Sharing::dropped(std::uint32_t queue, Status status, std::span<const std::byte> raw) {
    QueueSlot& q = queues_[queue];
    if (q.state != QueueSlot::State::dropping) return;
    Registers r;
    std::memcpy(static_cast<void*>(&r), raw.data(), sizeof r);
    if (status == Status::ok && r.state.get() == FL_ACCEL_QUEUE_DISABLED) return queue_free(queue);
    if (status == Status::device_lost) return;
    q.look_at = lane_.now() + kBetweenAsks;
    if (lane_.now() < q.deadline) return;
    for (const Answer& answer : std::exchange(q.answers, {}))
        answer(refusal(Status::timeout, "the accelerator does not let go of queue pair " + std::to_string(queue)));
    for (const Answer& answer : std::exchange(contexts_[q.context].closed, {}))
        answer(refusal(Status::timeout, "the accelerator does not let go of context " + std::to_string(q.context)));
}

void Sharing::queue_free(std::uint32_t queue) {
    QueueSlot& q = queues_[queue];
    const auto answers = std::move(q.answers);
    const std::uint32_t context = q.context;
    q = {};
    for (const Answer& answer : answers) answer({});
    context_free(context);
}

}  // namespace farlane::daemon
