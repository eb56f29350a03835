// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: what OpenCL devices this machine has, as JSON. Owns: nothing.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "backend/worker/opencl/api.hpp"
#include "backend/worker/program/runtime.hpp"
#include "backend/worker/ring.hpp"

namespace farlane::backend::worker {
namespace {

using namespace opencl;
using nlohmann::json;

constexpr cl_device_info kFirstInfo = 0x1000, kLastInfo = 0x10bf;  // all of OpenCL 3.0, 4.2
// Handles and counts of this process: no data.
constexpr std::array<cl_device_info, 3> kNoData = {CL_DEVICE_PLATFORM, CL_DEVICE_PARENT_DEVICE,
                                                   CL_DEVICE_REFERENCE_COUNT};
constexpr std::size_t kMaxInfoBytes = 65536;

std::vector<std::byte> info_records(const Api& api, cl_device_id id) {
    std::vector<std::byte> all;
    for (cl_device_info what = kFirstInfo; what <= kLastInfo; ++what) {
        if (std::find(kNoData.begin(), kNoData.end(), what) != kNoData.end()) continue;
        std::size_t bytes = 0;
        if (api.clGetDeviceInfo(id, what, 0, nullptr, &bytes) != CL_SUCCESS || bytes > kMaxInfoBytes) continue;
        std::vector<std::byte> value(padded(bytes));
        if (bytes != 0 && api.clGetDeviceInfo(id, what, bytes, value.data(), nullptr) != CL_SUCCESS) continue;
        const fl_accel_info head{fl_le32(what), fl_le32(static_cast<std::uint32_t>(bytes))};
        const auto head_bytes = bytes_of(head);
        all.insert(all.end(), head_bytes.begin(), head_bytes.end());
        all.insert(all.end(), value.begin(), value.end());
    }
    return all;
}

std::string to_hex(std::span<const std::byte> bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte b : bytes) {
        text.push_back(kDigits[static_cast<unsigned>(b) >> 4]);
        text.push_back(kDigits[static_cast<unsigned>(b) & 15]);
    }
    return text;
}

const char* type_name(cl_device_type type) noexcept {
    if ((type & CL_DEVICE_TYPE_GPU) != 0) return "gpu";
    if ((type & CL_DEVICE_TYPE_CPU) != 0) return "cpu";
    return (type & CL_DEVICE_TYPE_ACCELERATOR) != 0 ? "accelerator" : "custom";
}

std::string why_not(const Api& api, cl_device_id id) {
    if (device_value<cl_bool>(api, id, CL_DEVICE_AVAILABLE) == CL_FALSE) return "not available";
    if (device_value<cl_bool>(api, id, CL_DEVICE_COMPILER_AVAILABLE) == CL_FALSE) return "no compiler";
    if (device_value<cl_bool>(api, id, CL_DEVICE_ENDIAN_LITTLE) == CL_FALSE) return "not little-endian";
    return {};
}

json describe(const Api& api, const Device& device, std::size_t index) {
    const cl_device_id id = device.id;
    const auto type = device_value<cl_device_type>(api, id, CL_DEVICE_TYPE);
    // Other devices may say so as well, but keep copies of what is not aligned to their liking.
    const bool shares =
        (type & CL_DEVICE_TYPE_CPU) != 0 && device_value<cl_bool>(api, id, CL_DEVICE_HOST_UNIFIED_MEMORY) == CL_TRUE;
    const bool spirv = api.clCreateProgramWithIL != nullptr &&
                       device_text(api, id, CL_DEVICE_IL_VERSION).find("SPIR-V") != std::string::npos;
    return {{"index", index},
            {"platform", device.platform_name},
            {"name", device_text(api, id, CL_DEVICE_NAME)},
            {"vendor", device_text(api, id, CL_DEVICE_VENDOR)},
            {"driver", device_text(api, id, CL_DRIVER_VERSION)},
            {"version", device_text(api, id, CL_DEVICE_VERSION)},
            {"type", type_name(type)},
            {"shares_memory", shares},
            {"units", device_value<cl_uint>(api, id, CL_DEVICE_MAX_COMPUTE_UNITS)},
            {"memory_bytes", device_value<cl_ulong>(api, id, CL_DEVICE_GLOBAL_MEM_SIZE)},
            {"opencl_c", true},
            {"spirv", spirv},
            {"why_not", why_not(api, id)},
            {"info", to_hex(info_records(api, id))}};
}

}  // namespace

std::string probe_opencl() {
    json result = {{"devices", json::array()}};
    std::string why;
    if (const Api* api = load_api(why)) {
        const auto devices = list_devices(*api);
        for (std::size_t i = 0; i < devices.size(); ++i) result["devices"].push_back(describe(*api, devices[i], i));
        if (devices.empty()) why = "no OpenCL platform with a device (is a vendor's or PoCL's ICD installed?)";
    }
    result["why"] = why;
    return result.dump(1, ' ', false, json::error_handler_t::replace);
}

}  // namespace farlane::backend::worker
