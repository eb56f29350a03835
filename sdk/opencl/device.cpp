// SPDX-License-Identifier: Apache-2.0
// Receives: questions about a device. Hands on: the remote device's answer, or what Farlane makes of it.
// Owns: nothing. OpenCL 3.0, 4.2; docs/opencl.md says what is not the remote device's own answer.
#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "opencl/answer.hpp"
#include "opencl/platform.hpp"

namespace farlane::opencl {
namespace {

/// Extensions of kernels, or of nothing but an answer: they work through us as they do there.
constexpr std::array<std::string_view, 17> kPassedOn = {
    "cl_khr_byte_addressable_store",
    "cl_khr_global_int32_base_atomics",
    "cl_khr_global_int32_extended_atomics",
    "cl_khr_local_int32_base_atomics",
    "cl_khr_local_int32_extended_atomics",
    "cl_khr_int64_base_atomics",
    "cl_khr_int64_extended_atomics",
    "cl_khr_fp64",
    "cl_khr_fp16",
    "cl_khr_select_fprounding_mode",
    "cl_khr_extended_bit_ops",
    "cl_khr_integer_dot_product",
    "cl_khr_expect_assume",
    "cl_ext_float_atomics",
    "cl_amd_media_ops",
    "cl_nv_pragma_unroll",
    "cl_nv_compiler_options",
};

/// Optional features of OpenCL C that need something of the host that is not here.
constexpr std::array<std::string_view, 8> kTakenAway = {
    "__opencl_c_images",
    "__opencl_c_3d_image_writes",
    "__opencl_c_read_write_images",
    "__opencl_c_pipes",
    "__opencl_c_device_enqueue",
    "__opencl_c_subgroups",
    "__opencl_c_atomic_scope_all_devices",
    "__opencl_c_image_raw10_raw12",
};

/// Answered by the remote device.
constexpr std::array kRemote = {
    CL_DEVICE_VENDOR_ID,
    CL_DEVICE_MAX_COMPUTE_UNITS,
    CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS,
    CL_DEVICE_MAX_WORK_GROUP_SIZE,
    CL_DEVICE_MAX_WORK_ITEM_SIZES,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE,
    CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_CHAR,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_SHORT,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_INT,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_LONG,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE,
    CL_DEVICE_NATIVE_VECTOR_WIDTH_HALF,
    CL_DEVICE_MAX_CLOCK_FREQUENCY,
    CL_DEVICE_ADDRESS_BITS,
    CL_DEVICE_MEM_BASE_ADDR_ALIGN,
    CL_DEVICE_MIN_DATA_TYPE_ALIGN_SIZE,
    CL_DEVICE_SINGLE_FP_CONFIG,
    CL_DEVICE_DOUBLE_FP_CONFIG,
    CL_DEVICE_HALF_FP_CONFIG,
    CL_DEVICE_GLOBAL_MEM_CACHE_TYPE,
    CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE,
    CL_DEVICE_GLOBAL_MEM_CACHE_SIZE,
    CL_DEVICE_MAX_CONSTANT_ARGS,
    CL_DEVICE_LOCAL_MEM_TYPE,
    CL_DEVICE_LOCAL_MEM_SIZE,
    CL_DEVICE_ERROR_CORRECTION_SUPPORT,
    CL_DEVICE_ENDIAN_LITTLE,
    CL_DEVICE_VENDOR,
    CL_DRIVER_VERSION,
    CL_DEVICE_PROFILE,
    CL_DEVICE_OPENCL_C_VERSION,
    CL_DEVICE_OPENCL_C_ALL_VERSIONS,
    CL_DEVICE_PRINTF_BUFFER_SIZE,
    CL_DEVICE_MAX_GLOBAL_VARIABLE_SIZE,
    CL_DEVICE_GLOBAL_VARIABLE_PREFERRED_TOTAL_SIZE,
    CL_DEVICE_PREFERRED_GLOBAL_ATOMIC_ALIGNMENT,
    CL_DEVICE_PREFERRED_LOCAL_ATOMIC_ALIGNMENT,
    CL_DEVICE_ATOMIC_FENCE_CAPABILITIES,
    CL_DEVICE_WORK_GROUP_COLLECTIVE_FUNCTIONS_SUPPORT,
    CL_DEVICE_GENERIC_ADDRESS_SPACE_SUPPORT,
    CL_DEVICE_PREFERRED_WORK_GROUP_SIZE_MULTIPLE,
};

/// Numbers that say "there is none of it", by their size.
constexpr std::array kNoUint = {
    CL_DEVICE_MAX_READ_IMAGE_ARGS,
    CL_DEVICE_MAX_WRITE_IMAGE_ARGS,
    CL_DEVICE_MAX_READ_WRITE_IMAGE_ARGS,
    CL_DEVICE_MAX_SAMPLERS,
    CL_DEVICE_IMAGE_PITCH_ALIGNMENT,
    CL_DEVICE_IMAGE_BASE_ADDRESS_ALIGNMENT,
    CL_DEVICE_MAX_PIPE_ARGS,
    CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS,
    CL_DEVICE_PIPE_MAX_PACKET_SIZE,
    CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE,
    CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE,
    CL_DEVICE_MAX_ON_DEVICE_QUEUES,
    CL_DEVICE_MAX_ON_DEVICE_EVENTS,
    CL_DEVICE_MAX_NUM_SUB_GROUPS,
    CL_DEVICE_PARTITION_MAX_SUB_DEVICES,
    CL_DEVICE_PREFERRED_PLATFORM_ATOMIC_ALIGNMENT,
    CL_DEVICE_IMAGE_SUPPORT,  // a cl_bool is a cl_uint
    CL_DEVICE_PIPE_SUPPORT,
    CL_DEVICE_HOST_UNIFIED_MEMORY,
    CL_DEVICE_NON_UNIFORM_WORK_GROUP_SUPPORT,
    CL_DEVICE_SUB_GROUP_INDEPENDENT_FORWARD_PROGRESS,
};
constexpr std::array kNoSize = {
    CL_DEVICE_IMAGE2D_MAX_WIDTH,    CL_DEVICE_IMAGE2D_MAX_HEIGHT, CL_DEVICE_IMAGE3D_MAX_WIDTH,
    CL_DEVICE_IMAGE3D_MAX_HEIGHT,   CL_DEVICE_IMAGE3D_MAX_DEPTH,  CL_DEVICE_IMAGE_MAX_BUFFER_SIZE,
    CL_DEVICE_IMAGE_MAX_ARRAY_SIZE,
};
constexpr std::array kNoBits = {
    // cl_bitfield, 8 bytes
    CL_DEVICE_SVM_CAPABILITIES,
    CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES,
    CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES,
    CL_DEVICE_PARTITION_AFFINITY_DOMAIN,
};

template <class List>
bool has(const List& list, cl_device_info what) {
    return std::find(list.begin(), list.end(), what) != list.end();
}

std::vector<cl_name_version> name_versions(const RemoteInfo& info, cl_device_info what) {
    const auto* item = info.find(what);
    std::vector<cl_name_version> all(item == nullptr ? 0 : item->size() / sizeof(cl_name_version));
    if (!all.empty()) std::memcpy(all.data(), item->data(), all.size() * sizeof(cl_name_version));
    for (auto& one : all) one.name[sizeof one.name - 1] = '\0';
    return all;
}

bool passed_on(std::string_view name) {
    return std::find(kPassedOn.begin(), kPassedOn.end(), name) != kPassedOn.end();
}

std::vector<cl_name_version> extensions_with_version(const Device& d) {
    auto all = name_versions(d.remote(), CL_DEVICE_EXTENSIONS_WITH_VERSION);
    std::erase_if(all, [](const cl_name_version& one) { return !passed_on(one.name); });
    return all;
}

std::vector<cl_name_version> features(const Device& d) {
    auto all = name_versions(d.remote(), CL_DEVICE_OPENCL_C_FEATURES);
    std::erase_if(all, [](const cl_name_version& one) {
        return std::find(kTakenAway.begin(), kTakenAway.end(), std::string_view(one.name)) != kTakenAway.end();
    });
    return all;
}

std::string device_name(const Device& d) {
    const Accelerator& a = d.accelerator();
    return d.remote().text(CL_DEVICE_NAME) + " (Farlane: " + a.name() +
           (a.target().empty() ? "" : " at " + a.target()) + ")";
}

std::string device_version(const Device& d) {
    return std::string(d.is_version_3() ? "OpenCL 3.0" : "OpenCL 1.2") + " Farlane " + library_version() + ", " +
           d.remote().text(CL_DEVICE_VERSION);
}

std::string il_version(const Device& d) {
    return d.takes_il() ? d.remote().text(CL_DEVICE_IL_VERSION) : std::string();
}

void answer_remote(const Device& d, cl_device_info what, const Answer& answer) {
    const auto* item = d.remote().find(what);
    require(item != nullptr, CL_INVALID_VALUE);
    answer.raw(item->data(), item->size());
}

/// Atomic memory between devices needs shared virtual memory.
cl_device_atomic_capabilities atomics(const Device& d) {
    return d.remote().number(CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES,
                             CL_DEVICE_ATOMIC_ORDER_RELAXED | CL_DEVICE_ATOMIC_SCOPE_WORK_GROUP) &
           ~static_cast<cl_ulong>(CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES);
}

/// What Farlane adds or takes away.
void answer_own(Device& d, cl_device_info what, const Answer& answer) {
    switch (what) {
        case CL_DEVICE_TYPE: return answer.value(d.type());
        case CL_DEVICE_NAME: return answer.text(device_name(d));
        case CL_DEVICE_VERSION: return answer.text(device_version(d));
        case CL_DEVICE_NUMERIC_VERSION:
            return answer.value(d.is_version_3() ? CL_MAKE_VERSION(3, 0, 0) : CL_MAKE_VERSION(1, 2, 0));
        case CL_DEVICE_PLATFORM: return answer.value(handle_of(&d.platform()));
        case CL_DEVICE_EXTENSIONS: return answer.text(d.extensions());
        case CL_DEVICE_EXTENSIONS_WITH_VERSION: return answer.list(extensions_with_version(d));
        case CL_DEVICE_OPENCL_C_FEATURES: return answer.list(features(d));
        case CL_DEVICE_AVAILABLE: return answer.value<cl_bool>(d.accelerator().available() ? CL_TRUE : CL_FALSE);
        case CL_DEVICE_COMPILER_AVAILABLE:
        case CL_DEVICE_LINKER_AVAILABLE:
        case CL_DEVICE_PREFERRED_INTEROP_USER_SYNC: return answer.value<cl_bool>(CL_TRUE);
        case CL_DEVICE_EXECUTION_CAPABILITIES: return answer.value<cl_device_exec_capabilities>(CL_EXEC_KERNEL);
        case CL_DEVICE_QUEUE_ON_HOST_PROPERTIES:
            return answer.value<cl_command_queue_properties>(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE |
                                                             CL_QUEUE_PROFILING_ENABLE);
        case CL_DEVICE_GLOBAL_MEM_SIZE: return answer.value(d.global_memory_bytes());
        case CL_DEVICE_MAX_MEM_ALLOC_SIZE: return answer.value(d.max_allocation_bytes());
        case CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE:
            return answer.value<cl_ulong>(
                std::min(d.max_allocation_bytes(), d.remote().number(CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, 65536)));
        case CL_DEVICE_MAX_PARAMETER_SIZE: return answer.value(d.max_parameter_bytes());
        case CL_DEVICE_PROFILING_TIMER_RESOLUTION: return answer.value<std::size_t>(1);
        case CL_DEVICE_BUILT_IN_KERNELS: return answer.text("");
        case CL_DEVICE_IL_VERSION: return answer.text(il_version(d));
        case CL_DEVICE_ILS_WITH_VERSION: {
            return answer.list(d.takes_il() ? name_versions(d.remote(), CL_DEVICE_ILS_WITH_VERSION)
                                            : std::vector<cl_name_version>());
        }
        case CL_DEVICE_BUILT_IN_KERNELS_WITH_VERSION: return answer.nothing();
        case CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES: return answer.value(atomics(d));
        case CL_DEVICE_PARENT_DEVICE: return answer.value<cl_device_id>(nullptr);
        case CL_DEVICE_PARTITION_PROPERTIES: return answer.value<cl_device_partition_property>(0);
        case CL_DEVICE_PARTITION_TYPE: return answer.value<cl_device_partition_property>(0);
        case CL_DEVICE_REFERENCE_COUNT: return answer.value<cl_uint>(1);
        case CL_DEVICE_LATEST_CONFORMANCE_VERSION_PASSED: return answer.text("v0000-00-00-00");
        default: fail(CL_INVALID_VALUE);
    }
}

void answer_device(Device& d, cl_device_info what, const Answer& answer) {
    if (has(kRemote, what)) return answer_remote(d, what, answer);
    if (has(kNoUint, what)) return answer.value<cl_uint>(0);
    if (has(kNoSize, what)) return answer.value<std::size_t>(0);
    if (has(kNoBits, what)) return answer.value<cl_bitfield>(0);
    answer_own(d, what, answer);
}

std::vector<std::size_t> sizes_of(const RemoteInfo& info) {
    std::vector<std::size_t> sizes(3, 1);
    const auto* item = info.find(CL_DEVICE_MAX_WORK_ITEM_SIZES);
    if (item != nullptr) std::memcpy(sizes.data(), item->data(), std::min(item->size(), 3 * sizeof(std::size_t)));
    return sizes;
}

/// "OpenCL 2.1 ..." -> 21
unsigned version_of(const std::string& text) {
    constexpr std::string_view kStart = "OpenCL ";
    if (text.size() < kStart.size() + 3 || !text.starts_with(kStart)) return 0;
    return static_cast<unsigned>(text[kStart.size()] - '0') * 10 + static_cast<unsigned>(text[kStart.size() + 2] - '0');
}

constexpr cl_ulong kOwnMemoryBytes = 16 << 20;  // staging, images of modules
constexpr std::size_t kArgumentBlockBytes = 2048;

}  // namespace

Device::Device(Platform& platform, std::unique_ptr<Accelerator> accelerator)
    : Object(Kind::device), platform_(platform), accelerator_(std::move(accelerator)) {
    const RemoteInfo& info = remote();
    constexpr cl_device_type kTypes =
        CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR | CL_DEVICE_TYPE_CUSTOM;
    if (const cl_device_type type = info.number(CL_DEVICE_TYPE, 0) & kTypes; type != 0) type_ = type;
    version_3_ = version_of(info.text(CL_DEVICE_VERSION)) >= 30;
    max_work_group_ = std::max<std::size_t>(info.number(CL_DEVICE_MAX_WORK_GROUP_SIZE, 1), 1);
    max_work_items_ = sizes_of(info);
    local_memory_bytes_ = info.number(CL_DEVICE_LOCAL_MEM_SIZE, 32768);
    base_alignment_bytes_ = std::clamp<std::size_t>(info.number(CL_DEVICE_MEM_BASE_ADDR_ALIGN, 1024) / 8, 1, 4096);
}

cl_ulong Device::global_memory_bytes() const noexcept {
    const cl_ulong all = accelerator_->memory_bytes();
    return all > 2 * kOwnMemoryBytes ? all - kOwnMemoryBytes : all;
}

cl_ulong Device::max_allocation_bytes() const noexcept {
    return std::min(global_memory_bytes(), remote().number(CL_DEVICE_MAX_MEM_ALLOC_SIZE, ~cl_ulong{0}));
}

std::size_t Device::max_parameter_bytes() const noexcept {
    return std::min<std::size_t>(kArgumentBlockBytes, remote().number(CL_DEVICE_MAX_PARAMETER_SIZE, 1024));
}

std::string Device::extensions() const {
    const std::string all = remote().text(CL_DEVICE_EXTENSIONS);
    std::string kept;
    for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = std::min(all.find(' ', at), all.size());
        const std::string name = all.substr(at, end - at);
        if (passed_on(name)) kept += (kept.empty() ? "" : " ") + name;
        at = end + 1;
    }
    return kept;
}

