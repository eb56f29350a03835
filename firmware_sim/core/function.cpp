// SPDX-License-Identifier: Apache-2.0
// Receives: the calls of the target role. Hands on: register accesses and events of life to the device.
// Owns: configuration space, interrupts and DMA engine of one function.
#include "core/function.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/persist.hpp"

namespace farlane::firmware {
namespace {

struct Range {
    std::uint64_t begin, end;
};

// The part of [offset, +size) that lies in `r`; empty when begin >= end.
Range overlap(std::uint64_t offset, std::size_t size, Range r) noexcept {
    return {std::max(offset, r.begin), std::min(offset + size, r.end)};
}

// A structure in a BAR is reached whole or not at all by any sane access; one that straddles its edge is refused.
enum class Where : std::uint8_t { outside, inside, across };
Where where(std::uint64_t offset, std::size_t size, Range r) noexcept {
    const Range o = overlap(offset, size, r);
    if (o.begin >= o.end) return Where::outside;
    return o.end - o.begin == size ? Where::inside : Where::across;
}

void copy_name(char (&to)[FL_NAME_BYTES], const std::string& from) noexcept {
    const std::size_t n = std::min(from.size(), sizeof to - 1);
    std::memcpy(to, from.data(), n);
}

}  // namespace

Function::Function(const FunctionIdentity& identity, FunctionState& state, std::uint32_t dma_transfers)
    : state_(state),
      interrupts_(config_, state.msix, identity.msix.vectors),
      dma_(*this, faults_, dma_transfers),
      msix_layout_(identity.msix) {
    build(identity);
    describe(identity);
    config_.bind(state_.config);
}

void Function::build(const FunctionIdentity& id) {
    config_.set16(cfg::kVendor, id.vendor_id);
    config_.set16(cfg::kDevice, id.device_id);
    config_.set8(cfg::kRevision, id.revision);
    config_.set8(cfg::kClass, static_cast<std::uint8_t>(id.class_code));
    config_.set8(cfg::kClass + 1, static_cast<std::uint8_t>(id.class_code >> 8));
    config_.set8(cfg::kClass + 2, static_cast<std::uint8_t>(id.class_code >> 16));
    config_.set16(cfg::kSubsystemVendor, id.subsystem_vendor_id);
    config_.set16(cfg::kSubsystem, id.subsystem_id);
    for (unsigned i = 0; i < id.bars.size(); ++i)
        if (id.bars[i].size_bytes != 0) config_.bar(i, id.bars[i].size_bytes, id.bars[i].flags);

    power_ = add_power(config_, id.no_soft_reset);
    const MsiCapability msi = add_msi(config_, std::min(std::bit_floor(id.msix.vectors), 32u));
    express_ = add_express(config_);
    const MsixCapability msix =
        add_msix(config_, id.msix.vectors, id.msix.bar, id.msix.table_offset, id.msix.pba_offset);
    interrupts_.set_capabilities(msi, msix);
    aer_ = add_aer(config_);
    if (id.serial != 0) add_serial_number(config_, id.serial);

    config_.on_write(cfg::kCommand, [this](const ConfigWrite&) { apply_enables(); });
    config_.on_write(power_.at + PowerCapability::kControl, [this](const ConfigWrite& w) { on_power(w); });
    for (const std::uint32_t at : {msi.at, msi.at + MsiCapability::kMask, msix.at})
        config_.on_write(at, [this](const ConfigWrite&) { interrupts_.unmasked(); });
    config_.on_write(express_.at + ExpressCapability::kDeviceControl, [this](const ConfigWrite& w) {
        if ((w.written & w.enabled & ExpressCapability::kInitiateReset) != 0)
            reset_function(ResetKind::function);
        else
            apply_enables();
    });
}

void Function::describe(const FunctionIdentity& id) noexcept {
    copy_name(desc_.model, id.model);
    desc_.vendor_id.set(id.vendor_id);
    desc_.device_id.set(id.device_id);
    desc_.subsystem_vendor_id.set(id.subsystem_vendor_id);
    desc_.subsystem_id.set(id.subsystem_id);
    desc_.class_code.set(id.class_code << 8 | id.revision);
    desc_.msix_vectors.set(static_cast<std::uint16_t>(id.msix.vectors));
    desc_.serial.set(id.serial);
    for (unsigned i = 0; i < id.bars.size(); ++i) {
        desc_.bar[i].size_bytes.set(id.bars[i].size_bytes);
        desc_.bar[i].flags.set(id.bars[i].flags);
    }
}

Status Function::config_read(std::uint32_t offset, std::span<std::byte> out) noexcept {
    if (offset > kConfigBytes || out.size() > kConfigBytes - offset) return Status::unsupported_request;
    config_.read(offset, out);
    return Status::ok;
}

Status Function::config_write(std::uint32_t offset, std::span<const std::byte> in, std::uint8_t enables) noexcept {
    if (offset > kConfigBytes || in.size() > kConfigBytes - offset) return Status::unsupported_request;
    config_.write(offset, in, enables);
    return Status::ok;
}

bool Function::asleep() const noexcept {
    return (config_.get32(power_.at + PowerCapability::kControl) & PowerCapability::kStateMask) != PowerCapability::kD0;
}

Status Function::bar_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept {
    if (asleep()) return Status::unsupported_request;  // 5.3.1.4.1: D3hot answers configuration requests only
    if (faults_.on_register_read()) return Status::pending;
    if (bar == msix_layout_.bar) {
        const Range table{msix_layout_.table_offset, msix_layout_.table_offset + interrupts_.table_bytes()};
        const Range pba{msix_layout_.pba_offset, msix_layout_.pba_offset + interrupts_.pba_bytes()};
        const Where in_table = where(offset, out.size(), table), in_pba = where(offset, out.size(), pba);
        if (in_table == Where::across || in_pba == Where::across) return Status::completer_abort;
        if (in_table == Where::inside) {
            interrupts_.table_read(static_cast<std::uint32_t>(offset - table.begin), out);
            return Status::ok;
        }
        if (in_pba == Where::inside) {
            interrupts_.pba_read(static_cast<std::uint32_t>(offset - pba.begin), out);
            return Status::ok;
        }
    }
    return register_read(bar, offset, out);
}

Status Function::bar_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                           std::uint8_t enables) noexcept {
    if (asleep() || faults_.hung()) return Status::unsupported_request;
    if (bar == msix_layout_.bar) {
        const Range table{msix_layout_.table_offset, msix_layout_.table_offset + interrupts_.table_bytes()};
        const Range pba{msix_layout_.pba_offset, msix_layout_.pba_offset + interrupts_.pba_bytes()};
        const Where in_table = where(offset, in.size(), table);
        if (in_table == Where::across) return Status::completer_abort;
        if (in_table == Where::inside) {
            interrupts_.table_write(static_cast<std::uint32_t>(offset - table.begin), in, enables);
            return Status::ok;
        }
        if (where(offset, in.size(), pba) != Where::outside) return Status::ok;  // 7.7.2.6: read-only
    }
    return register_write(bar, offset, in, enables);
}

