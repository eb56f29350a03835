// SPDX-License-Identifier: Apache-2.0
// Receives: what happens to an attached device and to its application. Hands on: the same to the
// other of the two. Owns: see the header. What the application asks for: holding_verbs.cpp.
#include "daemon/holding.hpp"

#include <algorithm>
#include <cstring>

#include <sys/random.h>

#include "lib/daemon_client.hpp"

namespace farlane::daemon {
namespace {

std::int64_t system_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

FunctionInfo saved_info(const SavedState& s) {
    try {
        return control::function_from_json(Json::parse(s.function_json));
    } catch (const std::exception&) {  // hostile: the name alone shows what it was
        return {};
    }
}

}  // namespace

Holding::Holding(HoldingHost& host, std::unique_ptr<StateFile> file)
    : host_(host), file_(std::move(file)), ledger_(file_->state()), own_(ledger_), info_(saved_info(file_->state())) {
    host_.lane.add(*this);
}

Holding::~Holding() {
    let_go();
    end();
    host_.lane.remove(*this);
}

void Holding::start(lane::Attachment& a, const Client& owner, bool persistent) {
    attachment_ = &a;
    info_ = a.info();
    SavedState& s = file_->state();
    const std::string text = control::function_to_json(info_).dump();
    std::strncpy(s.function_json, text.c_str(), sizeof s.function_json - 1);
    note_handle();
    s.uid = owner.uid;
    s.since_ms = system_ms();
    s.persistent = persistent ? 1 : 0;
    while (::getrandom(s.token.data(), s.token.size(), 0) != static_cast<ssize_t>(s.token.size())) {
    }
    a.set_sink(this);
    phase_ = Phase::ready;
}

void Holding::take_user(const Client& client) {
    user_ = client;
    store_in_order(file_->state().has_user, 1U);
}

bool Holding::release_user() {
    user_.reset();
    waiting_ops_.clear();
    vectors_.clear();
    if (channel_) channel_->close();
    if (phase_ == Phase::waiting || phase_ == Phase::resuming || !persistent() || lost()) return true;
    if (attachment_ != nullptr) attachment_->allow_interrupts(0);
    file_->state().vectors = 0;
    unmap_all();
    if (attachment_ != nullptr) attachment_->hurry();  // who comes next waits for it
    draining_ = true;
    finish_drain();
    return false;
}

void Holding::when_free(std::function<void()> then) {
    if (!user_ && !draining_) return then();
    when_free_.push_back(std::move(then));
}

// Records of a dead application still go out, and their memory stays, until the target has them.
void Holding::finish_drain() {
    if (!draining_ || sharing_ || (channel_ && !channel_->drained())) return;
    if (!waiting_ops_.empty()) return;
    draining_ = false;
    drop_channel();
    buffers_.clear();
    retired_.clear();
    store_in_order(file_->state().has_user, 0U);
    store_in_order(file_->state().has_channel, 0U);
    for (const auto& then : std::exchange(when_free_, {})) then();
}

void Holding::expel() {
    if (sharing_) sharing_->expel();
    if (!channel_) return;
    channel_->close();
    channel_->fail_in_flight(Status::device_lost, true);
    channel_->tell(Status::device_lost);
}

void Holding::let_go() noexcept {
    // Whoever waits for an end of this may own it: nobody would ever be told now.
    if (bus_) std::exchange(bus_->unplugged, {}).clear();
    std::exchange(when_free_, {}).clear();
    if (sharing_) sharing_->forget_waiting();
    if (attachment_ == nullptr) return;
    attachment_->set_sink(nullptr);
    attachment_->forget_memory();
}

void Holding::pause(bool on) noexcept {
    if (channel_) channel_->pause(on);
    if (bus_ && bus_->node) bus_->node->channel().pause(on);
}

bool Holding::settled() const noexcept {
    if (phase_ == Phase::waiting) return true;
    const bool quiet = phase_ == Phase::ready && !draining_ && replay_.empty() && waiting_ops_.empty() && !own_.busy();
    if (!quiet && !sharing_) return false;
    if (sharing_) return phase_ == Phase::ready && sharing_->settled() && !own_.busy();
    if (channel_ && channel_->outstanding() != 0) return false;
    if (!bus_) return true;
    return bus_->phase == BusPort::Phase::live && !bus_->freeing &&
           (!bus_->node || bus_->node->channel().outstanding() == 0);
}

// The attachment may be gone already; its memory is not written any more.
void Holding::end() {
    attachment_ = nullptr;
    own_.abandon(Status::device_lost);
    if (sharing_) sharing_->device_gone();
    waiting_ops_.clear();
    drop_channel();
}

void Holding::watch_channel() {
    host_.lane.watch(channel_->submit_bell());
}

void Holding::drop_channel() {
    if (!channel_) return;
    host_.lane.unwatch(channel_->submit_bell());
    channel_.reset();
}

bool Holding::lost() const noexcept {
    return attachment_ != nullptr && attachment_->state() == lane::AttachmentState::lost;
}

bool Holding::named(const std::string& name) const {
    return name == info_.name || name == info_.target + "/" + info_.name;
}

std::span<std::byte> Holding::buffer(std::uint32_t number) const noexcept {
    if (number == FL_BUFFER_STAGING) return channel_ ? channel_->staging() : std::span<std::byte>();
    const auto at = buffers_.find(number);
    return at != buffers_.end() ? at->second->bytes() : std::span<std::byte>();
}

void Holding::on_completion(std::uint64_t cookie, Status status) noexcept {
    if (OwnRequests::mine(cookie)) return own_.on_completion(cookie, status);
    if (sharing_) return sharing_->on_completion(cookie, status);
    if (NodeChannel::mine(cookie)) {
        if (bus_ && bus_->node) bus_->node->channel().on_completion(cookie, status);
        return;
    }
    if (channel_) channel_->on_completion(cookie, status);
}

void Holding::on_released(std::uint64_t cookie) noexcept {
    if (sharing_) return sharing_->on_released(cookie);
    if (NodeChannel::mine(cookie)) {
        if (bus_ && bus_->node) bus_->node->channel().on_released(cookie);
        return;
    }
    if (channel_) channel_->on_released(cookie);
}

void Holding::on_interrupt(std::uint32_t vector) noexcept {
    if (bus_) return bus_->memory.interrupt(vector);
    if (sharing_) return sharing_->on_interrupt(vector);
    if (vector >= vectors_.size() || !vectors_[vector].valid()) return;
    if (!host_.bells.ring(vectors_[vector].get())) misbehaved_ = true;
}

// The attachment that the next life of this daemon takes up. One that came with a reset is none until that is
// acknowledged: ended before, the next life knows that its user may not have heard, and asks for another (Grip::adopt).
void Holding::note_handle() noexcept {
    file_->state().function_index = attachment_->handle().index;
    file_->state().function_generation = attachment_->handle().generation;
}

void Holding::on_event(EventKind kind, const std::string& detail) noexcept {
    if (bus_ && bus_event(kind)) return;
    if (sharing_) sharing_->on_event(kind, detail);
    switch (kind) {
        case EventKind::device_lost:
            if (channel_) {
                channel_->fail_in_flight(Status::device_lost, true);
                channel_->tell(Status::device_lost);
            }
            break;
        case EventKind::device_reset:
            // What was not released is gone with the device's state; requests the session answers.
            if (channel_) {
                channel_->fail_in_flight(Status::device_reset, false);
                channel_->tell(Status::device_reset);
            }
            break;
        case EventKind::link_down:
            if (channel_) channel_->tell(Status::unreachable);
            break;
        case EventKind::resumed:
            if (channel_) channel_->tell(Status::ok);
            break;
        case EventKind::timeout:
        case EventKind::error:
            // The others are told by the initiator.
            host_.emit({kind, info_.name, info_.target, detail, std::chrono::system_clock::now()});
            break;
        default: break;
    }
}

bool Holding::turn(lane::Time now) noexcept {
    bool busy = false;
    if (!replay_.empty() || replayed_) busy |= run_replay();
    if (channel_) busy |= channel_->turn(now);
    while (!waiting_ops_.empty() && waiting_ops_.front()()) {
        waiting_ops_.pop_front();
        busy = true;
    }
    if (!retired_.empty() && channel_) {
        const std::uint32_t released = file_->state().submit_released;
        std::erase_if(retired_, [&](const Retired& r) { return static_cast<std::int32_t>(released - r.tail) >= 0; });
    }
    if (draining_) finish_drain();
    if (bus_) busy |= turn_bus(now);
    if (sharing_) busy |= sharing_->turn(now);
    return busy;
}

lane::Time Holding::next_timer() const noexcept {
    if (sharing_) return sharing_->next_timer();
    return channel_ ? channel_->next_timer() : lane::kNever;
}

bool Holding::prepare_sleep() noexcept {
    if (bus_ && bus_->node && !bus_->node->channel().prepare_sleep()) return false;
    return !channel_ || channel_->prepare_sleep();
}

void Holding::woken() noexcept {
    if (channel_) channel_->woken();
    if (bus_ && bus_->node) bus_->node->channel().woken();
}

std::string Holding::token() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : file_->state().token) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

}  // namespace farlane::daemon
