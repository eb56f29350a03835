// SPDX-License-Identifier: Apache-2.0
// Receives: sizes, and bytes for the device. Hands on: device memory; pushes, and copies from staging memory.
// Owns: the staging memory (engine.hpp). docs/accelerator.md, "Hazards".
#include <algorithm>
#include <cstdio>

#include "opencl/engine.hpp"
#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

constexpr std::size_t kChunkBytes = 1 << 20;
constexpr std::size_t kMostChunks = 8;
/// What a device keeps of it, and the zero: docs/accelerator.md, FL_ACCEL_PROPERTY_OUTPUT.
constexpr std::uint32_t kOutputBytes = (64 << 10) + FL_ACCEL_PAGE_BYTES;
/// One push holds nobody up for long.
constexpr std::size_t kPushBytes = 1 << 20;

}  // namespace

std::shared_ptr<lib::BufferState> Engine::allocate(Guard& guard, std::uint64_t bytes) {
    check();
    auto& device = state_->device();
    const auto place = device.buffer_place();
    const std::uint64_t reserved = (bytes + FL_ACCEL_PAGE_BYTES - 1) / FL_ACCEL_PAGE_BYTES * FL_ACCEL_PAGE_BYTES;
    if (reserved < bytes || reserved > device.memory_bytes(place)) fail(CL_MEM_OBJECT_ALLOCATION_FAILURE);
    // What is being freed may be enough; it is waited for without holding others up.
    for (int round = 0; round < 2 && device.largest_free(state_->number(), place) < reserved; ++round) {
        std::vector<lib::Use> all;
        for (const Track& t : tracks_) all.push_back({t.queue, t.queue->last()});
        wait_until(guard, [&] {
            return broken() || std::all_of(all.begin(), all.end(), [](const lib::Use& u) { return u.done(); });
        });
        check();
        (void)state_->collect_now();
    }
    if (device.largest_free(state_->number(), place) < reserved) fail(CL_MEM_OBJECT_ALLOCATION_FAILURE);
    make_own_room(guard, 4);
    return state_->allocate(bytes);
}

/// In a round: the next one is the one that was used longest ago.
lib::BufferState* Engine::take_chunk(Guard& guard) {
    for (;;) {
        for (Chunk& c : chunks_) {
            if (c.taken || !c.use.done()) continue;
            c.taken = true;
            return c.memory.get();
        }
        if (chunks_.size() < kMostChunks) {
            make_own_room(guard, 4);
            Chunk& c = chunks_.emplace_back();
            c.taken = true;
            c.memory = state_->allocate(kChunkBytes, accel::detail::Place::aperture);
            return c.memory.get();
        }
        wait_until(guard, [&] {
            return broken() ||
                   std::any_of(chunks_.begin(), chunks_.end(), [](const Chunk& c) { return !c.taken && c.use.done(); });
        });
        check();
    }
}

/// What a daemon maps for one program has a limit, and so has the pool.
HostBlock Engine::take_host(Guard& guard, std::size_t bytes) {
    for (;;) {
        try {
            return host_pool_.take(bytes);
        } catch (const Error& e) {
            const bool more = std::any_of(tracks_.begin(), tracks_.end(), [](const Track& t) {
                return t.settling || (!t.in_flight.empty() && t.in_flight.front()->sent);
            });
            if (e.status() != Status::limit || !more) throw;
        }
        const auto before = concluded_;
        wait_until(guard, [&] { return broken() || concluded_ != before; });
        check();
    }
}

bool Engine::upload_is_quick(lib::BufferState& to, std::uint64_t offset, std::size_t bytes) {
    state_->reap_all();
    if (to.uses.done() && state_->device().aperture(to.address + offset, bytes)) return true;
    const auto free = static_cast<std::size_t>(
        std::count_if(chunks_.begin(), chunks_.end(), [](const Chunk& c) { return !c.taken && c.use.done(); }));
    const std::size_t missing = kMostChunks - chunks_.size();
    return bytes <= (free + missing) * kChunkBytes || (to.uses.done() && free == chunks_.size());
}

