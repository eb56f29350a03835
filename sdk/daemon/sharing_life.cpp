// SPDX-License-Identifier: Apache-2.0
// Receives: clients that come and go, what happens to the device. Hands on: shares, and the same to all of them.
// Owns: see sharing.hpp.
#include <algorithm>
#include <cstring>

#include "daemon/sharing.hpp"

namespace farlane::daemon {
namespace {

static_assert(kMaxShares * Share::kMaxMappings <= lane::DmaTable::kMaxRanges);

/// How long a client that left may be waited for; it is dead, and what it had is wanted back.
constexpr auto kLeaveTime = std::chrono::milliseconds(500);
constexpr std::uint32_t kOwnRequests = 32;  // kept free for farlaned itself

}  // namespace

Result<std::unique_ptr<Share>> Sharing::admit(const Client& client) {
    // Not the last one's again: what may still be said of that finds nobody.
    while (shares_.contains(next_number_)) next_number_ = next_number_ % Share::kMaxNumber + 1;
    std::vector<Process> users;
    for (const auto& [number, share] : shares_) users.push_back(process_of(share->client().pid, number));
    if (Reply room = room_for(process_of(client.pid, next_number_), kMaxShares, users, "attachments");
        room.status != Status::ok)
        return Failure{room.status, room.message};
    auto share = std::make_unique<Share>(device_, *this, next_number_, client);
    share->add_window({FL_ACCEL_BAR_REGISTERS, 0, FL_ACCEL_PAGE_BYTES, true, false, 0});
    shares_[next_number_] = share.get();
    next_number_ = next_number_ % Share::kMaxNumber + 1;
    share_quota();
    return share;
}

void Sharing::share_quota() noexcept {
    const auto n = static_cast<std::uint32_t>(std::max<std::size_t>(shares_.size(), 1));
    const proto::FunctionLimits limits;
    for (const auto& [number, share] : shares_)
        share->set_quota(limits.posted_window / n / 2, std::max((limits.request_window - kOwnRequests) / n, 2U));
}

bool Sharing::has_queues(const Share& share) const noexcept {
    return std::ranges::any_of(queues_, [&share](const QueueSlot& q) { return q.owner == &share; });
}

// Proof of teardown: nothing passes from the client any more; the device is told to let go of its queue pairs and
// says that it has; what the client had written is out of its memory; then its mappings go, at this end at once and
// at the other in order. A device that does not let go in time finds no mapping. Only then its memory may go.
void Sharing::leave(Share& share, std::function<void()> done) {
    share.close();
    share.remove_all_windows();
    for (std::uint32_t q = 0; q < queues_.size(); ++q)
        if (queues_[q].owner == &share) begin_drop(q);
    for (std::uint32_t c = 0; c < contexts_.size(); ++c) {
        if (contexts_[c].owner != &share) continue;
        contexts_[c].closing = true;
        context_free(c);
    }
    share.hurry();
    leaves_.push_back({&share, lane_.now() + kLeaveTime, std::move(done)});
}

bool Sharing::finish_leaves(lane::Time now) {
    const auto over = std::ranges::find_if(
        leaves_, [&](const Leave& l) { return l.share->drained() && (now >= l.deadline || !has_queues(*l.share)); });
    if (over == leaves_.end()) return false;
    const Leave leave = std::move(*over);
    leaves_.erase(over);
    leave.share->unmap_all();
    for (QueueSlot& q : queues_)
        if (q.owner == leave.share) q.owner = nullptr;
    for (ContextSlot& c : contexts_)
        if (c.owner == leave.share) c.owner = nullptr;
    shares_.erase(leave.share->number());
    share_quota();
    leave.done();
    return true;
}

void Sharing::expel() noexcept {
    if (phase_ == Phase::over) return;
    fail(Status::device_lost, "'" + device_.info().name + "' is being detached");
    phase_ = Phase::over;
    for (const auto& [number, share] : shares_) {
        share->close();
        share->remove_all_windows();
        share->on_event(EventKind::device_lost, "");
    }
}

void Sharing::close(std::function<void()> done) {
    fail(Status::device_lost, "nobody uses it any more");
    phase_ = Phase::over;
    if (!known_) return lane_.post(std::move(done));  // nothing of it was written
    bars_.write32(FL_ACCEL_BAR_REGISTERS, offsetof(fl_accel_registers, control), FL_ACCEL_CONTROL_RESET);
    bars_.read(FL_ACCEL_BAR_REGISTERS, 0, 4, [then = std::move(done)](Status, std::span<const std::byte>) { then(); });
}

void Sharing::forget_waiting() noexcept {
    waiting_.clear();
    leaves_.clear();
    for (QueueSlot& q : queues_) q.answers.clear();
    for (ContextSlot& c : contexts_) c.closed.clear();
}

void Sharing::accept_reset(Share& share, const Answer& answer) {
    when_ready([this, number = share.number(), answer](Result<bool> result) {
        if (!result.ok()) return answer(refusal(result.failure()));
        if (const auto at = shares_.find(number); at != shares_.end()) at->second->accept_reset();
        answer({});
    });
}

void Sharing::device_gone() {
    expel();
    gone_ = true;
    bars_.abandon(Status::device_lost);
    forget_all(Status::device_lost);
    for (const auto& [number, share] : std::exchange(shares_, {})) share->device_gone();
    for (const Leave& leave : std::exchange(leaves_, {})) leave.done();
}

// --- from the attachment

void Sharing::on_completion(std::uint64_t cookie, Status status) noexcept {
    const std::uint32_t number = Share::number_of(cookie);
    if (number == 0) return bars_.on_completion(cookie, status);
    if (const auto at = shares_.find(number); at != shares_.end()) at->second->on_completion(cookie, status);
}

void Sharing::on_released(std::uint64_t cookie) noexcept {
    if (const auto at = shares_.find(Share::number_of(cookie)); at != shares_.end()) at->second->on_released(cookie);
}

// Vector 0: a queue pair stopped, which its owner sees, or a context was lost, which others want to know whose it was.
void Sharing::look_for_lost() {
    look_again_ = true;
    if (looking_ || phase_ != Phase::ready || bars_.full()) return;  // turn() comes back to it
    looking_ = true;
    look_again_ = false;
    changed_ = 0;
    bars_.read(FL_ACCEL_BAR_REGISTERS, offsetof(fl_accel_registers, lost_contexts), sizeof(fl_le32),
               [this](Status status, std::span<const std::byte> raw) {
                   looking_ = false;
                   if (status != Status::ok || phase_ != Phase::ready) return;
                   fl_le32 lost;
                   std::memcpy(static_cast<void*>(&lost), raw.data(), sizeof lost);
                   // Of a context that ended meanwhile it may have been the last owner's: asked once more.
                   tell_lost(lost.get() & ~changed_);
                   if (look_again_ || (lost.get() & changed_) != 0) look_for_lost();
               });
}

void Sharing::tell_lost(std::uint32_t now_lost) {
    const std::uint32_t fresh = now_lost & ~std::exchange(lost_, now_lost);
    for (std::uint32_t c = 0; c < std::min<std::size_t>(contexts_.size(), 32); ++c) {
        if ((fresh >> c & 1) == 0 || contexts_[c].owner == nullptr || !warn_) continue;
        const Client& client = contexts_[c].owner->client();
        warn_("context " + std::to_string(c) + " of accelerator '" + device_.info().name + "' at '" +
              device_.info().target + "' is lost: that of " + client.comm + " (pid " + std::to_string(client.pid) +
              "); the log of its target says why");
    }
}

// Where vectors are fewer than queue pairs, one may be for several: who has nothing to do looks in vain.
void Sharing::on_interrupt(std::uint32_t vector) noexcept {
    if (vector == 0) return look_for_lost();
    if (msix_.vectors < 2) return;
    for (std::size_t q = vector - 1; q < queues_.size(); q += msix_.vectors - 1)
        if (queues_[q].state == QueueSlot::State::on && queues_[q].vector != FL_ACCEL_NO_VECTOR)
            queues_[q].owner->on_interrupt(queues_[q].vector);
}

void Sharing::on_event(EventKind kind, const std::string& detail) noexcept {
    switch (kind) {
        case EventKind::device_lost:
            // Nothing is in flight any more; the mappings went first.
            expel();
            break;
        case EventKind::device_reset:
            bars_.drop_waiting(Status::device_reset);
            forget_all(Status::device_reset);
            for (const auto& [number, share] : shares_) share->device_reset();
            if (phase_ == Phase::ready) phase_ = Phase::opening;
            reopen_ = phase_ == Phase::opening;
            break;
        case EventKind::link_down:
        case EventKind::resumed:
            for (const auto& [number, share] : shares_) share->on_event(kind, detail);
            break;
        default: break;
    }
}

bool Sharing::turn(lane::Time now) {
    if (gone_) return false;
    bool busy = bars_.turn();
    if (reopen_) {
        // Not in the middle of the news: the attachment was telling it.
        reopen_ = false;
        device_.acknowledge_reset();
        open();
        busy = true;
    }
    if (look_again_ && !looking_ && phase_ == Phase::ready && !bars_.full()) {
        look_for_lost();
        busy = true;
    }
    if (registers_at_ <= now) {
        read_registers();
        busy = true;
    }
    for (std::uint32_t q = 0; q < queues_.size(); ++q) {
        if (queues_[q].look_at > now) continue;
        ask_dropped(q);
        busy = true;
    }
    while (finish_leaves(now)) {
        busy = true;
        if (gone_) return true;
    }
    return busy;
}

lane::Time Sharing::next_timer() const noexcept {
    lane::Time next = registers_at_;
    for (const QueueSlot& q : queues_) next = std::min(next, q.look_at);
    for (const Leave& l : leaves_)
        if (l.share->drained()) next = std::min(next, l.deadline);
    return next;
}

bool Sharing::settled() const noexcept {
    return phase_ != Phase::opening && leaves_.empty();
}

// --- looks

std::string Sharing::names() const {
    std::string text;
    for (const auto& [number, share] : shares_)
        text +=
            (text.empty() ? "" : ", ") + share->client().comm + " (pid " + std::to_string(share->client().pid) + ")";
    return text.empty() ? "nobody" : text;
}

Json Sharing::json_of(const Share& share) const {
    Json contexts = Json::array();
    for (std::size_t c = 0; c < contexts_.size(); ++c)
        if (contexts_[c].owner == &share) contexts.push_back(c);
    const auto pairs = std::ranges::count_if(queues_, [&share](const QueueSlot& q) { return q.owner == &share; });
    return {{"pid", share.client().pid},
            {"comm", share.client().comm},
            {"uid", share.client().uid},
            {"contexts", std::move(contexts)},
            {"queue_pairs", pairs},
            {"mapped_bytes", share.mapped_bytes()},
            {"pushed_bytes", share.pushed_bytes()},
            {"violations", share.violations()}};
}

Json Sharing::holders() const {
    Json all = Json::array();
    for (const auto& [number, share] : shares_) all.push_back(json_of(*share));
    return all;
}

Json Sharing::json() const {
    const auto used = [](const auto& slots, auto&& is) { return std::ranges::count_if(slots, is); };
    return {{"applications", shares_.size()},
            {"contexts", contexts_.size()},
            {"contexts_used", used(contexts_, [](const ContextSlot& c) { return c.used; })},
            {"queue_pairs", queues_.size()},
            {"queue_pairs_used", used(queues_, [](const QueueSlot& q) { return q.state != QueueSlot::State::free; })}};
}

}  // namespace farlane::daemon
