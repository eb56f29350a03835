// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the functions of the OpenCL library of this machine. Owns: its handle, for good.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS  // clCreateCommandQueue: in every version, unlike its successor
#include <CL/cl.h>

#include <string>
#include <vector>

namespace farlane::backend::worker::opencl {

// What an OpenCL 1.2 library has, and clCreateProgramWithIL of 2.1, which may be absent.
#define FARLANE_CL_FUNCTIONS(X)                                                                                      \
    X(clGetPlatformIDs)                                                                                              \
    X(clGetPlatformInfo)                                                                                             \
    X(clGetDeviceIDs)                                                                                                \
    X(clGetDeviceInfo)                                                                                               \
    X(clCreateContext)                                                                                               \
    X(clCreateCommandQueue) X(clReleaseCommandQueue) X(clFlush) X(clCreateBuffer) X(clCreateSubBuffer)               \
        X(clReleaseMemObject) X(clCreateProgramWithSource) X(clBuildProgram) X(clReleaseProgram) X(clGetProgramInfo) \
            X(clGetProgramBuildInfo) X(clCreateKernel) X(clReleaseKernel) X(clGetKernelInfo) X(clGetKernelArgInfo)   \
                X(clGetKernelWorkGroupInfo) X(clSetKernelArg) X(clEnqueueNDRangeKernel) X(clEnqueueReadBuffer)       \
                    X(clEnqueueWriteBuffer) X(clEnqueueCopyBuffer) X(clEnqueueFillBuffer) X(clSetEventCallback)      \
                        X(clReleaseEvent) X(clGetEventProfilingInfo)
#define FARLANE_CL_OPTIONAL(X) X(clCreateProgramWithIL)

struct Api {
#define FARLANE_CL_MEMBER(name) decltype(&::name) name = nullptr;
    FARLANE_CL_FUNCTIONS(FARLANE_CL_MEMBER)
    FARLANE_CL_OPTIONAL(FARLANE_CL_MEMBER)
#undef FARLANE_CL_MEMBER
};

/// nullptr: `why` says what is missing.
[[nodiscard]] const Api* load_api(std::string& why);

/// One device of one platform, in the order --probe counts them. Platforms of Farlane itself are left out.
struct Device {
    cl_platform_id platform = nullptr;
    cl_device_id id = nullptr;
    std::string platform_name;
};
[[nodiscard]] std::vector<Device> list_devices(const Api& api);

/// Text and numbers of clGetDeviceInfo; empty and 0 when it has none.
[[nodiscard]] std::string device_text(const Api& api, cl_device_id id, cl_device_info what);
template <class T>
[[nodiscard]] T device_value(const Api& api, cl_device_id id, cl_device_info what) {
    T value{};
    if (api.clGetDeviceInfo(id, what, sizeof value, &value, nullptr) != CL_SUCCESS) return T{};
    return value;
}

}  // namespace farlane::backend::worker::opencl
