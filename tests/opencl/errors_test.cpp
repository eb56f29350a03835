// SPDX-License-Identifier: Apache-2.0
// Wrong calls of every entry point, and the error that OpenCL 3.0 has for each. One row a call.
#include <array>
#include <functional>
#include <utility>

#include "opencl/program.hpp"

namespace farlane::test {
namespace {

constexpr const char* kSource =
    "kernel void k(global int *x, int n, local int *l) { l[0] = n; x[0] = l[0]; }\n"
    "kernel __attribute__((reqd_work_group_size(4, 2, 1))) void g(global int *x) { x[get_global_id(0)] = 1; }\n";

/// The error of a call that gives an object, which must be null.
template <class Call>
cl_int error_of(Call&& call) {
    cl_int error = 12345;
    const bool null = call(&error) == nullptr;
    EXPECT_TRUE(null) << "an object in spite of error " << error;
    return error;
}

class OpenclErrors : public OpenclProgram {
protected:
    struct Row {
        const char* what;
        cl_int expected;
        std::function<cl_int()> call;
    };
    void SetUp() override {
        OpenclProgram::SetUp();
        program_ = build(kSource);
        kernel_ = make_kernel(program_, "k");
        memory_of_16_ = make_buffer(64);
        OK(clGetDeviceInfo(device_, CL_DEVICE_PLATFORM, sizeof platform_, &platform_, nullptr));
    }
    static void check(const std::vector<Row>& rows) {
        for (const Row& r : rows) EXPECT_EQ(r.call(), r.expected) << r.what;
    }
    cl_program made_of(const char* text) {
        cl_program p = clCreateProgramWithSource(context_, 1, &text, nullptr, nullptr);
        programs_.push_back(p);
        return p;
    }
    cl_platform_id platform_ = nullptr;
    cl_program program_ = nullptr;
    cl_kernel kernel_ = nullptr;
    cl_mem memory_of_16_ = nullptr;
};

TEST_F(OpenclErrors, PlatformsDevicesContexts) {
    cl_uint count = 0;
    cl_device_id d = device_;
    cl_platform_id p = nullptr;
    // A buffer is no context, and so on: what is wrong is the kind of object, where the loader lets it through.
    const auto as_context = reinterpret_cast<cl_context>(memory_of_16_);
    const cl_context_properties twice[] = {CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform_),
                                           CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform_), 0};
    int data = 0;
    cl_image_format format{};
    const cl_context_properties of[] = {CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform_), 0};
    const auto from_type = [&](cl_device_type type, void* with) {
        return error_of([&](cl_int* e) { return clCreateContextFromType(of, type, nullptr, with, e); });
    };
    check({
        {"no room", CL_INVALID_VALUE, [&] { return clGetPlatformIDs(0, &p, nullptr); }},
        {"nothing asked", CL_INVALID_VALUE, [&] { return clGetPlatformIDs(0, nullptr, nullptr); }},
        {"platform info", CL_INVALID_VALUE, [&] { return clGetPlatformInfo(platform_, 0x1, 0, nullptr, nullptr); }},
        {"no type", CL_INVALID_DEVICE_TYPE, [&] { return clGetDeviceIDs(platform_, 0, 1, &d, nullptr); }},
        {"unknown type", CL_INVALID_DEVICE_TYPE, [&] { return clGetDeviceIDs(platform_, 1 << 20, 1, &d, nullptr); }},
        {"no room", CL_INVALID_VALUE, [&] { return clGetDeviceIDs(platform_, CL_DEVICE_TYPE_ALL, 0, &d, nullptr); }},
        {"nothing asked", CL_INVALID_VALUE,
         [&] { return clGetDeviceIDs(platform_, CL_DEVICE_TYPE_ALL, 0, nullptr, nullptr); }},
        {"none of that type", CL_DEVICE_NOT_FOUND,
         [&] { return clGetDeviceIDs(platform_, CL_DEVICE_TYPE_CUSTOM, 0, nullptr, &count); }},
        {"device info", CL_INVALID_VALUE, [&] { return clGetDeviceInfo(device_, 0x1, 0, nullptr, nullptr); }},
        {"data without function", CL_INVALID_VALUE,
         [&] { return error_of([&](cl_int* e) { return clCreateContext(nullptr, 1, &d, nullptr, &data, e); }); }},
        {"property twice", CL_INVALID_PROPERTY,
         [&] { return error_of([&](cl_int* e) { return clCreateContext(twice, 1, &d, nullptr, nullptr, e); }); }},
        {"context info", CL_INVALID_VALUE, [&] { return clGetContextInfo(context_, 0x1, 0, nullptr, nullptr); }},
        {"no context", CL_INVALID_CONTEXT, [&] { return clRetainContext(as_context); }},
        {"no context", CL_INVALID_CONTEXT, [&] { return clReleaseContext(as_context); }},
        {"no context", CL_INVALID_CONTEXT,
         [&] { return clGetContextInfo(as_context, CL_CONTEXT_NUM_DEVICES, 4, &count, nullptr); }},
        {"no function", CL_INVALID_VALUE, [&] { return clSetContextDestructorCallback(context_, nullptr, nullptr); }},
        {"no partition", CL_INVALID_VALUE, [&] { return clCreateSubDevices(device_, nullptr, 0, nullptr, &count); }},
        {"no device", CL_INVALID_DEVICE, [&] { return clRetainDevice(reinterpret_cast<cl_device_id>(queue_)); }},
        {"no device", CL_INVALID_DEVICE, [&] { return clReleaseDevice(reinterpret_cast<cl_device_id>(queue_)); }},
        {"no platform", CL_INVALID_PLATFORM,
         [&] { return clUnloadPlatformCompiler(reinterpret_cast<cl_platform_id>(queue_)); }},
        {"an old call", CL_SUCCESS, [] { return clUnloadCompiler(); }},
        {"unknown type", CL_INVALID_DEVICE_TYPE, [&] { return from_type(1 << 20, nullptr); }},
        {"none of that type", CL_DEVICE_NOT_FOUND, [&] { return from_type(CL_DEVICE_TYPE_CUSTOM, nullptr); }},
        {"data without function", CL_INVALID_VALUE, [&] { return from_type(CL_DEVICE_TYPE_ALL, &data); }},
        {"formats of no context", CL_INVALID_CONTEXT,
         [&] { return clGetSupportedImageFormats(as_context, 0, CL_MEM_OBJECT_IMAGE2D, 0, nullptr, &count); }},
        {"formats of buffers", CL_INVALID_VALUE,
         [&] { return clGetSupportedImageFormats(context_, 0, CL_MEM_OBJECT_BUFFER, 0, nullptr, &count); }},
        {"no room for formats", CL_INVALID_VALUE,
         [&] { return clGetSupportedImageFormats(context_, 0, CL_MEM_OBJECT_IMAGE2D, 0, &format, &count); }},
        {"no function of that name", CL_SUCCESS,
         [&] {
             return clGetExtensionFunctionAddressForPlatform(platform_, "clNoSuchFunction") == nullptr ? CL_SUCCESS : 1;
         }},
    });
}

