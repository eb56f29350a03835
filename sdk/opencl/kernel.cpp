// SPDX-License-Identifier: Apache-2.0
// Receives: calls about kernels. Hands on: what the remote device knows of them; arguments.
// Owns: kernels (kernel.hpp). OpenCL 3.0, 5.9.
#include "opencl/kernel.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "opencl/answer.hpp"

namespace farlane::opencl {
namespace {

constexpr cl_uint kMostArguments = 1024;  // what a device may say

/// Of what the source may say, the device tells the size of the work group.
std::string attributes(const Kernel& k) {
    const auto& b = k.info().required_block;
    if (b[0] == 0 || !k.program().is_text()) return {};
    return "reqd_work_group_size(" + std::to_string(b[0]) + "," + std::to_string(b[1]) + "," + std::to_string(b[2]) +
           ")";
}

void answer_kernel(const Kernel& k, cl_kernel_info what, const Answer& answer) {
    switch (what) {
        case CL_KERNEL_FUNCTION_NAME: return answer.text(k.state()->name);
        case CL_KERNEL_NUM_ARGS: return answer.value(static_cast<cl_uint>(k.arguments().size()));
        case CL_KERNEL_REFERENCE_COUNT: return answer.value(k.references());
        case CL_KERNEL_CONTEXT: return answer.value(handle_of(&k.context()));
        case CL_KERNEL_PROGRAM: return answer.value(handle_of(&k.program()));
        case CL_KERNEL_ATTRIBUTES: return answer.text(attributes(k));
        default: fail(CL_INVALID_VALUE);
    }
}

void answer_work_group(const Kernel& k, cl_kernel_work_group_info what, const Answer& answer) {
    const auto& info = k.info();
    const std::size_t most = k.context().device().max_work_group();
    switch (what) {
        case CL_KERNEL_WORK_GROUP_SIZE:
            return answer.value<std::size_t>(info.max_block == 0 ? most : std::min<std::size_t>(info.max_block, most));
        case CL_KERNEL_COMPILE_WORK_GROUP_SIZE: {
            const auto& b = info.required_block;
            const std::array<std::size_t, 3> required{b[0], b[1], b[2]};
            return answer.value(required);
        }
        case CL_KERNEL_LOCAL_MEM_SIZE: return answer.value(k.local_memory_bytes());
        case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
            return answer.value<std::size_t>(std::max<std::size_t>(info.preferred_block, 1));
        case CL_KERNEL_PRIVATE_MEM_SIZE: return answer.value<cl_ulong>(info.private_bytes);
        default: fail(CL_INVALID_VALUE);  // CL_KERNEL_GLOBAL_WORK_SIZE is of built-in kernels
    }
}

cl_kernel_arg_address_qualifier address_space(const accel::ArgumentInfo& a) {
    switch (a.kind) {
        case accel::ArgumentKind::address:
            return a.is_constant ? CL_KERNEL_ARG_ADDRESS_CONSTANT : CL_KERNEL_ARG_ADDRESS_GLOBAL;
        case accel::ArgumentKind::shared: return CL_KERNEL_ARG_ADDRESS_LOCAL;
        default: return CL_KERNEL_ARG_ADDRESS_PRIVATE;
    }
}

cl_kernel_arg_type_qualifier qualifiers(const accel::ArgumentInfo& a) {
    return (a.is_const ? CL_KERNEL_ARG_TYPE_CONST : 0U) | (a.is_restrict ? CL_KERNEL_ARG_TYPE_RESTRICT : 0U) |
           (a.is_volatile ? CL_KERNEL_ARG_TYPE_VOLATILE : 0U);
}

void answer_argument(const Kernel& k, cl_uint index, cl_kernel_arg_info what, const Answer& answer) {
    require(index < k.arguments().size(), CL_INVALID_ARG_INDEX);
    require(k.tells_arguments() && index < k.info().arguments.size(), CL_KERNEL_ARG_INFO_NOT_AVAILABLE);
    const auto& a = k.info().arguments[index];
    require(a.kind != accel::ArgumentKind::unknown && !a.type_name.empty(), CL_KERNEL_ARG_INFO_NOT_AVAILABLE);
    switch (what) {
        case CL_KERNEL_ARG_ADDRESS_QUALIFIER: return answer.value(address_space(a));
        case CL_KERNEL_ARG_ACCESS_QUALIFIER:
            return answer.value<cl_kernel_arg_access_qualifier>(CL_KERNEL_ARG_ACCESS_NONE);
        case CL_KERNEL_ARG_TYPE_NAME: return answer.text(a.type_name);
        case CL_KERNEL_ARG_TYPE_QUALIFIER: return answer.value(qualifiers(a));
        case CL_KERNEL_ARG_NAME: return answer.text(a.name);
        default: fail(CL_INVALID_VALUE);
    }
}

Kernel* make_kernel(Program& p, const std::string& name) {
    auto state = p.kernel(name);
    try {
        return new Kernel(p, state);
    } catch (...) {
        p.engine().discard(std::move(state));
        throw;
    }
}

}  // namespace

Kernel::Kernel(Program& program, std::shared_ptr<lib::KernelState> state)
    : Object(farlane::opencl::Kind::kernel),
      program_(&program),
      state_(std::move(state)),
      tells_arguments_(program.keeps_argument_info()),
      prints_(program.prints()),
      arguments_(std::min(state_->info.argument_count, kMostArguments)) {
    ++program_->kernels;
}

Kernel::Kernel(const Kernel& other)
    : Object(farlane::opencl::Kind::kernel),
      program_(other.program_),
      state_(other.state_),
      tells_arguments_(other.tells_arguments_),
      prints_(other.prints_),
      arguments_(other.arguments_) {
    ++program_->kernels;
}

Kernel::~Kernel() {
    --program_->kernels;
    program_->engine().discard(std::move(state_));
}

/// What the device does not tell is told by the value: no value is shared memory, and a handle of a buffer is one.
accel::ArgumentKind Kernel::kind_of(cl_uint index, std::size_t bytes, const void* value) const {
    const auto& known = info().arguments;
    if (index < known.size() && known[index].kind != accel::ArgumentKind::unknown) return known[index].kind;
    if (value == nullptr) return accel::ArgumentKind::shared;
    if (bytes != sizeof(cl_mem)) return accel::ArgumentKind::value;
    cl_mem handle = nullptr;
    std::memcpy(&handle, value, sizeof handle);
    return context().has_memory(handle) ? accel::ArgumentKind::address : accel::ArgumentKind::value;
}

void Kernel::set_memory(KernelArgument& a, std::size_t bytes, const void* value) const {
    require(bytes == sizeof(cl_mem), CL_INVALID_ARG_SIZE);
    cl_mem handle = nullptr;
    if (value != nullptr) std::memcpy(&handle, value, sizeof handle);
    if (handle == nullptr) {
        a.kind = KernelArgument::Kind::null;
        return;
    }
    auto& m = checked<Memory>(handle);
    require(&m.context() == &context(), CL_INVALID_MEM_OBJECT);
    a.memory = Ref<Memory>(&m);
    a.kind = KernelArgument::Kind::memory;
}

/// There are no samplers and no images, so what is given for one is none.
void Kernel::refuse_images(cl_uint index, std::size_t bytes) const {
    if (index >= info().arguments.size() || info().arguments[index].kind != accel::ArgumentKind::unknown) return;
    const std::string& type = info().arguments[index].type_name;
    const bool sampler = type.ends_with("sampler_t"), image = type.starts_with("image") && type.ends_with("_t");
    require(!(sampler || image) || bytes == sizeof(cl_mem), CL_INVALID_ARG_SIZE);
    require(!sampler, CL_INVALID_SAMPLER);
    require(!image, CL_INVALID_MEM_OBJECT);
}

void Kernel::set(cl_uint index, std::size_t bytes, const void* value) {
    require(index < arguments_.size(), CL_INVALID_ARG_INDEX);
    refuse_images(index, bytes);
    KernelArgument a;
    switch (kind_of(index, bytes, value)) {
        case accel::ArgumentKind::address: set_memory(a, bytes, value); break;
        case accel::ArgumentKind::shared:
            require(value == nullptr, CL_INVALID_ARG_VALUE);
            require(bytes != 0 && bytes <= UINT32_MAX, CL_INVALID_ARG_SIZE);
            a.kind = KernelArgument::Kind::shared;
            a.shared_bytes = static_cast<std::uint32_t>(bytes);
            break;
        default: {
            require(value != nullptr, CL_INVALID_ARG_VALUE);
            const auto& known = info().arguments;
            const std::size_t wanted = index < known.size() ? known[index].bytes : 0;
            require(bytes != 0 && bytes <= FL_ACCEL_MAX_INLINE_BYTES && (wanted == 0 || wanted == bytes),
                    CL_INVALID_ARG_SIZE);
            const auto* first = static_cast<const std::byte*>(value);
            a.kind = KernelArgument::Kind::value;
            a.value.assign(first, first + bytes);
        }
    }
    arguments_[index] = std::move(a);
}

cl_ulong Kernel::local_memory_bytes() const noexcept {
    cl_ulong all = info().shared_bytes;
    for (const auto& a : arguments_) all += a.shared_bytes;
    return all;
}

}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_kernel CL_API_CALL clCreateKernel(cl_program program, const char* name, cl_int* error) {
    return created(__func__, error, [&] {
        const Ref<Program> p(&checked<Program>(program));
        require(name != nullptr, CL_INVALID_VALUE);
        return handle_of(make_kernel(*p, name));
    });
}

