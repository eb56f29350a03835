// SPDX-License-Identifier: Apache-2.0
// Receives: what a function can do. Hands on: its capabilities in a ConfigSpace. Owns: nothing.
#include "core/capabilities.hpp"

#include <bit>

namespace farlane::firmware {

PowerCapability add_power(ConfigSpace& c, bool no_soft_reset) {
    const std::uint32_t at = c.capability(0x01, 8);
    c.set16(at + 2, 0x0003);  // 7.5.2.1: version 3; no D1, D2, PME
    c.set32(at + PowerCapability::kControl, no_soft_reset ? PowerCapability::kNoSoftReset : 0);
    c.rules(at + PowerCapability::kControl, {.writable = PowerCapability::kStateMask});
    // 7.5.2.2: a write of a state that is not supported is discarded
    c.on_write(at + PowerCapability::kControl, [&c](const ConfigWrite& w) {
        const std::uint32_t state = w.after & PowerCapability::kStateMask;
        if (state != PowerCapability::kD0 && state != PowerCapability::kD3hot)
            c.put(w.offset, PowerCapability::kStateMask, w.before);
    });
    return {at};
}

MsiCapability add_msi(ConfigSpace& c, unsigned vectors) {
    const std::uint32_t at = c.capability(0x05, 24);
    const auto log2 = static_cast<std::uint32_t>(std::countr_zero(vectors));
    // 7.7.1.2: Multiple Message Capable, 64-bit, Per-Vector Masking; extended data is not offered
    c.set16(at + 2, static_cast<std::uint16_t>(log2 << 1 | 0x0080u | 0x0100u));
    c.rules(at, {.writable = (0x0001u | 0x0070u) << 16});
    c.rules(at + MsiCapability::kAddressLow, {.writable = 0xfffffffcu});
    c.rules(at + MsiCapability::kAddressHigh, {.writable = 0xffffffffu});
    c.rules(at + MsiCapability::kData, {.writable = 0x0000ffffu});
    const std::uint32_t bits = vectors == 32 ? 0xffffffffu : (1u << vectors) - 1;
    c.rules(at + MsiCapability::kMask, {.writable = bits});
    c.rules(at + MsiCapability::kPending, {.status = bits});
    return {at, vectors};
}

MsixCapability add_msix(ConfigSpace& c, unsigned vectors, unsigned bar, std::uint32_t table_offset,
                        std::uint32_t pba_offset) {
    const std::uint32_t at = c.capability(0x11, 12);
    c.set16(at + 2, static_cast<std::uint16_t>(vectors - 1));  // 7.7.2.2: Table Size is N-1
    c.rules(at, {.writable = MsixCapability::kEnable | MsixCapability::kFunctionMask});
    c.set32(at + 4, table_offset | bar);  // 7.7.2.3
    c.set32(at + 8, pba_offset | bar);    // 7.7.2.4
    return {at, vectors, bar, table_offset, pba_offset};
}

ExpressCapability add_express(ConfigSpace& c) {
    const std::uint32_t at = c.capability(0x10, 60);
    c.set16(at + 2, 0x0002);  // 7.5.3.2: version 2, PCI Express Endpoint
    // 7.5.3.3 Device Capabilities: Max Payload 4096 B (5; what one record carries), extended tags,
    // L0s/L1 latency without limit, role-based error reporting, function level reset
    c.set32(at + 4, 0x5u | 1u << 5 | 7u << 6 | 7u << 9 | 1u << 15 | 1u << 28);
    // 7.5.3.4 Device Control: defaults Relaxed Ordering, No Snoop, Max Read Request 512 B. Initiate
    // FLR reads 0 always, so it is no writable bit; its side effect belongs to the function.
    c.set16(at + ExpressCapability::kDeviceControl, 0x2810);
    c.rules(at + ExpressCapability::kDeviceControl,
            {.writable = 0x000fu | ExpressCapability::kRelaxedOrdering | 0x00e0u | 0x0100u | 0x0800u | 0x7000u,
             .write1_clear = 0x000fu << 16,  // 7.5.3.5 Device Status: errors detected
             .status = ExpressCapability::kTransactionsPending,
             .sticky = 0x00e0u});  // 6.6.2: FLR leaves Max_Payload_Size alone
    // 7.5.3.6 Link Capabilities: 16 GT/s, x4, ASPM optionality compliance; no ASPM, port 0. There is
    // no link of this kind: the figures are what a driver of such a device expects to read.
    c.set32(at + 12, 0x4u | 4u << 4 | 1u << 22);
    // 7.5.3.7 Link Control: RCB, common clock, extended synch, clock PM off; 6.6.2: FLR keeps them
    c.rules(at + 16, {.writable = 0x00c8u, .sticky = 0x00c8u});
    c.set16(at + 18, 0x4 | 4 << 4 | 0x1000);  // 7.5.3.8 Link Status: 16 GT/s, x4, slot clock
    // 7.5.3.15 Device Capabilities 2: Completion Timeout Disable; 7.5.3.16 its control
    c.set32(at + 36, 1u << 4);
    c.rules(at + 40, {.writable = 1u << 4});
    c.set32(at + 44, 0x1e);  // 7.5.3.18 Link Capabilities 2: 2.5 to 16 GT/s
    c.set16(at + 48, 0x4);   // 7.5.3.19 Link Control 2: target 16 GT/s
    c.rules(at + 48, {.writable = 0xf, .sticky = 0xf});
    return {at};
}

AerCapability add_aer(ConfigSpace& c) {
    const std::uint32_t at = c.extended_capability(0x0001, 2, 0x48);
    // Bits of a device without link errors of its own (7.8.4.2): data link, poisoned, flow control,
    // completion timeout, abort, unexpected, overflow, malformed, ECRC, unsupported, internal
    const std::uint32_t uncorrectable = 0x005ff010u;
    c.rules(at + AerCapability::kUncorrectableStatus, {.write1_clear = uncorrectable, .sticky = uncorrectable});
    // 7.8.4.3: internal errors (bit 22) are masked after power-on
    c.set32(at + AerCapability::kUncorrectableMask, 0x00400000u);
    c.rules(at + AerCapability::kUncorrectableMask, {.writable = uncorrectable, .sticky = uncorrectable});
    c.set32(at + AerCapability::kUncorrectableSeverity,
            0x00462030u);  // 7.8.4.4; surprise down (bit 5) is not ours and fixed
    c.rules(at + AerCapability::kUncorrectableSeverity, {.writable = uncorrectable, .sticky = uncorrectable});
    const std::uint32_t correctable = 0x0000f1c1u;  // 7.8.4.5
    c.rules(at + AerCapability::kCorrectableStatus, {.write1_clear = correctable, .sticky = correctable});
    c.set32(at + AerCapability::kCorrectableMask, 0x0000e000u);  // 7.8.4.6
    c.rules(at + AerCapability::kCorrectableMask, {.writable = correctable, .sticky = correctable});
    c.rules(at + AerCapability::kControl, {.status = 0x1f, .sticky = 0x1f});  // First Error Pointer
    return {at};
}

void add_serial_number(ConfigSpace& c, std::uint64_t serial) {
    const std::uint32_t at = c.extended_capability(0x0003, 1, 12);
    c.set32(at + 4, static_cast<std::uint32_t>(serial));
    c.set32(at + 8, static_cast<std::uint32_t>(serial >> 32));
}

}  // namespace farlane::firmware
