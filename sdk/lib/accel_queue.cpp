// SPDX-License-Identifier: Apache-2.0
// Receives: commands of a stream. Hands on: slots and doorbells; what completions say.
// Owns: one enabled queue pair. docs/accelerator.md, "Queue pairs".
#include "lib/accel_queue.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

#include "lib/accel_state.hpp"

namespace farlane::accel::detail {
namespace {

/// One entry, which the data plane may be writing at this moment: the device writes the phase
/// last, and the acquire fence keeps the rest behind it. The race is the point, so the thread
/// sanitizer is told to look away.
__attribute__((no_sanitize("thread"))) bool load_completion(const std::byte* from, std::uint16_t phase,
                                                            fl_accel_completion& to) noexcept {
    const auto* p = reinterpret_cast<const volatile std::uint16_t*>(from + offsetof(fl_accel_completion, phase));
    if (wire::swap_if_big_endian(static_cast<std::uint16_t>(*p)) != phase) return false;
    std::atomic_thread_fence(std::memory_order_acquire);
    const auto* words = reinterpret_cast<const volatile std::uint64_t*>(from);
    std::array<std::uint64_t, sizeof to / 8> copy;
    for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = words[i];
    std::memcpy(static_cast<void*>(&to), copy.data(), sizeof to);
    return true;
}

/// Reasons whose detail is an offset in the argument block.
bool names_argument(unsigned reason) noexcept {
    return reason == FL_ACCEL_REASON_ARGUMENT_BYTES || reason == FL_ACCEL_REASON_ARGUMENT_VALUE ||
           reason == FL_ACCEL_REASON_MISALIGNED || reason == FL_ACCEL_REASON_BAD_ADDRESS ||
           reason == FL_ACCEL_REASON_NOT_ALLOCATED || reason == FL_ACCEL_REASON_OPERAND_OVERLAP;
}

std::string hex(std::uint64_t v) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    do {
        text.insert(text.begin(), kDigits[v & 15]);
        v >>= 4;
    } while (v != 0);
    return "0x" + text;
}

/// A signal, an exit status, or an error of the runtime that the worker could still tell of.
std::string crash_text(std::uint32_t detail) {
    constexpr std::uint32_t kIllegalAddress = 700;  // CUDA's
    if (detail == 0) return "";
    std::string text;
    if (const char* signal = ::sigabbrev_np(static_cast<int>(detail)); signal != nullptr)
        text = std::string(" (SIG") + signal + ")";
    else if (detail >= FL_ACCEL_CRASHED_EXIT && detail < 2 * FL_ACCEL_CRASHED_EXIT)
        text = " (exit status " + std::to_string(detail - FL_ACCEL_CRASHED_EXIT) + ")";
    else
        text = " (error " + std::to_string(detail) + " of the runtime)";
    if (detail == SIGSEGV || detail == SIGBUS || detail == kIllegalAddress)
        text += "; an address outside of its buffers is the usual cause";
    return text;
}

}  // namespace

const char* opcode_name(unsigned opcode) noexcept {
    static constexpr const char* kNames[] = {"?",      "NOP",          "FENCE",       "ALLOC",         "FREE",
                                             "COPY",   "FILL",         "MODULE_LOAD", "MODULE_UNLOAD", "KERNEL_BIND",
                                             "LAUNCH", "EVENT_RECORD", "EVENT_WAIT",  "TIMESTAMP",     "QUERY"};
    return opcode < std::size(kNames) ? kNames[opcode] : kNames[0];
}

const char* reason_text(unsigned reason) noexcept {
    switch (reason) {
#define FARLANE_ACCEL_TEXT(NAME, name, code, status, text) \
    case code: return text;
        FL_ACCEL_REASON_TABLE(FARLANE_ACCEL_TEXT)
#undef FARLANE_ACCEL_TEXT
        default: return "unknown reason";
    }
}

// --- what commands are about

void ArgumentSizes::add(std::uint32_t kind, std::size_t bytes) noexcept {
    full = full || count == all.size();
    if (full) return;
    all[count].kind = kind & 3;
    all[count++].bytes = bytes & 0x3fff;  // a block has 4032
}

std::optional<std::size_t> ArgumentSizes::at(std::uint64_t offset) const noexcept {
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < count; ++i) {
        end += sizeof(fl_accel_argument) + (std::uint64_t{all[i].bytes} + 7) / 8 * 8;
        if (offset < end) return i;
    }
    return std::nullopt;
}

std::string ArgumentSizes::given(std::size_t index) const {
    return argument_as_text(all[index].kind, all[index].bytes);
}