CL_API_ENTRY cl_int CL_API_CALL clCreateKernelsInProgram(cl_program program, cl_uint room, cl_kernel* kernels,
                                                         cl_uint* count) {
    return guarded(__func__, [&] {
        const Ref<Program> p(&checked<Program>(program));
        const auto s = p->state();
        require(s.module != nullptr, CL_INVALID_PROGRAM_EXECUTABLE);
        require(kernels == nullptr || room >= s.names.size(), CL_INVALID_VALUE);
        if (count != nullptr) *count = static_cast<cl_uint>(s.names.size());
        if (kernels == nullptr) return;
        std::vector<Kernel*> made;
        try {
            for (const auto& name : s.names) made.push_back(make_kernel(*p, name));
        } catch (...) {
            for (Kernel* k : made) release(k);
            throw;
        }
        for (std::size_t i = 0; i < made.size(); ++i) kernels[i] = handle_of(made[i]);
    });
}

CL_API_ENTRY cl_kernel CL_API_CALL clCloneKernel(cl_kernel kernel, cl_int* error) {
    return created(__func__, error, [&] { return handle_of(new Kernel(checked<Kernel>(kernel))); });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainKernel(cl_kernel kernel) {
    return guarded(__func__, [&] { checked<Kernel>(kernel).retain(); });
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseKernel(cl_kernel kernel) {
    return guarded(__func__, [&] { release(&checked<Kernel>(kernel)); });
}

CL_API_ENTRY cl_int CL_API_CALL clSetKernelArg(cl_kernel kernel, cl_uint index, size_t bytes, const void* value) {
    return guarded(__func__, [&] { checked<Kernel>(kernel).set(index, bytes, value); });
}

CL_API_ENTRY cl_int CL_API_CALL clGetKernelInfo(cl_kernel kernel, cl_kernel_info what, size_t room, void* to,
                                                size_t* bytes) {
    return guarded(__func__, [&] { answer_kernel(checked<Kernel>(kernel), what, Answer(room, to, bytes)); });
}

CL_API_ENTRY cl_int CL_API_CALL clGetKernelArgInfo(cl_kernel kernel, cl_uint index, cl_kernel_arg_info what,
                                                   size_t room, void* to, size_t* bytes) {
    return guarded(__func__, [&] { answer_argument(checked<Kernel>(kernel), index, what, Answer(room, to, bytes)); });
}

CL_API_ENTRY cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                                         cl_kernel_work_group_info what, size_t room, void* to,
                                                         size_t* bytes) {
    return guarded(__func__, [&] {
        auto& k = checked<Kernel>(kernel);
        if (device != nullptr) k.context().check_device(device);
        answer_work_group(k, what, Answer(room, to, bytes));
    });
}

/// CL_DEVICE_MAX_NUM_SUB_GROUPS is 0.
CL_API_ENTRY cl_int CL_API_CALL clGetKernelSubGroupInfo(cl_kernel kernel, cl_device_id, cl_kernel_sub_group_info,
                                                        size_t, const void*, size_t, void*, size_t*) {
    return guarded(__func__, [&] {
        (void)checked<Kernel>(kernel);
        fail(CL_INVALID_OPERATION);
    });
}
