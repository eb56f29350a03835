// SPDX-License-Identifier: Apache-2.0
// Receives: calls on streams: order, memory. Hands on: commands of the stream's queue.
// Owns: the lease of a queue.
#include <farlane/accel_stream.hpp>

#include <cstring>
#include <utility>

#include "lib/accel_state.hpp"

namespace farlane::accel {
namespace {

fl_accel_command command_of(fl_accel_opcode opcode) {
    fl_accel_command c{};
    c.head.opcode = static_cast<__u8>(opcode);
    return c;
}

fl_accel_command copy_command(fl_accel_copy_kind kind, std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
    auto c = command_of(FL_ACCEL_OP_COPY);
    c.u.copy.destination.set(to);
    c.u.copy.source.set(from);
    c.u.copy.bytes.set(bytes);
    c.u.copy.kind.set(kind);
    return c;
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
    } catch (const Error&) {
        // Nobody waited for it.
    }
    queue_->leased = false;
}

detail::ContextState& Stream::context() const {
    if (context_ == nullptr)
        throw Error(Status::invalid, "an empty stream; use Context::stream or Context::create_stream");
    context_->check_open();
    return *context_;
}

detail::Queue& Stream::queue() const {
    (void)context();
    return *queue_;
}

// --- data in

void Stream::upload_bytes(detail::BufferState* to, std::uint64_t offset, std::size_t room,
                          std::span<const std::byte> data) {
    auto& q = queue();
    if (data.size() > room) {
        throw Error(Status::out_of_bounds,
                    "upload of " + std::to_string(data.size()) + " bytes into a view of " + std::to_string(room));
    }
    context_->admit(q, to, offset, data.size());
    if (data.empty()) return;
    context_->reap_all();
    const auto place = context_->device().aperture(to->address + offset, data.size());
    q.dirty = true;
    if (place && to->uses.done()) {
        context_->device().push(*place, data, true);
        return;
    }
    for (std::size_t at = 0; at < data.size();) {
        auto& chunk = context_->staging(q);
        const std::size_t n = std::min<std::size_t>(detail::ContextState::kChunkBytes, data.size() - at);
        context_->device().push(context_->device().aperture(chunk.address, n).value(), data.subspan(at, n), true);
        auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_DEVICE, to->address + offset + at, chunk.address, n);
        const auto t = context_->submit(q, c, {}, "of an upload", to->address + offset + at);
        chunk.use = {&q, t};
        to->uses.note(q, t);
        at += n;
    }
}

void Stream::upload_host(detail::BufferState* to, std::uint64_t offset, std::size_t room, const RawHostBuffer& data,
                         std::size_t bytes) {
    auto& q = queue();
    if (bytes > room) {
        throw Error(Status::out_of_bounds,
                    "upload of " + std::to_string(bytes) + " bytes into a view of " + std::to_string(room));
    }
    context_->admit(q, to, offset, bytes);
    if (bytes == 0) return;
    context_->reap_all();
    const auto place = context_->device().aperture(to->address + offset, bytes);
    q.dirty = true;
    if (!place || !to->uses.done()) {  // the detour copies anyway
        upload_bytes(to, offset, room, data.bytes().first(bytes));
        return;
    }
    context_->device().push_from(*place, data.dma(), 0, bytes);
}

// --- data out

void Stream::download_host(detail::BufferState* from, std::uint64_t offset, std::size_t bytes,
                           const RawHostBuffer& into) {
    auto& q = queue();
    if (bytes > into.bytes().size()) {
        throw Error(Status::out_of_bounds, "download of " + std::to_string(bytes) + " bytes into a host buffer of " +
                                               std::to_string(into.bytes().size()));
    }
    context_->admit(q, from, offset, bytes);
    if (bytes == 0) return;
    auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_HOST, into.iova(), from->address + offset, bytes);
    from->uses.note(q, context_->submit(q, c, {}, "of a download", from->address + offset));
}

