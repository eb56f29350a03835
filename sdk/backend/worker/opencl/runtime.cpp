// SPDX-License-Identifier: Apache-2.0
// Receives: work of one context. Hands on: commands of OpenCL, ends of jobs. Owns: opencl/runtime.hpp.
#include "backend/worker/opencl/runtime.hpp"

#include <algorithm>

#include "backend/worker/signature.hpp"

namespace farlane::backend::worker {
namespace opencl {
namespace {

void* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<void*>(address);
}

}  // namespace

Outcome outcome_of(cl_int error, std::uint32_t detail) noexcept {
    switch (error) {
        case CL_SUCCESS: return {};
        case CL_MEM_OBJECT_ALLOCATION_FAILURE:
        case CL_OUT_OF_RESOURCES:
        case CL_OUT_OF_HOST_MEMORY:
        case CL_INVALID_BUFFER_SIZE: return {FL_ACCEL_REASON_OUT_OF_MEMORY, static_cast<std::uint32_t>(error), 0};
        case CL_INVALID_WORK_DIMENSION:
        case CL_INVALID_WORK_GROUP_SIZE:
        case CL_INVALID_WORK_ITEM_SIZE:
        case CL_INVALID_GLOBAL_OFFSET:
        case CL_INVALID_GLOBAL_WORK_SIZE: return {FL_ACCEL_REASON_BAD_GRID, static_cast<std::uint32_t>(error), 0};
        case CL_INVALID_ARG_VALUE:
        case CL_INVALID_ARG_SIZE:
        case CL_INVALID_MEM_OBJECT:
        case CL_INVALID_SAMPLER: return {FL_ACCEL_REASON_ARGUMENT_VALUE, detail, 0};
        case CL_MISALIGNED_SUB_BUFFER_OFFSET: return {FL_ACCEL_REASON_MISALIGNED, detail, 0};
        case CL_INVALID_KERNEL_NAME: return {FL_ACCEL_REASON_UNKNOWN_KERNEL, 0, 0};
        default: return {FL_ACCEL_REASON_EXECUTION, static_cast<std::uint32_t>(error), 0};
    }
}

ClRuntime::ClRuntime(const Api& api, cl_device_id device, cl_context context, const Setup& setup, Sink& sink)
    : api_(api), device_(device), context_(context), setup_(setup), sink_(sink) {
    const bool any_pointer = setup.place == Place::aperture &&
                             (device_value<cl_device_type>(api, device, CL_DEVICE_TYPE) & CL_DEVICE_TYPE_CPU) != 0;
    const auto bits = device_value<cl_uint>(api, device, CL_DEVICE_MEM_BASE_ADDR_ALIGN);
    shared_bytes_ = device_value<cl_ulong>(api, device, CL_DEVICE_LOCAL_MEM_SIZE);
    if (!any_pointer) alignment_ = std::max<std::uint64_t>(1, bits / 8);
}

// --- memory

Runtime::Answer ClRuntime::commit(const Ticket& ticket, std::uint64_t address, std::uint64_t bytes) {
    const bool local = is_local(address);
    if (!local && setup_.place == Place::local) return Outcome{};  // staging, which kernels do not see
    cl_int error = CL_SUCCESS;
    const cl_mem_flags flags = CL_MEM_READ_WRITE | (local ? 0 : CL_MEM_USE_HOST_PTR);
    const cl_mem memory = api_.clCreateBuffer(context_, flags, bytes, local ? nullptr : pointer(address), &error);
    if (memory == nullptr) return outcome_of(error);
    allocations_[address] = {bytes, memory, {}, 0};
    if (!local) return Outcome{};
    // It may have been somebody else's.
    const cl_uchar zero = 0;
    cl_event event = nullptr;
    const cl_command_queue queue = queue_of(ticket.stream);
    error = queue == nullptr
                ? CL_OUT_OF_RESOURCES
                : api_.clEnqueueFillBuffer(queue, memory, &zero, sizeof zero, 0, bytes, 0, nullptr, &event);
    if (error != CL_SUCCESS) decommit(address);
    return began(ticket, error, event);
}

void ClRuntime::decommit(std::uint64_t address) {
    const auto found = allocations_.find(address);
    if (found == allocations_.end()) return;
    for (const View& v : found->second.views) api_.clReleaseMemObject(v.memory);
    api_.clReleaseMemObject(found->second.memory);
    allocations_.erase(found);
}

ClRuntime::Allocation* ClRuntime::find(std::uint64_t address, std::uint64_t& offset) noexcept {
    auto it = allocations_.upper_bound(address);
    if (it == allocations_.begin()) return nullptr;
    --it;
    offset = address - it->first;
    return offset < it->second.bytes ? &it->second : nullptr;
}

ClRuntime::Spot ClRuntime::spot_of(std::uint64_t address) noexcept {
    std::uint64_t offset = 0;
    const Allocation* allocation = find(address, offset);
    return allocation == nullptr ? Spot{} : Spot{allocation->memory, offset};
}

/// The buffer that a kernel gets for an address.
cl_int ClRuntime::view_of(std::uint64_t address, cl_mem& memory) {
    std::uint64_t offset = 0;
    Allocation* allocation = find(address, offset);
    if (allocation == nullptr) return CL_INVALID_ARG_VALUE;
    memory = allocation->memory;
    if (offset == 0) return CL_SUCCESS;
    const auto known = std::find_if(allocation->views.begin(), allocation->views.end(),
                                    [&](const View& v) { return v.offset == offset; });
    if (known != allocation->views.end()) {
        memory = known->memory;
        return CL_SUCCESS;
    }
    return make_view(*allocation, address, offset, memory);
}

cl_int ClRuntime::make_view(Allocation& allocation, std::uint64_t address, std::uint64_t offset, cl_mem& memory) {
    cl_int error = CL_SUCCESS;
    const std::uint64_t bytes = allocation.bytes - offset;
    if (alignment_ == 1) {
        memory =
            api_.clCreateBuffer(context_, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, bytes, pointer(address), &error);
    } else {
        if (offset % alignment_ != 0) return CL_MISALIGNED_SUB_BUFFER_OFFSET;
        const cl_buffer_region region{offset, bytes};
        memory = api_.clCreateSubBuffer(allocation.memory, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    }
    if (memory == nullptr) return error;
    if (allocation.views.size() < kViews) {
        allocation.views.push_back({offset, memory});
        return CL_SUCCESS;
    }
    // Commands that use it keep it until they have ended.
    View& oldest = allocation.views[allocation.next_view];
    allocation.next_view = (allocation.next_view + 1) % kViews;
    api_.clReleaseMemObject(oldest.memory);
    oldest = {offset, memory};
    return CL_SUCCESS;
}

// --- queues

cl_command_queue ClRuntime::queue_of(std::uint32_t stream) {
    Queue& q = queues_[stream];
    if (q.queue == nullptr) {
        cl_int error = CL_SUCCESS;
        q.queue = api_.clCreateCommandQueue(context_, device_, CL_QUEUE_PROFILING_ENABLE, &error);
    }
    if (q.queue != nullptr && !q.dirty) {
        q.dirty = true;
        dirty_.push_back(stream);
    }
    return q.queue;
}

void ClRuntime::flush() {
    for (const std::uint32_t stream : dirty_) {
        queues_[stream].dirty = false;
        (void)api_.clFlush(queues_[stream].queue);
    }
    dirty_.clear();
}

Runtime::Answer ClRuntime::began(const Ticket& ticket, cl_int error, cl_event event, bool timed) {
    if (error != CL_SUCCESS) return outcome_of(error);
    auto* pending = new Pending{this, ticket, timed};
    error = api_.clSetEventCallback(event, CL_COMPLETE, on_end, pending);
    if (error == CL_SUCCESS) return std::nullopt;
    // It runs, and nobody will tell when it has ended: only the executor can end that.
    std::abort();
}

void CL_CALLBACK ClRuntime::on_end(cl_event event, cl_int status, void* data) {
    const std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
    const Api& api = pending->runtime->api_;
    std::uint64_t busy_ns = 0;
    cl_ulong start = 0, end = 0;
    if (pending->timed &&
        api.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, nullptr) == CL_SUCCESS &&
        api.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, nullptr) == CL_SUCCESS) {
        busy_ns = end > start ? end - start : 0;
    }
    api.clReleaseEvent(event);
    pending->runtime->sink_.done(pending->ticket, status < 0 ? outcome_of(status) : Outcome{}, busy_ns);
}

