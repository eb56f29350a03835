// SPDX-License-Identifier: Apache-2.0
// Receives: calls about command queues; what all enqueue calls have in common. Hands on: events to the engine.
// Owns: command queues (queue.hpp). OpenCL 3.0, 5.1, 5.15.
#include "opencl/queue.hpp"

#include <algorithm>

#include "opencl/answer.hpp"

namespace farlane::opencl {
namespace {

constexpr cl_command_queue_properties kKnown = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE;
constexpr cl_command_queue_properties kOnDevice = CL_QUEUE_ON_DEVICE | CL_QUEUE_ON_DEVICE_DEFAULT;

struct QueueOptions {
    cl_command_queue_properties properties = 0;
    std::vector<cl_queue_properties> list;
};

QueueOptions checked_properties(const cl_queue_properties* list) {
    QueueOptions o;
    if (list == nullptr) return o;
    for (; *list != 0; list += 2) {
        // CL_QUEUE_SIZE is of queues on the device, which there are none of.
        require(list[0] == CL_QUEUE_PROPERTIES, CL_INVALID_VALUE);
        require((list[1] & ~(kKnown | kOnDevice)) == 0, CL_INVALID_VALUE);
        require((list[1] & kOnDevice) == 0, CL_INVALID_QUEUE_PROPERTIES);
        o.properties = list[1];
        o.list.push_back(list[0]);
        o.list.push_back(list[1]);
    }
    o.list.push_back(0);
    return o;
}

void answer_queue(const CommandQueue& q, cl_command_queue_info what, const Answer& answer) {
    switch (what) {
        case CL_QUEUE_CONTEXT: return answer.value(handle_of(&q.context()));
        case CL_QUEUE_DEVICE: return answer.value(handle_of(&q.context().device()));
        case CL_QUEUE_REFERENCE_COUNT: return answer.value(q.references());
        case CL_QUEUE_PROPERTIES: return answer.value(q.properties());
        case CL_QUEUE_PROPERTIES_ARRAY: return answer.list(q.property_list());
        case CL_QUEUE_DEVICE_DEFAULT: return answer.value<cl_command_queue>(nullptr);
        case CL_QUEUE_SIZE: fail(CL_INVALID_COMMAND_QUEUE);  // of queues on the device
        default: fail(CL_INVALID_VALUE);
    }
}

}  // namespace

CommandQueue::CommandQueue(Context& context, cl_command_queue_properties properties,
                           std::vector<cl_queue_properties> list)
    : Object(Kind::queue), context_(&context), properties_(properties), list_(std::move(list)) {
    Guard guard(engine());
    engine().check();
    track = &engine().take_track(guard);
    if (profiles()) engine().calibrate(guard);
}

CommandQueue::~CommandQueue() {
    if (track == nullptr) return;
    // Under the lock, whoever ends it.
    engine().discard(std::shared_ptr<void>(track, [](void* t) { --static_cast<Track*>(t)->users; }));
}

void CommandQueue::enqueue(cl_command_type type, std::unique_ptr<Work> work, const Call& call) {
    auto waits = checked_wait_list(*context_, call.wait_count, call.wait_list);
    const auto event = Ref<Event>::adopt(new Event(*this, type, std::move(work)));
    event->waits = std::move(waits);
    event->barrier = call.barrier;
    event->behind_all = call.behind_all;
    event->wanted = call.event != nullptr;
    Engine& e = engine();
    Guard guard(e);
    if (profiles()) event->queued_ns = e.device_now();
    if (event->wanted) event->publish();
    try {
        e.enqueue(guard, *this, event);
        if (call.until == Call::Until::sent) {
            e.wait_sent(guard, *event);
        } else if (call.until == Call::Until::complete) {
            e.wait_until(guard, [&] { return event->ended(); });
            e.wait_printed(guard);
        }
        const bool waited = call.until != Call::Until::enqueued;
        if (waited && event->failure != CL_SUCCESS) fail(event->failure);
    } catch (...) {
        if (event->wanted) release(event.get());
        throw;
    }
    if (event->wanted) *call.event = handle_of(event.get());
}

void CommandQueue::finish() {
    Engine& e = engine();
    Guard guard(e);
    e.wait_until(guard, [&] { return unfinished == 0; });
    e.wait_printed(guard);
    if (std::exchange(failed, false) || e.broken()) fail(CL_OUT_OF_RESOURCES);
}

}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_command_queue CL_API_CALL clCreateCommandQueueWithProperties(cl_context context, cl_device_id device,
                                                                             const cl_queue_properties* properties,
                                                                             cl_int* error) {
    return created(__func__, error, [&] {
        auto& c = checked<Context>(context);
        (void)checked<Device>(device);
        c.check_device(device);
        auto options = checked_properties(properties);
        return handle_of(new CommandQueue(c, options.properties, std::move(options.list)));
    });
}

CL_API_ENTRY cl_command_queue CL_API_CALL clCreateCommandQueue(cl_context context, cl_device_id device,
                                                               cl_command_queue_properties properties, cl_int* error) {
    return created(__func__, error, [&] {
        auto& c = checked<Context>(context);
        (void)checked<Device>(device);
        c.check_device(device);
        require((properties & ~(kKnown | kOnDevice)) == 0, CL_INVALID_VALUE);
        require((properties & kOnDevice) == 0, CL_INVALID_QUEUE_PROPERTIES);
        return handle_of(new CommandQueue(c, properties, {}));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clSetCommandQueueProperty(cl_command_queue queue, cl_command_queue_properties, cl_bool,
                                                          cl_command_queue_properties*) {
    return guarded(__func__, [&] {
        (void)checked<CommandQueue>(queue);
        fail(CL_INVALID_OPERATION);  // since OpenCL 1.1
    });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainCommandQueue(cl_command_queue queue) {
    return guarded(__func__, [&] { checked<CommandQueue>(queue).retain(); });
}

/// What is in it runs all the same.
CL_API_ENTRY cl_int CL_API_CALL clReleaseCommandQueue(cl_command_queue queue) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        if (!release(q.get())) return;
        Guard guard(q->engine());
        q->engine().settle(guard);
        if (q->unfinished != 0) q->engine().adopt(guard);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetCommandQueueInfo(cl_command_queue queue, cl_command_queue_info what, size_t room,
                                                      void* to, size_t* bytes) {
    return guarded(__func__, [&] { answer_queue(checked<CommandQueue>(queue), what, Answer(room, to, bytes)); });
}

/// Nothing is held back here but what waits for events of the application.
CL_API_ENTRY cl_int CL_API_CALL clFlush(cl_command_queue queue) {
    return guarded(__func__, [&] { (void)checked<CommandQueue>(queue); });
}

CL_API_ENTRY cl_int CL_API_CALL clFinish(cl_command_queue queue) {
    return guarded(__func__, [&] {
        const Ref<CommandQueue> q(&checked<CommandQueue>(queue));
        q->finish();
    });
}
