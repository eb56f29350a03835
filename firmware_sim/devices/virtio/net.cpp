// SPDX-License-Identifier: Apache-2.0
// Receives: packets of a network driver. Hands on: their frames to another function or to a tap interface, and
// frames from there to the driver. Owns: its end of the wire.
#include "devices/virtio/net.hpp"

#include <algorithm>
#include <cstring>

#include <farlane/uapi/types.h>

namespace farlane::firmware::virtio {
namespace {

// 5.1.3
constexpr std::uint64_t kMtu = feature::bit(3), kMac = feature::bit(5), kStatus = feature::bit(16);
constexpr std::uint16_t kLinkUp = 1;
// struct virtio_net_hdr, 5.1.6: with VIRTIO_F_VERSION_1 always with num_buffers
constexpr std::uint32_t kHeaderBytes = 12, kBuffersAt = 10;
constexpr std::uint32_t kLeastFrameBytes = 14, kEthernetBytes = 14 + 4;  // with a VLAN tag
constexpr unsigned kTapFramesPerTurn = 64;
enum Stage : std::uint32_t { fresh, gathering, arrived, dropped, filling };

Profile profile(const NetOptions& o) {
    Profile p;
    p.kind = Kind::net;
    p.model = "Farlane virtio network interface";
    p.class_code = 0x020000;
    p.features = kMtu | kMac | kStatus;
    p.config_changes = true;  // its link
    p.queues = 2;
    p.blocks = 768;
    p.block_bytes = std::max<std::uint32_t>(p.block_bytes, (kHeaderBytes + kEthernetBytes + o.mtu + 511) & ~511u);
    return p;
}

}  // namespace

Net::Net(const NetOptions& options, State& state, std::unique_ptr<Tap> tap)
    : Transport(profile(options), state), options_(options), tap_(std::move(tap)), receivers_(kMaxQueueSize) {}

Net::~Net() {
    leave();
    if (tap_ != nullptr) tap_->on_readable({});
}

std::uint32_t Net::most_frame_bytes() const noexcept {
    return options_.mtu + kEthernetBytes;
}

// 5.1.4
void Net::device_config(std::span<std::byte, kDeviceBytes> c) const noexcept {
    for (std::size_t i = 0; i < options_.mac.size(); ++i) c[i] = std::byte{options_.mac[i]};
    const fl_le16 status(link_up() ? kLinkUp : std::uint16_t{0}), pairs(1), mtu(options_.mtu);
    std::memcpy(c.data() + 6, &status, sizeof status);
    std::memcpy(c.data() + 8, &pairs, sizeof pairs);
    std::memcpy(c.data() + 10, &mtu, sizeof mtu);
}

void Net::on_port(backend::HostPort* p) noexcept {
    if (tap_ == nullptr) return;
    if (p == nullptr)
        tap_->on_readable({});
    else
        tap_->on_readable([p] { p->wake(); });
}

void Net::on_halt() noexcept {
    receivers_.clear();
    first_frame_ = frame_count_ = 0;  // their blocks are taken back by the transport
}

void Net::proceed(Request& r) noexcept {
    if (r.queue == kReceive) {
        if (r.in_bytes <= kHeaderBytes) return broken(Fault::request);
        return receivers_.push(reference(r));  // fill() finds it
    }
    if (r.out_bytes < kHeaderBytes) return broken(Fault::request);
    const std::uint64_t frame = r.out_bytes - kHeaderBytes;
    if (frame < kLeastFrameBytes || frame > most_frame_bytes()) {
        r.work.stage = dropped;
        return;
    }
    if (!can_move()) return stall(r);
    const bool asked = gather(r, 0, static_cast<std::uint32_t>(r.out_bytes)) != Moved::failed;
    r.work.stage = asked ? gathering : dropped;
}

void Net::on_gathered(Request& r, std::uint32_t block, Status status) noexcept {
    r.work.block = block;
    r.work.stage = status == Status::ok ? arrived : dropped;
    if (status != Status::ok) staging().give(block);
}

// Frames leave in the order in which the driver gave them.
void Net::deliver() noexcept {
    while (Request* r = front(kTransmit)) {
        if (r->work.stage == arrived) {
            send(staging().used_bytes(r->work.block));
            staging().give(r->work.block);
        } else if (r->work.stage == dropped) {
            ++dropped_transmit_;
        } else {
            return;
        }
        complete(*r, 0);
    }
}

void Net::send(std::span<const std::byte> packet) noexcept {
    // 5.1.6.2: without offloads flags and gso_type are 0; a frame that wants more would arrive broken
    const bool plain = packet[0] == std::byte{0} && packet[1] == std::byte{0};
    const auto frame = packet.subspan(kHeaderBytes);
    bool taken = plain;
    if (plain && tap_ != nullptr)
        taken = tap_->write(frame);
    else if (plain && other() != nullptr)
        other()->receive(frame);
    else
        taken = false;
    ++(taken ? sent_ : dropped_transmit_);
    if (taken) bytes_sent_ += frame.size();
}

// Some blocks are kept for rings and for what the driver sends.
bool Net::has_room() const noexcept {
    return running() && frame_count_ < kWaitingFrames && staging().available() > kWaitingFrames;
}

void Net::receive(std::span<const std::byte> frame) noexcept {
    if (!has_room() || frame.size() > most_frame_bytes()) {
        ++dropped_receive_;
        return;
    }
    const std::uint32_t block = staging().take();
    const auto to = staging().bytes(block);
    const fl_le16 buffers(1);
    std::memset(to.data(), 0, kHeaderBytes);
    std::memcpy(to.data() + kBuffersAt, &buffers, sizeof buffers);
    std::memcpy(to.data() + kHeaderBytes, frame.data(), frame.size());
    staging()[block].bytes = kHeaderBytes + static_cast<std::uint32_t>(frame.size());
    frames_[(first_frame_ + frame_count_++) % kWaitingFrames] = block;
    if (frame_count_ == 1 && port() != nullptr) port()->wake();
}

bool Net::fill() noexcept {
    bool did = false;
    while (frame_count_ != 0 && !receivers_.empty() && can_move()) {
        did = true;
        Request* r = find(receivers_.front());
        if (r == nullptr) {
            (void)receivers_.pop();
            continue;
        }
        const std::uint32_t block = frames_[first_frame_];
        first_frame_ = (first_frame_ + 1) % kWaitingFrames;
        --frame_count_;
        const std::uint32_t n = staging()[block].bytes;
        if (n > r->in_bytes) {  // the driver's buffers are too small for it
            staging().give(block);
            ++dropped_receive_;
            continue;
        }
        (void)receivers_.pop();
        r->work.stage = filling;
        r->work.end = n;
        ++received_;
        bytes_received_ += n - kHeaderBytes;
        const Moved moved = scatter(*r, 0, block, n);
        if (moved != Moved::started) complete(*r, moved == Moved::given ? n : 0);
    }
    return did;
}

void Net::on_scattered(Request& r, Status status) noexcept {
    complete(r, status == Status::ok ? static_cast<std::uint32_t>(r.work.end) : 0);
}

bool Net::read_tap() noexcept {
    if (tap_ == nullptr) return false;
    unsigned n = 0;
    std::array<std::byte, 9216 + kEthernetBytes> frame;
    for (; n < kTapFramesPerTurn && tap_->readable() && has_room(); ++n) {
        const std::size_t bytes = tap_->read(frame);
        if (bytes == 0) break;
        receive(std::span(frame).first(bytes));
    }
    return n != 0;
}

bool Net::device_work() noexcept {
    deliver();
    const bool did = read_tap();
    return fill() || did;
}

bool Net::has_device_work() const noexcept {
    if (frame_count_ != 0 && !receivers_.empty() && can_move()) return true;
    if (tap_ != nullptr && tap_->readable() && has_room()) return true;
    const Request* r = front(kTransmit);
    return r != nullptr && (r->work.stage == arrived || r->work.stage == dropped);
}

void Net::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Transport::counters(each);
    each("net_frames_sent", sent_);
    each("net_frames_received", received_);
    each("net_bytes_sent", bytes_sent_);
    each("net_bytes_received", bytes_received_);
    each("net_dropped_sending", dropped_transmit_);
    each("net_dropped_receiving", dropped_receive_);
    each("net_link_up", link_up() ? 1 : 0);
}

}  // namespace farlane::firmware::virtio
