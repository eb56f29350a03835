// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the functions and devices of the OpenCL library of this machine. Owns: api.hpp.
#include "backend/worker/opencl/api.hpp"

#include <dlfcn.h>

#include <algorithm>

namespace farlane::backend::worker::opencl {
namespace {

constexpr const char* kLibrary = "libOpenCL.so.1";
constexpr const char* kOwnPlatform = "Farlane";
constexpr std::size_t kMaxText = 4096;

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

std::string platform_name(const Api& api, cl_platform_id id) {
    std::string text(kMaxText, '\0');
    std::size_t bytes = 0;
    if (api.clGetPlatformInfo(id, CL_PLATFORM_NAME, text.size(), text.data(), &bytes) != CL_SUCCESS) return {};
    return text.c_str();
}

}  // namespace

const Api* load_api(std::string& why) {
    static Api api;
    void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* error = ::dlerror();
        why = std::string("no OpenCL library: ") + (error == nullptr ? kLibrary : error);
        return nullptr;
    }
    std::string missing;
#define FARLANE_CL_FIND(name) \
    if (!find(library, #name, api.name)) missing = #name;
    FARLANE_CL_FUNCTIONS(FARLANE_CL_FIND)
#undef FARLANE_CL_FIND
    (void)find(library, "clCreateProgramWithIL", api.clCreateProgramWithIL);
    if (missing.empty()) return &api;
    why = std::string(kLibrary) + " has no " + missing;
    return nullptr;
}

std::vector<Device> list_devices(const Api& api) {
    cl_uint count = 0;
    if (api.clGetPlatformIDs(0, nullptr, &count) != CL_SUCCESS) return {};
    std::vector<cl_platform_id> platforms(count);
    if (count == 0 || api.clGetPlatformIDs(count, platforms.data(), nullptr) != CL_SUCCESS) return {};
    std::vector<Device> all;
    for (const cl_platform_id platform : platforms) {
        const std::string name = platform_name(api, platform);
        if (name == kOwnPlatform) continue;  // or a device would be served by itself
        cl_uint devices = 0;
        if (api.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &devices) != CL_SUCCESS || devices == 0)
            continue;
        std::vector<cl_device_id> ids(devices);
        if (api.clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, devices, ids.data(), nullptr) != CL_SUCCESS) continue;
        for (const cl_device_id id : ids) all.push_back({platform, id, name});
    }
    return all;
}

std::string device_text(const Api& api, cl_device_id id, cl_device_info what) {
    std::size_t bytes = 0;
    if (api.clGetDeviceInfo(id, what, 0, nullptr, &bytes) != CL_SUCCESS || bytes == 0) return {};
    std::string text(bytes, '\0');
    if (api.clGetDeviceInfo(id, what, bytes, text.data(), nullptr) != CL_SUCCESS) return {};
    return text.c_str();
}

}  // namespace farlane::backend::worker::opencl
