// SPDX-License-Identifier: Apache-2.0
// Receives: calls that run kernels, markers and barriers. Hands on: checked launches to the queue.
// Owns: what a launch names until it has run. OpenCL 3.0, 5.10, 5.12.
#include <algorithm>
#include <array>

#include "opencl/kernel.hpp"
#include "opencl/queue.hpp"

namespace farlane::opencl {
namespace {

using Call = CommandQueue::Call;

/// A LAUNCH with its arguments as they were when it was enqueued.
class LaunchWork final : public Work {
public:
    LaunchWork(const Kernel& kernel, const accel::LaunchShape& shape)
        : kernel_(kernel.state()), shape_(shape), prints_(kernel.prints()) {
        arguments_.reserve(kernel.arguments().size());
        for (const KernelArgument& a : kernel.arguments()) add(a);
    }
    void submit(Submission& s) override {
        s.engine.make_room(s.guard, s.track, slots_);
        lib::launch(s.engine.state(), *s.track.queue, kernel_, shape_, arguments_);
        if (!prints_) return;
        try {
            printed_ = s.engine.fetch_output(s.guard, s.track);
        } catch (const Error& e) {
            log_error("output of kernels", e);  // it runs all the same
        }
    }
    [[nodiscard]] bool has_rest() const noexcept override { return printed_ != nullptr; }
    [[nodiscard]] bool has_output() const noexcept override { return printed_ != nullptr && printed_->taken(); }
    /// Whether or not it ran: what has come may be another's.
    void finish(bool) noexcept override { printed_->print(); }

private:
    void add(const KernelArgument& a) {
        using Kind = KernelArgument::Kind;
        switch (a.kind) {
            case Kind::missing: fail(CL_INVALID_KERNEL_ARGS);
            case Kind::value: arguments_.emplace_back(std::span<const std::byte>(a.value)); break;
            case Kind::null: arguments_.emplace_back(nullptr); break;
            case Kind::shared: arguments_.emplace_back(accel::SharedBytes{a.shared_bytes}); break;
            case Kind::memory:
                arguments_.emplace_back(
                    accel::View<std::byte>(&a.memory->state(), a.memory->offset(), a.memory->bytes()));
                memory_.push_back(a.memory);
                ++slots_;  // its ALLOC may have to be waited for
        }
        bytes_ +=
            sizeof(fl_accel_argument) +
            (arguments_.back().kind() == accel::ArgumentKind::value ? (arguments_.back().bytes() + 7) / 8 * 8 : 8);
        if (bytes_ > FL_ACCEL_MAX_INLINE_BYTES) fail(CL_OUT_OF_RESOURCES);
        if (bytes_ / FL_ACCEL_COMMAND_BYTES != counted_) slots_ += 1 + bytes_ / FL_ACCEL_COMMAND_BYTES - counted_;
        counted_ = bytes_ / FL_ACCEL_COMMAND_BYTES;
    }

