// SPDX-License-Identifier: Apache-2.0
// Receives: what a configuration says of a device. Hands on: the device of that kind. Owns: the list of kinds.
#include "devices/devices.hpp"

namespace farlane::backend {
namespace {

struct Kind {
    const char* name;
    Result<std::unique_ptr<Device>> (*make)(const DeviceConfig&, Memory&);
    Result<bool> (*check)(const DeviceConfig&) = nullptr;  // of its options; null: make is the only one to know
};

// A new kind of device: one line here, its library in CMakeLists.txt.
constexpr Kind kKinds[] = {
    {"accel", firmware::make_accel, firmware::check_accel},
    {"cxl_mem", firmware::make_cxl_mem, firmware::check_cxl_mem},
    {"dma_test", firmware::make_dma_test, firmware::check_dma_test},
    {"nvme", firmware::make_nvme, firmware::check_nvme},
    {"serial", firmware::make_serial, firmware::check_serial},
    {"tally", firmware::make_tally, firmware::check_tally},
    {"virtio-blk", firmware::make_virtio_blk, firmware::check_virtio_blk},
    {"virtio-console", firmware::make_virtio_console, firmware::check_virtio_console},
    {"virtio-net", firmware::make_virtio_net, firmware::check_virtio_net},
    {"virtio-rng", firmware::make_virtio_rng, firmware::check_virtio_rng},
};

// The name goes into records (fl_function_desc.name) and names state files.
bool valid_name(const std::string& name) noexcept {
    if (name.empty() || name.size() >= FL_NAME_BYTES || name.front() == '.') return false;
    for (const char c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

Result<const Kind*> kind_of(const DeviceConfig& config) {
    if (!valid_name(config.name))
        return {Status::invalid, "device name '" + config.name +
                                     "' is not valid: letters, digits, '.', '_' and '-', "
                                     "not starting with '.', at most 63"};
    std::string valid;
    for (const Kind& k : kKinds) {
        if (config.kind == k.name) return &k;
        valid += (valid.empty() ? "" : ", ") + std::string(k.name);
    }
    return {Status::invalid,
            "device '" + config.name + "': kind '" + config.kind + "' does not exist; valid: " + valid};
}

}  // namespace

std::vector<std::string> device_kinds() {
    std::vector<std::string> names;
    for (const Kind& k : kKinds) names.emplace_back(k.name);
    return names;
}

Result<std::unique_ptr<Device>> make_device(const DeviceConfig& config, Memory& memory) {
    auto kind = kind_of(config);
    if (!kind) return kind.failure();
    return (*kind)->make(config, memory);
}

Result<bool> check_device(const DeviceConfig& config) {
    auto kind = kind_of(config);
    if (!kind) return kind.failure();
    return (*kind)->check == nullptr ? Result<bool>(true) : (*kind)->check(config);
}

}  // namespace farlane::backend
