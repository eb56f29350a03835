// SPDX-License-Identifier: Apache-2.0
// Receives: source and names of kernels. Hands on: built programs, their logs, what is known of their arguments.
// Owns: nothing (opencl/runtime.hpp).
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "backend/worker/builtin/source.hpp"
#include "backend/worker/opencl/runtime.hpp"

namespace farlane::backend::worker::opencl {
namespace {

constexpr const char* kAlways = "-cl-kernel-arg-info ";
constexpr std::size_t kMaxValueBytes = 4096;  // of an argument; OpenCL 3.0, table 5, asks for 1,024 in all

std::string program_text(const Api& api, cl_program program, cl_program_info what) {
    std::size_t bytes = 0;
    if (api.clGetProgramInfo(program, what, 0, nullptr, &bytes) != CL_SUCCESS || bytes == 0) return {};
    std::string text(bytes, '\0');
    if (api.clGetProgramInfo(program, what, bytes, text.data(), nullptr) != CL_SUCCESS) return {};
    return text.c_str();
}

std::string build_log(const Api& api, cl_program program, cl_device_id device) {
    std::size_t bytes = 0;
    if (api.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes) != CL_SUCCESS) return {};
    std::string text(bytes, '\0');
    if (bytes == 0) return {};
    (void)api.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, bytes, text.data(), nullptr);
    return text.c_str();
}

std::string argument_text(const Api& api, cl_kernel kernel, cl_uint index, cl_kernel_arg_info what) {
    std::size_t bytes = 0;
    if (api.clGetKernelArgInfo(kernel, index, what, 0, nullptr, &bytes) != CL_SUCCESS || bytes == 0) return {};
    std::string text(bytes, '\0');
    if (api.clGetKernelArgInfo(kernel, index, what, bytes, text.data(), nullptr) != CL_SUCCESS) return {};
    return text.c_str();
}

void put_text(__u8 (&to)[FL_ACCEL_ARGUMENT_NAME_BYTES], const std::string& text) noexcept {
    std::memcpy(to, text.data(), std::min(text.size(), sizeof to - 1));
}

/// Bytes of a scalar or vector type of OpenCL C, 6.3; 0 = not one of them.
std::uint32_t bytes_of_type(std::string_view type) noexcept {
    static constexpr std::pair<std::string_view, std::uint32_t> kScalars[] = {
        {"char", 1}, {"uchar", 1}, {"short", 2}, {"ushort", 2}, {"half", 2},  {"int", 4},
        {"uint", 4}, {"float", 4}, {"long", 8},  {"ulong", 8},  {"double", 8}};
    const std::size_t end = type.find_last_not_of("0123456789");
    const std::string_view scalar = type.substr(0, end == std::string_view::npos ? 0 : end + 1);
    const std::string_view number = type.substr(scalar.size());
    std::uint32_t elements = 1;
    if (!number.empty()) (void)std::from_chars(number.data(), number.data() + number.size(), elements);
    if (elements == 3) elements = 4;  // OpenCL C 6.1.5
    for (const auto& [name, bytes] : kScalars) {
        if (name == scalar && elements <= 16) return bytes * elements;
    }
    return 0;
}

/// The only size that the runtime takes for a value; 0 = it takes several.
std::uint32_t find_bytes(const Api& api, cl_kernel kernel, cl_uint index) {
    static const std::vector<std::byte> zeros(kMaxValueBytes);
    std::uint32_t found = 0;
    for (std::uint32_t bytes = 1; bytes <= kMaxValueBytes; ++bytes) {
        if (api.clSetKernelArg(kernel, index, bytes, zeros.data()) != CL_SUCCESS) continue;
        if (found != 0) return 0;
        found = bytes;
    }
    return found;
}

std::uint32_t kind_of(cl_kernel_arg_address_qualifier where, const std::string& type) noexcept {
    switch (where) {
        case CL_KERNEL_ARG_ADDRESS_LOCAL: return FL_ACCEL_ARGUMENT_SHARED;
        case CL_KERNEL_ARG_ADDRESS_PRIVATE: return type.ends_with("sampler_t") ? 0 : FL_ACCEL_ARGUMENT_VALUE;
        default: return type.ends_with('*') ? FL_ACCEL_ARGUMENT_ADDRESS : 0;  // images are no memory of ours
    }
}

