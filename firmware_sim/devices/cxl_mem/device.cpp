// SPDX-License-Identifier: Apache-2.0
// Receives: accesses to BAR 0. Hands on: commands to the mailbox, interrupts. Owns: nothing that lasts.
// Section numbers: CXL 3.0.
#include "devices/cxl_mem/device.hpp"

#include <cstring>

#include "devices/cxl_mem/capabilities.hpp"

namespace farlane::firmware::cxl {
namespace {

constexpr std::uint32_t kPayloadBegin = kDeviceBlock + kMailboxRegisters + mailbox::kPayload;
constexpr std::uint32_t kPayloadEnd = kPayloadBegin + mailbox::kPayloadBytes;

bool is_payload(std::uint32_t offset) noexcept {
    return offset >= kPayloadBegin && offset < kPayloadEnd;
}

// 8.2.8.2: header of one capability of the device registers.
std::uint32_t capability_dword(std::uint32_t dword, std::uint16_t id, std::uint32_t at, std::uint32_t bytes) noexcept {
    switch (dword) {
        case 0x0: return id | 1u << 16;
        case 0x4: return at;
        case 0x8: return bytes;
        default: return 0;
    }
}

}  // namespace

MemoryDevice::MemoryDevice(const FunctionIdentity& function, const DeviceIdentity& identity, State& state)
    : Function(function, state.function, 1),
      identity_(identity),
      state_(state),
      mailbox_(state, identity_),
      component_(state.component) {
    add_dvsecs(config(), identity.capacity_bytes);
}

void MemoryDevice::on_reset(ResetKind) noexcept {
    state_.mailbox = {};
    state_.event_policy = {};
    state_.timestamp_set = 0;
    component_.reset();
}

// A command that rang before a kill is answered by work(): commands only store or tell, so twice is as once.
bool MemoryDevice::on_restored(std::uint64_t) noexcept {
    due_ns_ = 0;
    const MailboxState& m = state_.mailbox;
    bool fine = state_.magic == State::kMagic && m.answer_bytes <= m.answer.size();
    for (const std::uint8_t mode : state_.event_policy) fine = fine && mode <= kEventInterruptFirmware;
    // An interrupt may have been lost with the daemon
    if (fine && !ringing() && (m.control & mailbox::kDoorbellInterrupt) != 0)
        interrupts().raise_again(1u << kMailboxVector);
    return fine;
}

// --- reads: any width, any alignment; none has a side effect

Status MemoryDevice::register_read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) noexcept {
    if (bar != 0) return Status::unsupported_request;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::byte{read_byte(static_cast<std::uint32_t>(offset + i))};
    return Status::ok;
}

std::uint8_t MemoryDevice::read_byte(std::uint32_t offset) const noexcept {
    if (is_payload(offset)) return std::to_integer<std::uint8_t>(state_.mailbox.payload[offset - kPayloadBegin]);
    const std::uint32_t dword = offset & ~3u;
    std::uint32_t v = 0;
    if (dword < kComponentBlock + kComponentBytes)
        v = component_.read(dword - kComponentBlock);
    else if (dword < kDeviceBlock + kDeviceBytes)
        v = device_dword(dword - kDeviceBlock);
    return static_cast<std::uint8_t>(v >> (8 * (offset & 3)));
}

std::uint32_t MemoryDevice::device_dword(std::uint32_t offset) const noexcept {
    if (offset < kStatusCapability) {  // 8.2.8.1: type 1 = memory device, three capabilities
        if (offset == 0) return 0x0000u | 1u << 16;
        return offset == 4 ? 3u : 0;
    }
    if (offset < kMailboxCapability)
        return capability_dword(offset - kStatusCapability, kStatusId, kStatusRegisters, kStatusBytes);
    if (offset < kMemoryCapability)
        return capability_dword(offset - kMailboxCapability, kMailboxId, kMailboxRegisters, kMailboxBytes);
    if (offset < kArrayEnd)
        return capability_dword(offset - kMemoryCapability, kMemoryId, kMemoryRegisters, kMemoryBytes);
    if (offset >= kMailboxRegisters && offset < kMailboxRegisters + mailbox::kPayload)
        return mailbox_dword(offset - kMailboxRegisters);
    if (offset == kMemoryRegisters) return static_cast<std::uint32_t>(kMemoryStatus);
    return 0;  // event status: no log has an entry
}

