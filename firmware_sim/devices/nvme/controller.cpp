// SPDX-License-Identifier: Apache-2.0
// Receives: the turns of the lane and the ends of DMA. Hands on: to the parts of the controller.
// Owns: commands at work and their staging memory.
#include "devices/nvme/controller.hpp"

#include <new>

namespace farlane::firmware::nvme {

StagingPool::StagingPool() : blocks_(kBlocks) {
    const std::size_t bytes = std::size_t{kBlocks} * kPageBytes;
    memory_ = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, bytes));
    if (memory_ == nullptr) throw std::bad_alloc();
    free_.reserve(kBlocks);
    for (std::uint32_t i = kBlocks; i-- > 0;) free_.push_back(i);
}

StagingPool::~StagingPool() {
    std::free(memory_);
}

Controller::Controller(const ControllerIdentity& identity, State& state, std::unique_ptr<Media> media)
    : Function(identity.function, state.function, 2 * StagingPool::kBlocks),
      state_(state),
      identity_(identity),
      media_(std::move(media)),
      runs_(kCommands),
      scratch_(kScratches) {
    for (std::uint32_t i = kCommands; i-- > 0;) slots_.give(i);
    at_work_.reserve(kCommands);
}

// Nothing is stored into `state_`: the end of this object is the same to it as a kill.
Controller::~Controller() {
    media_->on_durable({});
}

void Controller::on_port(backend::HostPort* p) noexcept {
    if (p == nullptr) return media_->on_durable({});
    media_->on_durable([p] { p->wake(); });
    p->wake();  // what became durable before
}

bool Controller::work() noexcept {
    bool did = reap();
    if (finish_shutdown()) did = true;
    if (!running()) return did;
    did |= run_delayed();
    did |= run_flushing();
    did |= run_zeroing();
    did |= run_stalled();
    did |= run_deletions();
    did |= fetch();
    did |= post_completions();
    return raise_due() || did;
}

bool Controller::has_work() const noexcept {
    if (shutting_down_ && media_->durable() >= shutdown_ticket_) return true;
    if (!running()) return false;
    if (!delayed_.empty() || !zeroing_.empty() || fetchable() || due_vectors() != 0) return true;
    if (!flushing_.empty() && media_->durable() >= runs_[flushing_.front()].ticket) return true;
    if (!stalled_.empty() && can_move()) return true;
    for (std::uint64_t todo = dma().ready() ? ready_queues_ : 0; todo != 0; todo &= todo - 1)
        if (!full(state_.session.cq[static_cast<unsigned>(__builtin_ctzll(todo))])) return true;
    return deletable() != kNoSlot;
}

void Controller::dma_ordered(std::uint64_t tag, Status status) noexcept {
    Block& b = staging_[static_cast<std::uint32_t>(tag)];
    if (b.epoch != epoch_ || !running() || b.use != Block::Use::to_host) return;
    Run& r = run(b.owner);
    --r.in_flight;
    if (status != Status::ok && r.status == kOk) r.status = kDataTransferError;
    settle(b.owner);
}

void Controller::dma_done(std::uint64_t tag, Status status) noexcept {
    const auto index = static_cast<std::uint32_t>(tag);
    const Block b = staging_[index];
    // A reset cancels first and changes the epoch then
    const bool current = b.epoch == epoch_ && running() && status != Status::canceled;
    if (current && b.use == Block::Use::from_host && status != Status::ok && run(b.owner).status == kOk)
        run(b.owner).status = kDataTransferError;
    if (--staging_[index].pending != 0) return;
    if (current && b.use == Block::Use::fetch) fetched(b, index, status);
    if (current && (b.use == Block::Use::from_host || b.use == Block::Use::list)) {
        Run& r = run(b.owner);
        --r.in_flight;
        const auto bytes = staging_.bytes(index, b.bytes);
        if (r.status == kOk && status != Status::ok)
            r.status = kDataTransferError;
        else if (r.status == kOk)
            r.status = b.use == Block::Use::list ? take_list(b.owner, bytes) : consume(b.owner, b.offset, bytes);
    }
    staging_.give(index);
    if (current && (b.use == Block::Use::from_host || b.use == Block::Use::list)) proceed(b.owner);
}

void Controller::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Function::counters(each);
    const Lasting& l = state_.lasting;
    each("nvme_commands", commands_done_);
    each("nvme_commands_failed", commands_failed_);
    each("nvme_commands_again", commands_again_);  // executed again after a kill
    each("nvme_doorbells_bad", doorbells_bad_);
    each("nvme_fatal_errors", fatals_);
    each("nvme_reads", l.reads);
    each("nvme_writes", l.writes);
    each("nvme_bytes_read", l.bytes_read);
    each("nvme_bytes_written", l.bytes_written);
    each("nvme_media_errors", l.media_errors);
    each("nvme_completions_waiting", static_cast<std::uint64_t>(__builtin_popcountll(ready_queues_)));
}

}  // namespace farlane::firmware::nvme
