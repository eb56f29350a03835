// SPDX-License-Identifier: Apache-2.0
// Receives: calls on contexts, buffers and events. Hands on: the same to the state behind them.
// Owns: nothing but shared state (accel_state.hpp).
#include <farlane/accel.hpp>

#include "lib/accel_state.hpp"

namespace farlane::accel {
namespace {

std::shared_ptr<detail::ContextState> opened(Device& device, const ContextOptions& options) {
    auto state = std::make_shared<detail::ContextState>(device, options);
    state->open();
    return state;
}

const char* executor_name(std::uint32_t kind) noexcept {
    switch (kind) {
        case FL_ACCEL_EXECUTOR_CPU: return "cpu";
        case FL_ACCEL_EXECUTOR_OPENCL: return "opencl";
        case FL_ACCEL_EXECUTOR_CUDA: return "cuda";
        default: return "unknown";
    }
}

}  // namespace

// --- Context

Context::Context(Device& device, const ContextOptions& options)
    : state_(opened(device, options)), stream_(state_, state_->lease()) {}

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
    return {state_, state_->lease()};
}

Event Context::create_event() {
    return Event(state_->create_event());
}

RawBuffer Context::allocate_bytes(std::size_t bytes) {
    return RawBuffer(state_->allocate(bytes));
}

RawHostBuffer Context::allocate_host_bytes(std::size_t bytes) {
    state_->check_open();
    auto& domain = state_->provider().domain();
    auto memory = domain.allocate(bytes);
    auto mapping = domain.map(memory, DmaDirection::bidirectional);
    return {std::move(memory), std::move(mapping)};
}

void Context::synchronize() {
    state_->synchronize_all();
}

Properties Context::properties() {
    Properties p;
    p.executor = executor_name(state_->device().registers().executor.get());
    p.units = static_cast<std::uint32_t>(state_->query(FL_ACCEL_PROPERTY_UNITS));
    p.memory_bytes = state_->query(FL_ACCEL_PROPERTY_MEMORY_TOTAL);
    p.memory_free_bytes = state_->query(FL_ACCEL_PROPERTY_MEMORY_FREE);
    p.memory_context_bytes = state_->query(FL_ACCEL_PROPERTY_MEMORY_CONTEXT);
    p.kernels_run = state_->query(FL_ACCEL_PROPERTY_KERNELS_RUN);
    p.busy = std::chrono::nanoseconds(state_->query(FL_ACCEL_PROPERTY_BUSY_NS));
    p.max_streams = state_->device().registers().max_queues.get();
    return p;
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
    state_->context->reap_all();
    return state_->record.queue->done(state_->record.ticket);
}

void Event::synchronize() {
    if (state_ == nullptr || state_->record.queue == nullptr) {
        throw Error(Status::invalid, "the event was never recorded; call Stream::record first");
    }
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
    const auto begin = from.timestamp();
    return to.timestamp() - begin;
}

}  // namespace farlane::accel