TEST_F(OpenclErrors, QueuesEvents) {
    const auto as_queue = reinterpret_cast<cl_command_queue>(memory_of_16_);
    const auto as_event = reinterpret_cast<cl_event>(memory_of_16_);
    const cl_queue_properties unknown[] = {0x7777, 1, 0}, bits[] = {CL_QUEUE_PROPERTIES, 1 << 20, 0};
    const cl_queue_properties on_device[] = {CL_QUEUE_PROPERTIES,
                                             CL_QUEUE_ON_DEVICE | CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, 0};
    const auto make = [&](cl_context c, const cl_queue_properties* list) {
        return error_of([&](cl_int* e) { return clCreateCommandQueueWithProperties(c, device_, list, e); });
    };
    const auto make_older = [&](cl_command_queue_properties bits_only) {
        return error_of([&](cl_int* e) { return clCreateCommandQueue(context_, device_, bits_only, e); });
    };
    cl_event gate = user_event(), marker = nullptr;
    OK(clEnqueueMarkerWithWaitList(queue_, 0, nullptr, &marker));
    keep(marker);
    OK(clFinish(queue_));
    const auto told = [](cl_event, cl_int, void*) {};
    cl_ulong time = 0;
    check({
        {"no context", CL_INVALID_CONTEXT, [&] { return make(reinterpret_cast<cl_context>(queue_), nullptr); }},
        {"unknown property", CL_INVALID_VALUE, [&] { return make(context_, unknown); }},
        {"unknown bits", CL_INVALID_VALUE, [&] { return make(context_, bits); }},
        {"queue on the device", CL_INVALID_QUEUE_PROPERTIES, [&] { return make(context_, on_device); }},
        {"the older call, unknown bits", CL_INVALID_VALUE, [&] { return make_older(1 << 20); }},
        {"the older call, on the device", CL_INVALID_QUEUE_PROPERTIES, [&] { return make_older(CL_QUEUE_ON_DEVICE); }},
        {"event of no context", CL_INVALID_CONTEXT,
         [&] {
             return error_of([&](cl_int* e) { return clCreateUserEvent(reinterpret_cast<cl_context>(queue_), e); });
         }},
        {"no queue", CL_INVALID_COMMAND_QUEUE, [&] { return clRetainCommandQueue(as_queue); }},
        {"no queue", CL_INVALID_COMMAND_QUEUE, [&] { return clReleaseCommandQueue(as_queue); }},
        {"no queue", CL_INVALID_COMMAND_QUEUE, [&] { return clFlush(as_queue); }},
        {"no queue", CL_INVALID_COMMAND_QUEUE, [&] { return clFinish(as_queue); }},
        {"queue info", CL_INVALID_VALUE, [&] { return clGetCommandQueueInfo(queue_, 0x1, 0, nullptr, nullptr); }},
        {"size of a queue of the host", CL_INVALID_COMMAND_QUEUE,
         [&] { return clGetCommandQueueInfo(queue_, CL_QUEUE_SIZE, 0, nullptr, nullptr); }},
        {"no events", CL_INVALID_VALUE, [&] { return clWaitForEvents(0, nullptr); }},
        {"no event", CL_INVALID_EVENT, [&] { return clWaitForEvents(1, &as_event); }},
        {"no event", CL_INVALID_EVENT, [&] { return clRetainEvent(as_event); }},
        {"no event", CL_INVALID_EVENT, [&] { return clReleaseEvent(as_event); }},
        {"event info", CL_INVALID_VALUE, [&] { return clGetEventInfo(gate, 0x1, 0, nullptr, nullptr); }},
        {"no function", CL_INVALID_VALUE, [&] { return clSetEventCallback(gate, CL_COMPLETE, nullptr, nullptr); }},
        {"of no state", CL_INVALID_VALUE, [&] { return clSetEventCallback(gate, CL_QUEUED, told, nullptr); }},
        {"not complete", CL_INVALID_VALUE, [&] { return clSetUserEventStatus(gate, CL_RUNNING); }},
        {"no user event", CL_INVALID_EVENT, [&] { return clSetUserEventStatus(marker, CL_COMPLETE); }},
        {"without profiling", CL_PROFILING_INFO_NOT_AVAILABLE,
         [&] { return clGetEventProfilingInfo(marker, CL_PROFILING_COMMAND_START, sizeof time, &time, nullptr); }},
        {"of a user event", CL_PROFILING_INFO_NOT_AVAILABLE,
         [&] { return clGetEventProfilingInfo(gate, CL_PROFILING_COMMAND_START, sizeof time, &time, nullptr); }},
        {"the first time", CL_SUCCESS, [&] { return clSetUserEventStatus(gate, CL_COMPLETE); }},
        {"twice", CL_INVALID_OPERATION, [&] { return clSetUserEventStatus(gate, CL_COMPLETE); }},
        {"marker of nothing", CL_INVALID_VALUE, [&] { return clEnqueueMarker(queue_, nullptr); }},
        {"no events", CL_INVALID_VALUE, [&] { return clEnqueueWaitForEvents(queue_, 0, nullptr); }},
        {"no event", CL_INVALID_EVENT, [&] { return clEnqueueWaitForEvents(queue_, 1, &as_event); }},
        {"no queue", CL_INVALID_COMMAND_QUEUE, [&] { return clEnqueueBarrier(as_queue); }},
        {"list without count", CL_INVALID_EVENT_WAIT_LIST,
         [&] { return clEnqueueBarrierWithWaitList(queue_, 0, &gate, nullptr); }},
        {"no event", CL_INVALID_EVENT_WAIT_LIST,
         [&] { return clEnqueueMarkerWithWaitList(queue_, 1, &as_event, nullptr); }},
    });
}

