// SPDX-License-Identifier: Apache-2.0
// Receives: the options of a device of kind "serial". Hands on: a serial port on memory that may outlive the daemon.
// Owns: nothing.
#include <cstring>

#include "core/options.hpp"
#include "devices/devices.hpp"
#include "devices/serial/port.hpp"

namespace farlane::firmware {
namespace {

using serial::kPorts;
using serial::State;

struct Chosen {
    std::array<std::string, kPorts> ends;  // "loop", "file:PATH", "unix:PATH"
    std::uint64_t serial_number = 0;
    std::optional<std::string> faults;
};

constexpr std::string_view kEndHint = "loop, unix:PATH or file:PATH";

std::optional<std::string> path_after(const std::string& end, std::string_view scheme) {
    if (!end.starts_with(scheme)) return std::nullopt;
    return end.substr(scheme.size());
}

bool valid_end(const std::string& end) {
    if (end == "loop") return true;
    for (const std::string_view scheme : {"unix:", "file:"})
        if (const auto path = path_after(end, scheme)) return path->starts_with('/');
    return false;
}

// Without one in the configuration: always the same for the same name (FNV-1a).
std::uint64_t serial_from(const std::string& name) noexcept {
    std::uint64_t v = 0xcbf29ce484222325;
    for (const char c : name) v = (v ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return v;
}

Result<Chosen> read_options(const backend::DeviceConfig& config) {
    Options o(config);
    Chosen c;
    for (unsigned i = 0; i < kPorts; ++i) {
        const std::string key = "port" + std::to_string(i);
        c.ends[i] = o.text(key, 4095, kEndHint).value_or("loop");
        if (!valid_end(c.ends[i]))
            o.fail(key, "= '" + c.ends[i] + "' is not valid: " + std::string(kEndHint) + ", with an absolute path");
    }
    for (unsigned i = 1; i < kPorts; ++i)
        if (c.ends[i] != "loop" && c.ends[i] == c.ends[0])
            o.fail("port" + std::to_string(i), "is the same as of port0: each port needs its own");
    c.serial_number = o.number("serial", 1, ~std::uint64_t{0}).value_or(serial_from(config.name));
    c.faults = o.text("faults", 1000, "hang_after_reads=N,error_after=N,...");
    if (c.faults)
        if (const auto parsed = Faults().parse(*c.faults); !parsed) o.fail("faults", ": " + parsed.failure().detail);
    if (const auto ok = o.check(); !ok) return ok.failure();
    return c;
}

FunctionIdentity function_identity(const Chosen& c) {
    FunctionIdentity id;
    id.model = "Farlane serial port";
    id.vendor_id = id.subsystem_vendor_id = serial::kVendorId;
    id.device_id = id.subsystem_id = serial::kDeviceId;
    id.class_code = 0x070002;  // simple communication, serial, 16550-compatible
    id.serial = c.serial_number;
    id.bars[0] = {serial::kBarBytes, 0};
    id.msix = {1, 0, serial::kMsixTable, serial::kMsixPba};
    return id;
}

Result<std::unique_ptr<serial::Line>> open_line(const std::string& end) {
    if (const auto path = path_after(end, "file:")) return serial::file_line(*path);
    if (const auto path = path_after(end, "unix:")) return serial::socket_line(*path);
    return std::unique_ptr<serial::Line>();
}

}  // namespace

Result<bool> check_serial(const backend::DeviceConfig& config) {
    const auto chosen = read_options(config);
    if (!chosen) return chosen.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_serial(const backend::DeviceConfig& config, backend::Memory& memory) {
    auto chosen = read_options(config);
    if (!chosen) return chosen.failure();
    serial::Lines lines;
    for (unsigned i = 0; i < kPorts; ++i) {
        auto line = open_line(chosen->ends[i]);
        if (!line) return line.failure();
        lines[i] = std::move(line.value());
    }
    bool fresh = false;
    const auto region = memory.region(config.name + ".serial", sizeof(State), fresh);
    if (!region) return region.failure();
    State& state = *reinterpret_cast<State*>(region.value().data());
    if (fresh || !serial::plausible(state)) {
        std::memset(static_cast<void*>(&state), 0, sizeof state);
        publish(state.magic, State::kMagic);
    }
    auto device = std::make_unique<serial::Port>(function_identity(*chosen), state, std::move(lines));
    if (chosen->faults)
        if (const auto parsed = device->faults().parse(*chosen->faults); !parsed) return parsed.failure();
    return std::unique_ptr<backend::Device>(std::move(device));
}

}  // namespace farlane::firmware
