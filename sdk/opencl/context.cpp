// SPDX-License-Identifier: Apache-2.0
// Receives: calls about contexts. Hands on: an engine on the accelerator.
// Owns: contexts (context.hpp). OpenCL 3.0, 4.4.
#include "opencl/context.hpp"

#include <algorithm>
#include <thread>

#include "opencl/answer.hpp"

namespace farlane::opencl {
namespace {

/// Name and value pairs, with the zero at the end. Errors: CL_INVALID_PROPERTY, CL_INVALID_PLATFORM.
std::vector<cl_context_properties> checked_properties(const cl_context_properties* list) {
    std::vector<cl_context_properties> all;
    if (list == nullptr) return all;
    for (; *list != 0; list += 2) {
        require(std::find(all.begin(), all.end(), list[0]) == all.end() || all.size() % 2 != 0, CL_INVALID_PROPERTY);
        if (list[0] == CL_CONTEXT_PLATFORM) {
            (void)checked<Platform>(reinterpret_cast<cl_platform_id>(list[1]));
        } else {
            require(list[0] == CL_CONTEXT_INTEROP_USER_SYNC, CL_INVALID_PROPERTY);
        }
        all.push_back(list[0]);
        all.push_back(list[1]);
    }
    all.push_back(0);
    return all;
}

Context* make_context(Device& device, const cl_context_properties* properties, ContextNotify notify, void* data) {
    require(notify != nullptr || data == nullptr, CL_INVALID_VALUE);
    auto list = checked_properties(properties);
    require(device.accelerator().available(), CL_DEVICE_NOT_AVAILABLE);
    return new Context(device, std::move(list), notify, data);
}

void answer_context(const Context& c, cl_context_info what, const Answer& answer) {
    switch (what) {
        case CL_CONTEXT_REFERENCE_COUNT: return answer.value(c.references());
        case CL_CONTEXT_NUM_DEVICES: return answer.value<cl_uint>(1);
        case CL_CONTEXT_DEVICES: return answer.value(handle_of(&c.device()));
        case CL_CONTEXT_PROPERTIES: return answer.list(c.properties());
        default: fail(CL_INVALID_VALUE);
    }
}

}  // namespace

Context::Context(Device& device, std::vector<cl_context_properties> properties, ContextNotify notify, void* data)
    : Object(Kind::context), device_(device), properties_(std::move(properties)) {
    Engine::Notify tell;
    if (notify != nullptr) {
        tell = [notify, data](const std::string& text) { notify(text.c_str(), nullptr, 0, data); };
    }
    auto& accelerator = device.accelerator();
    engine_ = std::make_shared<Engine>(accelerator.open_context(), accelerator.queue_pairs(), std::move(tell));
}

/// An engine ends by waiting for its thread and its device: not in that thread, nor under a lock.
Context::~Context() {
    auto last = [ending = std::move(ending_), engine = std::move(engine_), functions = std::move(destructors_),
                 handle = handle_of(this)]() mutable {
        for (auto f = functions.rbegin(); f != functions.rend(); ++f) f->first(handle, f->second);
        engine.reset();
        ending.reset();
    };
    if (Guard::inside()) {
        std::thread(std::move(last)).detach();
    } else {
        last();
    }
}

void Context::add_destructor(ContextDestructor function, void* data) {
    const std::lock_guard lock(mutex_);
    destructors_.emplace_back(function, data);
}

bool Context::has_memory(cl_mem handle) {
    const std::lock_guard lock(mutex_);
    return memory_.contains(handle);
}

void Context::note_memory(cl_mem handle, bool there) {
    const std::lock_guard lock(mutex_);
    if (there) {
        memory_.insert(handle);
    } else {
        memory_.erase(handle);
    }
}

void Context::check_device(cl_device_id device) const {
    require(device == handle_of(&device_), CL_INVALID_DEVICE);
}

}  // namespace farlane::opencl

using namespace farlane::opencl;

/// A context has one device: memory of several accelerators is not kept the same.
CL_API_ENTRY cl_context CL_API_CALL clCreateContext(const cl_context_properties* properties, cl_uint count,
                                                    const cl_device_id* devices, ContextNotify notify, void* data,
                                                    cl_int* error) {
    return created(__func__, error, [&] {
        require(devices != nullptr && count != 0, CL_INVALID_VALUE);
        Device& first = checked<Device>(devices[0]);
        for (cl_uint i = 1; i < count; ++i) {
            (void)checked<Device>(devices[i]);
            require(devices[i] == devices[0], CL_OUT_OF_RESOURCES);  // the same one twice is one
        }
        return handle_of(make_context(first, properties, notify, data));
    });
}

CL_API_ENTRY cl_context CL_API_CALL clCreateContextFromType(const cl_context_properties* properties,
                                                            cl_device_type type, ContextNotify notify, void* data,
                                                            cl_int* error) {
    return created(__func__, error, [&] {
        cl_device_id device = nullptr;
        const cl_int found = clGetDeviceIDs(handle_of(&Platform::get()), type, 1, &device, nullptr);
        require(found == CL_SUCCESS, found);
        return handle_of(make_context(checked<Device>(device), properties, notify, data));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainContext(cl_context context) {
    return guarded(__func__, [&] { checked<Context>(context).retain(); });
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseContext(cl_context context) {
    return guarded(__func__, [&] {
        const Ref<Context> c(&checked<Context>(context));
        if (release(c.get())) c->released();
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetContextInfo(cl_context context, cl_context_info what, size_t room, void* to,
                                                 size_t* bytes) {
    return guarded(__func__, [&] { answer_context(checked<Context>(context), what, Answer(room, to, bytes)); });
}

CL_API_ENTRY cl_int CL_API_CALL clSetContextDestructorCallback(cl_context context, ContextDestructor function,
                                                               void* data) {
    return guarded(__func__, [&] {
        auto& c = checked<Context>(context);
        require(function != nullptr, CL_INVALID_VALUE);
        c.add_destructor(function, data);
    });
}
