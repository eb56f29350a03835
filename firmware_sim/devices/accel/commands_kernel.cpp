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

/// Range of device memory that a report may fill, if one is asked for; false = it can not be.
bool Processor::add_report(QueuePair& q, std::uint64_t address, std::uint32_t bytes, std::uint32_t field) noexcept {
    if (bytes == 0) return address == 0;
    if (map_.is_local(address)) return false;
    return q.active.touches.add({address, bytes, true, field});
}

Step Processor::begin_module_load(QueuePair& q) noexcept {
    constexpr std::uint32_t kImage = kOperands + offsetof(fl_accel_module_command, image_address);
    constexpr std::uint32_t kReport = kOperands + offsetof(fl_accel_module_command, report_address);
    const auto& c = q.active.command.u.module;
    const std::uint32_t handle = c.module.get();
    if (!handle_in_range(handle, kMaxModules)) return fail(q, FL_ACCEL_REASON_HANDLE_RANGE, handle);
    auto& module = context_of(q).modules[handle];
    if (module.used || module.loading) return fail(q, FL_ACCEL_REASON_HANDLE_IN_USE, handle);
    q.active.touches.clear();
    const std::uint64_t image = c.image_address.get(), bytes = c.image_bytes.get();
    if (bytes != 0) (void)q.active.touches.add({image, bytes, false, kImage});
    if (bytes != 0 && map_.is_local(image)) return fail(q, FL_ACCEL_REASON_BAD_ADDRESS, kImage);
    if (!add_report(q, c.report_address.get(), c.report_bytes.get(), kReport)) {
        return fail(q, FL_ACCEL_REASON_BAD_ADDRESS, kReport);
    }
    if (const auto stopped = admit(q)) return *stopped;
    if (bytes == 0 && image != 0) return fail(q, FL_ACCEL_REASON_BAD_IMAGE, kImage);
    const std::uint32_t kind = c.kind.get();
    if (kind < FL_ACCEL_MODULE_BUILTIN || kind > FL_ACCEL_MODULE_CUDA_C) return fail(q, FL_ACCEL_REASON_BAD_KIND, kind);
    backend::LoadRequest request;
    request.owner = owner_of(q);
    request.module = handle;
    request.kind = static_cast<fl_accel_module_kind>(kind);
    request.image_address = image;
    request.image_bytes = bytes;
    request.report_address = c.report_address.get();
    request.report_bytes = c.report_bytes.get();
    request.options = payload_text(q, c.options_bytes.get());
    module.loading = true;
    q.active.outcome = {};
    return given(q, executor_.load(job_of(q), request));
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
    executor_.unload(owner_of(q), handle);
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
    auto& kernel = context.kernels[handle];
    if (kernel.used || kernel.binding) return fail(q, FL_ACCEL_REASON_HANDLE_IN_USE, handle);
    constexpr std::uint32_t kReport = kOperands + offsetof(fl_accel_bind_command, report_address);
    q.active.touches.clear();
    if (!add_report(q, c.report_address.get(), c.report_bytes.get(), kReport)) {
        return fail(q, FL_ACCEL_REASON_BAD_ADDRESS, kReport);
    }
    if (const auto stopped = admit(q)) return *stopped;
    kernel.binding = true;
    q.active.outcome = {};
    return given(q, executor_.bind(job_of(q), {owner_of(q), module_handle, handle, payload_text(q, c.name_bytes.get()),
                                               c.report_address.get(), c.report_bytes.get()}));
}

std::string_view Processor::payload_text(const QueuePair& q, std::uint32_t bytes) noexcept {
    return {reinterpret_cast<const char*>(q.active.payload.data()), bytes};
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
    request.owner = owner_of(q);
    request.kernel = handle;
    request.arguments = std::span{q.active.payload}.first(c.argument_bytes.get());
    for (std::size_t i = 0; i < 3; ++i) {
        request.grid[i] = c.grid[i].get();
        request.block[i] = c.block[i].get();
        request.offset[i] = c.offset[i].get();
    }
    request.dimensions = q.active.command.head.flags.get() & FL_ACCEL_LAUNCH_DIMENSIONS;
    request.shared_bytes = c.shared_bytes.get();
    const auto outcome = executor_.prepare(request, q.active.touches);
    if (!outcome.ok()) {
        touch_unknown(q);
        return fail(q, outcome.reason, outcome.detail);
    }
    if (const auto stopped = admit(q)) return *stopped;
    const bool chains = executor_.chains(request);
    request.behind = q.in_flight() != 0;
    if (request.behind && (!chains || q.in_flight() == kMaxFlights)) return Step::wait;
    q.active.outcome = {};
    q.active.began_ns = now_ns();
    if (chains) return flown(q, executor_.launch(job_of(q, q.next_flight()), request));
    return given(q, executor_.launch(job_of(q), request));
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
