// SPDX-License-Identifier: Apache-2.0
// Receives: commands about built-in kernels. Hands on: jobs of the cpu executor, or launches of the worker where memory
// is local. Owns: executor.hpp.
#include <algorithm>
#include <array>

#include "backend/worker/builtin/call.hpp"
#include "backend/worker/executor.hpp"

namespace farlane::backend::worker {
namespace {

/// The contract's text, which stays.
const char* known_name(std::string_view name) noexcept {
    static constexpr std::array<const char*, 8> kNames = {
        FL_ACCEL_KERNEL_FILL,       FL_ACCEL_KERNEL_COPY,       FL_ACCEL_KERNEL_AXPY_F32,     FL_ACCEL_KERNEL_GEMM_F32,
        FL_ACCEL_KERNEL_REDUCE_F32, FL_ACCEL_KERNEL_CONV2D_F32, FL_ACCEL_KERNEL_CONV2D_RGBA8, FL_ACCEL_KERNEL_SHA256};
    const auto it = std::find(kNames.begin(), kNames.end(), name);
    return it == kNames.end() ? nullptr : *it;
}

}  // namespace

Executor::Answer WorkerExecutor::load_builtin(std::uint64_t job, const LoadRequest& request) noexcept {
    const auto answer = parts_.cpu->load(job, request);
    if (!answer || !answer->ok()) return answer;
    if (parts_.place == Place::aperture) {
        links_[request.owner.context].modules[request.module] = {true, true, false};
        return answer;
    }
    const std::uint32_t slot = jobs_.take(job, JobKind::load, request.owner);
    jobs_[slot].handle = request.module;
    jobs_[slot].builtin = "";
    AskLoad ask;
    ask.token = jobs_.token(slot);
    ask.module = request.module;
    ask.kind = FL_ACCEL_MODULE_BUILTIN;
    links_[request.owner.context].give(slot, Ask::load, {bytes_of(ask)});
    return std::nullopt;
}

Executor::Answer WorkerExecutor::bind_builtin(std::uint64_t job, const BindRequest& request) noexcept {
    Link& link = links_[request.owner.context];
    const auto answer = parts_.cpu->bind(job, request);
    const char* name = known_name(request.name);
    if (!answer || !answer->ok() || name == nullptr) return answer;
    if (!link.modules[request.module].in_worker) {
        link.kernels[request.kernel] = {true, name, request.module, {}};
        return answer;
    }
    const std::uint32_t slot = jobs_.take(job, JobKind::bind, request.owner);
    jobs_[slot].handle = request.kernel;
    jobs_[slot].address = request.module;
    jobs_[slot].bytes = answer->value;
    jobs_[slot].builtin = name;
    const std::string source_name = builtin_source_name(name);
    AskBind ask;
    ask.token = jobs_.token(slot);
    ask.module = request.module;
    ask.kernel = request.kernel;
    ask.name_bytes = static_cast<std::uint32_t>(source_name.size());
    link.give(slot, Ask::bind, {bytes_of(ask), std::as_bytes(std::span(source_name))});
    return std::nullopt;
}

/// Operands are all on one side.
Outcome WorkerExecutor::prepare_builtin(const LaunchRequest& request, AccessList& touches) const noexcept {
    const Outcome outcome = parts_.cpu->prepare(request, touches);
    const auto items = touches.items();
    if (!outcome.ok() || items.empty()) return outcome;
    const bool local = is_local(items.front().address);
    const auto other =
        std::find_if(items.begin(), items.end(), [&](const Access& a) { return is_local(a.address) != local; });
    return other == items.end() ? outcome : Outcome{FL_ACCEL_REASON_BAD_ADDRESS, other->field, 0};
}

bool WorkerExecutor::is_on_local(const LaunchRequest& request) const noexcept {
    AccessList touches;
    return parts_.place == Place::local && parts_.cpu->prepare(request, touches).ok() && !touches.items().empty() &&
           is_local(touches.items().front().address);
}

Executor::Answer WorkerExecutor::launch_builtin(std::uint64_t job, const LaunchRequest& request) noexcept {
    if (!is_on_local(request)) return parts_.cpu->launch(job, request);
    const Link& link = links_[request.owner.context];
    const BuiltinCall call = translate_builtin(link.kernels[request.kernel].builtin, request.arguments,
                                               [&](std::uint64_t address) { return link.allocation_at(address); });
    LaunchRequest in_worker = request;
    in_worker.arguments = call.arguments;
    in_worker.dimensions = 1;
    in_worker.grid = {call.groups, 0, 0};
    in_worker.block = {call.group_items, 0, 0};
    return launch_in_worker(job, in_worker);
}

}  // namespace farlane::backend::worker
