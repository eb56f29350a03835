// SPDX-License-Identifier: Apache-2.0
// Receives: what the applications that share an accelerator ask for. Hands on: it to the accelerator's driver
// (sharing.hpp). Owns: see holding.hpp.
#include "daemon/holding.hpp"

namespace farlane::daemon {

void Holding::share_out() {
    store_in_order(file_->state().has_user, kSharedUsers);
    draining_ = true;  // until nobody shares it any more
    sharing_ = std::make_unique<Sharing>(host_.lane, *attachment_, own_, host_.share_places, host_.warn);
    sharing_->open();
}

void Holding::end_sharing(std::function<void()> done) {
    when_free_.push_back(std::move(done));
    sharing_->close([keep = shared_from_this()] {
        // Not in the middle of its own call; finish_drain() goes on with the next turn.
        keep->host_.lane.post([keep] { keep->sharing_.reset(); });
    });
}

void Holding::start_share(std::unique_ptr<Share> share, const Client& client) {
    share_ = std::move(share);
    start(*share_, client, false);
    take_user(client);
}

bool Holding::can_share(const Answer& answer) const {
    if (usable() != Status::ok || (share_ && share_->sharing() == nullptr))
        answer(unusable());
    else if (!share_)
        answer(refusal(Status::invalid, "'" + info_.name + "' is not shared: its registers are this application's"));
    else
        return true;
    return false;
}

void Holding::open_context(const Answer& answer) {
    if (can_share(answer)) share_->sharing()->open_context(*share_, answer);
}

void Holding::close_context(std::uint32_t context, const Answer& answer) {
    if (can_share(answer)) share_->sharing()->close_context(*share_, context, answer);
}

void Holding::make_queue(const QueueWish& wish, const Answer& answer) {
    if (!can_share(answer)) return;
    const std::uint64_t bytes = std::uint64_t{wish.entries} * FL_ACCEL_COMPLETION_BYTES;
    const auto holds = [&](const SavedMapping& m) {
        return m.bytes != 0 && (m.direction & FL_MAP_DEVICE_WRITES) != 0 && wish.cq_iova >= m.iova &&
               bytes <= m.bytes && wish.cq_iova - m.iova <= m.bytes - bytes;
    };
    if (wish.cq_iova % FL_ACCEL_COMMAND_BYTES != 0 || !std::ranges::any_of(file_->state().mappings, holds))
        return answer(refusal(Status::out_of_bounds,
                              "the completion queue is 64-byte aligned, in a mapping that the device writes"));
    if (wish.vector != FL_ACCEL_NO_VECTOR && wish.vector >= vectors_.size())
        return answer(refusal(Status::out_of_bounds, "vector " + std::to_string(wish.vector) +
                                                         " is not enabled: enable_interrupts comes first"));
    share_->sharing()->make_queue(*share_, wish, answer);
}

void Holding::drop_queue(std::uint32_t queue, const Answer& answer) {
    if (can_share(answer)) share_->sharing()->drop_queue(*share_, queue, answer);
}

void Holding::acknowledge_reset(const Answer& answer) {
    if (!share_) return answer(acknowledge_reset());
    if (!can_share(answer)) return;
    share_->sharing()->accept_reset(*share_, [self = shared_from_this(), answer](Reply r) {
        if (r.status == Status::ok && self->channel_) self->channel_->tell(Status::ok);
        answer(std::move(r));
    });
}

}  // namespace farlane::daemon