void Function::apply_enables() noexcept {
    dma_.set_bus_master(config_.bus_master() && !asleep());
    const std::uint32_t control = config_.get32(express_.at + ExpressCapability::kDeviceControl);
    dma_.set_relaxed_ordering((control & ExpressCapability::kRelaxedOrdering) != 0);
    on_enable_changed();
}

void Function::on_power(const ConfigWrite& w) noexcept {
    const bool was_asleep = (w.before & PowerCapability::kStateMask) == PowerCapability::kD3hot;
    if (was_asleep && !asleep() && (w.after & PowerCapability::kNoSoftReset) == 0)
        reset_function(ResetKind::soft);
    else
        apply_enables();
}

// Idempotent: a kill in the middle leaves `resetting` set, and restored() does it again.
void Function::reset_function(ResetKind kind) noexcept {
    publish(state_.resetting, std::uint32_t{1});
    faults_.on_reset();
    dma_.set_bus_master(false);
    dma_.abort();
    if (kind == ResetKind::attach)
        config_.power_on();
    else
        config_.function_reset();
    interrupts_.reset();
    on_reset(kind);
    apply_enables();
    publish(state_.resetting, std::uint32_t{0});
    ++resets_;
}

void Function::attached(backend::HostPort& port) noexcept {
    port_ = nullptr;
    dma_.disconnect();
    reset_function(ResetKind::attach);
    port_ = &port;
    dma_.connect(port);
    on_port(&port);
    publish(state_.attached, std::uint32_t{1});
}

