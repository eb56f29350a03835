// SPDX-License-Identifier: Apache-2.0
// Receives: calls about events: state, waiting, callbacks, times. Hands on: the same to the engine.
// Owns: events (event.hpp). OpenCL 3.0, 5.11 to 5.14.
#include "opencl/event.hpp"

#include <algorithm>

#include "opencl/answer.hpp"
#include "opencl/queue.hpp"

namespace farlane::opencl {

Event::Event(Context& context)
    : Object(Kind::event), context_(&context), type_(CL_COMMAND_USER), status_(CL_SUBMITTED) {}

Event::Event(CommandQueue& queue, cl_command_type type, std::unique_ptr<Work> w)
    : Object(Kind::event, 0),
      work(std::move(w)),
      context_(&queue.context()),
      queue_(&queue),
      type_(type),
      status_(CL_QUEUED) {}

Event::~Event() = default;

Engine& Event::engine() const noexcept {
    return context_->engine();
}

std::vector<Ref<Event>> checked_wait_list(const Context& context, cl_uint count, const cl_event* list) {
    require((count == 0) == (list == nullptr), CL_INVALID_EVENT_WAIT_LIST);
    std::vector<Ref<Event>> all;
    all.reserve(count);
    for (cl_uint i = 0; i < count; ++i) {
        auto* e = reinterpret_cast<Event*>(list[i]);
        require(e != nullptr && e->kind() == Kind::event && e->references() != 0, CL_INVALID_EVENT_WAIT_LIST);
        require(&e->context() == &context, CL_INVALID_CONTEXT);
        all.emplace_back(e);
    }
    return all;
}

namespace {

/// A program may ask again and again instead of waiting: then its question moves things on.
cl_int status_now(Event& e) {
    if (!e.ended()) {
        Guard guard(e.engine());
        e.engine().settle(guard);
    }
    return e.status();
}

void answer_event(Event& e, cl_event_info what, const Answer& answer) {
    switch (what) {
        case CL_EVENT_COMMAND_QUEUE: return answer.value(handle_of(e.queue()));
        case CL_EVENT_CONTEXT: return answer.value(handle_of(&e.context()));
        case CL_EVENT_COMMAND_TYPE: return answer.value(e.type());
        case CL_EVENT_COMMAND_EXECUTION_STATUS: return answer.value(status_now(e));
        case CL_EVENT_REFERENCE_COUNT: return answer.value(e.references());
        default: fail(CL_INVALID_VALUE);
    }
}

/// The host's moments may be a little off against the device's: they are kept in order.
cl_ulong time_of(Event& e, cl_profiling_info what) {
    const cl_ulong start = e.start != nullptr ? e.start->ns : 0;
    const cl_ulong end = std::max(start, e.end != nullptr ? e.end->ns : 0);
    const cl_ulong submitted = std::min<cl_ulong>(e.submitted_ns, start);
    switch (what) {
        case CL_PROFILING_COMMAND_QUEUED: return std::min<cl_ulong>(e.queued_ns, submitted);
        case CL_PROFILING_COMMAND_SUBMIT: return submitted;
        case CL_PROFILING_COMMAND_START: return start;
        case CL_PROFILING_COMMAND_END:
        case CL_PROFILING_COMMAND_COMPLETE: return end;
        default: fail(CL_INVALID_VALUE);
    }
}

}  // namespace
}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_event CL_API_CALL clCreateUserEvent(cl_context context, cl_int* error) {
    return created(__func__, error, [&] { return handle_of(new Event(checked<Context>(context))); });
}

CL_API_ENTRY cl_int CL_API_CALL clSetUserEventStatus(cl_event event, cl_int status) {
    return guarded(__func__, [&] {
        const Ref<Event> e(&checked<Event>(event));
        require(e->is_user(), CL_INVALID_EVENT);
        require(status <= CL_COMPLETE, CL_INVALID_VALUE);
        Guard guard(e->engine());
        require(!std::exchange(e->user_set, true), CL_INVALID_OPERATION);
        e->engine().resolved(guard, *e, status);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clWaitForEvents(cl_uint count, const cl_event* list) {
    return guarded(__func__, [&] {
        require(count != 0 && list != nullptr, CL_INVALID_VALUE);
        std::vector<Ref<Event>> all;
        all.reserve(count);
        for (cl_uint i = 0; i < count; ++i) all.emplace_back(&checked<Event>(list[i]));
        for (const auto& e : all) require(&e->context() == &all[0]->context(), CL_INVALID_CONTEXT);
        const auto ended = [&] {
            return std::all_of(all.begin(), all.end(), [](const auto& e) { return e->ended(); });
        };
        if (!ended()) {
            Engine& engine = all[0]->engine();
            Guard guard(engine);
            engine.wait_until(guard, ended);
            engine.wait_printed(guard);
        }
        const bool good = std::all_of(all.begin(), all.end(), [](const auto& e) { return e->status() == CL_COMPLETE; });
        require(good, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetEventInfo(cl_event event, cl_event_info what, size_t room, void* to,
                                               size_t* bytes) {
    return guarded(__func__, [&] { answer_event(checked<Event>(event), what, Answer(room, to, bytes)); });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainEvent(cl_event event) {
    return guarded(__func__, [&] { checked<Event>(event).retain(); });
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseEvent(cl_event event) {
    return guarded(__func__, [&] { release(&checked<Event>(event)); });
}

CL_API_ENTRY cl_int CL_API_CALL clSetEventCallback(cl_event event, cl_int at, EventCallback function, void* data) {
    return guarded(__func__, [&] {
        const Ref<Event> e(&checked<Event>(event));
        require(function != nullptr && (at == CL_SUBMITTED || at == CL_RUNNING || at == CL_COMPLETE), CL_INVALID_VALUE);
        Guard guard(e->engine());
        e->engine().add_callback(guard, *e, {at, function, data});
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetEventProfilingInfo(cl_event event, cl_profiling_info what, size_t room, void* to,
                                                        size_t* bytes) {
    return guarded(__func__, [&] {
        auto& e = checked<Event>(event);
        const bool there = !e.is_user() && e.queue()->profiles() && status_now(e) == CL_COMPLETE;
        require(there, CL_PROFILING_INFO_NOT_AVAILABLE);
        Answer(room, to, bytes).value(time_of(e, what));
    });
}
