// SPDX-License-Identifier: Apache-2.0
// Receives: the options of an accelerator as text. Hands on: the device, or what is wrong.
// Owns: what the device is made of.
#include <bit>
#include <random>
#include <string>

#include "core/options.hpp"
#include "devices/accel/accel.hpp"
#include "devices/devices.hpp"

namespace farlane::firmware {
namespace {

using namespace accel;

/// Serial number of a device that was given none: differs from name to name, and is always the same.
std::uint64_t serial_of(const std::string& name) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash == 0 ? 1 : hash;
}

/// `isa` points into `config`.
Result<AccelOptions> parse(const backend::DeviceConfig& config) {
    static const std::vector<std::string_view> executors = {"cpu"};
    static const std::vector<std::string_view> isas = {"auto", "portable", "avx2", "avx512"};
    Options options(config);
    AccelOptions o;
    o.memory_bytes = options.size("memory", kMinMemoryBytes, kMaxMemoryBytes).value_or(o.memory_bytes);
    if (!std::has_single_bit(o.memory_bytes)) options.fail("memory", "must be a power of two, as every BAR is: 256M");
    o.queues = static_cast<std::uint32_t>(options.number("queues", 1, kMaxQueues).value_or(o.queues));
    o.threads = static_cast<std::uint32_t>(options.number("threads", 1, 256).value_or(o.threads));
    (void)options.choice("executor", executors);
    if (const auto isa = options.choice("isa", isas)) o.isa = isas[*isa];
    o.vendor_id = static_cast<std::uint16_t>(options.number("vendor", 1, 0xfffe).value_or(o.vendor_id));
    o.device_id = static_cast<std::uint16_t>(options.number("device", 1, 0xffff).value_or(o.device_id));
    o.serial = options.number("serial", 1, ~std::uint64_t{0}).value_or(serial_of(config.name));
    std::random_device random;
    o.first_life = std::uint64_t{random()} << 32 | 1;
    auto checked = options.check();
    if (!checked) return checked.failure();
    return o;
}

}  // namespace

Result<bool> check_accel(const backend::DeviceConfig& config) {
    const auto options = parse(config);
    if (!options) return options.failure();
    return true;
}

Result<std::unique_ptr<backend::Device>> make_accel(const backend::DeviceConfig& config, backend::Memory& memory) {
    (void)memory;  // nothing of an accelerator outlives the daemon: after a kill its contexts see device_reset
    auto options = parse(config);
    if (!options) return options.failure();
    auto waker = std::make_unique<Waker>();
    backend::CpuExecutorOptions wanted;
    wanted.memory_address = kBaseAddress;
    wanted.memory_bytes = options->memory_bytes;
    wanted.threads = options->threads;
    wanted.max_jobs = options->queues + 1;
    wanted.isa = options->isa;
    wanted.wake = [to = waker.get()] { to->wake(); };
    auto executor = backend::make_cpu_executor(wanted);
    if (!executor) {
        return {executor.status(), "accel '" + config.name + "': " + executor.failure().detail};
    }
    return std::unique_ptr<backend::Device>(
        std::make_unique<Accel>(*options, std::make_unique<FunctionState>(), std::move(waker), std::move(*executor)));
}

}  // namespace farlane::firmware
