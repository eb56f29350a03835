// SPDX-License-Identifier: Apache-2.0
// Receives: uploads and downloads. Hands on: pushes into device memory, COPY commands.
// Owns: nothing. docs/accelerator.md, "Memory" and "The C++ API".
#include <algorithm>
#include <cstring>
#include <string>

#include "lib/accel_copy.hpp"
#include "lib/accel_state.hpp"

namespace farlane::accel {

using detail::copy_command;

namespace {

/// An address of one device's host memory may be that of other memory on another one.
void check_host(const detail::ContextState& context, const RawHostBuffer& memory, const char* command,
                const char* operand) {
    if (memory.mapping().is_of(context.provider())) return;
    throw Error(Status::invalid, std::string(command) + ": " + operand + " (host memory of " +
                                     std::to_string(memory.bytes().size()) +
                                     " bytes) is of another device; allocate it with this context");
}

/// Through staging memory, chunk by chunk, each put in its place by a COPY in the order of `q`. `push` writes bytes
/// [at, +n) of the source to an offset of the aperture.
template <class Push>
void detour(detail::ContextState& context, detail::Queue& q, detail::BufferState& to, std::uint64_t offset,
            std::size_t bytes, Push push) {
    for (std::size_t at = 0; at < bytes;) {
        auto& chunk = context.staging(q);
        const std::size_t n = std::min<std::size_t>(detail::ContextState::kChunkBytes, bytes - at);
        push(context.device().aperture(chunk.address, n).value(), at, n);
        auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_DEVICE, to.address + offset + at, chunk.address, n);
        const auto t = context.submit(q, c, {}, "of an upload", to.address + offset + at);
        chunk.use = {&q, t};
        to.uses.note(q, t);
        at += n;
    }
}

}  // namespace

// --- data in

void Stream::upload_bytes(detail::BufferState* to, std::uint64_t offset, std::size_t room,
                          std::span<const std::byte> data) {
    auto& q = queue();
    const auto held = context_->hold();
    if (data.size() > room) {
        throw Error(Status::out_of_bounds, "upload: " + std::to_string(data.size()) + " bytes into a view of " +
                                               std::to_string(room) + " bytes");
    }
    context_->admit(q, to, offset, data.size(), "upload", "the destination");
    if (data.empty()) return;
    context_->reap_all();
    const auto place = context_->device().aperture(to->address + offset, data.size());
    q.dirty = true;
    if (place && to->uses.done()) {
        context_->device().push(*place, data, true);
        return;
    }
    auto& device = context_->device();
    detour(*context_, q, *to, offset, data.size(),
           [&](std::uint64_t chunk, std::size_t at, std::size_t n) { device.push(chunk, data.subspan(at, n), true); });
}

void Stream::upload_host(detail::BufferState* to, std::uint64_t offset, std::size_t room, const RawHostBuffer& data,
                         std::size_t bytes) {
    auto& q = queue();
    const auto held = context_->hold();
    if (bytes > room) {
        throw Error(Status::out_of_bounds,
                    "upload: " + std::to_string(bytes) + " bytes into a view of " + std::to_string(room) + " bytes");
    }
    context_->admit(q, to, offset, bytes, "upload", "the destination");
    if (bytes == 0) return;
    check_host(*context_, data, "upload", "the source");
    context_->reap_all();
    const auto place = context_->device().aperture(to->address + offset, bytes);
    q.dirty = true;
    auto& device = context_->device();
    if (place && to->uses.done()) {
        device.push_from(*place, data.dma(), 0, bytes);
        return;
    }
    detour(*context_, q, *to, offset, bytes,
           [&](std::uint64_t chunk, std::size_t at, std::size_t n) { device.push_from(chunk, data.dma(), at, n); });
}

// --- data out

void Stream::download_host(detail::BufferState* from, std::uint64_t offset, std::size_t bytes,
                           const RawHostBuffer& into) {
    auto& q = queue();
    const auto held = context_->hold();
    if (bytes > into.bytes().size()) {
        throw Error(Status::out_of_bounds, "download: " + std::to_string(bytes) + " bytes into a host buffer of " +
                                               std::to_string(into.bytes().size()) + " bytes");
    }
    context_->admit(q, from, offset, bytes, "download", "the source");
    if (bytes == 0) return;
    check_host(*context_, into, "download", "the destination");
    auto c = copy_command(FL_ACCEL_COPY_DEVICE_TO_HOST, into.iova(), from->address + offset, bytes);
    from->uses.note(q, context_->submit(q, c, {}, "of a download", from->address + offset));
}

/// Through two halves of a host buffer: one is on its way while the other is copied out.
void Stream::download_bytes(detail::BufferState* from, std::uint64_t offset, std::size_t bytes,
                            std::span<std::byte> into) {
    auto& q = queue();
    const auto held = context_->hold();
    if (into.size() != bytes) {
        throw Error(Status::out_of_bounds, "download: " + std::to_string(bytes) + " bytes into memory of " +
                                               std::to_string(into.size()) + " bytes: must be the same");
    }
    context_->admit(q, from, offset, bytes, "download", "the source");
    auto& bounce = context_->bounce();
    for (const detail::Use& use : context_->bounce_uses) context_->wait_for(use);
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
            context_->bounce_uses[part % 2] = {&q, tickets[part % 2]};
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

}  // namespace farlane::accel
