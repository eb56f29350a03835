// SPDX-License-Identifier: Apache-2.0
// Receives: MODULE_LOAD, MODULE_UNLOAD, KERNEL_BIND and LAUNCH. Hands on: jobs.
// Owns: nothing of its own (processor.hpp). docs/accelerator.md, "Modules and kernels".
#include <cstring>
#include <string_view>

#include "devices/accel/processor.hpp"

namespace farlane::firmware::accel {
namespace {

constexpr std::uint32_t kOperands = offsetof(fl_accel_command, u);

}  // namespace

Step Processor::begin_module_load(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.module;
    const std::uint32_t handle = c.module.get();
    if (!handle_in_range(handle, kMaxModules)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, handle);
    auto& module = context_of(q).modules[handle];
    if (module.used) return fail(q, FL_ACCEL_REASON_HANDLE_IN_USE, handle);
    q.active.touches.clear();
    const std::uint64_t bytes = c.image_bytes.get();
    std::span<const std::byte> image;
    if (bytes != 0) {
        const std::uint32_t field = kOperands + offsetof(fl_accel_module, image_address);
        (void)q.active.touches.add({c.image_address.get(), bytes, false, field});
        if (const auto stopped = admit(q)) return *stopped;
        image = bytes_at(c.image_address.get(), bytes);
    } else if (c.image_address.get() != 0) {
        return fail(q, FL_ACCEL_REASON_BAD_IMAGE, kOperands + offsetof(fl_accel_module, image_address));
    }
    const std::uint32_t kind = c.kind.get();
    if (kind < FL_ACCEL_MODULE_BUILTIN || kind > FL_ACCEL_MODULE_CUBIN) return fail(q, FL_ACCEL_REASON_BAD_KIND, kind);
    const auto outcome = executor_.load(static_cast<fl_accel_module_kind>(kind), image);
    if (!outcome.ok()) return fail(q, outcome.reason, outcome.detail);
    module = {true, static_cast<std::uint32_t>(outcome.value)};
    return succeed(q, 0);
}

/// Takes the kernels of the module along.
Step Processor::begin_module_unload(QueuePair& q) noexcept {
    const std::uint32_t handle = q.active.command.u.module.module.get();
    if (const auto culprit = poisoned_by(q, Object::module, handle, 1)) return depends(q, *culprit);
    if (!handle_in_range(handle, kMaxModules)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, handle);
    Context& context = context_of(q);
    if (!context.modules[handle].used) return fail(q, FL_ACCEL_REASON_BAD_HANDLE, handle);
    for (auto& kernel : context.kernels) {
        if (kernel.used && kernel.module == handle) kernel = {};
    }
    executor_.unload(context.modules[handle].token);
    context.modules[handle] = {};
    return succeed(q, 0);
}

Step Processor::begin_bind(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.bind;
    const std::uint32_t handle = c.kernel.get();
    const std::uint32_t module_handle = c.module.get();
    if (const auto culprit = poisoned_by(q, Object::module, module_handle, 1)) return depends(q, *culprit);
    if (!handle_in_range(handle, kMaxKernels)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, handle);
    if (!handle_in_range(module_handle, kMaxModules)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, module_handle);
    Context& context = context_of(q);
    if (!context.modules[module_handle].used) return fail(q, FL_ACCEL_REASON_BAD_HANDLE, module_handle);
    if (context.kernels[handle].used) return fail(q, FL_ACCEL_REASON_HANDLE_IN_USE, handle);
    const std::string_view name{reinterpret_cast<const char*>(q.active.payload.data()), c.name_bytes.get()};
    const auto outcome = executor_.bind(context.modules[module_handle].token, name);
    if (!outcome.ok()) return fail(q, outcome.reason, outcome.detail);
    context.kernels[handle] = {true, static_cast<std::uint32_t>(outcome.value), module_handle};
    return succeed(q, outcome.detail);
}

Step Processor::begin_launch(QueuePair& q) noexcept {
    const auto& c = q.active.command.u.launch;
    const std::uint32_t handle = c.kernel.get();
    q.active.touches.clear();
    if (const auto culprit = poisoned_by(q, Object::kernel, handle, 1)) {
        touch_unknown(q);
        return depends(q, *culprit);
    }
    const bool in_range = handle_in_range(handle, kMaxKernels);
    if (!in_range || !context_of(q).kernels[handle].used) {
        touch_unknown(q);
        return fail(q, in_range ? FL_ACCEL_REASON_BAD_HANDLE : FL_ACCEL_REASON_HANDLE_RANGE, handle);
    }
    backend::LaunchRequest request;
    request.kernel = context_of(q).kernels[handle].token;
    request.arguments = std::span{q.active.payload}.first(c.argument_bytes.get());
    for (std::size_t i = 0; i < 3; ++i) {
        request.grid[i] = c.grid[i].get();
        request.block[i] = c.block[i].get();
    }
    request.shared_bytes = c.shared_bytes.get();
    const auto outcome = executor_.prepare(request, q.active.touches);
    if (!outcome.ok()) {
        touch_unknown(q);
        return fail(q, outcome.reason, outcome.detail);
    }
    if (const auto stopped = admit(q)) return *stopped;
    q.active.outcome = {};
    q.active.began_ns = now_ns();
    start_job(q);
    executor_.launch(job_of(q), request);
    return Step::run;
}

/// A launch that can not be understood might have written whatever its arguments point into.
void Processor::touch_unknown(QueuePair& q) noexcept {
    q.active.touches.clear();
    const std::uint32_t bytes = q.active.command.u.launch.argument_bytes.get();
    for (std::uint32_t at = 0; at + 8 <= bytes; at += 8) {
        fl_le64 word;
        std::memcpy(&word, q.active.payload.data() + at, sizeof word);
        const Allocation* a = map_.at(word.get(), q.context);
        if (a != nullptr && !q.active.touches.add({a->address, a->bytes, true, at})) return;
    }
}

}  // namespace farlane::firmware::accel
