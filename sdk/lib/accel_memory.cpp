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

std::shared_ptr<BufferState> ContextState::allocate(std::uint64_t bytes, Place place) {
    check_open();
    if (bytes == 0) throw Error(Status::invalid, "allocate: a buffer of 0 bytes; it has at least one");
    if (bytes > device_->memory_bytes(place)) {
        throw Error(Status::no_memory, "allocate: a buffer of " + std::to_string(bytes) +
                                           " bytes; a context of this accelerator has at most " +
                                           std::to_string(device_->memory_bytes(place)));
    }
    const std::uint64_t reserved = (bytes + FL_ACCEL_PAGE_BYTES - 1) / FL_ACCEL_PAGE_BYTES * FL_ACCEL_PAGE_BYTES;
    collect();
    auto address = device_->take_memory(number_, reserved, place);
    for (int round = 0; !address && round < 2; ++round) {  // what is being freed may be enough
        for (auto& q : queues_) wait_for(*q);
        collect();
        address = device_->take_memory(number_, reserved, place);
    }
    if (!address) {
        throw Error(Status::no_memory, "allocate: no " + std::to_string(reserved) +
                                           " bytes of device memory in one piece; the largest free one has " +
                                           std::to_string(device_->largest_free(number_, place)) +
                                           ": let go of buffers");
    }
    auto buffer = std::make_shared<BufferState>();
    buffer->address = *address;
    buffer->bytes = bytes;
    buffer->reserved = reserved;
    Queue& q = *queues_.front();
    Sink sink;
    sink.alloc_bytes = reserved;
    buffer->allocation = submit_alloc(q, *address, reserved, "", std::move(sink));
    buffer->context = shared_from_this();  // which frees it, also when what follows throws
    buffer->allocation.mark = mark(q).mark;
    return buffer;
}

/// Of memory that was taken: given back when the wait for room in `q` is ended.
Use ContextState::submit_alloc(Queue& q, std::uint64_t address, std::uint64_t bytes, const char* what, Sink sink) {
    fl_accel_command c{};
    c.head.opcode = FL_ACCEL_OP_ALLOC;
    c.u.alloc.address.set(address);
    c.u.alloc.bytes.set(bytes);
    try {
        return {&q, submit(q, c, {}, what, address, std::move(sink))};
    } catch (...) {
        device_->give_back_memory(address, bytes);
        throw;
    }
}

/// From a destructor: remembers the memory, and frees what can be.
void ContextState::release(BufferState& buffer) noexcept {
    const auto held = hold();
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
    if (lost()) return;
    collect_modules();
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

std::string ContextState::name_of(const ContextState& other) const {
    if (device_ != other.device_) return "a context of another device";
    return "context " + std::to_string(other.number_);
}

std::optional<Failure> ContextState::objection(const BufferState* buffer, std::uint64_t offset,
                                               std::uint64_t bytes) const {
    if (buffer == nullptr) {
        return Failure{Status::invalid, "is an empty buffer or view; allocate one with Context::allocate"};
    }
    if (buffer->context.get() != this) {
        return Failure{Status::invalid, "(" + std::to_string(buffer->bytes) + " bytes) belongs to " +
                                            name_of(*buffer->context) + ", the stream to context " +
                                            std::to_string(number_) +
                                            "; use one that this context allocated, or copy it through the host"};
    }
    if (offset > buffer->bytes || bytes > buffer->bytes - offset) {
        return Failure{Status::out_of_bounds, "is " + std::to_string(bytes) + " bytes at offset " +
                                                  std::to_string(offset) + " of a buffer of " +
                                                  std::to_string(buffer->bytes) + " bytes"};
    }
    return std::nullopt;
}

void ContextState::admit(Queue& q, BufferState* buffer, std::uint64_t offset, std::uint64_t bytes, const char* command,
                         const char* operand) {
    check_open();
    if (const auto why = objection(buffer, offset, bytes); why) [[unlikely]]
        throw Error(why->status, std::string(command) + ": " + operand + " " + why->detail);
    order(q, buffer->allocation);
}

// --- detours

bool ContextState::add_staging(Queue& q) {
    constexpr std::uint64_t kBlockBytes = kChunksPerBlock * kChunkBytes;
    const auto address = device_->take_memory(number_, kBlockBytes, Place::aperture);
    if (!address) return false;
    if (!device_->aperture(*address, kBlockBytes)) {
        device_->give_back_memory(*address, kBlockBytes);
        throw Error(Status::protocol, "the accelerator's memory is not in its aperture");
    }
    const Use allocation = submit_alloc(q, *address, kBlockBytes, "of staging memory");
    staging_blocks_.push_back(*address);
    next_chunk_ = chunks_.size();
    for (std::size_t i = 0; i < kChunksPerBlock; ++i)
        chunks_.push_back({*address + i * kChunkBytes, allocation, false});
    return true;
}

/// Uploads into memory behind the aperture are all detours: they get more chunks rather than wait for one, so
/// that pushes and copies keep each other busy over a long link.
ContextState::Chunk& ContextState::staging(Queue& q) {
    const bool all_detours = device_->buffer_place() == Place::local;
    const std::size_t most = all_detours ? kMostChunks : kChunksPerBlock;
    const bool busy = !chunks_.empty() && chunks_[next_chunk_].filled && !chunks_[next_chunk_].use.done();
    if ((chunks_.empty() || (busy && chunks_.size() < most)) && !add_staging(q) && chunks_.empty()) {
        throw Error(Status::no_memory, "no device memory for staging (4 MiB); call synchronize() before the upload");
    }
    Chunk& chunk = chunks_[next_chunk_];
    next_chunk_ = (next_chunk_ + 1) % chunks_.size();
    if (chunk.filled) {
        wait_for(chunk.use);
    } else {
        order(q, chunk.use);
    }
    chunk.filled = true;
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
