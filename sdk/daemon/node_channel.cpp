// SPDX-License-Identifier: Apache-2.0
// Receives: records of the application that has a function's node open. Hands on: them to the
// attachment. Owns: see the header.
#include "daemon/node_channel.hpp"

#include <cstring>
#include <utility>

namespace farlane::daemon {

Result<std::unique_ptr<NodeChannel>> NodeChannel::open(KernelModule& module, const KernelFunction& f,
                                                       const KernelChannel& c, SavedState& saved, BellRinger& bells) {
    if (!c.geometry.valid() || c.channel_bytes < c.geometry.total_bytes())
        return {Status::invalid, "the application of '" + f.name + "' made a channel that can not be served"};
    KernelFunction where = f;
    where.mmap_offset = c.mmap_offset;
    where.channel_bytes = c.channel_bytes;
    auto memory = module.map_channel(where);
    if (!memory.ok()) return memory.failure();
    // `id` is the generation of the channel that the note is about.
    const bool known = saved.magic == SavedState::kMagic && saved.id == c.generation && saved.has_channel == 1 &&
                       saved.geometry() == c.geometry &&
                       saved.submit_tail - saved.submit_released <= saved.submit_entries;
    if (!known) {
        std::memset(static_cast<void*>(&saved), 0, sizeof saved);
        saved.bytes = sizeof saved;
        saved.id = c.generation;
        store_in_order(saved.magic, std::uint64_t{SavedState::kMagic});
    }
    auto node = std::make_unique<NodeChannel>(saved, f.id, c.generation);
    // Nobody writes a header: the application knows the geometry it asked for, and may be writing already.
    Channel::Parts parts{std::move(*memory), {}, {}, true, kMark};
    node->channel_ = std::make_unique<Channel>(std::move(parts), c.geometry, node->ledger_, *node, bells, !known);
    node->continued_ = known;
    return node;
}

std::span<std::byte> NodeChannel::buffer(std::uint32_t number) const noexcept {
    return number == FL_BUFFER_STAGING && channel_ ? channel_->staging() : std::span<std::byte>();
}

bool NodeChannel::end() noexcept {
    channel_->close();
    return !std::exchange(ending_, true);
}

bool NodeChannel::turn(lane::Time now, KernelModule& module) noexcept {
    const bool busy = channel_->turn(now);
    if (channel_->take_poke()) (void)module.ring_application(function_);
    return busy;
}

}  // namespace farlane::daemon
