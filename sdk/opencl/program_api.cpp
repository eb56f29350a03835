// SPDX-License-Identifier: Apache-2.0
// Receives: calls about programs. Hands on: the same to programs.
// Owns: nothing. OpenCL 3.0, 5.8.
#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <mutex>

#include "opencl/answer.hpp"
#include "opencl/program.hpp"

namespace farlane::opencl {
namespace {

/// Devices of a build: none means all, which is the one.
void check_devices(const Context& c, cl_uint count, const cl_device_id* devices) {
    require((count == 0) == (devices == nullptr), CL_INVALID_VALUE);
    for (cl_uint i = 0; i < count; ++i) c.check_device(devices[i]);
}

std::string joined(cl_uint count, const char** texts, const std::size_t* lengths) {
    require(count != 0 && texts != nullptr, CL_INVALID_VALUE);
    std::string all;
    for (cl_uint i = 0; i < count; ++i) {
        require(texts[i] != nullptr, CL_INVALID_VALUE);
        const bool terminated = lengths == nullptr || lengths[i] == 0;
        all.append(texts[i], terminated ? std::strlen(texts[i]) : lengths[i]);
    }
    return all;
}

std::string names_text(const Program::State& s) {
    std::string all;
    for (const auto& n : s.names) all += (all.empty() ? "" : ";") + n;
    return all;
}

/// Pointers to room for each device's binary; null: that one is not wanted.
void answer_binaries(const Program& p, std::size_t room, void* to, std::size_t* bytes) {
    const std::string binary = p.binary();
    if (to != nullptr) {
        require(room >= sizeof(unsigned char*), CL_INVALID_VALUE);
        auto* target = static_cast<unsigned char**>(to)[0];
        if (target != nullptr && !binary.empty()) std::memcpy(target, binary.data(), binary.size());
    }
    if (bytes != nullptr) *bytes = sizeof(unsigned char*);
}

void answer_program(const Program& p, cl_program_info what, std::size_t room, void* to, std::size_t* bytes) {
    const Answer answer(room, to, bytes);
    switch (what) {
        case CL_PROGRAM_REFERENCE_COUNT: return answer.value(p.references());
        case CL_PROGRAM_CONTEXT: return answer.value(handle_of(&p.context()));
        case CL_PROGRAM_NUM_DEVICES: return answer.value<cl_uint>(1);
        case CL_PROGRAM_DEVICES: return answer.value(handle_of(&p.context().device()));
        case CL_PROGRAM_SOURCE: return answer.text(p.origin() == Program::Origin::source ? p.source() : "");
        case CL_PROGRAM_IL:
            if (p.origin() != Program::Origin::il) return answer.nothing();
            return answer.raw(p.il().data(), p.il().size());
        case CL_PROGRAM_BINARY_SIZES: return answer.value(p.binary().size());
        case CL_PROGRAM_BINARIES: return answer_binaries(p, room, to, bytes);
        case CL_PROGRAM_NUM_KERNELS:
            require(p.state().module != nullptr, CL_INVALID_PROGRAM_EXECUTABLE);
            return answer.value(p.state().names.size());
        case CL_PROGRAM_KERNEL_NAMES:
            require(p.state().module != nullptr, CL_INVALID_PROGRAM_EXECUTABLE);
            return answer.text(names_text(p.state()));
        case CL_PROGRAM_SCOPE_GLOBAL_CTORS_PRESENT:
        case CL_PROGRAM_SCOPE_GLOBAL_DTORS_PRESENT: return answer.value<cl_bool>(CL_FALSE);
        default: fail(CL_INVALID_VALUE);
    }
}

void answer_build(const Program& p, cl_program_build_info what, const Answer& answer) {
    const auto s = p.state();
    switch (what) {
        case CL_PROGRAM_BUILD_STATUS: return answer.value(s.status);
        case CL_PROGRAM_BUILD_OPTIONS: return answer.text(s.options);
        case CL_PROGRAM_BUILD_LOG: return answer.text(s.log);
        case CL_PROGRAM_BINARY_TYPE: return answer.value(s.type);
        case CL_PROGRAM_BUILD_GLOBAL_VARIABLE_TOTAL_SIZE: return answer.value<std::size_t>(0);
        default: fail(CL_INVALID_VALUE);
    }
}

/// pyopencl 2022 releases a program that did not link once more than it may, through the loader, which looks into the
/// object: the last few stay there to say CL_INVALID_PROGRAM.
void keep_handle(Program* p) {
    constexpr std::size_t kMost = 64;
    static std::mutex mutex;
    static auto& kept = *new std::deque<Ref<Program>>;  // for ever: programs end late
    Ref<Program> oldest;                                // ends without the lock
    const std::lock_guard lock(mutex);
    kept.emplace_back(p);
    if (kept.size() <= kMost) return;
    oldest = std::move(kept.front());
    kept.pop_front();
}

}  // namespace
}  // namespace farlane::opencl

