// SPDX-License-Identifier: Apache-2.0
// Receives: turns of the lane, ends of DMA. Hands on: to the parts of the transport and to the device.
// Owns: requests at work, staging memory.
#include "devices/virtio/transport.hpp"

#include <algorithm>

namespace farlane::firmware::virtio {
namespace {

constexpr std::uint32_t kTransfers = 4096;
static_assert(kTransfers >= 2 * kMaxSegments);

FunctionIdentity function_identity(const Profile& p) {
    FunctionIdentity id;
    id.model = p.model;
    id.vendor_id = id.subsystem_vendor_id = kVendorId;
    id.device_id = static_cast<std::uint16_t>(kFirstDeviceId + static_cast<std::uint16_t>(p.kind));
    id.subsystem_id = id.device_id;
    id.class_code = p.class_code;
    id.revision = 1;  // 4.1.2.1: not a transitional device
    id.bars[0] = {Transport::kBarBytes, FL_BAR_64BIT};
    id.msix = {p.queues + 1, 0, Transport::kMsixTable, Transport::kMsixPba};
    return id;
}

}  // namespace

Transport::Transport(const Profile& profile, State& state)
    : Function(function_identity(profile), state.function, kTransfers),
      state_(state),
      profile_(profile),
      features_(profile.features | (feature::kTransport & ~profile.withheld)),
      staging_(profile.blocks, profile.block_bytes),
      queues_(profile.queues),
      stalled_(std::size_t{profile.queues} * profile.window) {
    for (unsigned n = 0; n < profile.queues; ++n) {
        queues_[n].slots.resize(profile.window);
        for (std::uint32_t slot = 0; slot < profile.window; ++slot) {
            queues_[n].slots[slot].queue = static_cast<std::uint16_t>(n);
            queues_[n].slots[slot].slot = static_cast<std::uint16_t>(slot);
        }
    }
    add_capabilities();
    dma().set_patient(true);  // drivers of virtio have no time limits and no recovery: an outage is a delay
}

bool Transport::work() noexcept {
    if (!running()) return false;
    bool did = run_stalled();
    for (unsigned i = 0; i < profile_.queues && running(); ++i) {
        const unsigned n = (next_queue_ + i) % profile_.queues;
        did |= read_rings(n);
        did |= fetch(n);
        did |= start_requests(n);
    }
    next_queue_ = (next_queue_ + 1) % profile_.queues;
    if (running()) did |= device_work();
    for (unsigned n = 0; n < profile_.queues && running(); ++n) did |= write_used(n);
    return did;
}

bool Transport::has_work() const noexcept {
    if (!running()) return false;
    if (has_device_work() || (!stalled_.empty() && can_move())) return true;
    if (!dma().ready()) return false;
    for (unsigned n = 0; n < profile_.queues; ++n) {
        const Queue& q = queues_[n];
        if (usable(q) || startable(n)) return true;
        if (can_move() && (wants_read(q) || fetchable(n))) return true;
    }
    return false;
}

Request* Transport::front(unsigned queue) noexcept {
    Queue& q = queues_[queue];
    while (q.first_open != q.started && q.at(q.first_open).step == Step::done) ++q.first_open;
    return q.first_open == q.started ? nullptr : &q.at(q.first_open);
}

Request* Transport::find(const RequestRef& ref) noexcept {
    Request& r = queues_[ref.queue].slots[ref.slot];
    return r.step != Step::free && r.serial == ref.serial ? &r : nullptr;
}

void Transport::complete(Request& r, std::uint32_t written) noexcept {
    r.written = written;
    r.step = Step::done;
    if (once(r.queue))
        publish(state_.session.queues[r.queue].executed, std::uint32_t{static_cast<std::uint16_t>(r.position + 1)});
    faults().point("executed");
    if (faults().on_command()) report_error(faults().error_severity, faults().error_source);
}

void Transport::broken(Fault fault) noexcept {
    if ((state_.status & device_status::kNeedsReset) != 0) return;
    ++faults_seen_[static_cast<std::size_t>(fault)];
    publish(state_.status, state_.status | device_status::kNeedsReset);
    halt();
    raise_config();  // 2.1.2
}

void Transport::halt() noexcept {
    for (Queue& q : queues_) q.forget();
    stalled_.clear();
    on_halt();
    staging_.reclaim();
    dma().abort();
}

void Transport::on_reset(ResetKind) noexcept {
    reset_device();
}

void Transport::config_changed() noexcept {
    publish(state_.generation, state_.generation + 1);
    raise_config();
}

void Transport::raise_config() noexcept {
    if ((state_.status & device_status::kDriverOk) == 0) return;
    if (!interrupts().using_msix()) state_.session.isr |= isr::kConfig;
    if (state_.session.config_vector != kNoVector) raise(state_.session.config_vector);
}

void Transport::dma_ordered(std::uint64_t tag, Status status) noexcept {
    Block& b = staging_[static_cast<std::uint32_t>(tag)];
    if (b.use != Block::Use::scatter || b.unordered == 0) return;
    if (status != Status::ok && b.status == Status::ok) b.status = status;
    if (--b.unordered != 0) return;
    if (Request* r = find({b.queue, b.slot, b.serial})) on_scattered(*r, b.status);
}

void Transport::dma_done(std::uint64_t tag, Status status) noexcept {
    const auto index = static_cast<std::uint32_t>(tag);
    Block& b = staging_[index];
    if (status != Status::ok && (b.status == Status::ok || status == Status::canceled)) b.status = status;
    if (--b.pending != 0) return;
    const Block done = b;
    Request* r = find({done.queue, done.slot, done.serial});
    // Canceled: a reset has begun, nobody waits for it any more
    if (done.use == Block::Use::gather && r != nullptr && done.status != Status::canceled) {
        b.use = Block::Use::kept;
        return on_gathered(*r, index, done.status);
    }
    const auto raw = staging_.used_bytes(index);
    if (done.use == Block::Use::available || done.use == Block::Use::used_index) {
        if (done.status != Status::canceled) ring_answered(done, raw);
        return staging_.give(index);
    }
    const bool parse = done.use == Block::Use::descriptors && r != nullptr && done.status != Status::canceled;
    bool more = false;
    if (parse && done.status != Status::ok)
        parsed(*r, Fault::memory);
    else if (parse)
        more = take_descriptors(*r, raw, done.offset);
    staging_.give(index);
    if (more) ask_descriptors(*r);
}

void Transport::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Function::counters(each);
    each("virtio_notifications", notifications_);
    each("virtio_requests", requests_);
    each("virtio_ring_reads", ring_reads_);
    each("virtio_interrupts_suppressed", interrupts_suppressed_);
    // Why FEATURES_OK was refused
    each("virtio_refused_no_access_platform", refused_platform_);
    each("virtio_refused_no_version_1", refused_version_);
    each("virtio_refused_unknown_feature", refused_unknown_);
    static constexpr std::string_view kNames[] = {"virtio_needs_reset",        "virtio_needs_reset_queue",
                                                  "virtio_needs_reset_index",  "virtio_needs_reset_descriptor",
                                                  "virtio_needs_reset_chain",  "virtio_needs_reset_order",
                                                  "virtio_needs_reset_length", "virtio_needs_reset_indirect",
                                                  "virtio_needs_reset_memory", "virtio_needs_reset_request"};
    static_assert(std::size(kNames) == static_cast<std::size_t>(Fault::count));
    std::uint64_t all = 0;
    for (const std::uint64_t n : faults_seen_) all += n;
    each(kNames[0], all);
    for (std::size_t i = 1; i < faults_seen_.size(); ++i) each(kNames[i], faults_seen_[i]);
}

}  // namespace farlane::firmware::virtio
