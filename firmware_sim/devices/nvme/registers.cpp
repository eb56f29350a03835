// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to the register file of BAR 0. Hands on: enable, disable, shutdown and doorbells.
// Owns: nothing; the registers are in State. NVM Express 1.4, 3.1 and 7.3.
#include "devices/nvme/controller.hpp"

namespace farlane::firmware::nvme {
namespace {

// 3.1.1: MQES, contiguous queues required, timeout 20 s (its unit is 500 ms), NVM command set, pages of 4 KiB
constexpr std::uint64_t kCapabilities =
    (kMaxQueueEntries - 1) | std::uint64_t{1} << 16 | std::uint64_t{40} << 24 | std::uint64_t{1} << 37;

}  // namespace

std::uint32_t Controller::register_dword(std::uint32_t offset) const noexcept {
    const Registers& r = state_.registers;
    switch (offset) {
        case reg::kCap: return static_cast<std::uint32_t>(kCapabilities);
        case reg::kCap + 4: return static_cast<std::uint32_t>(kCapabilities >> 32);
        case reg::kVs: return kVersion;
        case reg::kIntms:
        case reg::kIntmc: return r.intm;
        case reg::kCc: return r.cc;
        case reg::kCsts: return r.csts;
        case reg::kAqa: return r.aqa;
        case reg::kAsq: return static_cast<std::uint32_t>(r.asq);
        case reg::kAsq + 4: return static_cast<std::uint32_t>(r.asq >> 32);
        case reg::kAcq: return static_cast<std::uint32_t>(r.acq);
        case reg::kAcq + 4: return static_cast<std::uint32_t>(r.acq >> 32);
        default: return 0;  // optional registers that are not there, and doorbells
    }
}

Status Controller::register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept {
    if (bar != 0) return Status::unsupported_request;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto at = static_cast<std::uint32_t>(offset + i);
        out[i] = static_cast<std::byte>(register_dword(at & ~3u) >> (8 * (at & 3)));
    }
    return Status::ok;
}

Status Controller::register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                                  std::uint8_t enables) noexcept {
    if (bar != 0) return Status::unsupported_request;
    // 3.1: registers are written as dwords or qwords; anything else changes nothing
    if ((offset & 3) != 0 || (in.size() != 4 && in.size() != 8)) return Status::completer_abort;
    for (std::size_t i = 0; i < in.size(); i += 4) {
        const unsigned enabled = enables == 0 ? 0xfu : enables >> i & 0xfu;
        if (enabled == 0) continue;
        if (enabled != 0xf) return Status::completer_abort;
        fl_le32 v;
        std::memcpy(&v, in.data() + i, sizeof v);
        write_register(static_cast<std::uint32_t>(offset + i), v.get());
    }
    return Status::ok;
}

void Controller::write_register(std::uint32_t offset, std::uint32_t v) noexcept {
    Registers& r = state_.registers;
    const bool enabled = (r.cc & kCcEnable) != 0;
    const auto low = [v](std::uint64_t old, std::uint64_t mask) {
        return (old & ~std::uint64_t{0xffffffff}) | (v & mask);
    };
    const auto high = [v](std::uint64_t old) { return (old & 0xffffffff) | std::uint64_t{v} << 32; };
    switch (offset) {
        case reg::kIntms: publish(r.intm, r.intm | v); break;
        case reg::kIntmc: publish(r.intm, r.intm & ~v); break;
        case reg::kCc: write_cc(v); break;
        // 3.1.8 to 3.1.10: modified only while the controller is disabled
        case reg::kAqa:
            if (!enabled) publish(r.aqa, v & 0x0fff0fff);
            break;
        case reg::kAsq:
            if (!enabled) publish(r.asq, low(r.asq, 0xfffff000));
            break;
        case reg::kAsq + 4:
            if (!enabled) publish(r.asq, high(r.asq));
            break;
        case reg::kAcq:
            if (!enabled) publish(r.acq, low(r.acq, 0xfffff000));
            break;
        case reg::kAcq + 4:
            if (!enabled) publish(r.acq, high(r.acq));
            break;
        default:
            if (offset >= reg::kDoorbells && offset < reg::kDoorbells + kMaxQueues * 8) ring_doorbell(offset, v);
            break;  // CSTS, VS, CAP are read-only; NSSR is not supported (CAP.NSSRS 0)
    }
}

void Controller::write_cc(std::uint32_t v) noexcept {
    Registers& r = state_.registers;
    // 3.1.5: EN, CSS, MPS, AMS, SHN, IOSQES, IOCQES
    publish(r.cc, v & 0x00fffff1u);
    reconcile();
}