void Engine::upload(Guard& guard, Track& track, lib::BufferState& to, std::uint64_t offset,
                    std::span<const std::byte> data) {
    auto& device = state_->device();
    state_->reap_all();
    const auto place = device.aperture(to.address + offset, data.size());
    if (place && to.uses.done()) {
        for (std::size_t at = 0; at < data.size(); at += kPushBytes) {
            const auto part = data.subspan(at, std::min(kPushBytes, data.size() - at));
            guard.unlock();
            try {
                device.push(*place + at, part, true);
            } catch (...) {
                guard.lock();
                throw;
            }
            guard.lock();
        }
        track.queue->dirty = true;
        return;
    }
    for (std::size_t at = 0; at < data.size(); at += kChunkBytes) {
        const auto part = data.subspan(at, std::min(kChunkBytes, data.size() - at));
        lib::BufferState* chunk = take_chunk(guard);
        const auto of = [&]() -> Chunk& {
            return *std::find_if(chunks_.begin(), chunks_.end(),
                                 [&](const Chunk& c) { return c.memory.get() == chunk; });
        };
        try {
            const auto there = device.aperture(chunk->address, part.size()).value();
            guard.unlock();
            try {
                device.push(there, part, true);
            } catch (...) {
                guard.lock();
                throw;
            }
            guard.lock();
            if (&track == &tracks_.front()) make_own_room(guard, 4);
            make_room(guard, track, 4);
            state_->admit(*track.queue, chunk, 0, part.size());
            state_->admit(*track.queue, &to, offset + at, part.size());
            fl_accel_command c{};
            c.head.opcode = FL_ACCEL_OP_COPY;
            c.u.copy.destination.set(to.address + offset + at);
            c.u.copy.source.set(chunk->address);
            c.u.copy.bytes.set(part.size());
            c.u.copy.kind.set(FL_ACCEL_COPY_DEVICE_TO_DEVICE);
            const lib::Ticket t = state_->submit(*track.queue, c, {}, "of an upload", to.address + offset + at);
            of().use = {track.queue, t};
            chunk->uses.note(*track.queue, t);
            to.uses.note(*track.queue, t);
            of().taken = false;
        } catch (...) {
            of().taken = false;
            throw;
        }
    }
}

std::shared_ptr<Printed> Engine::fetch_output(Guard& guard, Track& track) {
    if (track.output == nullptr) {
        make_own_room(guard, 4);
        track.output = state_->allocate(kOutputBytes, accel::detail::Place::aperture);
    }
    has_printed_ = true;
    const auto printed = std::make_shared<Printed>(take_host(guard, kOutputBytes));
    make_room(guard, track, 8);
    lib::BufferState& report = *track.output;
    state_->admit(*track.queue, &report, 0, kOutputBytes);
    fl_accel_command query{};
    query.head.opcode = FL_ACCEL_OP_QUERY;
    query.u.query.property.set(FL_ACCEL_PROPERTY_OUTPUT);
    query.u.query.report_address.set(report.address);
    query.u.query.report_bytes.set(kOutputBytes);
    lib::Sink sink;
    sink.object = printed;
    (void)state_->submit(*track.queue, query, {}, "", 0, sink);
    fl_accel_command copy{};
    copy.head.opcode = FL_ACCEL_OP_COPY;
    copy.u.copy.destination.set(printed->iova());
    copy.u.copy.source.set(report.address);
    copy.u.copy.bytes.set(kOutputBytes);
    copy.u.copy.kind.set(FL_ACCEL_COPY_DEVICE_TO_HOST);
    report.uses.note(*track.queue, state_->submit(*track.queue, copy, {}, "of what kernels print", 0, std::move(sink)));
    return printed;
}

void Printed::print() const noexcept {
    if (ends_.load(std::memory_order_acquire) != 2 || failed_ || bytes_ < 2) return;
    (void)std::fwrite(block_.data(), 1, std::min<std::size_t>(bytes_, kOutputBytes) - 1, stdout);
    (void)std::fflush(stdout);
}

bool Engine::host_is_written(const std::byte* begin, std::size_t bytes) const noexcept {
    for (const Track& t : tracks_) {
        for (const auto& e : t.in_flight) {
            if (e->work != nullptr && e->work->writes_host(begin, bytes)) return true;
        }
    }
    return false;
}

}  // namespace farlane::opencl