TEST_F(OpenclErrors, Buffers) {
    int host[16] = {};
    std::size_t align = 0;
    cl_uint bits = 0;
    cl_ulong most = 0;
    OK(clGetDeviceInfo(device_, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, nullptr));
    OK(clGetDeviceInfo(device_, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, nullptr));
    align = bits / 8;
    cl_mem big = make_buffer(4 * align), unread = make_buffer(64, CL_MEM_HOST_WRITE_ONLY),
           unwritten = make_buffer(64, CL_MEM_HOST_READ_ONLY);
    const auto make = [&](cl_mem_flags flags, std::size_t bytes, void* from) {
        return error_of([&](cl_int* e) { return clCreateBuffer(context_, flags, bytes, from, e); });
    };
    const auto part = [&](cl_mem of, cl_mem_flags flags, std::size_t origin, std::size_t bytes) {
        const cl_buffer_region r{origin, bytes};
        return error_of([&](cl_int* e) { return clCreateSubBuffer(of, flags, CL_BUFFER_CREATE_TYPE_REGION, &r, e); });
    };
    const auto read = [&](cl_mem m, std::size_t at, std::size_t bytes, void* to) {
        return clEnqueueReadBuffer(queue_, m, CL_TRUE, at, bytes, to, 0, nullptr, nullptr);
    };
    const auto write = [&](cl_mem m, std::size_t at, std::size_t bytes, const void* from) {
        return clEnqueueWriteBuffer(queue_, m, CL_TRUE, at, bytes, from, 0, nullptr, nullptr);
    };
    const auto copy = [&](std::size_t from, std::size_t to, std::size_t bytes) {
        return clEnqueueCopyBuffer(queue_, memory_of_16_, memory_of_16_, from, to, bytes, 0, nullptr, nullptr);
    };
    const auto fill = [&](std::size_t pattern, std::size_t at, std::size_t bytes) {
        return clEnqueueFillBuffer(queue_, memory_of_16_, host, pattern, at, bytes, 0, nullptr, nullptr);
    };
    const auto map = [&](cl_mem m, cl_map_flags flags, std::size_t at, std::size_t bytes) {
        return error_of([&](cl_int* e) {
            return clEnqueueMapBuffer(queue_, m, CL_TRUE, flags, at, bytes, 0, nullptr, nullptr, e);
        });
    };
    const auto rectangle = [&](const std::array<std::size_t, 3>& region, std::size_t row, std::size_t slice, void* to) {
        const std::size_t origin[3] = {};
        return clEnqueueReadBufferRect(queue_, memory_of_16_, CL_TRUE, origin, origin, region.data(), row, slice, 0, 0,
                                       to, 0, nullptr, nullptr);
    };
    const auto write_rectangle = [&](const std::array<std::size_t, 3>& region, const void* from) {
        const std::size_t origin[3] = {};
        return clEnqueueWriteBufferRect(queue_, memory_of_16_, CL_TRUE, origin, origin, region.data(), 0, 0, 0, 0, from,
                                        0, nullptr, nullptr);
    };
    const auto copy_rectangle = [&](std::size_t to, const std::array<std::size_t, 3>& region) {
        const std::size_t origin[3] = {}, target[3] = {to, 0, 0};
        return clEnqueueCopyBufferRect(queue_, memory_of_16_, memory_of_16_, origin, target, region.data(), 8, 0, 8, 0,
                                       0, nullptr, nullptr);
    };
    const auto as_memory = reinterpret_cast<cl_mem>(queue_);
    const cl_mem_properties property[] = {0x7777, 1, 0};
    check({
        {"unknown property", CL_INVALID_PROPERTY,
         [&] {
             return error_of(
                 [&](cl_int* e) { return clCreateBufferWithProperties(context_, property, 0, 64, nullptr, e); });
         }},
        {"write a rectangle beyond", CL_INVALID_VALUE,
         [&] {
             return write_rectangle({32, 4, 1}, host);
         }},
        {"write a rectangle of nothing", CL_INVALID_VALUE,
         [&] {
             return write_rectangle({4, 1, 1}, nullptr);
         }},
        {"copy a rectangle beyond", CL_INVALID_VALUE,
         [&] {
             return copy_rectangle(0, {4, 20, 1});
         }},
        {"copy a rectangle over itself", CL_MEM_COPY_OVERLAP,
         [&] {
             return copy_rectangle(2, {4, 2, 1});
         }},
        {"no shared virtual memory", CL_SUCCESS,
         [&] { return clSVMAlloc(context_, CL_MEM_READ_WRITE, 64, 0) == nullptr ? CL_SUCCESS : 1; }},
        {"nothing", CL_INVALID_BUFFER_SIZE, [&] { return make(0, 0, nullptr); }},
        {"too much", CL_INVALID_BUFFER_SIZE, [&] { return make(0, most + 1, nullptr); }},
        {"unknown flags", CL_INVALID_VALUE, [&] { return make(1 << 30, 64, nullptr); }},
        {"two kinds of access", CL_INVALID_VALUE,
         [&] { return make(CL_MEM_READ_ONLY | CL_MEM_WRITE_ONLY, 64, nullptr); }},
        {"use and copy", CL_INVALID_VALUE, [&] { return make(CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR, 64, host); }},
        {"copy of nothing", CL_INVALID_HOST_PTR, [&] { return make(CL_MEM_COPY_HOST_PTR, 64, nullptr); }},
        {"unused pointer", CL_INVALID_HOST_PTR, [&] { return make(CL_MEM_READ_WRITE, 64, host); }},
        {"part of nothing", CL_INVALID_MEM_OBJECT, [&] { return part(as_memory, 0, 0, 4); }},
        {"empty part", CL_INVALID_BUFFER_SIZE, [&] { return part(big, 0, 0, 0); }},
        {"part beyond", CL_INVALID_VALUE, [&] { return part(big, 0, align, 4 * align); }},
        {"part out of place", CL_MISALIGNED_SUB_BUFFER_OFFSET, [&] { return part(big, 0, 1, 4); }},
        {"part with more access", CL_INVALID_VALUE, [&] { return part(unread, CL_MEM_HOST_READ_ONLY, 0, 4); }},
        {"no buffer", CL_INVALID_MEM_OBJECT, [&] { return clRetainMemObject(as_memory); }},
        {"no buffer", CL_INVALID_MEM_OBJECT, [&] { return clReleaseMemObject(as_memory); }},
        {"memory info", CL_INVALID_VALUE, [&] { return clGetMemObjectInfo(big, 0x1, 0, nullptr, nullptr); }},
        {"no function", CL_INVALID_VALUE, [&] { return clSetMemObjectDestructorCallback(big, nullptr, nullptr); }},
        {"read beyond", CL_INVALID_VALUE, [&] { return read(memory_of_16_, 32, 64, host); }},
        {"read to nowhere", CL_INVALID_VALUE, [&] { return read(memory_of_16_, 0, 4, nullptr); }},
        {"read no buffer", CL_INVALID_MEM_OBJECT, [&] { return read(as_memory, 0, 4, host); }},
        {"read what is not to be", CL_INVALID_OPERATION, [&] { return read(unread, 0, 4, host); }},
        {"write beyond", CL_INVALID_VALUE, [&] { return write(memory_of_16_, 64, 1, host); }},
        {"write nothing", CL_INVALID_VALUE, [&] { return write(memory_of_16_, 0, 4, nullptr); }},
        {"write what is not to be", CL_INVALID_OPERATION, [&] { return write(unwritten, 0, 4, host); }},
        {"copy beyond", CL_INVALID_VALUE, [&] { return copy(0, 32, 64); }},
        {"copy over itself", CL_MEM_COPY_OVERLAP, [&] { return copy(0, 4, 8); }},
        {"fill with three bytes", CL_INVALID_VALUE, [&] { return fill(3, 0, 6); }},
        {"fill out of step", CL_INVALID_VALUE, [&] { return fill(4, 2, 8); }},
        {"fill beyond", CL_INVALID_VALUE, [&] { return fill(4, 32, 64); }},
        {"map beyond", CL_INVALID_VALUE, [&] { return map(memory_of_16_, CL_MAP_READ, 32, 64); }},
        {"map as unknown", CL_INVALID_VALUE, [&] { return map(memory_of_16_, 1 << 20, 0, 4); }},
        {"map to write and forget", CL_INVALID_VALUE,
         [&] { return map(memory_of_16_, CL_MAP_WRITE_INVALIDATE_REGION | CL_MAP_READ, 0, 4); }},
        {"map what is not to be read", CL_INVALID_OPERATION, [&] { return map(unread, CL_MAP_READ, 0, 4); }},
        {"unmap what is not", CL_INVALID_VALUE,
         [&] { return clEnqueueUnmapMemObject(queue_, big, host, 0, nullptr, nullptr); }},
        {"rectangle of nothing", CL_INVALID_VALUE,
         [&] {
             return rectangle({0, 1, 1}, 0, 0, host);
         }},
        {"row that does not fit", CL_INVALID_VALUE,
         [&] {
             return rectangle({8, 2, 1}, 4, 0, host);
         }},
        {"slice that is no rows", CL_INVALID_VALUE,
         [&] {
             return rectangle({8, 2, 1}, 8, 20, host);
         }},
        {"rectangle to nowhere", CL_INVALID_VALUE,
         [&] {
             return rectangle({4, 1, 1}, 0, 0, nullptr);
         }},
        {"rectangle beyond", CL_INVALID_VALUE,
         [&] {
             return rectangle({32, 4, 1}, 0, 0, host);
         }},
        {"move no buffer", CL_INVALID_MEM_OBJECT,
         [&] { return clEnqueueMigrateMemObjects(queue_, 1, &as_memory, 0, 0, nullptr, nullptr); }},
        {"move nothing", CL_INVALID_VALUE,
         [&] { return clEnqueueMigrateMemObjects(queue_, 0, nullptr, 0, 0, nullptr, nullptr); }},
        {"move with unknown flags", CL_INVALID_VALUE,
         [&] { return clEnqueueMigrateMemObjects(queue_, 1, &big, 1 << 20, 0, nullptr, nullptr); }},
    });
}

