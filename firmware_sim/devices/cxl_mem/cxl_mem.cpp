// SPDX-License-Identifier: Apache-2.0
// Receives: the options of a device of kind "cxl_mem". Hands on: a memory device on memory that may outlive the daemon.
// Owns: nothing.
#include <algorithm>
#include <cstring>

#include "core/options.hpp"
#include "devices/cxl_mem/device.hpp"
#include "devices/devices.hpp"

namespace farlane::firmware {
namespace {

using cxl::kCapacityUnit;
using cxl::State;

struct Chosen {
    cxl::DeviceIdentity identity;
    std::uint16_t vendor = kDevelopmentVendorId, device = 0x0c3e;
    std::optional<std::string> faults;
};

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 46;

// Without one in the configuration: always the same for the same name (FNV-1a).
std::uint64_t serial_from(const std::string& name) noexcept {
    std::uint64_t v = 0xcbf29ce484222325;
    for (const char c : name) v = (v ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return v;
}

Result<Chosen> read_options(const backend::DeviceConfig& config) {
    Options o(config);
    Chosen c;
    c.identity.capacity_bytes = o.size("size", kCapacityUnit, kMostBytes).value_or(kCapacityUnit);
    if (c.identity.capacity_bytes % kCapacityUnit != 0) o.fail("size", "must be a multiple of 256M");
    c.identity.serial = o.number("serial", 1, ~std::uint64_t{0}).value_or(serial_from(config.name));
    const std::string firmware = o.text("firmware", 16, "firmware version").value_or("farlane 1");
    std::copy(firmware.begin(), firmware.end(), c.identity.firmware.begin());
    if (const auto n = o.number("vendor", 1, 0xfffe)) c.vendor = static_cast<std::uint16_t>(*n);
    if (const auto n = o.number("device", 0, 0xffff)) c.device = static_cast<std::uint16_t>(*n);
    c.faults = o.text("faults", 1000, "delay_us=N,hang_after_reads=N,...");
    if (c.faults)
        if (const auto parsed = Faults().parse(*c.faults); !parsed) o.fail("faults", ": " + parsed.failure().detail);
    if (const auto ok = o.check(); !ok) return ok.failure();
    return c;
}

FunctionIdentity function_identity(const Chosen& c) {
    FunctionIdentity id;
    id.model = "Farlane CXL memory";
    id.vendor_id = id.subsystem_vendor_id = c.vendor;
    id.device_id = id.subsystem_id = c.device;
    id.class_code = 0x050210;  // memory, CXL, CXL 2.0 or later
    id.serial = c.identity.serial;
    id.bars[0] = {cxl::kBarBytes, FL_BAR_64BIT};
    id.msix = {cxl::kVectors, 0, cxl::kMsixTable, cxl::kMsixPba};
    return id;
}

}  // namespace

Result<bool> check_cxl_mem(const backend::DeviceConfig& config) {
    const auto chosen = read_options(config);
    if (!chosen) return chosen.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_cxl_mem(const backend::DeviceConfig& config, backend::Memory& memory) {
    auto chosen = read_options(config);
    if (!chosen) return chosen.failure();
    bool fresh = false;
    const auto region = memory.region(config.name + ".cxl_mem", sizeof(State), fresh);
    if (!region) return region.failure();
    State& state = *reinterpret_cast<State*>(region.value().data());
    if (fresh || state.magic != State::kMagic) {
        std::memset(static_cast<void*>(&state), 0, sizeof state);
        publish(state.magic, State::kMagic);
    }
    auto device = std::make_unique<cxl::MemoryDevice>(function_identity(*chosen), chosen->identity, state);
    if (chosen->faults)
        if (const auto parsed = device->faults().parse(*chosen->faults); !parsed) return parsed.failure();
    return std::unique_ptr<backend::Device>(std::move(device));
}

}  // namespace farlane::firmware
