// SPDX-License-Identifier: Apache-2.0
// Receives: sizes and uses of buffers. Hands on: ALLOC and FREE at the right place in a queue.
// Owns: what waits to be freed, staging memory (accel_state.hpp).
#include <algorithm>
#include <string>

#include "lib/accel_state.hpp"

namespace farlane::accel::detail {

// --- uses

void Uses::note(Queue& q, Ticket t) {
    for (Use& u : uses_) {
        if (u.queue != &q) continue;
        u.ticket = t;
        return;
    }
    uses_.push_back({&q, t});
}

bool Uses::done() {
    std::erase_if(uses_, [](const Use& u) { return u.queue->done(u.ticket); });
    return uses_.empty();
}

bool Uses::done_but(const Queue& q) {
    std::erase_if(uses_, [&](const Use& u) { return u.queue != &q && u.queue->done(u.ticket); });
    return std::all_of(uses_.begin(), uses_.end(), [&](const Use& u) { return u.queue == &q; });
}

// --- buffers

BufferState::~BufferState() {
    if (context != nullptr) context->release(*this);
}

std::shared_ptr<BufferState> ContextState::allocate(std::uint64_t bytes) {
    check_open();
    if (bytes == 0) throw Error(Status::invalid, "a buffer of 0 bytes");
    if (bytes > device_->registers().memory_bytes.get()) {
        throw Error(Status::no_memory, "a buffer of " + std::to_string(bytes) + " bytes: the accelerator has " +
                                           std::to_string(device_->registers().memory_bytes.get()));
    }
    const std::uint64_t reserved = (bytes + FL_ACCEL_PAGE_BYTES - 1) / FL_ACCEL_PAGE_BYTES * FL_ACCEL_PAGE_BYTES;
    collect();
    auto address = device_->take_memory(reserved);
    for (int round = 0; !address && round < 2; ++round) {  // what is being freed may be enough
        for (auto& q : queues_) wait_for(*q);
        collect();
        address = device_->take_memory(reserved);
    }
    if (!address) {
        throw Error(Status::no_memory, "no " + std::to_string(reserved) +
                                           " bytes of device memory in one piece; the largest free one has " +
                                           std::to_string(device_->largest_free()));
    }
    auto buffer = std::make_shared<BufferState>();
    buffer->address = *address;
    buffer->bytes = bytes;
    buffer->reserved = reserved;
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_ALLOC;
    c.u.alloc.address.set(*address);
    c.u.alloc.bytes.set(reserved);
    Queue& q = *queues_.front();
    try {
        buffer->allocation = {&q, submit(q, c, {}, "", *address)};
    } catch (...) {
        device_->give_back_memory(*address, reserved);
        throw;
    }
    buffer->context = shared_from_this();
    return buffer;
}

/// From a destructor: remembers the memory, and frees what can be.
void ContextState::release(BufferState& buffer) noexcept {
    try {
        if (!open_) {
            device_->give_back_memory(buffer.address, buffer.reserved);
            return;
        }
        Queue* q = buffer.uses.any_queue() != nullptr ? buffer.uses.any_queue() : buffer.allocation.queue;
        Garbage g{buffer.address, buffer.reserved, q, std::move(buffer.uses)};
        if (buffer.allocation.queue != q) g.uses.note(*buffer.allocation.queue, buffer.allocation.ticket);
        garbage_.push_back(std::move(g));
        reap_all();
        collect();
    } catch (...) {
        // Lost, reset or out of memory: it goes with the context.
    }
}

/// Frees what no other queue uses any more; behind the last use in its own.
void ContextState::collect() {
    for (std::size_t i = 0; i < garbage_.size();) {
        Garbage& g = garbage_[i];
        if (!g.uses.done_but(*g.queue) || !g.queue->has_room(1)) {
            ++i;
            continue;
        }
        submit_free(*g.queue, g.address, g.reserved);
        garbage_[i] = std::move(garbage_.back());
        garbage_.pop_back();
    }
}

void ContextState::submit_free(Queue& q, std::uint64_t address, std::uint64_t reserved) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_FREE;
    c.u.alloc.address.set(address);
    Sink sink;
    sink.free_address = address;
    sink.free_bytes = reserved;
    submit(q, c, {}, "", address, std::move(sink));
}

void ContextState::admit(Queue& q, BufferState* buffer, std::uint64_t offset, std::uint64_t bytes) {
    check_open();
    if (buffer == nullptr) throw Error(Status::invalid, "an empty buffer or view; allocate one with Context::allocate");
    if (buffer->context.get() != this) throw Error(Status::invalid, "the buffer belongs to another context");
    if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
        throw Error(Status::out_of_bounds, "bytes " + std::to_string(offset) + "+" + std::to_string(bytes) +
                                               " are not inside a buffer of " + std::to_string(buffer->bytes));
    }
    if (buffer->allocation.queue != &q) wait_for(buffer->allocation);
}

// --- detours

ContextState::Chunk& ContextState::staging(Queue& q) {
    if (staging_address_ == 0) {
        const auto address = device_->take_memory(kChunks * kChunkBytes);
        if (!address) {
            throw Error(Status::no_memory,
                        "no device memory for staging (4 MiB); call synchronize() before the upload");
        }
        fl_accel_command c{};
        c.head.opcode = FL_ACCEL_OP_ALLOC;
        c.u.alloc.address.set(*address);
        c.u.alloc.bytes.set(kChunks * kChunkBytes);
        wait_for(Use{&q, submit(q, c, {}, "of staging memory", *address)});
        staging_address_ = *address;
        for (std::size_t i = 0; i < kChunks; ++i) chunks_[i] = {*address + i * kChunkBytes, {}};
    }
    Chunk& chunk = chunks_[next_chunk_];
    next_chunk_ = (next_chunk_ + 1) % kChunks;
    wait_for(chunk.use);
    return chunk;
}

RawHostBuffer& ContextState::bounce() {
    if (bounce_.bytes().empty()) {
        auto memory = provider().domain().allocate(2 * kChunkBytes);
        auto mapping = provider().domain().map(memory, DmaDirection::from_device);
        bounce_ = RawHostBuffer(std::move(memory), std::move(mapping));
    }
    return bounce_;
}

}  // namespace farlane::accel::detail