/// The remote compiler decides what it knows.
TEST_F(OpenclErrors, OptionsThatNobodyKnows) {
    const char* const text = "kernel void k(global int *x) { x[0] = 1; }";
    const auto build_with = [&](const char* options) {
        return clBuildProgram(made_of(text), 0, nullptr, options, nullptr, nullptr);
    };
    const auto compile_with = [&](const char* options) {
        return clCompileProgram(made_of(text), 0, nullptr, options, 0, nullptr, nullptr, nullptr, nullptr);
    };
    cl_program compiled = made_of(text);
    OK(clCompileProgram(compiled, 0, nullptr, "", 0, nullptr, nullptr, nullptr, nullptr));
    const auto link_with = [&](const char* options) {
        return error_of(
            [&](cl_int* e) { return clLinkProgram(context_, 0, nullptr, options, 1, &compiled, nullptr, nullptr, e); });
    };
    check({
        {"build", CL_INVALID_BUILD_OPTIONS, [&] { return build_with("-cl-no-such-option"); }},
        {"build", CL_INVALID_BUILD_OPTIONS, [&] { return build_with("-nonsense"); }},
        {"build", CL_INVALID_BUILD_OPTIONS, [&] { return build_with("stray words"); }},
        {"build", CL_INVALID_BUILD_OPTIONS, [&] { return build_with("-D"); }},
        {"build", CL_INVALID_BUILD_OPTIONS, [&] { return build_with("-create-library"); }},
        {"compile", CL_INVALID_COMPILER_OPTIONS, [&] { return compile_with("-cl-no-such-option"); }},
        {"compile", CL_INVALID_COMPILER_OPTIONS, [&] { return compile_with("stray words"); }},
        {"link", CL_INVALID_LINKER_OPTIONS, [&] { return link_with("-cl-no-such-option"); }},
        {"link", CL_INVALID_LINKER_OPTIONS, [&] { return link_with("-nonsense"); }},
        {"link", CL_INVALID_LINKER_OPTIONS, [&] { return link_with("-DX=1"); }},
        {"link", CL_INVALID_LINKER_OPTIONS, [&] { return link_with("stray words"); }},
        {"all of them are options", CL_SUCCESS,
         [&] {
             return build_with("-cl-std=CL1.2 -cl-mad-enable -cl-fast-relaxed-math -w -cl-kernel-arg-info -DX -DY=2");
         }},
        {"no text at all", CL_SUCCESS,
         [&] { return clBuildProgram(made_of(""), 0, nullptr, nullptr, nullptr, nullptr); }},
    });
    // It is the options, and neither the text nor the context: the same program builds then.
    cl_program p = made_of(text);
    EXPECT_EQ(clBuildProgram(p, 0, nullptr, "-cl-no-such-option", nullptr, nullptr), CL_INVALID_BUILD_OPTIONS);
    EXPECT_NE(log_of(p, device_), "");
    OK(clBuildProgram(p, 0, nullptr, "", nullptr, nullptr)) << log_of(p, device_);
}

