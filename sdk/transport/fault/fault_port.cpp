// SPDX-License-Identifier: Apache-2.0
// Receives: frames of the lane and of another port. Hands on: them, disturbed.
// Owns: the other port, and copies of the frames that are held.
#include "transport/fault/fault_port.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "transport/loop/loop_port.hpp"
#include "transport/openers.hpp"

namespace farlane::transport {
namespace {

constexpr std::size_t kBatch = 32;
constexpr std::uint64_t kReceiveSalt = 0x5bd1e995;

void* cookie_of(std::uint32_t slot) noexcept {
    return reinterpret_cast<void*>(std::uintptr_t{slot});
}
std::uint32_t slot_of(void* cookie) noexcept {
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(cookie));
}

// A side that is not disturbed is a line without faults.
FaultSpec only_if(bool disturbed, const FaultSpec& spec) noexcept {
    if (disturbed) return spec;
    FaultSpec none;
    none.hold_frames = spec.hold_frames;
    return none;
}

}  // namespace

FaultPort::FaultPort(std::unique_ptr<Port> inner, const FaultSpec& spec, std::uint64_t salt, std::string url,
                     std::string kind)
    : inner_(std::move(inner)),
      spec_(spec),
      info_(inner_->info()),
      tx_(only_if(spec.sent, spec), info_.max_frame_bytes, salt),
      rx_(only_if(spec.received, spec), kMaxFrameBytes, salt ^ kReceiveSalt) {
    info_.url = std::move(url);
    info_.kind = std::move(kind);
}

void FaultPort::set(const FaultSpec& spec) noexcept {
    spec_ = spec;
    tx_.set(only_if(spec.sent, spec));
    rx_.set(only_if(spec.received, spec));
}

std::int64_t FaultPort::now_ns() const noexcept {
    return fake_now_ns_ != nullptr ? *fake_now_ns_ : monotonic_ns();
}

PortCounters FaultPort::counters() const noexcept {
    PortCounters c = inner_->counters();
    c.rx_dropped += rx_dropped_;
    tx_.add_to(c);
    rx_.add_to(c);
    return c;
}

std::size_t FaultPort::tx_alloc(std::span<TxFrame> frames) noexcept {
    release_due();
    std::size_t n = 0;
    for (; n < frames.size(); ++n) {
        const std::uint32_t slot = tx_.alloc();
        if (slot == Line::kNone) break;
        frames[n] = {tx_.data(slot), info_.max_frame_bytes, 0, nullptr, cookie_of(slot)};
    }
    return n;
}

void FaultPort::tx_free(std::span<TxFrame> frames) noexcept {
    for (const TxFrame& frame : frames) tx_.free(slot_of(frame.cookie));
}

void FaultPort::tx_send(std::span<TxFrame> frames) noexcept {
    const std::int64_t now = now_ns();
    for (const TxFrame& frame : frames) {
        const std::uint32_t index = slot_of(frame.cookie);
        Line::Slot& slot = tx_.slot(index);
        slot.size_bytes = std::min(frame.size_bytes, frame.capacity_bytes);
        slot.has_address = frame.to != nullptr;
        if (slot.has_address) slot.address = *frame.to;
        tx_.submit(index, now);
    }
    release_due();
}

void FaultPort::flush() noexcept {
    release_due();
    inner_->flush();
}

// Moves frames whose time has come into buffers of the inner port, as many as it gives.
void FaultPort::release_due() noexcept {
    const std::int64_t now = now_ns();
    while (tx_.next_due_ns() <= now) {
        std::array<TxFrame, kBatch> out;
        std::array<std::uint32_t, kBatch> held{};
        const std::size_t room = inner_->tx_alloc(out);
        std::size_t n = 0;
        for (; n < room; ++n) {
            held[n] = tx_.pop(now);
            if (held[n] == Line::kNone) break;
            const Line::Slot& slot = tx_.slot(held[n]);
            std::memcpy(out[n].data, tx_.data(held[n]), slot.size_bytes);
            out[n].size_bytes = slot.size_bytes;
            out[n].to = slot.has_address ? &slot.address : nullptr;
        }
        if (n < room) inner_->tx_free(std::span(out).subspan(n, room - n));
        inner_->tx_send(std::span(out).first(n));
        for (std::size_t i = 0; i < n; ++i) tx_.free(held[i]);
        if (room < kBatch) return;
    }
}

std::size_t FaultPort::rx_burst(std::span<RxFrame> frames) noexcept {
    release_due();
    if (!spec_.received && rx_.next_due_ns() == INT64_MAX) return inner_->rx_burst(frames);
    take_received();
    const std::int64_t now = now_ns();
    std::size_t n = 0;
    for (; n < frames.size(); ++n) {
        const std::uint32_t index = rx_.pop(now);
        if (index == Line::kNone) break;
        const Line::Slot& slot = rx_.slot(index);
        frames[n] = {rx_.data(index), slot.size_bytes, slot.has_address ? &slot.address : nullptr, cookie_of(index)};
    }
    return n;
}

void FaultPort::take_received() noexcept {
    std::array<RxFrame, kBatch> in;
    const std::size_t n = inner_->rx_burst(in);
    const std::int64_t now = now_ns();
    for (const RxFrame& frame : std::span(in).first(n)) {
        const std::uint32_t index = rx_.alloc();
        if (index == Line::kNone || frame.size_bytes > kMaxFrameBytes) {
            if (index != Line::kNone) rx_.free(index);
            ++rx_dropped_;
            continue;
        }
        Line::Slot& slot = rx_.slot(index);
        slot.size_bytes = frame.size_bytes;
        slot.has_address = frame.from != nullptr;
        if (slot.has_address) slot.address = *frame.from;
        std::memcpy(rx_.data(index), frame.data, frame.size_bytes);
        rx_.submit(index, now);
    }
    inner_->rx_release(std::span(in).first(n));
}

// Frames of both origins can be in one call: set() may have changed the side in between.
void FaultPort::rx_release(std::span<RxFrame> frames) noexcept {
    for (RxFrame& frame : frames) {
        if (rx_.owns(frame.data))
            rx_.free(slot_of(frame.cookie));
        else
            inner_->rx_release(std::span(&frame, 1));
    }
}

bool FaultPort::arm() noexcept {
    if (next_event_ns() <= now_ns()) return false;
    return inner_->arm();
}

std::int64_t FaultPort::next_event_ns() const noexcept {
    return std::min({tx_.next_due_ns(), rx_.next_due_ns(), inner_->next_event_ns()});
}

Result<std::unique_ptr<Port>> wrap_in_faults(std::unique_ptr<Port> inner, const FaultSpec& spec, const PortUrl& url) {
    // Both ends of a loop are opened with one string: without a salt they would lose the same frames.
    const auto* loop = dynamic_cast<const LoopPort*>(inner.get());
    const std::uint64_t salt = loop != nullptr ? loop->side() : 0;
    const std::string kind = (url.fault ? "fault+" : "") + inner->info().kind;
    return std::unique_ptr<Port>(std::make_unique<FaultPort>(std::move(inner), spec, salt, url.text, kind));
}

}  // namespace farlane::transport
