// SPDX-License-Identifier: Apache-2.0
// Receives: calls on contexts, buffers and events. Hands on: the same to the state behind them.
// Owns: nothing but shared state (accel_state.hpp).
#include <string>

#include <farlane/accel.hpp>

#include "lib/accel_state.hpp"

namespace farlane::accel {
namespace {

std::shared_ptr<detail::ContextState> opened(Device& device, const ContextOptions& options) {
    auto state = std::make_shared<detail::ContextState>(device, options);
    state->open();
    return state;
}

}  // namespace

// --- Context

Context::Context(Device& device, const ContextOptions& options)
    : state_(opened(device, options)), stream_(state_, state_->lease()) {}

detail::ContextState& Context::state() const {
    if (state_ == nullptr) throw Error(Status::invalid, "an empty context: it was moved from");
    return *state_;
}

Context::Context(Context&&) noexcept = default;

Context& Context::operator=(Context&& other) noexcept {
    if (this == &other) return *this;
    stream_ = std::move(other.stream_);
    if (state_ != nullptr) state_->close();
    state_ = std::move(other.state_);
    return *this;
}

Context::~Context() {
    stream_ = Stream();
    if (state_ != nullptr) state_->close();
}

Stream Context::create_stream() {
    const auto held = state().hold();
    return {state_, state_->lease()};
}

Event Context::create_event() {
    return Event(state().create_event());
}

RawBuffer Context::allocate_bytes(std::size_t bytes) {
    const auto held = state().hold();
    return RawBuffer(state_->allocate(bytes));
}

RawHostBuffer Context::allocate_host_bytes(std::size_t bytes) {
    const auto held = state().hold();
    state_->check_open();
    if (bytes == 0) throw Error(Status::invalid, "allocate_host: host memory of 0 bytes; it has at least one");
    auto& domain = state_->provider().domain();
    auto memory = domain.allocate(bytes);
    auto mapping = domain.map(memory, DmaDirection::bidirectional);
    return {std::move(memory), std::move(mapping)};
}

void Context::synchronize() {
    state().synchronize_all();
}

// --- RawBuffer

RawBuffer::RawBuffer() noexcept = default;
RawBuffer::RawBuffer(std::shared_ptr<detail::BufferState> state) noexcept : state_(std::move(state)) {}
RawBuffer::RawBuffer(RawBuffer&&) noexcept = default;
RawBuffer& RawBuffer::operator=(RawBuffer&&) noexcept = default;
RawBuffer::~RawBuffer() = default;
std::size_t RawBuffer::size_bytes() const noexcept {
    return state_ == nullptr ? 0 : state_->bytes;
}
std::uint64_t RawBuffer::address() const noexcept {
    return state_ == nullptr ? 0 : state_->address;
}

// --- Event

Event::Event() noexcept = default;
Event::Event(std::shared_ptr<detail::EventState> state) noexcept : state_(std::move(state)) {}
Event::Event(Event&&) noexcept = default;
Event& Event::operator=(Event&&) noexcept = default;
Event::~Event() = default;

bool Event::query() {
    if (state_ == nullptr || state_->record.queue == nullptr) return false;
    const auto held = state_->context->hold();
    state_->context->check_open();
    state_->context->reap_all();
    return state_->record.queue->done(state_->record.ticket);
}

void Event::synchronize() {
    if (state_ == nullptr) throw Error(Status::invalid, "synchronize: an empty event; use Context::create_event");
    if (state_->record.queue == nullptr) {
        throw Error(Status::invalid, "synchronize: event " + std::to_string(state_->handle) +
                                         " was never recorded; call Stream::record first");
    }
    const auto held = state_->context->hold();
    state_->context->check_open();
    state_->context->wait_for(state_->record);
    state_->context->provider().check();
    state_->context->throw_failure(*state_->record.queue);
}

std::chrono::nanoseconds Event::timestamp() {
    synchronize();
    return std::chrono::nanoseconds(state_->result);
}

std::chrono::nanoseconds elapsed(Event& from, Event& to) {
    const auto* a = from.state();
    const auto* b = to.state();
    if (a != nullptr && b != nullptr && a->context != b->context)
        throw Error(Status::invalid, "elapsed: event " + std::to_string(a->handle) + " belongs to context " +
                                         std::to_string(a->context->number()) + ", event " + std::to_string(b->handle) +
                                         " to " + a->context->name_of(*b->context) +
                                         "; their times can not be compared");
    const auto begin = from.timestamp();
    return to.timestamp() - begin;
}

}  // namespace farlane::accel