/// Through two halves of a host buffer: one is on its way while the other is copied out.
void Stream::download_bytes(detail::BufferState* from, std::uint64_t offset, std::size_t bytes,
                            std::span<std::byte> into) {
    auto& q = queue();
    if (into.size() != bytes) {
        throw Error(Status::out_of_bounds, "download of " + std::to_string(bytes) + " bytes into memory of " +
                                               std::to_string(into.size()) + ": must be the same");
    }
    context_->admit(q, from, offset, bytes);
    auto& bounce = context_->bounce();
    constexpr std::uint64_t kHalf = detail::ContextState::kChunkBytes;
    detail::Ticket tickets[2] = {};
    const std::size_t parts = (bytes + kHalf - 1) / kHalf;
    const auto part_bytes = [&](std::size_t part) { return std::min<std::size_t>(kHalf, bytes - part * kHalf); };
    for (std::size_t part = 0; part < parts + 1; ++part) {
        if (part < parts) {
            auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_HOST, bounce.iova() + part % 2 * kHalf,
                                  from->address + offset + part * kHalf, part_bytes(part));
            tickets[part % 2] = context_->submit(q, c, {}, "of a download", from->address + offset + part * kHalf);
            from->uses.note(q, tickets[part % 2]);
        }
        if (part == 0) continue;
        const std::size_t done = part - 1;
        context_->wait_for(detail::Use{&q, tickets[done % 2]});
        context_->provider().check();
        if (q.has_failed()) {
            context_->wait_for(q);  // the other half may still be written
            context_->throw_failure(q);
        }
        std::memcpy(into.data() + done * kHalf, bounce.bytes().data() + done % 2 * kHalf, part_bytes(done));
    }
}

// --- on the device

void Stream::fill_bytes(detail::BufferState* to, std::uint64_t offset, std::size_t bytes,
                        std::span<const std::byte> pattern) {
    auto& q = queue();
    context_->admit(q, to, offset, bytes);
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
    if (to_bytes != from_bytes) {
        throw Error(Status::invalid, "copy from a view of " + std::to_string(from_bytes) + " bytes to one of " +
                                         std::to_string(to_bytes) + ": must be the same");
    }
    context_->admit(q, to, to_offset, to_bytes);
    context_->admit(q, from, from_offset, from_bytes);
    if (to_bytes == 0) return;
    auto c =
        copy_command(FL_ACCEL_COPY_DEVICE_TO_DEVICE, to->address + to_offset, from->address + from_offset, to_bytes);
    const auto t = context_->submit(q, c, {}, "of a buffer", to->address + to_offset);
    to->uses.note(q, t);
    from->uses.note(q, t);
}

// --- order

void Stream::record(Event& event) {
    auto& q = queue();
    auto* e = event.state();
    if (e == nullptr) throw Error(Status::invalid, "an empty event; use Context::create_event");
    if (e->context != context_) throw Error(Status::invalid, "the event belongs to another context");
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
    auto* e = event.state();
    if (e == nullptr || e->record.queue == nullptr) {
        throw Error(Status::invalid, "the event was never recorded; call Stream::record first");
    }
    if (e->context != context_) throw Error(Status::invalid, "the event belongs to another context");
    context_->reap_all();
    if (e->record.queue == &q) return;
    auto c = command_of(FL_ACCEL_OP_EVENT_WAIT);
    c.u.event.event.set(e->handle);
    c.u.event.value.set(e->value);
    context_->submit(q, c, {}, "for event", e->handle);
}

void Stream::synchronize() {
    context().synchronize(queue());
}

bool Stream::query() {
    context().reap_all();
    return queue().idle();
}

void Stream::ping() {
    auto c = command_of(FL_ACCEL_OP_NOP);
    auto& q = queue();
    context_->wait_for(detail::Use{&q, context_->submit(q, c, {}, "", 0)});
}

}  // namespace farlane::accel