TEST_F(OpenclErrors, Programs) {
    const char* text = "kernel void k() {}";
    const char* const null_text = nullptr;
    const unsigned char junk[16] = {};
    const unsigned char* from = junk;
    const std::size_t bytes = sizeof junk;
    cl_program fresh = made_of(text);
    const auto as_program = reinterpret_cast<cl_program>(kernel_);
    const auto with_source = [&](cl_uint count, const char** texts) {
        return error_of([&](cl_int* e) { return clCreateProgramWithSource(context_, count, texts, nullptr, e); });
    };
    const auto link = [&](cl_uint count, const cl_program* inputs) {
        return error_of(
            [&](cl_int* e) { return clLinkProgram(context_, 0, nullptr, "", count, inputs, nullptr, nullptr, e); });
    };
    const auto kernel = [&](cl_program p, const char* name) {
        return error_of([&](cl_int* e) { return clCreateKernel(p, name, e); });
    };
    const auto compile = [&](cl_program p, cl_uint headers, const cl_program* list, const char** names) {
        return clCompileProgram(p, 0, nullptr, "", headers, list, names, nullptr, nullptr);
    };
    cl_kernel two[2] = {};
    cl_uint count = 0;
    int data = 0;
    check({
        {"no text", CL_INVALID_VALUE, [&] { return with_source(0, nullptr); }},
        {"null text", CL_INVALID_VALUE, [&] { return with_source(1, const_cast<const char**>(&null_text)); }},
        {"junk", CL_INVALID_BINARY,
         [&] {
             return error_of([&](cl_int* e) {
                 return clCreateProgramWithBinary(context_, 1, &device_, &bytes, &from, nullptr, e);
             });
         }},
        {"no binary", CL_INVALID_VALUE,
         [&] {
             return error_of([&](cl_int* e) {
                 return clCreateProgramWithBinary(context_, 1, &device_, nullptr, &from, nullptr, e);
             });
         }},
        {"no built-in kernel", CL_INVALID_VALUE,
         [&] {
             return error_of(
                 [&](cl_int* e) { return clCreateProgramWithBuiltInKernels(context_, 1, &device_, "sobel", e); });
         }},
        {"no program", CL_INVALID_PROGRAM, [&] { return clRetainProgram(as_program); }},
        {"no program", CL_INVALID_PROGRAM, [&] { return clReleaseProgram(as_program); }},
        {"no program", CL_INVALID_PROGRAM,
         [&] { return clBuildProgram(as_program, 0, nullptr, "", nullptr, nullptr); }},
        {"device without count", CL_INVALID_VALUE,
         [&] { return clBuildProgram(fresh, 0, &device_, "", nullptr, nullptr); }},
        {"count without device", CL_INVALID_VALUE,
         [&] { return clBuildProgram(fresh, 1, nullptr, "", nullptr, nullptr); }},
        {"data without function", CL_INVALID_VALUE,
         [&] { return clBuildProgram(fresh, 0, nullptr, "", nullptr, &data); }},
        {"it has kernels", CL_INVALID_OPERATION,
         [&] { return clBuildProgram(program_, 0, nullptr, "", nullptr, nullptr); }},
        {"names without headers", CL_INVALID_VALUE, [&] { return compile(fresh, 0, nullptr, &text); }},
        {"headers without names", CL_INVALID_VALUE, [&] { return compile(fresh, 1, &fresh, nullptr); }},
        {"link nothing", CL_INVALID_VALUE, [&] { return link(0, nullptr); }},
        {"link no program", CL_INVALID_PROGRAM, [&] { return link(1, &as_program); }},
        {"link what is not compiled", CL_INVALID_OPERATION, [&] { return link(1, &fresh); }},
        {"program info", CL_INVALID_VALUE, [&] { return clGetProgramInfo(fresh, 0x1, 0, nullptr, nullptr); }},
        {"kernels of what is not built", CL_INVALID_PROGRAM_EXECUTABLE,
         [&] { return clGetProgramInfo(fresh, CL_PROGRAM_NUM_KERNELS, 0, nullptr, nullptr); }},
        {"build info", CL_INVALID_VALUE,
         [&] { return clGetProgramBuildInfo(fresh, device_, 0x1, 0, nullptr, nullptr); }},
        {"build info of no device", CL_INVALID_DEVICE,
         [&] { return clGetProgramBuildInfo(fresh, nullptr, CL_PROGRAM_BUILD_LOG, 0, nullptr, nullptr); }},
        {"kernel of what is not built", CL_INVALID_PROGRAM_EXECUTABLE, [&] { return kernel(fresh, "k"); }},
        {"kernel without name", CL_INVALID_VALUE, [&] { return kernel(program_, nullptr); }},
        {"kernel of another name", CL_INVALID_KERNEL_NAME, [&] { return kernel(program_, "absent"); }},
        {"kernels of what is not built", CL_INVALID_PROGRAM_EXECUTABLE,
         [&] { return clCreateKernelsInProgram(fresh, 1, two, &count); }},
        {"no room for kernels", CL_INVALID_VALUE, [&] { return clCreateKernelsInProgram(program_, 1, two, &count); }},
    });
}