fl_accel_argument_report describe(const Api& api, cl_kernel kernel, cl_uint index) {
    fl_accel_argument_report report{};
    const std::string type = argument_text(api, kernel, index, CL_KERNEL_ARG_TYPE_NAME);
    put_text(report.type_name, type);
    put_text(report.name, argument_text(api, kernel, index, CL_KERNEL_ARG_NAME));
    cl_kernel_arg_address_qualifier where = 0;
    cl_kernel_arg_type_qualifier how = 0;
    if (api.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof where, &where, nullptr) !=
            CL_SUCCESS ||
        api.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof how, &how, nullptr) != CL_SUCCESS) {
        return report;
    }
    const std::uint32_t kind = kind_of(where, type);
    report.kind = fl_le32(kind);
    if (kind == FL_ACCEL_ARGUMENT_ADDRESS) report.bytes = fl_le32(8);
    if (kind == FL_ACCEL_ARGUMENT_VALUE) {
        const std::uint32_t known = bytes_of_type(type);
        report.bytes = fl_le32(known != 0 ? known : find_bytes(api, kernel, index));
    }
    const bool constant = where == CL_KERNEL_ARG_ADDRESS_CONSTANT;
    std::uint32_t flags = constant ? FL_ACCEL_ARGUMENT_CONSTANT | FL_ACCEL_ARGUMENT_CONST : 0;
    if ((how & CL_KERNEL_ARG_TYPE_CONST) != 0) flags |= FL_ACCEL_ARGUMENT_CONST;
    if ((how & CL_KERNEL_ARG_TYPE_RESTRICT) != 0) flags |= FL_ACCEL_ARGUMENT_RESTRICT;
    if ((how & CL_KERNEL_ARG_TYPE_VOLATILE) != 0) flags |= FL_ACCEL_ARGUMENT_VOLATILE;
    report.flags = fl_le32(flags);
    return report;
}

template <class T>
T group_value(const Api& api, cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what) {
    T value{};
    if (api.clGetKernelWorkGroupInfo(kernel, device, what, sizeof value, &value, nullptr) != CL_SUCCESS) return T{};
    return value;
}

fl_accel_kernel_report describe_groups(const Api& api, cl_kernel kernel, cl_device_id device) {
    fl_accel_kernel_report report{};
    report.max_block = fl_le64(group_value<std::size_t>(api, kernel, device, CL_KERNEL_WORK_GROUP_SIZE));
    report.preferred_block =
        fl_le64(group_value<std::size_t>(api, kernel, device, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE));
    report.shared_bytes = fl_le64(group_value<cl_ulong>(api, kernel, device, CL_KERNEL_LOCAL_MEM_SIZE));
    report.private_bytes = fl_le64(group_value<cl_ulong>(api, kernel, device, CL_KERNEL_PRIVATE_MEM_SIZE));
    const auto required =
        group_value<std::array<std::size_t, 3>>(api, kernel, device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE);
    for (std::size_t i = 0; i < 3; ++i) report.required_block[i] = fl_le32(static_cast<std::uint32_t>(required[i]));
    return report;
}

}  // namespace

Built ClRuntime::build(fl_accel_module_kind kind, std::span<const std::byte> image, const std::string& options) {
    Built built;
    cl_int error = CL_SUCCESS;
    cl_program program = nullptr;
    if (kind == FL_ACCEL_MODULE_SPIRV) {
        program = api_.clCreateProgramWithIL(context_, image.data(), image.size(), &error);
    } else {
        const std::string own = kind == FL_ACCEL_MODULE_BUILTIN ? builtin_source_opencl() : std::string();
        const auto* text = own.empty() ? reinterpret_cast<const char*>(image.data()) : own.data();
        const std::size_t bytes = own.empty() ? image.size() : own.size();
        program = api_.clCreateProgramWithSource(context_, 1, &text, &bytes, &error);
    }
    if (program == nullptr) {
        built.outcome = {FL_ACCEL_REASON_BAD_IMAGE, static_cast<std::uint32_t>(error), 0};
        return built;
    }
    built.module = std::make_unique<ClModule>(api_, program);
    error = api_.clBuildProgram(program, 1, &device_, (kAlways + options).c_str(), nullptr, nullptr);
    built.log = build_log(api_, program, device_);
    if (error != CL_SUCCESS) {
        built.outcome = {FL_ACCEL_REASON_BUILD, static_cast<std::uint32_t>(error), 0};
        return built;
    }
    built.names = program_text(api_, program, CL_PROGRAM_KERNEL_NAMES);
    return built;
}

Bound ClRuntime::bind(LoadedModule& module, const std::string& name) {
    Bound bound;
    cl_int error = CL_SUCCESS;
    const cl_kernel kernel = api_.clCreateKernel(static_cast<ClModule&>(module).program(), name.c_str(), &error);
    if (kernel == nullptr) {
        bound.outcome = outcome_of(error);
        return bound;
    }
    auto made = std::make_unique<ClKernel>(api_, kernel);
    cl_uint arguments = 0;
    error = api_.clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof arguments, &arguments, nullptr);
    bound.outcome = outcome_of(error);
    bound.report = describe_groups(api_, kernel, device_);
    made->shared_bytes = bound.report.shared_bytes.get();
    bound.kernel = std::move(made);
    for (cl_uint i = 0; i < arguments; ++i) bound.arguments.push_back(describe(api_, kernel, i));
    return bound;
}

}  // namespace farlane::backend::worker::opencl