    std::shared_ptr<lib::KernelState> kernel_;
    accel::LaunchShape shape_;
    bool prints_ = false;
    std::shared_ptr<Printed> printed_;
    std::vector<accel::Argument> arguments_;
    std::vector<Ref<Memory>> memory_;
    std::uint32_t slots_ = 4;
    std::size_t bytes_ = 0, counted_ = 0;
};

struct NDRange {
    cl_uint dimensions = 0;
    std::array<std::size_t, 3> offset{}, global{1, 1, 1}, local{};
    bool has_local = false, empty = false;
};

accel::Extent extent_of(cl_uint dimensions, const std::array<std::size_t, 3>& v) {
    if (dimensions == 1) return {v[0]};
    if (dimensions == 2) return {v[0], v[1]};
    return {v[0], v[1], v[2]};
}

NDRange checked_range(const Device& d, cl_uint dimensions, const std::size_t* offset, const std::size_t* global,
                      const std::size_t* local) {
    require(dimensions >= 1 && dimensions <= 3, CL_INVALID_WORK_DIMENSION);
    require(global != nullptr || d.is_version_3(), CL_INVALID_GLOBAL_WORK_SIZE);
    NDRange r;
    r.dimensions = dimensions;
    r.has_local = local != nullptr;
    for (cl_uint i = 0; i < dimensions; ++i) {
        r.global[i] = global == nullptr ? 0 : global[i];
        // Since 2.1 nothing is run then; before, it is an error.
        require(r.global[i] != 0 || d.is_version_3(), CL_INVALID_GLOBAL_WORK_SIZE);
        r.empty = r.empty || r.global[i] == 0;
        if (local != nullptr) r.local[i] = local[i];
        if (offset == nullptr) continue;
        r.offset[i] = offset[i];
        require(offset[i] <= UINT32_MAX && offset[i] <= SIZE_MAX - r.global[i], CL_INVALID_GLOBAL_OFFSET);
    }
    return r;
}

/// The attribute reqd_work_group_size takes the place of a local size that was not given.
void check_local(const Kernel& k, NDRange& r) {
    const auto& required = k.info().required_block;
    const bool has_required = required[0] != 0;
    if (has_required && !r.has_local) {
        for (cl_uint i = 0; i < r.dimensions; ++i) r.local[i] = required[i];
        r.has_local = true;
    }
    if (!r.has_local) return;
    const Device& d = k.context().device();
    std::size_t items = 1;
    for (cl_uint i = 0; i < r.dimensions; ++i) {
        require(r.local[i] != 0, CL_INVALID_WORK_GROUP_SIZE);
        require(!has_required || r.local[i] == required[i], CL_INVALID_WORK_GROUP_SIZE);
        require(r.local[i] <= d.max_work_items()[i], CL_INVALID_WORK_ITEM_SIZE);
        require(r.global[i] % r.local[i] == 0, CL_INVALID_WORK_GROUP_SIZE);
        items *= r.local[i];
    }
    const std::size_t most = k.info().max_block == 0 ? d.max_work_group() : k.info().max_block;
    require(items <= most && items <= d.max_work_group(), CL_INVALID_WORK_GROUP_SIZE);
}

/// LAUNCH counts in 32 bits: a larger range is cut into groups here.
void fit_counts(const Device& d, NDRange& r) {
    const auto fits = [&] {
        for (cl_uint i = 0; i < r.dimensions; ++i) {
            if (r.global[i] / (r.has_local ? r.local[i] : 1) > UINT32_MAX) return false;
        }
        return true;
    };
    if (fits()) return;
    require(!r.has_local, CL_INVALID_GLOBAL_WORK_SIZE);
    r.has_local = true;
    r.local = {1, 1, 1};
    while (r.local[0] * 2 <= std::min<std::size_t>(d.max_work_group(), d.max_work_items()[0]) &&
           r.global[0] % (r.local[0] * 2) == 0) {
        r.local[0] *= 2;
    }
    require(fits(), CL_INVALID_GLOBAL_WORK_SIZE);
}

accel::LaunchShape shape_of(const NDRange& r) {
    accel::LaunchShape s;
    auto grid = r.global;
    if (r.has_local) {
        for (cl_uint i = 0; i < r.dimensions; ++i) grid[i] /= r.local[i];
        s.block = extent_of(r.dimensions, r.local);
    }
    s.grid = extent_of(r.dimensions, grid);
    s.offset = extent_of(r.dimensions, r.offset);
    return s;
}

void enqueue_kernel(CommandQueue& q, const Kernel& k, cl_command_type type, NDRange r, const Call& call) {
    require(&k.context() == &q.context(), CL_INVALID_CONTEXT);
    const bool all_set = std::none_of(k.arguments().begin(), k.arguments().end(),
                                      [](const KernelArgument& a) { return a.kind == KernelArgument::Kind::missing; });
    require(all_set, CL_INVALID_KERNEL_ARGS);
    if (r.empty) return q.enqueue(type, nullptr, call);
    check_local(k, r);
    fit_counts(q.context().device(), r);
    require(k.local_memory_bytes() <= q.context().device().local_memory_bytes(), CL_OUT_OF_RESOURCES);
    q.enqueue(type, std::make_unique<LaunchWork>(k, shape_of(r)), call);
}

/// Without a wait list it stands for everything before it, and a barrier holds up what comes behind it.
void enqueue_point(cl_command_queue queue, cl_command_type type, cl_uint count, const cl_event* list, cl_event* event,
                   bool barrier) {
    auto& q = checked<CommandQueue>(queue);
    q.enqueue(type, nullptr, {count, list, event, Call::Until::enqueued, barrier, count == 0});
}

}  // namespace
}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                                       const size_t* offset, const size_t* global, const size_t* local,
                                                       cl_uint count, const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        auto& q = checked<CommandQueue>(queue);
        const auto& k = checked<Kernel>(kernel);
        const NDRange r = checked_range(q.context().device(), dimensions, offset, global, local);
        enqueue_kernel(q, k, CL_COMMAND_NDRANGE_KERNEL, r, {count, list, event});
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueTask(cl_command_queue queue, cl_kernel kernel, cl_uint count,
                                              const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] {
        auto& q = checked<CommandQueue>(queue);
        const auto& k = checked<Kernel>(kernel);
        const std::size_t one = 1;
        const NDRange r = checked_range(q.context().device(), 1, nullptr, &one, &one);
        enqueue_kernel(q, k, CL_COMMAND_TASK, r, {count, list, event});
    });
}

/// CL_EXEC_NATIVE_KERNEL is not among the device's capabilities.
CL_API_ENTRY cl_int CL_API_CALL clEnqueueNativeKernel(cl_command_queue queue, void(CL_CALLBACK*)(void*), void*, size_t,
                                                      cl_uint, const cl_mem*, const void**, cl_uint, const cl_event*,
                                                      cl_event*) {
    return guarded(__func__, [&] {
        (void)checked<CommandQueue>(queue);
        fail(CL_INVALID_OPERATION);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint count, const cl_event* list,
                                                            cl_event* event) {
    return guarded(__func__, [&] { enqueue_point(queue, CL_COMMAND_MARKER, count, list, event, false); });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint count,
                                                             const cl_event* list, cl_event* event) {
    return guarded(__func__, [&] { enqueue_point(queue, CL_COMMAND_BARRIER, count, list, event, true); });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueMarker(cl_command_queue queue, cl_event* event) {
    return guarded(__func__, [&] {
        require(event != nullptr, CL_INVALID_VALUE);
        enqueue_point(queue, CL_COMMAND_MARKER, 0, nullptr, event, false);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueBarrier(cl_command_queue queue) {
    return guarded(__func__, [&] { enqueue_point(queue, CL_COMMAND_BARRIER, 0, nullptr, nullptr, true); });
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueWaitForEvents(cl_command_queue queue, cl_uint count, const cl_event* list) {
    return guarded(__func__, [&] {
        require(count != 0 && list != nullptr, CL_INVALID_VALUE);
        for (cl_uint i = 0; i < count; ++i) (void)checked<Event>(list[i]);
        enqueue_point(queue, CL_COMMAND_BARRIER, count, list, nullptr, true);
    });
}
