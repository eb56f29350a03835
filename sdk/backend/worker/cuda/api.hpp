// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the functions of NVIDIA's driver (libcuda.so.1) and of NVRTC that are used here,
// declared as the CUDA Driver API 11.2 documents them. Owns: the libraries' handles, for good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace farlane::backend::worker::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;

// CUresult
inline constexpr CUresult kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2, kInvalidImage = 200, kNoBinary = 209,
                          kInvalidPtx = 218, kUnsupportedPtx = 222, kNotFound = 500, kNotReady = 600,
                          kLaunchOutOfResources = 701;
// CUdevice_attribute
inline constexpr int kMaxThreadsPerBlock = 1, kWarpSize = 10, kMultiprocessors = 16, kComputeMajor = 75,
                     kComputeMinor = 76, kMaxSharedOptIn = 97, kMemoryPools = 115;
// CUfunction_attribute
inline constexpr int kFunctionMaxThreads = 0, kFunctionShared = 1, kFunctionLocal = 3, kFunctionMaxDynamicShared = 8;
// CUjit_option
inline constexpr int kJitInfoLog = 3, kJitInfoLogBytes = 4, kJitErrorLog = 5, kJitErrorLogBytes = 6;
inline constexpr unsigned kStreamNonBlocking = 1;  // CU_STREAM_NON_BLOCKING

// X(member, name in the library, parameters)
#define FARLANE_CUDA_FUNCTIONS(X)                                                                                   \
    X(init, "cuInit", (unsigned))                                                                                   \
    X(driver_version, "cuDriverGetVersion", (int*))                                                                 \
    X(device_count, "cuDeviceGetCount", (int*))                                                                     \
    X(device, "cuDeviceGet", (CUdevice*, int))                                                                      \
    X(device_name, "cuDeviceGetName", (char*, int, CUdevice))                                                       \
    X(device_memory, "cuDeviceTotalMem_v2", (std::size_t*, CUdevice))                                               \
    X(device_attribute, "cuDeviceGetAttribute", (int*, int, CUdevice))                                              \
    X(retain_context, "cuDevicePrimaryCtxRetain", (CUcontext*, CUdevice))                                           \
    X(set_context, "cuCtxSetCurrent", (CUcontext))                                                                  \
    X(allocate, "cuMemAlloc_v2", (CUdeviceptr*, std::size_t))                                                       \
    X(free, "cuMemFree_v2", (CUdeviceptr))                                                                          \
    X(pin, "cuMemHostRegister_v2", (void*, std::size_t, unsigned))                                                  \
    X(unpin, "cuMemHostUnregister", (void*))                                                                        \
    X(copy_in, "cuMemcpyHtoDAsync_v2", (CUdeviceptr, const void*, std::size_t, CUstream))                           \
    X(copy_out, "cuMemcpyDtoHAsync_v2", (void*, CUdeviceptr, std::size_t, CUstream))                                \
    X(copy_within, "cuMemcpyDtoDAsync_v2", (CUdeviceptr, CUdeviceptr, std::size_t, CUstream))                       \
    X(fill_8, "cuMemsetD8Async", (CUdeviceptr, unsigned char, std::size_t, CUstream))                               \
    X(fill_16, "cuMemsetD16Async", (CUdeviceptr, unsigned short, std::size_t, CUstream))                            \
    X(fill_32, "cuMemsetD32Async", (CUdeviceptr, unsigned, std::size_t, CUstream))                                  \
    X(fill_32_rows, "cuMemsetD2D32Async", (CUdeviceptr, std::size_t, unsigned, std::size_t, std::size_t, CUstream)) \
    X(create_stream, "cuStreamCreate", (CUstream*, unsigned))                                                       \
    X(create_event, "cuEventCreate", (CUevent*, unsigned))                                                          \
    X(record, "cuEventRecord", (CUevent, CUstream))                                                                 \
    X(query, "cuEventQuery", (CUevent))                                                                             \
    X(elapsed, "cuEventElapsedTime", (float*, CUevent, CUevent))                                                    \
    X(load_module, "cuModuleLoadDataEx", (CUmodule*, const void*, unsigned, int*, void**))                          \
    X(unload_module, "cuModuleUnload", (CUmodule))                                                                  \
    X(function, "cuModuleGetFunction", (CUfunction*, CUmodule, const char*))                                        \
    X(function_attribute, "cuFuncGetAttribute", (int*, int, CUfunction))                                            \
    X(set_function_attribute, "cuFuncSetAttribute", (CUfunction, int, int))                                         \
    X(launch, "cuLaunchKernel",                                                                                     \
      (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void**, void**))
// Of later drivers; may be absent.
#define FARLANE_CUDA_OPTIONAL(X)                                                \
    X(allocate_async, "cuMemAllocAsync", (CUdeviceptr*, std::size_t, CUstream)) \
    X(free_async, "cuMemFreeAsync", (CUdeviceptr, CUstream))                    \
    X(parameter, "cuFuncGetParamInfo", (CUfunction, std::size_t, std::size_t*, std::size_t*))

struct Api {
#define FARLANE_CUDA_MEMBER(member, name, parameters) CUresult(*member) parameters = nullptr;
    FARLANE_CUDA_FUNCTIONS(FARLANE_CUDA_MEMBER)
    FARLANE_CUDA_OPTIONAL(FARLANE_CUDA_MEMBER)
#undef FARLANE_CUDA_MEMBER
};
/// Initialized. nullptr: `why` says what is missing.
[[nodiscard]] const Api* load_api(std::string& why);

/// CUDA C to PTX. Result: empty = `log` says why not.
class Compiler {
public:
    /// False: there is no NVRTC here.
    [[nodiscard]] static bool is_here();
    [[nodiscard]] static std::string compile(const std::string& source, const std::string& options, int compute,
                                             std::string& log);
};

}  // namespace farlane::backend::worker::cuda
