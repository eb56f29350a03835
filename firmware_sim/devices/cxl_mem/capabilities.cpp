// SPDX-License-Identifier: Apache-2.0
// Receives: a configuration space. Hands on: the capabilities in it that make a function a CXL memory device.
// Owns: nothing. Section numbers: CXL 3.0.
#include "devices/cxl_mem/capabilities.hpp"

#include "devices/cxl_mem/spec.hpp"

namespace farlane::firmware::cxl {
namespace {

constexpr std::uint16_t kDvsec = 0x0023;  // PCIe 6.0, 7.9.6
constexpr std::uint32_t kCxlVendor = 0x1e98;
constexpr std::uint32_t kBlockComponent = 1, kBlockDevice = 3;

std::uint32_t add_dvsec(ConfigSpace& c, std::uint16_t id, std::uint32_t revision, std::uint32_t bytes) {
    const std::uint32_t at = c.extended_capability(kDvsec, 1, bytes);
    c.set32(at + 4, kCxlVendor | revision << 16 | bytes << 20);
    c.set16(at + 8, id);
    return at;
}

// 8.1.3: CXL.io and CXL.mem, one range which is active and as large as the memory. Where it lies in the host's
// address space the host says; nothing is served there yet.
void add_device(ConfigSpace& c, std::uint64_t capacity_bytes) {
    const std::uint32_t at = add_dvsec(c, 0, 1, 0x38);
    c.set16(at + 0x0a, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 14);  // IO, Mem, HDM count 1, viral
    c.set16(at + 0x0c, 1u << 1);                                 // control: CXL.io is on
    c.rules(at + 0x0c, {.writable = 0x4004, .sticky = 0x4004});  // Mem enable, viral enable
    c.rules(at + 0x0c, {.write1_clear = 0x40000000});            // status: viral
    c.rules(at + 0x10, {.writable = 0x1});                       // control 2: caching off (there is none)
    c.rules(at + 0x14, {.writable = 0x1, .sticky = 0x1});        // lock
    constexpr std::uint32_t kValid = 1, kActive = 2, kDesiredInterleave = 0;
    c.set32(at + 0x18, static_cast<std::uint32_t>(capacity_bytes >> 32));
    c.set32(at + 0x1c,
            (static_cast<std::uint32_t>(capacity_bytes) & 0xf0000000u) | kDesiredInterleave << 8 | kActive | kValid);
    c.rules(at + 0x20, {.writable = 0xffffffffu, .sticky = 0xffffffffu});
    c.rules(at + 0x24, {.writable = 0xf0000000u, .sticky = 0xf0000000u});
}

// 8.1.6 and 8.1.7: nothing to save when power fails; the link as trained
void add_power_fail(ConfigSpace& c) {
    (void)add_dvsec(c, 5, 0, 0x10);
}

// 8.2.1.3
void add_flex_bus(ConfigSpace& c) {
    const std::uint32_t at = add_dvsec(c, 7, 1, 0x14);
    constexpr std::uint16_t kIoAndMem = 1u << 1 | 1u << 2 | 1u << 5;  // and 68-byte flits of CXL 2.0
    c.set16(at + 0x0a, kIoAndMem);
    c.set16(at + 0x0c, kIoAndMem);
    c.set16(at + 0x0e, kIoAndMem);
}

// 8.1.9
void add_locator(ConfigSpace& c) {
    const std::uint32_t at = add_dvsec(c, 8, 0, 0x0c + 2 * 8);
    c.set32(at + 0x0c, kComponentBlock | kBlockComponent << 8);
    c.set32(at + 0x14, kDeviceBlock | kBlockDevice << 8);
}

}  // namespace

void add_dvsecs(ConfigSpace& config, std::uint64_t capacity_bytes) {
    add_device(config, capacity_bytes);
    add_power_fail(config);
    add_flex_bus(config);
    add_locator(config);
}

}  // namespace farlane::firmware::cxl
