// SPDX-License-Identifier: Apache-2.0
// Receives: COPY between the host and memory of the accelerator itself. Hands on: jobs and DMA, several in flight.
// Owns: the bounce chunks of each context: local memory is out of the lane's reach (processor.hpp).
#include <algorithm>

#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {

std::uint64_t Processor::chunk_address(const QueuePair& q, std::uint32_t index) const noexcept {
    const auto& plan = layout_.plan;
    const std::uint64_t area = plan.address + plan.first + q.context * plan.stride + plan.context_bytes;
    return area + index * (plan.bounce_bytes / kChunks);
}

/// The chunk that `address` lies in, if it is bounce memory.
std::optional<std::uint32_t> Processor::chunk_at(std::uint64_t address) const noexcept {
    const auto& plan = layout_.plan;
    if (plan.bounce_bytes == 0 || plan.stride == 0 || address < plan.address + plan.first) return std::nullopt;
    const std::uint64_t within = (address - plan.address - plan.first) % plan.stride;
    if (within < plan.context_bytes || within >= plan.context_bytes + plan.bounce_bytes) return std::nullopt;
    return static_cast<std::uint32_t>((within - plan.context_bytes) / (plan.bounce_bytes / kChunks));
}

std::optional<std::uint32_t> Processor::find_chunk(const QueuePair& q, ChunkState state) noexcept {
    const Chunks& chunks = chunks_of(q);
    for (std::uint32_t i = 0; i < kChunks; ++i) {
        const bool ours = state == ChunkState::unused || chunks[i].queue == q.number;
        if (chunks[i].state == state && ours) return i;
    }
    return std::nullopt;
}

/// The next part of the active copy gets a chunk; its bytes are on their way into it.
std::uint32_t Processor::take_chunk(QueuePair& q, std::uint32_t index, std::uint64_t bytes) noexcept {
    chunks_of(q)[index] = {ChunkState::filling, q.number, q.active.staged, bytes};
    q.active.staged += bytes;
    ++q.active.chunks;
    return index;
}

void Processor::free_chunk(QueuePair& q, std::uint32_t index) noexcept {
    Chunk& chunk = chunks_of(q)[index];
    if (chunk.state == ChunkState::unused) return;
    chunk = {};
    q.ready = true;
}

/// The copy ends early: what came into chunks goes nowhere.
void Processor::drop_full_chunks(QueuePair& q) noexcept {
    while (const auto full = find_chunk(q, ChunkState::full)) {
        --q.active.chunks;
        free_chunk(q, *full);
    }
}

/// What filled or emptied a chunk has ended.
void Processor::chunk_moved(QueuePair& q, std::uint32_t index, const backend::Outcome& outcome) noexcept {
    Chunk& chunk = chunks_of(q)[index];
    Active& a = q.active;
    if (!outcome.ok() && a.outcome.ok()) a.outcome = {outcome.reason, outcome.detail, 0};
    const bool go_on = chunk.state == ChunkState::filling && a.outcome.ok() && q.state == FL_ACCEL_QUEUE_ENABLED;
    q.ready = true;
    if (go_on) {
        chunk.state = ChunkState::full;
        return;
    }
    --a.chunks;
    free_chunk(q, index);
}

/// Device to host: the executor fills chunks, DMA empties them; a chunk is free when the host has released it.
Step Processor::copy_out_local(QueuePair& q) noexcept {
    Active& a = q.active;
    const auto& c = a.command.u.copy;
    if (a.unordered != 0) return Step::wait;
    if (const auto full = find_chunk(q, ChunkState::full)) {
        Chunk& chunk = chunks_of(q)[*full];
        if (pins_.full(q.context, open_contexts_)) return wait_for_host();
        const std::uint64_t from = chunk_address(q, *full);
        const std::size_t pin = pins_.add({from, chunk.bytes, q.number, a.serial, q.context});
        const std::uint64_t tag = tag_of(static_cast<std::uint32_t>(pin), false);
        const auto source = bytes_at(from, chunk.bytes);
        const Status status =
            a.outcome.ok() ? dma_.write(c.destination.get() + chunk.offset, source, DmaOrder::relaxed, tag, q.pasid)
                           : Status::canceled;
        if (status == Status::would_block) {
            pins_.remove(pin);
            return Step::wait;
        }
        --a.chunks;
        if (status == Status::ok || status == Status::pending) {
            chunk.state = ChunkState::emptying;
            a.given += chunk.bytes;
            bytes_out_ += chunk.bytes;
            if (status == Status::pending) ++a.unordered;
            return Step::run;
        }
        pins_.remove(pin);
        free_chunk(q, *full);
        if (a.outcome.ok()) host_failed(q, status);
        return Step::run;
    }
    const bool all_begun = a.staged == c.bytes.get() || !a.outcome.ok();
    if (all_begun) return a.chunks == 0 ? Step::done : Step::wait;
    const auto unused = find_chunk(q, ChunkState::unused);
    if (!unused) return wait_for_host();
    const std::uint64_t from = c.source.get() + a.staged;
    const auto n = std::min<std::uint64_t>(layout_.plan.bounce_bytes / kChunks, c.bytes.get() - a.staged);
    const std::uint32_t index = take_chunk(q, *unused, n);
    const auto answer =
        executor_.copy(job_of(q, kMaxFlights + 1 + index), owner_of(q), chunk_address(q, index), from, n, false);
    if (answer) {
        chunk_moved(q, index, *answer);
    } else {
        ++jobs_;
    }
    return Step::run;
}

/// Host to device: DMA fills chunks, the executor empties them.
Step Processor::copy_in_local(QueuePair& q) noexcept {
    Active& a = q.active;
    const auto& c = a.command.u.copy;
    if (const auto full = find_chunk(q, ChunkState::full)) {
        Chunk& chunk = chunks_of(q)[*full];
        chunk.state = ChunkState::emptying;
        const auto answer =
            executor_.copy(job_of(q, kMaxFlights + 1 + *full), owner_of(q), c.destination.get() + chunk.offset,
                           chunk_address(q, *full), chunk.bytes, false);
        if (answer) {
            chunk_moved(q, *full, *answer);
        } else {
            ++jobs_;
        }
        return Step::run;
    }
    const bool all_begun = a.staged == c.bytes.get() || !a.outcome.ok();
    if (all_begun) return a.chunks == 0 && a.reads == 0 ? Step::done : Step::wait;
    const auto unused = find_chunk(q, ChunkState::unused);
    if (!unused) return Step::wait;
    const auto n = std::min<std::uint64_t>(layout_.plan.bounce_bytes / kChunks, c.bytes.get() - a.staged);
    const std::uint64_t tag = tag_of(q.number | (*unused + 1) << 8, true);
    const Status status = dma_.read(c.source.get() + a.staged, bytes_at(chunk_address(q, *unused), n), tag, q.pasid);
    if (status == Status::would_block) return Step::wait;
    if (status != Status::ok) {
        host_failed(q, status);
        return Step::run;
    }
    (void)take_chunk(q, *unused, n);
    bytes_in_ += n;
    ++a.reads;
    return Step::run;
}

}  // namespace farlane::firmware::accel
