// SPDX-License-Identifier: Apache-2.0
// Receives: ranges of the bytes of a request. Hands on: DMA of staging blocks, segment by segment. Owns: nothing.
#include <algorithm>

#include "devices/virtio/transport.hpp"

namespace farlane::firmware::virtio {

// A block may lie in as many segments as there are.
bool Transport::can_move() const noexcept {
    return dma().ready() && staging_.available() != 0 && dma().room() >= kMaxSegments;
}

void Transport::move_piece(std::uint32_t index, std::uint64_t iova, std::span<std::byte> bytes, bool to_host) noexcept {
    Block& b = staging_[index];
    const Status s = to_host ? dma().write(iova, bytes, DmaOrder::relaxed, index) : dma().read(iova, bytes, index);
    if (s == Status::ok || s == Status::pending) {
        ++b.pending;
        if (s == Status::pending) ++b.unordered;
    } else if (b.status == Status::ok) {
        b.status = s;
    }
}

// Block::bytes from Block::offset on of the readable or of the writable part.
void Transport::move(const Request& r, std::uint32_t index, bool to_host) noexcept {
    const Block& b = staging_[index];
    const auto bytes = staging_.used_bytes(index);
    const std::uint32_t first = to_host ? r.readable : 0, end = to_host ? r.segments : r.readable;
    std::uint64_t at = 0;  // of the segment in its part
    std::uint32_t done = 0;
    for (std::uint32_t i = first; i < end && done < b.bytes && b.status == Status::ok; ++i) {
        const Segment& s = r.segment[i];
        const std::uint64_t from = b.offset + done;
        if (from < at + s.bytes) {
            const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(b.bytes - done, at + s.bytes - from));
            move_piece(index, s.iova + (from - at), bytes.subspan(done, n), to_host);
            done += n;
        }
        at += s.bytes;
    }
}

Moved Transport::gather(Request& r, std::uint64_t offset, std::uint32_t bytes) noexcept {
    const std::uint32_t index = staging_.take();
    Block& b = staging_[index];
    b.use = Block::Use::gather;
    b.queue = r.queue;
    b.slot = r.slot;
    b.serial = r.serial;
    b.bytes = bytes;
    b.offset = offset;
    move(r, index, false);
    if (b.pending != 0) return Moved::started;
    staging_.give(index);
    return Moved::failed;
}

Moved Transport::scatter(Request& r, std::uint64_t offset, std::uint32_t index, std::uint32_t bytes) noexcept {
    Block& b = staging_[index];
    b.use = Block::Use::scatter;
    b.queue = r.queue;
    b.slot = r.slot;
    b.serial = r.serial;
    b.bytes = bytes;
    b.offset = offset;
    move(r, index, true);
    if (b.pending == 0) staging_.give(index);
    if (b.unordered != 0) return Moved::started;
    return b.status == Status::ok ? Moved::given : Moved::failed;
}

void Transport::stall(Request& r) noexcept {
    if (r.stalled) return;
    r.stalled = true;
    stalled_.push(reference(r));
}

bool Transport::run_stalled() noexcept {
    bool did = false;
    for (std::size_t n = stalled_.size(); n != 0 && can_move() && !stalled_.empty(); --n) {
        Request* r = find(stalled_.pop());
        did = true;
        if (r == nullptr) continue;
        r->stalled = false;
        proceed(*r);
    }
    return did;
}

}  // namespace farlane::firmware::virtio