TEST_F(OpenclErrors, Kernels) {
    const int n = 3;
    const std::size_t one = 1, four = 4, three = 3;
    const auto as_kernel = reinterpret_cast<cl_kernel>(program_);
    const auto as_memory = reinterpret_cast<cl_mem>(queue_);
    cl_kernel group = make_kernel(program_, "g");
    set_arguments(group, memory_of_16_);
    const auto launch = [&](cl_command_queue q, cl_kernel k, cl_uint dimensions, const std::size_t* global,
                            const std::size_t* local) {
        return clEnqueueNDRangeKernel(q, k, dimensions, nullptr, global, local, 0, nullptr, nullptr);
    };
    const auto set = [&](cl_uint index, std::size_t bytes, const void* value) {
        return clSetKernelArg(kernel_, index, bytes, value);
    };
    check({
        {"not set yet", CL_INVALID_KERNEL_ARGS, [&] { return launch(queue_, kernel_, 1, &one, nullptr); }},
        {"not set yet", CL_INVALID_KERNEL_ARGS, [&] { return clEnqueueTask(queue_, kernel_, 0, nullptr, nullptr); }},
        {"not the group it wants", CL_INVALID_WORK_GROUP_SIZE,
         [&] { return clEnqueueTask(queue_, group, 0, nullptr, nullptr); }},
        {"no kernel", CL_INVALID_KERNEL, [&] { return clRetainKernel(as_kernel); }},
        {"no kernel", CL_INVALID_KERNEL, [&] { return clReleaseKernel(as_kernel); }},
        {"no kernel", CL_INVALID_KERNEL, [&] { return clSetKernelArg(as_kernel, 0, 4, &n); }},
        {"no kernel", CL_INVALID_KERNEL,
         [&] { return error_of([&](cl_int* e) { return clCloneKernel(as_kernel, e); }); }},
        {"fourth of three", CL_INVALID_ARG_INDEX, [&] { return set(3, 4, &n); }},
        {"buffer of 4 bytes", CL_INVALID_ARG_SIZE, [&] { return set(0, 4, &n); }},
        {"no buffer", CL_INVALID_MEM_OBJECT, [&] { return set(0, sizeof as_memory, &as_memory); }},
        {"int of 8 bytes", CL_INVALID_ARG_SIZE, [&] { return set(1, 8, &n); }},
        {"int of nothing", CL_INVALID_ARG_VALUE, [&] { return set(1, 4, nullptr); }},
        {"local memory of no size", CL_INVALID_ARG_SIZE, [&] { return set(2, 0, nullptr); }},
        {"local memory with content", CL_INVALID_ARG_VALUE, [&] { return set(2, 4, &n); }},
        {"kernel info", CL_INVALID_VALUE, [&] { return clGetKernelInfo(kernel_, 0x1, 0, nullptr, nullptr); }},
        {"argument info that was not asked for", CL_KERNEL_ARG_INFO_NOT_AVAILABLE,
         [&] { return clGetKernelArgInfo(kernel_, 0, CL_KERNEL_ARG_NAME, 0, nullptr, nullptr); }},
        {"fourth of three", CL_INVALID_ARG_INDEX,
         [&] { return clGetKernelArgInfo(kernel_, 3, CL_KERNEL_ARG_NAME, 0, nullptr, nullptr); }},
        {"group info", CL_INVALID_VALUE,
         [&] { return clGetKernelWorkGroupInfo(kernel_, device_, 0x1, 0, nullptr, nullptr); }},
        {"size of what is not built in", CL_INVALID_VALUE,
         [&] { return clGetKernelWorkGroupInfo(kernel_, device_, CL_KERNEL_GLOBAL_WORK_SIZE, 0, nullptr, nullptr); }},
        {"no queue", CL_INVALID_COMMAND_QUEUE,
         [&] { return launch(reinterpret_cast<cl_command_queue>(kernel_), group, 1, &four, nullptr); }},
        {"no kernel", CL_INVALID_KERNEL, [&] { return launch(queue_, as_kernel, 1, &one, nullptr); }},
        {"not the group it wants", CL_INVALID_WORK_GROUP_SIZE, [&] { return launch(queue_, group, 1, &four, &three); }},
        {"no native kernels", CL_INVALID_OPERATION,
         [&] {
             return clEnqueueNativeKernel(
                 queue_, [](void*) {}, nullptr, 0, 0, nullptr, nullptr, 0, nullptr, nullptr);
         }},
    });
    char text[64] = "";
    OK(clGetKernelInfo(group, CL_KERNEL_ATTRIBUTES, sizeof text, text, nullptr));
    EXPECT_STREQ(text, "reqd_work_group_size(4,2,1)");
    OK(clGetKernelInfo(kernel_, CL_KERNEL_ATTRIBUTES, sizeof text, text, nullptr));
    EXPECT_STREQ(text, "");
}