bool Device::takes_il() const noexcept {
    return (accelerator_->capabilities() & FL_ACCEL_CAP_SPIRV) != 0;
}

}  // namespace farlane::opencl

using namespace farlane::opencl;

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t room, void* to,
                                                size_t* bytes) {
    return guarded(__func__, [&] { answer_device(checked<Device>(device), what, Answer(room, to, bytes)); });
}

CL_API_ENTRY cl_int CL_API_CALL clRetainDevice(cl_device_id device) {
    return guarded(__func__, [&] { (void)checked<Device>(device); });  // root devices are not counted
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseDevice(cl_device_id device) {
    return guarded(__func__, [&] { (void)checked<Device>(device); });
}

/// No kind of partition is offered (CL_DEVICE_PARTITION_PROPERTIES).
CL_API_ENTRY cl_int CL_API_CALL clCreateSubDevices(cl_device_id device, const cl_device_partition_property*, cl_uint,
                                                   cl_device_id*, cl_uint*) {
    return guarded(__func__, [&] {
        (void)checked<Device>(device);
        fail(CL_INVALID_VALUE);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceAndHostTimer(cl_device_id device, cl_ulong*, cl_ulong*) {
    return guarded(__func__, [&] {
        (void)checked<Device>(device);
        fail(CL_INVALID_OPERATION);  // CL_PLATFORM_HOST_TIMER_RESOLUTION is 0
    });
}

CL_API_ENTRY cl_int CL_API_CALL clGetHostTimer(cl_device_id device, cl_ulong*) {
    return guarded(__func__, [&] {
        (void)checked<Device>(device);
        fail(CL_INVALID_OPERATION);
    });
}

CL_API_ENTRY cl_int CL_API_CALL clSetDefaultDeviceCommandQueue(cl_context, cl_device_id device, cl_command_queue) {
    return guarded(__func__, [&] {
        (void)checked<Device>(device);
        fail(CL_INVALID_OPERATION);  // no queues on the device
    });
}
