// SPDX-License-Identifier: Apache-2.0
// Receives: the options of a device of kind "nvme". Hands on: a controller on memory that may outlive the daemon.
// Owns: nothing.
#include <sys/random.h>

#include "core/options.hpp"
#include "devices/devices.hpp"
#include "devices/nvme/controller.hpp"

namespace farlane::firmware {
namespace {

using nvme::Controller;
using nvme::ControllerIdentity;
using nvme::State;

struct Chosen {
    std::optional<std::uint64_t> size_bytes;
    std::optional<std::string> file, serial, model, faults;
    std::uint32_t lba_shift = 12;
    unsigned queues = 16;
    std::uint16_t vendor = kDevelopmentVendorId, device = 0x0001;
};

constexpr std::uint64_t kDefaultBytes = 64u << 20, kLeastBytes = 1u << 20, kMostBytes = std::uint64_t{1} << 46;

Result<Chosen> read_options(const backend::DeviceConfig& config) {
    Options o(config);
    Chosen c;
    c.size_bytes = o.size("size", kLeastBytes, kMostBytes);
    if (c.size_bytes && *c.size_bytes % 4096 != 0) o.fail("size", "must be a multiple of 4096 bytes");
    c.file = o.text("file", 4095, "path of a plain file");
    if (const auto lba = o.choice("lba", {"512", "4096"})) c.lba_shift = *lba == 0 ? 9 : 12;
    c.serial = o.text("serial", 20, "serial number");
    c.model = o.text("model", 40, "model name");
    if (const auto n = o.number("queues", 1, nvme::kMaxIoQueues)) c.queues = static_cast<unsigned>(*n);
    if (const auto n = o.number("vendor", 1, 0xfffe)) c.vendor = static_cast<std::uint16_t>(*n);
    if (const auto n = o.number("device", 0, 0xffff)) c.device = static_cast<std::uint16_t>(*n);
    c.faults = o.text("faults", 1000, "delay_us=N,hang_after_reads=N,...");
    if (c.faults)
        if (const auto parsed = Faults().parse(*c.faults); !parsed) o.fail("faults", ": " + parsed.failure().detail);
    if (const auto ok = o.check(); !ok) return ok.failure();
    return c;
}

// First life of the device: who it is. RFC 4122, version 4.
Result<bool> begin(State& s, const Chosen& c, std::uint64_t bytes) {
    auto& uuid = s.lasting.uuid;
    if (::getrandom(uuid.data(), uuid.size(), 0) != static_cast<ssize_t>(uuid.size()))
        return {Status::io, "no random numbers for the identity of an nvme device"};
    uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0f) | 0x40);
    uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3f) | 0x80);
    s.lasting.namespace_bytes = bytes;
    s.lasting.lba_shift = c.lba_shift;
    publish(s.magic, State::kMagic);
    return true;
}

std::uint64_t serial_of(const State& s) noexcept {
    std::uint64_t v = 0;
    for (unsigned i = 0; i < 8; ++i) v = v << 8 | s.lasting.uuid[i];
    return v;
}

std::string hex(std::uint64_t v) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    std::string text;
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[v >> shift & 15];
    return text;
}

FunctionIdentity function_identity(const Chosen& c, const State& s) {
    FunctionIdentity id;
    id.model = c.model.value_or("Farlane NVMe");
    id.vendor_id = id.subsystem_vendor_id = c.vendor;
    id.device_id = c.device;
    id.subsystem_id = 1;
    id.class_code = 0x010802;  // mass storage, non-volatile memory, NVM Express
    id.serial = serial_of(s);
    id.bars[0] = {Controller::kBarBytes, FL_BAR_64BIT};
    id.msix = {c.queues + 1, 0, Controller::kMsixTable, Controller::kMsixPba};
    return id;
}

Result<std::unique_ptr<nvme::Media>> open_media(const backend::DeviceConfig& config, const Chosen& c,
                                                backend::Memory& memory) {
    if (c.file) return nvme::file_media(*c.file, c.size_bytes.value_or(0));
    bool fresh = false;
    auto region = memory.region(config.name + ".namespace", c.size_bytes.value_or(kDefaultBytes), fresh);
    if (!region) return region.failure();
    return nvme::memory_media(*region);
}

}  // namespace

Result<bool> check_nvme(const backend::DeviceConfig& config) {
    const auto chosen = read_options(config);
    if (!chosen) return chosen.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_nvme(const backend::DeviceConfig& config, backend::Memory& memory) {
    auto chosen = read_options(config);
    if (!chosen) return chosen.failure();
    auto media = open_media(config, *chosen, memory);
    if (!media) return media.failure();
    bool fresh = false;
    const auto region = memory.region(config.name + ".nvme", sizeof(State), fresh);
    if (!region) return region.failure();
    State& state = *reinterpret_cast<State*>(region.value().data());

    const std::uint64_t bytes = media.value()->size_bytes();
    const nvme::Limits limits{chosen->queues};
    // What can not be taken up is forgotten; the namespace keeps its bytes
    const bool usable = !fresh && state.magic == State::kMagic && state.lasting.namespace_bytes == bytes &&
                        nvme::plausible(state, limits);
    if (!usable) {
        std::memset(static_cast<void*>(&state), 0, sizeof state);
        if (const auto begun = begin(state, *chosen, bytes); !begun) return begun.failure();
    }
    ControllerIdentity id{function_identity(*chosen, state), chosen->serial.value_or(hex(serial_of(state))),
                          chosen->model.value_or("Farlane NVMe"), limits};
    auto device = std::make_unique<Controller>(id, state, std::move(media.value()));
    if (chosen->faults)
        if (const auto parsed = device->faults().parse(*chosen->faults); !parsed) return parsed.failure();
    return std::unique_ptr<backend::Device>(std::move(device));
}

}  // namespace farlane::firmware