/// There are no images and no samplers; a kernel may have them all the same.
TEST_F(OpenclErrors, ImagesAndSamplers) {
    char name[32] = "";
    OK(clGetPlatformInfo(platform_, CL_PLATFORM_NAME, sizeof name, name, nullptr));
    if (std::string(name) != "Farlane") GTEST_SKIP() << "another platform may have images";
    cl_program p = made_of(
        "kernel void i(read_only image2d_t a, sampler_t s, global float4 *x) {"
        " x[0] = read_imagef(a, s, (float2)(0.0f, 0.0f)); }");
    const cl_int built = clBuildProgram(p, 0, nullptr, "", nullptr, nullptr);
    if (built == CL_BUILD_PROGRAM_FAILURE) GTEST_SKIP() << "the compiler there does not know images";
    OK(built) << log_of(p, device_);
    cl_kernel k = make_kernel(p, "i");
    cl_mem m = memory_of_16_;
    check({
        {"image", CL_INVALID_MEM_OBJECT, [&] { return clSetKernelArg(k, 0, sizeof m, &m); }},
        {"image of another size", CL_INVALID_ARG_SIZE, [&] { return clSetKernelArg(k, 0, 4, &m); }},
        {"sampler", CL_INVALID_SAMPLER, [&] { return clSetKernelArg(k, 1, sizeof m, &m); }},
        {"sampler of another size", CL_INVALID_ARG_SIZE, [&] { return clSetKernelArg(k, 1, 4, &m); }},
        {"buffer", CL_SUCCESS, [&] { return clSetKernelArg(k, 2, sizeof m, &m); }},
    });
}

}  // namespace
}  // namespace farlane::test