std::string argument_as_text(std::uint32_t kind, std::uint64_t bytes) {
    switch (kind) {
        case FL_ACCEL_ARGUMENT_VALUE:
            return "a value" + (bytes == 0 ? std::string() : " of " + std::to_string(bytes) + " bytes");
        case FL_ACCEL_ARGUMENT_ADDRESS: return "a buffer";
        case FL_ACCEL_ARGUMENT_SHARED: return "SharedBytes (memory that a block shares)";
        default: return "something else";
    }
}

/// The first report counts, unless it only says that something before was the reason.
void Fate::note(const CommandFailure& failure) {
    const bool ends = failure.reason == FL_ACCEL_REASON_TIME_LIMIT || failure.reason == FL_ACCEL_REASON_CRASHED ||
                      failure.reason == FL_ACCEL_REASON_BUILD_LIMIT;
    const bool lesser = failure.reason == FL_ACCEL_REASON_CONTEXT_LOST && !lost;
    if (!lesser && !(ends && (!lost || lost->reason == FL_ACCEL_REASON_CONTEXT_LOST))) return;
    lost = failure;
    lost->object.reset();  // it may hold the context, which holds this
}

// --- life

Queue::Queue(std::shared_ptr<SharedDevice> device, std::uint32_t context, std::uint32_t slots,
             const std::function<void()>& while_waiting)
    : device_(std::move(device)), entries_(slots) {
    auto& domain = device_->provider().domain();
    const std::size_t bytes = std::size_t{entries_} * FL_ACCEL_COMPLETION_BYTES;
    cq_ = domain.allocate(bytes);
    cq_mapping_ = domain.map(cq_, 0, bytes, DmaDirection::from_device);
    pending_.resize(entries_);
    const SharedDevice::Pair pair = device_->enable_queue(context, entries_, cq_mapping_.iova(), while_waiting);
    number_ = pair.number;
    sq_offset_ = pair.sq_offset;
    open_ = true;
}

Queue::~Queue() {
    close();
}

void Queue::close() noexcept {
    if (!open_) return;
    device_->disable_queue(number_);
    try {
        cq_mapping_.unmap();
    } catch (const Error&) {
        // Lost or reset: the device has let go of it already.
    }
    open_ = false;
    first_failure_.reset();  // may hold what holds this queue
    completed_ = submitted_;
    for (const Sink& sink : std::exchange(sinks_, {})) {  // a FREE that did not run went with the context
        if (sink.free_bytes != 0) device_->give_back_memory(sink.free_address, sink.free_bytes);
    }
}

// --- submission

void Queue::check_payload(std::size_t bytes) const {
    const std::uint32_t most = std::min({device_->registers().max_inline_bytes.get(), FL_ACCEL_MAX_INLINE_BYTES,
                                         (entries_ - 1) * FL_ACCEL_COMMAND_BYTES});
    if (bytes <= most) return;
    throw Error(Status::limit, std::to_string(bytes) +
                                   " bytes of arguments, name or options: a command takes at most " +
                                   std::to_string(most));
}

bool Queue::has_room(std::uint32_t slots) const noexcept {
    return sq_tail_ - sq_head_ + slots <= entries_ && submitted_ - completed_ < entries_;
}

/// Precondition: check_payload() and has_room().
Ticket Queue::submit(fl_accel_command& command, std::span<const std::byte> payload, const char* what,
                     std::uint64_t object, Sink sink) {
    const Ticket ticket = submitted_ + 1;
    const auto slots =
        static_cast<std::uint32_t>(1 + (payload.size() + FL_ACCEL_COMMAND_BYTES - 1) / FL_ACCEL_COMMAND_BYTES);
    command.head.slots = static_cast<__u8>(slots);
    command.head.command_id.set(command_id(ticket));
    std::array<std::byte, FL_ACCEL_MAX_SLOTS * FL_ACCEL_COMMAND_BYTES> slot_bytes;  // set as far as it is used
    std::memcpy(slot_bytes.data(), &command, sizeof command);
    if (!payload.empty()) {
        std::memcpy(slot_bytes.data() + FL_ACCEL_COMMAND_BYTES, payload.data(), payload.size());
        const std::size_t used = FL_ACCEL_COMMAND_BYTES + payload.size();
        std::memset(slot_bytes.data() + used, 0, std::size_t{slots} * FL_ACCEL_COMMAND_BYTES - used);
    }
    // Slots of one command are written at once where the ring does not end between them.
    const std::uint32_t first = sq_tail_ & (entries_ - 1);
    const std::uint32_t before_end = std::min(slots, entries_ - first);
    const auto all = std::span<const std::byte>(slot_bytes).first(std::size_t{slots} * FL_ACCEL_COMMAND_BYTES);
    const std::size_t cut = std::size_t{before_end} * FL_ACCEL_COMMAND_BYTES;
    device_->push(sq_offset_ + std::uint64_t{first} * FL_ACCEL_COMMAND_BYTES, all.first(cut), true);
    if (cut < all.size()) device_->push(sq_offset_, all.subspan(cut), true);

    const bool has_sink = sink.any();
    if (has_sink) sinks_.push_back(std::move(sink));
    pending_[ticket % entries_] = Pending{what, object, command.head.opcode, has_sink};
    submitted_ = ticket;
    dirty = true;
    sq_tail_ += slots;
    cq_head_told_ = cq_head_;
    // Strict, so it comes behind the slots and whatever was pushed before.
    device_->write64(doorbell(0), std::uint64_t{cq_head_} << 32 | sq_tail_);
    return ticket;
}

