// SPDX-License-Identifier: Apache-2.0
// Receives: bytes of a console driver and of the line behind the console. Hands on: them to the other side.
// Owns: the line.
#include "devices/virtio/console.hpp"

#include <algorithm>

namespace farlane::firmware::virtio {
namespace {

constexpr std::uint32_t kChunkBytes = 4096;
enum Stage : std::uint32_t { fresh, gathering, arrived, lost, filling };

Profile profile() {
    Profile p;
    p.kind = Kind::console;
    p.model = "Farlane virtio console";
    p.class_code = 0x078000;
    p.queues = 2;
    p.queue_size = 64;
    p.window = 32;
    p.blocks = 128;
    return p;
}

}  // namespace

Console::Console(State& state, std::unique_ptr<serial::Line> line)
    : Transport(profile(), state), line_(std::move(line)), receivers_(kMaxQueueSize) {}

Console::~Console() {
    if (line_ != nullptr) line_->on_change({});
}

void Console::on_port(backend::HostPort* p) noexcept {
    if (line_ == nullptr) return;
    if (p == nullptr)
        line_->on_change({});
    else
        line_->on_change([p] { p->wake(); });
}

void Console::on_reset(ResetKind kind) noexcept {
    if (line_ != nullptr && kind == ResetKind::attach) line_->hang_up();
    Transport::on_reset(kind);
}

void Console::on_halt() noexcept {
    receivers_.clear();
    echo_first_ = echo_count_ = 0;
}

void Console::proceed(Request& r) noexcept {
    if (r.queue == kReceive) {
        if (r.in_bytes == 0) return broken(Fault::request);
        return receivers_.push(reference(r));  // device_work() fills it
    }
    if (r.out_bytes == 0) return broken(Fault::request);
    gather_chunk(r);
}

void Console::gather_chunk(Request& r) noexcept {
    if (!can_move()) return stall(r);
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(r.out_bytes - r.work.cursor, kChunkBytes));
    r.work.stage = gather(r, r.work.cursor, n) == Moved::failed ? lost : gathering;
}

void Console::on_gathered(Request& r, std::uint32_t block, Status status) noexcept {
    r.work.block = block;
    r.work.media_at = 0;  // bytes of the block that were sent
    r.work.stage = status == Status::ok ? arrived : lost;
    if (status != Status::ok) staging().give(block);
}

std::size_t Console::send_room() const noexcept {
    if (line_ == nullptr) return kEchoBytes - echo_count_;
    return line_->connected() ? line_->room() : kChunkBytes;
}

std::size_t Console::waiting() const noexcept {
    return line_ == nullptr ? echo_count_ : line_->waiting();
}

void Console::put(std::span<const std::byte> bytes) noexcept {
    if (line_ == nullptr) {
        for (const std::byte b : bytes) echo_[(echo_first_ + echo_count_++) % kEchoBytes] = b;
    } else if (line_->connected()) {
        line_->send({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    } else {
        unheard_ += bytes.size();
    }
    sent_ += bytes.size();
}

void Console::take(std::span<std::byte> into) noexcept {
    if (line_ != nullptr) {
        (void)line_->receive({reinterpret_cast<std::uint8_t*>(into.data()), into.size()});
        return;
    }
    for (std::byte& b : into) b = echo_[echo_first_++ % kEchoBytes];
    echo_first_ %= kEchoBytes;
    echo_count_ -= into.size();
}

// The oldest request first, as far as the line takes it.
bool Console::send() noexcept {
    bool did = false;
    while (Request* r = front(kTransmit)) {
        Work& w = r->work;
        if (w.stage == arrived) {
            const auto raw = staging().used_bytes(w.block).subspan(w.media_at);
            const std::size_t n = std::min(raw.size(), send_room());
            if (n == 0) return did;
            put(raw.first(n));
            w.media_at += n;
            did = true;
            if (n < raw.size()) return did;
            w.cursor += staging()[w.block].bytes;
            staging().give(w.block);
            if (w.cursor < r->out_bytes) {
                w.stage = fresh;
                gather_chunk(*r);
                continue;
            }
        } else if (w.stage != lost) {
            return did;
        }
        complete(*r, 0);
        did = true;
    }
    return did;
}

bool Console::receive() noexcept {
    bool did = false;
    while (!receivers_.empty() && waiting() != 0 && can_move()) {
        Request* r = find(receivers_.pop());
        did = true;
        if (r == nullptr) continue;
        const auto n =
            static_cast<std::uint32_t>(std::min({std::uint64_t{waiting()}, r->in_bytes, std::uint64_t{kChunkBytes}}));
        const std::uint32_t block = staging().take();
        take(staging().bytes(block).first(n));
        received_ += n;
        r->work.stage = filling;
        r->work.end = n;
        const Moved moved = scatter(*r, 0, block, n);
        if (moved != Moved::started) complete(*r, moved == Moved::given ? n : 0);
    }
    return did;
}

void Console::on_scattered(Request& r, Status status) noexcept {
    complete(r, status == Status::ok ? static_cast<std::uint32_t>(r.work.end) : 0);
}

bool Console::device_work() noexcept {
    const bool did = send();
    return receive() || did;
}

bool Console::has_device_work() const noexcept {
    if (!receivers_.empty() && waiting() != 0 && can_move()) return true;
    const Request* r = front(kTransmit);
    return r != nullptr && (r->work.stage == lost || (r->work.stage == arrived && send_room() != 0));
}

void Console::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Transport::counters(each);
    each("console_bytes_sent", sent_);
    each("console_bytes_received", received_);
    each("console_bytes_unheard", unheard_ + (line_ != nullptr ? line_->lost() : 0));
}

}  // namespace farlane::firmware::virtio