std::uint32_t MemoryDevice::mailbox_dword(std::uint32_t offset) const noexcept {
    const MailboxState& m = state_.mailbox;
    switch (offset) {
        case mailbox::kCapabilities: return mailbox::kPayloadLog2 | mailbox::kCanInterrupt | kMailboxVector << 7;
        case mailbox::kControl: return m.control;
        case mailbox::kCommand: return static_cast<std::uint32_t>(m.command);
        case mailbox::kCommand + 4: return static_cast<std::uint32_t>(m.command >> 32);
        case mailbox::kStatus: return static_cast<std::uint32_t>(m.status);
        case mailbox::kStatus + 4: return static_cast<std::uint32_t>(m.status >> 32);
        default: return 0;  // nothing ever runs in the background
    }
}

// --- writes: dwords and qwords; the payload takes any

Status MemoryDevice::register_write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                                    std::uint8_t enables) noexcept {
    if (bar != 0) return Status::unsupported_request;
    const auto at = static_cast<std::uint32_t>(offset);
    if (is_payload(at)) {
        if (in.size() > kPayloadEnd - at) return Status::completer_abort;
        write_payload(at - kPayloadBegin, in, enables);
        return Status::ok;
    }
    if ((offset & 3) != 0 || (in.size() != 4 && in.size() != 8)) return Status::completer_abort;
    for (std::size_t i = 0; i < in.size(); i += 4) {
        const unsigned enabled = enables == 0 ? 0xfu : enables >> i & 0xfu;
        if (enabled == 0) continue;
        if (enabled != 0xf) return Status::completer_abort;
        fl_le32 v;
        std::memcpy(&v, in.data() + i, sizeof v);
        write_register(at + static_cast<std::uint32_t>(i), v.get());
    }
    return Status::ok;
}

// 8.2.8.4: while the doorbell is set the command belongs to the device.
void MemoryDevice::write_payload(std::uint32_t at, std::span<const std::byte> in, std::uint8_t enables) noexcept {
    if (ringing()) return;
    const bool every = enables == 0 || in.size() > 8;
    for (std::size_t i = 0; i < in.size(); ++i)
        if (every || (enables >> i & 1) != 0) state_.mailbox.payload[at + i] = in[i];
}

void MemoryDevice::write_register(std::uint32_t offset, std::uint32_t value) noexcept {
    if (offset < kComponentBlock + kComponentBytes) return component_.write(offset - kComponentBlock, value);
    const std::uint32_t mailbox = kDeviceBlock + kMailboxRegisters;
    if (offset >= mailbox && offset < mailbox + mailbox::kPayload) write_mailbox(offset - mailbox, value);
}

void MemoryDevice::write_mailbox(std::uint32_t offset, std::uint32_t value) noexcept {
    MailboxState& m = state_.mailbox;
    if (ringing()) return;
    switch (offset) {
        case mailbox::kCommand: m.command = (m.command & ~std::uint64_t{0xffffffff}) | value; break;
        case mailbox::kCommand + 4:
            m.command = (m.command & 0xffffffff) | std::uint64_t{value & 0x1fu} << 32;  // bits 63:37 are reserved
            break;
        case mailbox::kControl:
            due_ns_ = now_ns() + faults().delay_completion_ns;
            publish(m.control, value & (mailbox::kDoorbell | mailbox::kDoorbellInterrupt));
            if (ringing() && faults().delay_completion_ns == 0) answer();
            break;
        default: break;
    }
}

// --- work

void MemoryDevice::answer() noexcept {
    faults().point("doorbell");
    if (state_.mailbox.answer_ready == 0) mailbox_.execute(now_ns());
    faults().point("answer ready");
    mailbox_.deliver();
    faults().point("answered");
    if ((state_.mailbox.control & mailbox::kDoorbellInterrupt) != 0) raise(kMailboxVector);
    if (faults().on_command()) report_error(faults().error_severity, faults().error_source);
}

bool MemoryDevice::work() noexcept {
    if (!ringing() || now_ns() < due_ns_) return false;
    answer();
    return true;
}

void MemoryDevice::counters(const std::function<void(std::string_view, std::uint64_t)>& each) const {
    Function::counters(each);
    each("mailbox_commands", mailbox_.counters().commands);
    each("mailbox_refused", mailbox_.counters().refused);
}

}  // namespace farlane::firmware::cxl