void Queue::arm() {
    device_->write32(doorbell(offsetof(fl_accel_doorbell, cq_arm)), cq_head_);
}

// --- completions

bool Queue::reap() {
    bool any = false;
    fl_accel_completion c;
    while (true) {
        const std::size_t slot = cq_head_ & (entries_ - 1);
        const std::uint16_t phase = (cq_head_ / entries_) % 2 == 0 ? FL_ACCEL_PHASE : 0;
        if (!load_completion(cq_.data() + slot * sizeof c, phase, c)) break;
        ++cq_head_;
        any = true;
        take(c);
    }
    // The device stops when it believes the queue full: tell it in time. New commands tell it too.
    if (cq_head_ - cq_head_told_ >= entries_ / 2) {
        cq_head_told_ = cq_head_;
        device_->write32(doorbell(offsetof(fl_accel_doorbell, cq_head)), cq_head_);
    }
    return any;
}

/// Hostile: a device that answers what was not asked stops the stream, nothing else.
void Queue::take(const fl_accel_completion& c) {
    if (c.command_id.get() == FL_ACCEL_NO_COMMAND && c.opcode.get() == 0) return stopped(c);
    const bool expected = completed_ < submitted_ && c.command_id.get() == command_id(completed_ + 1);
    const bool head_ok = sq_tail_ - c.sq_head.get() <= sq_tail_ - sq_head_;
    if (!expected || !head_ok) {
        stopped_ = CommandFailure{.status = Status::protocol,
                                  .text = "the accelerator completed a command that was not submitted"};
        return;
    }
    const Pending p = pending_[(completed_ + 1) % entries_];
    Sink sink;
    if (p.has_sink) {
        sink = std::move(sinks_.front());
        sinks_.pop_front();
    }
    sq_head_ = c.sq_head.get();
    ++completed_;
    CommandEnd end{*this, completed_, c.value.get()};
    std::optional<CommandFailure> failure;
    if (c.status.get() != FL_STATUS_SC) {
        failure = failure_of(c, p, sink);
        end.failure = &*failure;
        note_failure(*failure, p, sink);
    } else if (sink.event != nullptr) {
        sink.event->result = c.value.get();
    }
    if (sink.object != nullptr) sink.object->completed(end);
    if (sink.free_bytes != 0) device_->give_back_memory(sink.free_address, sink.free_bytes);
}

CommandFailure Queue::failure_of(const fl_accel_completion& c, const Pending& p, const Sink& sink) const {
    const std::uint16_t reason = c.reason.get();
    const std::uint32_t detail = c.detail.get();
    std::string text = opcode_name(p.opcode);
    if (sink.alloc_bytes != 0) text += " of " + std::to_string(sink.alloc_bytes) + " bytes";
    if (sink.object != nullptr) text += " of " + sink.object->describe();
    if (*p.what != '\0') text += std::string(" ") + p.what;
    if (p.object != 0) text += (p.object > 0xffffffffU ? " at " : " ") + hex(p.object);
    text += " (command " + std::to_string(completed_) + " of queue pair " + std::to_string(number_) + ") failed: ";
    CommandFailure f{status_from_code(c.status.get()), {}, reason, completed_, sink.object, detail, {}};
    if (names_argument(reason)) f.argument = sink.arguments.at(detail);
    if (reason == FL_ACCEL_REASON_POISONED) {
        text +=
            std::string(reason_text(reason)) + " (command " + std::to_string(detail) + " of this stream or another)";
        const CommandFailure* cause = f.object != nullptr ? f.object->cause() : nullptr;
        if (cause != nullptr) {
            text += ": " + cause->text;
            f.status = cause->status;
        }
    } else if (f.argument) {
        text += reason == FL_ACCEL_REASON_ARGUMENT_BYTES ? "argument has the wrong size" : reason_text(reason);
        text += " (argument " + std::to_string(*f.argument) + "): given was " + sink.arguments.given(*f.argument);
    } else {
        text += explain(p, sink, reason, detail);
    }
    f.text = std::move(text);
    return f;
}

