// SPDX-License-Identifier: Apache-2.0
// Receives: what an executor in worker processes shall be. Hands on: it, or what is missing. Owns: nothing.
#include <algorithm>
#include <bit>

#include "backend/worker/executor.hpp"

namespace farlane::backend {
namespace {

using namespace worker;

// Where a device has no wish (cuda/probe.cpp: kPlaces).
constexpr std::uint64_t kLocalAddress = std::uint64_t{1} << 44;

LocalMemory local_memory(const WorkerExecutorOptions& options, const FoundDevice& device) {
    constexpr std::uint64_t kPage = FL_ACCEL_PAGE_BYTES;
    const std::uint64_t most = device.memory_bytes / kPage * kPage;
    const std::uint64_t bytes = options.local_bytes == 0 ? most : std::min(most, options.local_bytes / kPage * kPage);
    const std::uint64_t address = device.local_address != 0 ? device.local_address : kLocalAddress;
    return {address, bytes, std::bit_ceil(bytes)};
}

/// What the machine has instead, for whoever asked for the wrong one.
std::string instead_of(const std::string& program, std::string_view kind) {
    const bool cuda = kind == "cuda";
    auto other = probe(program, cuda ? "opencl" : "cuda");
    if (!other) return {};
    const std::string list = usable(*other);
    if (list.empty()) return {};
    return std::string("; but this machine has ") + (cuda ? "OpenCL" : "CUDA") + " devices (" + list +
           "): executor = \"" + (cuda ? "opencl" : "cuda") + "\" uses them";
}

}  // namespace

void sweep_worker_folders() noexcept {
    Folder::sweep(std::chrono::seconds(60), true);
}

Result<std::unique_ptr<Executor>> make_worker_executor(const WorkerExecutorOptions& options) {
    WorkerExecutor::Parts parts;
    const std::string_view kind = options.kind == FL_ACCEL_EXECUTOR_CUDA ? "cuda" : "opencl";
    auto program = find_program(options.worker);
    if (!program) return program.failure();
    parts.program = std::move(*program);
    Folder::sweep();
    auto found = probe(parts.program, kind);
    if (!found) return found.failure();
    auto device = choose(*found, kind, options.device);
    if (!device) {
        const bool has_some = !usable(*found).empty();
        return {device.status(), device.failure().detail + (has_some ? "" : instead_of(parts.program, kind))};
    }
    parts.device = std::move(*device);
    const bool shares = options.place == WorkerExecutorOptions::Place::automatic
                            ? parts.device.shares_memory
                            : options.place == WorkerExecutorOptions::Place::aperture;
    if (shares && options.kind == FL_ACCEL_EXECUTOR_CUDA) {
        return {Status::unsupported, "executor cuda keeps kernels' memory in the device: place=aperture is not for it"};
    }
    parts.place = shares ? Place::aperture : Place::local;
    if (!shares) parts.local = local_memory(options, parts.device);
    const std::uint64_t local_end = parts.local.address + parts.local.stride * options.plan.contexts;
    if (!shares && options.plan.address + options.plan.aperture_bytes > parts.local.address &&
        local_end > options.plan.address) {
        return {Status::invalid,
                "the aperture reaches into the device's local memory; ask for less (memory=, contexts=)"};
    }
    auto aperture = Aperture::make(options.plan);
    if (!aperture) return aperture.failure();
    parts.aperture = std::move(*aperture);
    auto control = ControlMemory::make(options.plan.contexts);
    if (!control) return control.failure();
    parts.control = std::move(*control);
    CpuExecutorOptions cpu = options.cpu;
    cpu.plan = options.plan;
    cpu.memory = parts.aperture->all();
    cpu.max_jobs = options.max_jobs;
    cpu.wake = options.wake;
    auto made = make_cpu_executor(cpu);
    if (!made) return made.failure();
    parts.cpu = std::move(*made);
    try {
        return std::unique_ptr<Executor>(std::make_unique<WorkerExecutor>(options, std::move(parts)));
    } catch (const Error& error) {
        return {error.status(), error.detail()};
    }
}

}  // namespace farlane::backend