// Brings the controller to where CC wants it. After a kill between the store of CC and the end of this, it is
// called again and finds the same difference.
void Controller::reconcile() noexcept {
    Registers& r = state_.registers;
    const bool wanted = (r.cc & kCcEnable) != 0;
    const bool up = (r.csts & (kCstsReady | kCstsFatal)) != 0;
    if (wanted && !up)
        enable();
    else if (!wanted && (up || (r.cc & kCcShutdown) == 0))
        disable();
    if ((r.cc & kCcShutdown) != 0 && (r.csts & kCstsShutdown) == 0) {
        // 7.6.2: what was written is made durable, then SHST says so
        shutdown_ticket_ = media_->flush();
        shutting_down_ = true;
        publish(r.csts, (r.csts & ~kCstsShutdown) | kCstsShutdownBusy);
        faults().point("shutdown begun");
        finish_shutdown();
    }
}

bool Controller::finish_shutdown() noexcept {
    if (!shutting_down_ || media_->durable() < shutdown_ticket_) return false;
    shutting_down_ = false;
    publish(state_.registers.csts, (state_.registers.csts & ~kCstsShutdown) | kCstsShutdownDone);
    return true;
}

// 7.6.1. Values the controller does not support end in CSTS.CFS, as the host's fault it is.
void Controller::enable() noexcept {
    Registers& r = state_.registers;
    const std::uint32_t sq_entries = (r.aqa & 0xfff) + 1, cq_entries = (r.aqa >> 16) + 1;
    const bool supported = (r.cc >> 4 & 0x7) == 0      // CSS: NVM command set
                           && (r.cc >> 7 & 0xf) == 0   // MPS: 4 KiB
                           && (r.cc >> 11 & 0x7) == 0  // AMS: round robin
                           && sq_entries >= 2 && cq_entries >= 2 && r.asq != 0 && r.acq != 0;
    clear_session();
    faults().point("enable: session clear");
    if (!supported) return fatal();
    const std::uint64_t serial = state_.lasting.next_serial + 1;
    publish(state_.lasting.next_serial, serial);
    CompletionQueue& cq = state_.session.cq[0];
    cq = {0, r.acq, 0, 0, cq_entries, 0, 1};
    publish(cq.serial, serial);
    SubmissionQueue& sq = state_.session.sq[0];
    sq = {0, r.asq, 0, 0, sq_entries, 0, 0};
    publish(sq.serial, serial);
    faults().point("enable: admin queue made");
    publish(r.csts, kCstsReady);
}

// Controller reset, 7.3.2: the admin queue registers stay. Writes to the host that were given to the port
// before are placed before any read of CSTS is answered (a completion pushes posted writes), so RDY = 0 is true.
void Controller::disable() noexcept {
    shutting_down_ = false;
    dma().abort();
    clear_session();
    faults().point("disable: session clear");
    publish(state_.registers.intm, std::uint32_t{0});
    publish(state_.registers.csts, std::uint32_t{0});
}

void Controller::fatal() noexcept {
    publish(state_.registers.csts, state_.registers.csts | kCstsFatal);
    ++fatals_;
}

void Controller::clear_runs() noexcept {
    ++epoch_;
    for (Run& r : runs_) r = Run{};
    posted_.clear();
    for (SlotList* l : {&stalled_, &delayed_, &flushing_, &zeroing_, &events_, &deletions_}) l->clear();
    for (SlotList& l : ready_) l.clear();
    ready_queues_ = rung_ = fetching_ = deleting_ = due_ = scratch_used_ = 0;
    reserved_slots_ = 0;
    live_.fill(0);
    slots_.clear();
}

// Queues go first: a command whose queue is gone is void, in this life and the next.
void Controller::clear_session() noexcept {
    if (state_.lasting.formatting != 0) format_whole();
    clear_runs();
    Session& s = state_.session;
    for (SubmissionQueue& q : s.sq) publish(q.serial, std::uint64_t{0});
    for (CompletionQueue& q : s.cq) publish(q.serial, std::uint64_t{0});
    for (Command& c : s.commands) publish(c.state, static_cast<std::uint32_t>(CommandState::free));
    s.sq = {};
    s.cq = {};
    s.events = {};
    s.vector_config = {};
    s.namespace_changed = 0;
    default_features();
    for (std::uint32_t i = kCommands; i-- > 0;) slots_.give(i);
}

void Controller::on_reset(ResetKind kind) noexcept {
    shutting_down_ = false;
    clear_session();
    state_.registers = {};
    if (kind == ResetKind::attach) {
        state_.session.timestamp_set = 0;
        state_.session.timestamp_ms = 0;
        state_.session.timestamp_at_ns = 0;
        ++state_.lasting.power_cycles;
    }
}

}  // namespace farlane::firmware::nvme