// --- work

Outcome ClRuntime::set_arguments(const ClKernel& bound, std::span<const std::byte> block) {
    const cl_kernel kernel = bound.kernel();
    std::uint64_t shared = bound.shared_bytes;
    ArgumentReader reader(block);
    Argument argument;
    for (cl_uint i = 0; reader.next(argument); ++i) {
        cl_int error = CL_SUCCESS;
        if (argument.kind == FL_ACCEL_ARGUMENT_VALUE) {
            error = api_.clSetKernelArg(kernel, i, argument.bytes, argument.data.data());
        } else if (argument.kind == FL_ACCEL_ARGUMENT_SHARED) {
            // Not every runtime looks: some die of it.
            shared += argument.bytes;
            if (shared > shared_bytes_) return outcome_of(CL_OUT_OF_RESOURCES);
            error = api_.clSetKernelArg(kernel, i, argument.bytes, nullptr);
        } else {
            cl_mem memory = nullptr;
            if (argument.address() != 0) error = view_of(argument.address(), memory);
            if (error == CL_SUCCESS) error = api_.clSetKernelArg(kernel, i, sizeof memory, &memory);
        }
        if (error == CL_INVALID_ARG_INDEX) return {FL_ACCEL_REASON_ARGUMENT_COUNT, i, 0};
        if (error != CL_SUCCESS) return outcome_of(error, argument.offset);
    }
    return reader.error();
}

