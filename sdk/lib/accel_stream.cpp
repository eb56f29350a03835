// SPDX-License-Identifier: Apache-2.0
// Receives: calls on streams: order, memory. Hands on: commands of the stream's queue.
// Owns: the lease of a queue.
#include <farlane/accel_stream.hpp>

#include <cstring>
#include <string>
#include <utility>

#include "lib/accel_copy.hpp"
#include "lib/accel_modules.hpp"

namespace farlane::accel {

using detail::copy_command;

namespace {

fl_accel_command command_of(fl_accel_opcode opcode) {
    fl_accel_command c{};
    c.head.opcode = static_cast<__u8>(opcode);
    return c;
}

void check_owner(const detail::ContextState& context, const detail::EventState& event, const char* command) {
    if (event.context.get() == &context) return;
    throw Error(Status::invalid, std::string(command) + ": event " + std::to_string(event.handle) + " belongs to " +
                                     context.name_of(*event.context) + ", the stream to context " +
                                     std::to_string(context.number()) + "; create it with this context");
}

}  // namespace

// --- life

Stream::Stream() noexcept = default;

Stream::Stream(std::shared_ptr<detail::ContextState> context, detail::Queue& queue) noexcept
    : context_(std::move(context)), queue_(&queue) {}

Stream::Stream(Stream&& other) noexcept
    : context_(std::move(other.context_)), queue_(std::exchange(other.queue_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(queue_, other.queue_);
    if (other.queue_ != nullptr) Stream(std::move(other));  // ends what was here
    return *this;
}

Stream::~Stream() {
    if (queue_ == nullptr) return;
    try {
        context_->synchronize(*queue_);
    } catch (...) {
        // Nobody waited for it.
    }
    const auto held = context_->hold();
    queue_->leased = false;
}

detail::ContextState& Stream::context() const {
    if (context_ == nullptr)
        throw Error(Status::invalid, "an empty stream; use Context::stream or Context::create_stream");
    const auto held = context_->hold();
    context_->check_open();
    return *context_;
}

detail::Queue& Stream::queue() const {
    (void)context();
    return *queue_;
}

// --- on the device

void Stream::fill_bytes(detail::BufferState* to, std::uint64_t offset, std::size_t bytes,
                        std::span<const std::byte> pattern) {
    auto& q = queue();
    const auto held = context_->hold();
    context_->admit(q, to, offset, bytes, "fill", "the buffer");
    if (bytes == 0) return;
    auto c = command_of(FL_ACCEL_OP_FILL);
    c.u.fill.destination.set(to->address + offset);
    c.u.fill.bytes.set(bytes);
    std::memcpy(c.u.fill.pattern, pattern.data(), pattern.size());
    c.u.fill.pattern_bytes.set(static_cast<std::uint32_t>(pattern.size()));
    to->uses.note(q, context_->submit(q, c, {}, "of a buffer", to->address + offset));
}

void Stream::copy_bytes(detail::BufferState* to, std::uint64_t to_offset, std::size_t to_bytes,
                        detail::BufferState* from, std::uint64_t from_offset, std::size_t from_bytes) {
    auto& q = queue();
    const auto held = context_->hold();
    if (to_bytes != from_bytes) {
        throw Error(Status::invalid, "copy: the source has " + std::to_string(from_bytes) + " bytes, the destination " +
                                         std::to_string(to_bytes) + ": must be the same");
    }
    context_->admit(q, to, to_offset, to_bytes, "copy", "the destination");
    context_->admit(q, from, from_offset, from_bytes, "copy", "the source");
    if (to_bytes == 0) return;
    auto c =
        copy_command(FL_ACCEL_COPY_DEVICE_TO_DEVICE, to->address + to_offset, from->address + from_offset, to_bytes);
    const auto t = context_->submit(q, c, {}, "of a buffer", to->address + to_offset);
    to->uses.note(q, t);
    from->uses.note(q, t);
}

// --- kernels of modules

void Stream::launch_with(const Kernel& kernel, const LaunchShape& shape, std::span<const Argument> arguments) {
    auto& q = queue();
    const auto held = context_->hold();
    detail::launch(*context_, q, kernel.state(), shape, arguments);
}

// --- order

void Stream::record(Event& event) {
    auto& q = queue();
    const auto held = context_->hold();
    auto* e = event.state();
    if (e == nullptr) throw Error(Status::invalid, "record: an empty event; use Context::create_event");
    check_owner(*context_, *e, "record");
    // An older record elsewhere comes first: values of an event only go up.
    if (e->record.queue != nullptr && e->record.queue != &q) wait(event);
    auto c = command_of(FL_ACCEL_OP_EVENT_RECORD);
    const std::uint64_t value = context_->next_value(e->handle);
    c.u.event.event.set(e->handle);
    c.u.event.value.set(value);
    detail::Sink sink;
    sink.event = event.shared_state();
    e->record = {&q, context_->submit(q, c, {}, "of event", e->handle, std::move(sink))};
    e->value = value;
}

void Stream::wait(Event& event) {
    auto& q = queue();
    const auto held = context_->hold();
    auto* e = event.state();
    if (e == nullptr) throw Error(Status::invalid, "wait: an empty event; use Context::create_event");
    check_owner(*context_, *e, "wait");
    if (e->record.queue == nullptr) {
        throw Error(Status::invalid,
                    "wait: event " + std::to_string(e->handle) + " was never recorded; call Stream::record first");
    }
    context_->reap_all();
    if (e->record.queue == &q) return;
    auto c = command_of(FL_ACCEL_OP_EVENT_WAIT);
    c.u.event.event.set(e->handle);
    c.u.event.value.set(e->value);
    context_->submit(q, c, {}, "for event", e->handle);
}

void Stream::synchronize() {
    if (context_ == nullptr) (void)context();
    context_->synchronize(*queue_);
}

bool Stream::query() {
    auto& q = queue();
    const auto held = context_->hold();
    context_->reap_all();
    return q.idle();
}

void Stream::ping() {
    auto c = command_of(FL_ACCEL_OP_NOP);
    auto& q = queue();
    const auto held = context_->hold();
    context_->wait_for(detail::Use{&q, context_->submit(q, c, {}, "", 0)});
}

void Stream::on_complete(Callback callback) {
    auto& q = queue();
    const auto held = context_->hold();
    context_->on_complete(q, std::move(callback));
}

}  // namespace farlane::accel