using namespace farlane::opencl;

// --- making

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count, const char** texts,
                                                              const size_t* lengths, cl_int* error) {
    return created(__func__, error, [&] {
        auto& c = checked<Context>(context);
        return handle_of(new Program(c, Program::Origin::source, joined(count, texts, lengths)));
    });
}

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithBinary(cl_context context, cl_uint count,
                                                              const cl_device_id* devices, const size_t* lengths,
                                                              const unsigned char** binaries, cl_int* status,
                                                              cl_int* error) {
    return created(__func__, error, [&] {
        auto& c = checked<Context>(context);
        require(count != 0 && devices != nullptr && lengths != nullptr && binaries != nullptr, CL_INVALID_VALUE);
        check_devices(c, count, devices);
        require(count == 1, CL_INVALID_DEVICE);
        const bool there = lengths[0] != 0 && binaries[0] != nullptr;
        if (status != nullptr) status[0] = there ? CL_SUCCESS : CL_INVALID_VALUE;
        require(there, CL_INVALID_VALUE);
        auto binary = unpack(std::span(binaries[0], lengths[0]));
        if (status != nullptr && !binary) status[0] = CL_INVALID_BINARY;
        require(binary.has_value(), CL_INVALID_BINARY);
        require(binary->content != Binary::Content::il || c.device().takes_il(), CL_INVALID_BINARY);
        return handle_of(new Program(c, std::move(*binary)));
    });
}

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithIL(cl_context context, const void* il, size_t bytes,
                                                          cl_int* error) {
    return created(__func__, error, [&] {
        auto& c = checked<Context>(context);
        require(c.device().takes_il(), CL_INVALID_OPERATION);
        require(il != nullptr && bytes != 0, CL_INVALID_VALUE);
        return handle_of(new Program(c, Program::Origin::il, std::string(static_cast<const char*>(il), bytes)));
    });
}