void Function::detached() noexcept {
    on_port(nullptr);
    port_ = nullptr;
    dma_.disconnect();
    publish(state_.attached, std::uint32_t{0});
    reset_function(ResetKind::attach);
}

bool Function::restored(backend::HostPort& port, std::uint64_t released) noexcept {
    const bool whole = state_.attached == 1 && config_.plausible() && interrupts_.plausible();
    if (whole && state_.resetting != 0) reset_function(ResetKind::function);
    port_ = &port;
    dma_.connect(port);
    apply_enables();
    if (whole && on_restored(released)) {
        on_port(&port);
        return true;
    }
    // Nothing to go on with: as freshly attached; the target tells the initiator
    attached(port);
    return false;
}

bool Function::poll() noexcept {
    if (port_ == nullptr || faults_.hung()) return false;
    bool did = dma_.poll();
    did |= work();
    return interrupts_.poll(*port_) || did;
}

bool Function::busy() const noexcept {
    if (port_ == nullptr || faults_.hung()) return false;
    return dma_.busy() || interrupts_.busy() || has_work();
}

void Function::report_error(std::uint32_t severity, std::uint32_t status_bit) noexcept {
    if (status_bit > 31) return;
    const std::uint32_t bit = 1u << status_bit;
    const bool correctable = severity == 0;
    const std::uint32_t status_at =
        aer_.at + (correctable ? AerCapability::kCorrectableStatus : AerCapability::kUncorrectableStatus);
    const std::uint32_t mask_at =
        aer_.at + (correctable ? AerCapability::kCorrectableMask : AerCapability::kUncorrectableMask);
    if (!correctable)  // 6.2.3.1: the driver decides whether it is fatal
        severity = (config_.get32(aer_.at + AerCapability::kUncorrectableSeverity) & bit) != 0 ? 2 : 1;
    const bool first = config_.get32(status_at) == 0;
    config_.put(status_at, bit, bit);
    const bool masked = (config_.get32(mask_at) & bit) != 0;
    if (!correctable && first && !masked) config_.put(aer_.at + AerCapability::kControl, 0x1f, status_bit);

    const std::uint32_t control_at = express_.at + ExpressCapability::kDeviceControl;
    const std::uint32_t seen = ExpressCapability::kCorrectableSeen << severity;
    config_.put(control_at, seen, seen);
    const bool enabled = (config_.get32(control_at) & ExpressCapability::kCorrectableEnable << severity) != 0 ||
                         (!correctable && (config_.command() & cfg::kCommandSerr) != 0);
    if (masked || !enabled || port_ == nullptr) return;
    if (port_->error(severity, status_bit) == Status::ok) ++errors_reported_;
}

void Function::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    const DmaEngine::Counters& d = dma_.counters();
    each("dma_bytes_read", d.bytes_read);
    each("dma_bytes_written", d.bytes_written);
    each("dma_records_read", d.records_read);
    each("dma_records_written", d.records_written);
    each("dma_refused", d.refused);
    each("dma_failed", d.failed);
    each("dma_canceled", d.canceled);
    each("dma_asked_again", d.asked_again);
    each("interrupts_sent", interrupts_.sent());
    each("interrupts_dropped", interrupts_.dropped());
    each("resets", resets_);
    each("errors_reported", errors_reported_);
}

}  // namespace farlane::firmware