/// Why a command failed of itself, as users know it.
std::string Queue::explain(const Pending& p, const Sink& sink, std::uint16_t reason, std::uint32_t detail) const {
    const std::string text = reason_text(reason);
    const auto code = [&] {
        return detail == 0 ? "" : " (code " + std::to_string(static_cast<std::int32_t>(detail)) + ")";
    };
    switch (reason) {
        case FL_ACCEL_REASON_BUILD: return "it does not compile" + code();
        case FL_ACCEL_REASON_EXECUTION: return text + code();
        case FL_ACCEL_REASON_ARGUMENT_COUNT:
            return "it takes " + std::to_string(detail) + " arguments" +
                   (sink.arguments.full ? "" : ", given are " + std::to_string(sink.arguments.count));
        case FL_ACCEL_REASON_TIME_LIMIT:
            return text + " (" + std::to_string(device_->registers().time_limit_ms.get()) +
                   " ms: time_limit_ms of the accelerator's configuration); open a new one";
        case FL_ACCEL_REASON_BUILD_LIMIT:
            return text + " (build_limit_ms of the accelerator's configuration); open a new one";
        case FL_ACCEL_REASON_CRASHED: return text + crash_text(detail) + "; open a new context";
        case FL_ACCEL_REASON_OUT_OF_MEMORY:
            if (p.opcode == FL_ACCEL_OP_LAUNCH)
                return "the accelerator has not enough memory for it; shared memory of a block counts, too";
            return text + "; free buffers, or let other contexts end";
        default: break;
    }
    const char* operand = names_argument(reason) ? builtin_operand(p.what, detail) : nullptr;
    if (operand != nullptr) return text + " (" + operand + ")";
    return detail == 0 ? text : text + " (detail " + std::to_string(detail) + ")";
}

void Queue::note_failure(const CommandFailure& failure, const Pending& p, const Sink& sink) {
    if (fate != nullptr) fate->note(failure);
    // What a FREE or UNLOAD that failed would have ended was never there: that has been reported already.
    // Who asks for a property looks at the outcome, and a BIND without its module is told as that module's LOAD.
    if (p.opcode == FL_ACCEL_OP_FREE || p.opcode == FL_ACCEL_OP_MODULE_UNLOAD || p.opcode == FL_ACCEL_OP_QUERY) return;
    if (p.opcode == FL_ACCEL_OP_KERNEL_BIND && sink.object != nullptr && sink.object->cause() != nullptr) return;
    if (failures_into != nullptr) return failures_into->push_back(failure);
    if (failures_++ == 0) first_failure_ = failure;
}

void Queue::forgive(Ticket t) noexcept {
    if (failures_ != 1 || first_failure_->ticket != t) return;
    failures_ = 0;
    first_failure_.reset();
}

void Queue::stopped(const fl_accel_completion& c) {
    stopped_ = CommandFailure{
        .status = status_from_code(c.status.get()),
        .text = "the accelerator stopped queue pair " + std::to_string(number_) + ": " + reason_text(c.reason.get())};
}

std::optional<CommandFailure> Queue::take_failure() {
    if (failures_ == 0) return std::nullopt;
    auto first = std::move(first_failure_);
    if (failures_ > 1) first->text += "; " + std::to_string(failures_ - 1) + " more failed after it";
    failures_ = 0;
    first_failure_.reset();
    return first;
}

void Queue::check_stopped() const {
    if (stopped_) throw Error(stopped_->status, stopped_->text);
}

void Queue::check_enabled() {
    fl_accel_queue_registers r;
    try {
        r = device_->read_queue(number_);
    } catch (const Error& e) {
        // A request without an answer, or one a restart has ended. If there is more to it, these throw.
        device_->check_alive();
        device_->provider().check();
        if (e.status() != Status::unsupported_request) return;
        // Memory decoding is off: nobody does that to a device in use.
        throw Error(Status::device_reset, kResetText);
    }
    if (r.state.get() == FL_ACCEL_QUEUE_ENABLED || r.state.get() == 0xffffffffU) return;  // all-ones: no answer
    const bool refused = r.state.get() == FL_ACCEL_QUEUE_DISABLED && r.reason.get() != FL_ACCEL_REASON_NONE;
    if (refused || r.state.get() == FL_ACCEL_QUEUE_ERROR) {
        throw Error(Status::protocol, std::string("the accelerator ") + (refused ? "refuses" : "stopped") +
                                          " queue pair " + std::to_string(number_) + ": " +
                                          reason_text(r.reason.get()));
    }
    throw Error(Status::device_reset, kResetText);
}

}  // namespace farlane::accel::detail