/// CL_DEVICE_BUILT_IN_KERNELS is empty.
CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithBuiltInKernels(cl_context context, cl_uint count,
                                                                      const cl_device_id* devices, const char* names,
                                                                      cl_int* error) {
    return created(__func__, error, [&]() -> cl_program {
        auto& c = checked<Context>(context);
        require(count != 0 && devices != nullptr && names != nullptr, CL_INVALID_VALUE);
        check_devices(c, count, devices);
        fail(CL_INVALID_VALUE);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainProgram(cl_program program) {
    return guarded(__func__, [&] { checked<Program>(program).retain(); });
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseProgram(cl_program program) {
    return guarded(__func__, [&] {
        const Ref<Program> p(&checked<Program>(program));
        const bool failed = p->origin() == Program::Origin::link && p->state().status != CL_BUILD_SUCCESS;
        if (!release(p.get()) || !failed) return;
        keep_handle(p.get());
        p->become_empty();
    });
}

// --- building: done when the call returns, so that a function to be told is told in it

CL_API_ENTRY cl_int CL_API_CALL clBuildProgram(cl_program program, cl_uint count, const cl_device_id* devices,
                                               const char* options, ProgramNotify notify, void* data) {
    return guarded(__func__, [&] {
        const Ref<Program> p(&checked<Program>(program));
        require(notify != nullptr || data == nullptr, CL_INVALID_VALUE);
        check_devices(p->context(), count, devices);
        const cl_int code = guarded(__func__, [&] { p->build(options); });
        if (notify != nullptr && (code == CL_SUCCESS || code == CL_BUILD_PROGRAM_FAILURE)) notify(program, data);
        require(code == CL_SUCCESS, code);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clCompileProgram(cl_program program, cl_uint count, const cl_device_id* devices,
                                                 const char* options, cl_uint header_count, const cl_program* headers,
                                                 const char** names, ProgramNotify notify, void* data) {
    return guarded(__func__, [&] {
        const Ref<Program> p(&checked<Program>(program));
        require(notify != nullptr || data == nullptr, CL_INVALID_VALUE);
        check_devices(p->context(), count, devices);
        require((header_count == 0) == (headers == nullptr) && (header_count == 0) == (names == nullptr),
                CL_INVALID_VALUE);
        require(p->origin() == Program::Origin::source || p->origin() == Program::Origin::il, CL_INVALID_OPERATION);
        std::map<std::string, std::string> texts;
        for (cl_uint i = 0; i < header_count; ++i) {
            require(names[i] != nullptr, CL_INVALID_VALUE);
            texts[names[i]] = checked<Program>(headers[i]).source();
        }
        const cl_int code = guarded(__func__, [&] { p->compile(options, texts); });
        if (notify != nullptr && (code == CL_SUCCESS || code == CL_COMPILE_PROGRAM_FAILURE)) notify(program, data);
        require(code == CL_SUCCESS, code);
    });
}

CL_API_ENTRY cl_program CL_API_CALL clLinkProgram(cl_context context, cl_uint count, const cl_device_id* devices,
                                                  const char* options, cl_uint input_count, const cl_program* inputs,
                                                  ProgramNotify notify, void* data, cl_int* error) {
    cl_int code = CL_SUCCESS;
    cl_program result = created(__func__, &code, [&] {
        auto& c = checked<Context>(context);
        require(notify != nullptr || data == nullptr, CL_INVALID_VALUE);
        check_devices(c, count, devices);
        require(input_count != 0 && inputs != nullptr, CL_INVALID_VALUE);
        std::vector<Ref<Program>> all;
        for (cl_uint i = 0; i < input_count; ++i) {
            all.emplace_back(&checked<Program>(inputs[i]));
            require(&all.back()->context() == &c, CL_INVALID_CONTEXT);
        }
        auto made = Ref<Program>::adopt(new Program(c, Program::Origin::link, ""));
        const cl_int linked = guarded("clLinkProgram", [&] { made->link(options, all); });
        // One that does not link is given out all the same: its log says why.
        require(linked == CL_SUCCESS || linked == CL_LINK_PROGRAM_FAILURE, linked);
        made->hold();
        if (notify != nullptr) notify(handle_of(made.get()), data);
        return handle_of(made.get());
    });
    if (result != nullptr && checked<Program>(result).state().status != CL_BUILD_SUCCESS)
        code = CL_LINK_PROGRAM_FAILURE;
    if (error != nullptr) *error = code;
    return result;
}

// --- questions

CL_API_ENTRY cl_int CL_API_CALL clGetProgramInfo(cl_program program, cl_program_info what, size_t room, void* to,
                                                 size_t* bytes) {
    return guarded(__func__, [&] { answer_program(checked<Program>(program), what, room, to, bytes); });
}

CL_API_ENTRY cl_int CL_API_CALL clGetProgramBuildInfo(cl_program program, cl_device_id device,
                                                      cl_program_build_info what, size_t room, void* to,
                                                      size_t* bytes) {
    return guarded(__func__, [&] {
        auto& p = checked<Program>(program);
        p.context().check_device(device);
        answer_build(p, what, Answer(room, to, bytes));
    });
}

/// Specialization constants are of IL, which has none that the accelerator could be told.
CL_API_ENTRY cl_int CL_API_CALL clSetProgramSpecializationConstant(cl_program program, cl_uint, size_t, const void*) {
    return guarded(__func__, [&] {
        auto& p = checked<Program>(program);
        require(p.origin() == Program::Origin::il, CL_INVALID_PROGRAM);
        fail(p.context().device().takes_il() ? CL_INVALID_SPEC_ID : CL_INVALID_OPERATION);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clSetProgramReleaseCallback(cl_program program, ProgramNotify, void*) {
    return guarded(__func__, [&] {
        (void)checked<Program>(program);
        fail(CL_INVALID_OPERATION);  // of programs with global destructors, which are not there
    });
}
