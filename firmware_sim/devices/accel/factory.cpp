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

/// Options that only executors in worker processes have.
void parse_worker(Options& options, AccelOptions& o) {
    using Place = backend::WorkerExecutorOptions::Place;
    static const std::vector<std::string_view> places = {"auto", "aperture", "local"};
    o.contexts = static_cast<std::uint32_t>(options.number("contexts", 1, kMaxContexts - 1).value_or(kMaxContexts - 1));
    o.accelerator = options.text("accelerator", 127, "part of its name, or its number").value_or("");
    o.worker = options.text("worker", 1023, "path of the worker program").value_or("");
    o.time_limit_ms =
        static_cast<std::uint32_t>(options.number("time_limit_ms", 0, 86'400'000).value_or(o.time_limit_ms));
    o.build_limit_ms =
        static_cast<std::uint32_t>(options.number("build_limit_ms", 0, 86'400'000).value_or(o.build_limit_ms));
    o.local_bytes = options.size("local_memory", kMinMemoryBytes, kMaxMemoryBytes).value_or(0);
    o.context_local_bytes = options.size("context_local_memory", kMinShareBytes, kMaxMemoryBytes).value_or(0);
    if (const auto place = options.choice("place", places)) o.place = static_cast<Place>(*place);
}

/// `isa` points into `config`.
Result<AccelOptions> parse(const backend::DeviceConfig& config) {
    static const std::vector<std::string_view> executors = {"cpu", "opencl", "cuda"};
    static const std::vector<std::string_view> isas = {"auto", "portable", "avx2", "avx512"};
    Options options(config);
    AccelOptions o;
    o.memory_bytes = options.size("memory", kMinMemoryBytes, kMaxMemoryBytes).value_or(o.memory_bytes);
    if (!std::has_single_bit(o.memory_bytes)) options.fail("memory", "must be a power of two, as every BAR is: 256M");
    o.context_bytes = options.size("context_memory", kMinShareBytes, kMaxMemoryBytes).value_or(0);
    o.queues = static_cast<std::uint32_t>(options.number("queues", 1, kMaxQueues).value_or(o.queues));
    o.threads = static_cast<std::uint32_t>(options.number("threads", 1, 256).value_or(o.threads));
    if (const auto kind = options.choice("executor", executors)) {
        o.executor = static_cast<fl_accel_executor>(FL_ACCEL_EXECUTOR_CPU + *kind);
    }
    if (o.executor != FL_ACCEL_EXECUTOR_CPU) parse_worker(options, o);
    if (const auto isa = options.choice("isa", isas)) o.isa = isas[*isa];
    o.vendor_id = static_cast<std::uint16_t>(options.number("vendor", 1, 0xfffe).value_or(o.vendor_id));
    o.device_id = static_cast<std::uint16_t>(options.number("device", 1, 0xffff).value_or(o.device_id));
    o.name = config.name;
    o.serial = options.number("serial", 1, ~std::uint64_t{0}).value_or(serial_of(config.name));
    std::random_device random;
    o.first_life = std::uint64_t{random()} << 32 | 1;
    auto checked = options.check();
    if (!checked) return checked.failure();
    return o;
}

Result<std::unique_ptr<backend::Executor>> make_executor(const AccelOptions& options, Waker& waker,
                                                         const std::function<void(std::string)>& log) {
    backend::CpuExecutorOptions cpu;
    cpu.plan = plan_of(options);
    cpu.threads = options.threads;
    cpu.max_jobs = Processor::max_jobs(options.queues);
    cpu.isa = options.isa;
    cpu.wake = [to = &waker] { to->wake(); };
    if (options.executor == FL_ACCEL_EXECUTOR_CPU) {
        cpu.max_jobs = options.queues + 1;
        return backend::make_cpu_executor(cpu);
    }
    backend::WorkerExecutorOptions wanted;
    wanted.kind = options.executor;
    wanted.plan = cpu.plan;
    wanted.device = options.accelerator;
    wanted.worker = options.worker;
    wanted.time_limit_ms = options.time_limit_ms;
    wanted.build_limit_ms = options.build_limit_ms;
    wanted.name = options.name;
    wanted.local_bytes = options.local_bytes;
    wanted.place = options.place;
    wanted.cpu = cpu;
    wanted.max_jobs = cpu.max_jobs;
    wanted.wake = cpu.wake;
    wanted.log = log;
    return backend::make_worker_executor(wanted);
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
    auto executor = make_executor(*options, *waker, config.log);
    if (!executor) {
        return {executor.status(), "accel '" + config.name + "': " + executor.failure().detail};
    }
    return std::unique_ptr<backend::Device>(
        std::make_unique<Accel>(*options, std::make_unique<FunctionState>(), std::move(waker), std::move(*executor)));
}

}  // namespace farlane::firmware