Runtime::Answer ClRuntime::launch(const Ticket& ticket, BoundKernel& bound, const AskLaunch& shape,
                                  std::span<const std::byte> arguments) {
    const auto& known = static_cast<ClKernel&>(bound);
    const cl_kernel kernel = known.kernel();
    if (const auto outcome = set_arguments(known, arguments); !outcome.ok()) return outcome;
    std::size_t global[3], local[3], offset[3];
    const bool chosen = shape.block[0] != 0;
    for (std::uint32_t i = 0; i < 3; ++i) {
        global[i] = std::size_t{shape.grid[i]} * (chosen ? shape.block[i] : 1);
        local[i] = shape.block[i];
        offset[i] = shape.offset[i];
    }
    const cl_command_queue queue = queue_of(ticket.stream);
    if (queue == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    cl_event event = nullptr;
    const cl_int error = api_.clEnqueueNDRangeKernel(queue, kernel, shape.dimensions, offset, global,
                                                     chosen ? local : nullptr, 0, nullptr, &event);
    return began(ticket, error, event, true);
}

Runtime::Answer ClRuntime::copy(const Ticket& ticket, std::uint64_t destination, std::uint64_t source,
                                std::uint64_t bytes) {
    const Spot to = is_local(destination) ? spot_of(destination) : Spot{};
    const Spot from = is_local(source) ? spot_of(source) : Spot{};
    if ((is_local(destination) && to.memory == nullptr) || (is_local(source) && from.memory == nullptr)) {
        return Outcome{FL_ACCEL_REASON_NOT_ALLOCATED, 0, 0};
    }
    const cl_command_queue queue = queue_of(ticket.stream);
    if (queue == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    cl_event event = nullptr;
    cl_int error = CL_SUCCESS;
    if (to.memory != nullptr && from.memory != nullptr) {
        error =
            api_.clEnqueueCopyBuffer(queue, from.memory, to.memory, from.offset, to.offset, bytes, 0, nullptr, &event);
        if (error == CL_MEM_COPY_OVERLAP) return copy_overlapping(ticket, to, from, bytes);
    } else if (to.memory != nullptr) {
        error = api_.clEnqueueWriteBuffer(queue, to.memory, CL_FALSE, to.offset, bytes, pointer(source), 0, nullptr,
                                          &event);
    } else {
        error = api_.clEnqueueReadBuffer(queue, from.memory, CL_FALSE, from.offset, bytes, pointer(destination), 0,
                                         nullptr, &event);
    }
    return began(ticket, error, event);
}

/// By way of a buffer in between.
Runtime::Answer ClRuntime::copy_overlapping(const Ticket& ticket, const Spot& to, const Spot& from,
                                            std::uint64_t bytes) {
    cl_int error = CL_SUCCESS;
    const cl_mem between = api_.clCreateBuffer(context_, CL_MEM_READ_WRITE, bytes, nullptr, &error);
    if (between == nullptr) return outcome_of(error);
    const cl_command_queue queue = queue_of(ticket.stream);
    cl_event event = nullptr;
    error = api_.clEnqueueCopyBuffer(queue, from.memory, between, from.offset, 0, bytes, 0, nullptr, nullptr);
    if (error == CL_SUCCESS) {
        error = api_.clEnqueueCopyBuffer(queue, between, to.memory, 0, to.offset, bytes, 0, nullptr, &event);
    }
    api_.clReleaseMemObject(between);
    return began(ticket, error, event);
}

Runtime::Answer ClRuntime::fill(const Ticket& ticket, std::uint64_t destination, std::uint64_t bytes,
                                std::span<const std::byte> pattern) {
    const Spot to = spot_of(destination);
    const cl_command_queue queue = queue_of(ticket.stream);
    if (to.memory == nullptr) return Outcome{FL_ACCEL_REASON_NOT_ALLOCATED, 0, 0};
    if (queue == nullptr) return Outcome{FL_ACCEL_REASON_OUT_OF_MEMORY, 0, 0};
    cl_event event = nullptr;
    const cl_int error = api_.clEnqueueFillBuffer(queue, to.memory, pattern.data(), pattern.size(), to.offset, bytes, 0,
                                                  nullptr, &event);
    return began(ticket, error, event);
}

}  // namespace opencl

Started start_opencl(const Setup& setup, Sink& sink) {
    constexpr Outcome kNone{FL_ACCEL_REASON_NO_WORKER, 0, 0};
    std::string why;
    const opencl::Api* api = opencl::load_api(why);
    if (api == nullptr) return {nullptr, kNone};
    const auto devices = opencl::list_devices(*api);
    if (setup.device >= devices.size()) return {nullptr, kNone};
    const auto& device = devices[setup.device];
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                reinterpret_cast<cl_context_properties>(device.platform), 0};
    cl_int error = CL_SUCCESS;
    const cl_context context = api->clCreateContext(properties, 1, &device.id, nullptr, nullptr, &error);
    if (context == nullptr) return {nullptr, kNone};
    return {std::make_unique<opencl::ClRuntime>(*api, device.id, context, setup, sink), {}};
}

}  // namespace farlane::backend::worker
