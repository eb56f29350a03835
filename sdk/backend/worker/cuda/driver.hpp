// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the functions of the CUDA driver of this machine. Owns: its handle, for good.
// What is declared here is compared with cuda.h where there is one (tests/accel/cuda_declarations_test.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace farlane::backend::worker::cuda {

using CuResult = int;
using CuDevice = int;
using CuAddress = unsigned long long;
using CuMemory = unsigned long long;  ///< physical memory
using CuContext = struct CuContextOpaque*;
using CuStream = struct CuStreamOpaque*;
using CuEvent = struct CuEventOpaque*;
using CuModule = struct CuModuleOpaque*;
using CuFunction = struct CuFunctionOpaque*;

enum : CuResult {
    kSuccess = 0,
    kInvalidValue = 1,
    kOutOfMemory = 2,
    kInvalidImage = 200,
    kInvalidContext = 201,
    kNoBinary = 209,
    kEccUncorrectable = 214,
    kInvalidPtx = 218,
    kNvlinkUncorrectable = 220,
    kUnsupportedPtxVersion = 222,
    kContained = 226,  ///< an error of memory that the device has fenced in
    kInvalidSource = 300,
    kNotFound = 500,
    kNotReady = 600,
    kIllegalAddress = 700,
    kOutOfResources = 701,
    kContextIsDestroyed = 709,
    kFirstFault = 714,  ///< hardware stack error, illegal instruction, ... up to launch failed
    kLastFault = 719,
    kTensorMemoryLeak = 721,
    kLaunchTimeout = 702,
    kAssert = 710,
    kUnknown = 999,
};

enum : int {
    kMaxThreadsPerBlock = 1,
    kMaxBlockX = 2,
    kMaxBlockY = 3,
    kMaxBlockZ = 4,
    kMaxGridX = 5,
    kMaxGridY = 6,
    kMaxGridZ = 7,
    kSharedPerBlock = 8,
    kWarpSize = 10,
    kUnits = 16,
    kUnifiedAddressing = 41,
    kMajor = 75,
    kMinor = 76,
    kSharedOptIn = 97,
    kVirtualMemory = 102,
};
enum : int {
    kFunctionMaxThreads = 0,
    kFunctionShared = 1,
    kFunctionLocal = 3,
    kFunctionMaxDynamicShared = 8,
};
enum : int {
    kJitMaxRegisters = 0,
    kJitInfoLog = 3,
    kJitInfoLogBytes = 4,
    kJitErrorLog = 5,
    kJitErrorLogBytes = 6,
    kJitOptimization = 7,
};
constexpr unsigned kStreamNonBlocking = 1;
constexpr unsigned kContextBlockingSync = 4;  ///< nobody waits inside the driver
constexpr int kOnDevice = 1;                  ///< of MemoryLocation, and pinned memory of MemoryProperties
constexpr int kReadWrite = 3;

struct MemoryLocation {
    int type = kOnDevice;
    int id = 0;
};
struct MemoryProperties {
    int type = 1;  ///< pinned
    int handle_types = 0;
    MemoryLocation location;
    void* windows = nullptr;
    unsigned char flags[8] = {};
};
struct MemoryAccess {
    MemoryLocation location;
    int flags = kReadWrite;
};

// X(name, symbol, parameters)
#define FARLANE_CUDA_FUNCTIONS(X)                                                                                      \
    X(cuInit, cuInit, (unsigned))                                                                                      \
    X(cuGetErrorName, cuGetErrorName, (CuResult, const char**))                                                        \
    X(cuDriverGetVersion, cuDriverGetVersion, (int*))                                                                  \
    X(cuDeviceGetCount, cuDeviceGetCount, (int*))                                                                      \
    X(cuDeviceGet, cuDeviceGet, (CuDevice*, int))                                                                      \
    X(cuDeviceGetName, cuDeviceGetName, (char*, int, CuDevice))                                                        \
    X(cuDeviceGetPCIBusId, cuDeviceGetPCIBusId, (char*, int, CuDevice))                                                \
    X(cuDeviceGetAttribute, cuDeviceGetAttribute, (int*, int, CuDevice))                                               \
    X(cuDeviceTotalMem, cuDeviceTotalMem_v2, (std::size_t*, CuDevice))                                                 \
    X(cuCtxCreate, cuCtxCreate_v2, (CuContext*, unsigned, CuDevice))                                                   \
    X(cuCtxSetCurrent, cuCtxSetCurrent, (CuContext))                                                                   \
    X(cuMemGetInfo, cuMemGetInfo_v2, (std::size_t*, std::size_t*))                                                     \
    X(cuStreamCreate, cuStreamCreate, (CuStream*, unsigned))                                                           \
    X(cuEventCreate, cuEventCreate, (CuEvent*, unsigned))                                                              \
    X(cuEventRecord, cuEventRecord, (CuEvent, CuStream))                                                               \
    X(cuEventQuery, cuEventQuery, (CuEvent))                                                                           \
    X(cuEventElapsedTime, cuEventElapsedTime, (float*, CuEvent, CuEvent))                                              \
    X(cuMemAddressReserve, cuMemAddressReserve, (CuAddress*, std::size_t, std::size_t, CuAddress, unsigned long long)) \
    X(cuMemAddressFree, cuMemAddressFree, (CuAddress, std::size_t))                                                    \
    X(cuMemCreate, cuMemCreate, (CuMemory*, std::size_t, const MemoryProperties*, unsigned long long))                 \
    X(cuMemMap, cuMemMap, (CuAddress, std::size_t, std::size_t, CuMemory, unsigned long long))                         \
    X(cuMemSetAccess, cuMemSetAccess, (CuAddress, std::size_t, const MemoryAccess*, std::size_t))                      \
    X(cuMemUnmap, cuMemUnmap, (CuAddress, std::size_t))                                                                \
    X(cuMemRelease, cuMemRelease, (CuMemory))                                                                          \
    X(cuMemGetAllocationGranularity, cuMemGetAllocationGranularity, (std::size_t*, const MemoryProperties*, int))      \
    X(cuMemHostRegister, cuMemHostRegister_v2, (void*, std::size_t, unsigned))                                         \
    X(cuMemHostUnregister, cuMemHostUnregister, (void*))                                                               \
    X(cuMemcpyHtoDAsync, cuMemcpyHtoDAsync_v2, (CuAddress, const void*, std::size_t, CuStream))                        \
    X(cuMemcpyDtoHAsync, cuMemcpyDtoHAsync_v2, (void*, CuAddress, std::size_t, CuStream))                              \
    X(cuMemcpyDtoDAsync, cuMemcpyDtoDAsync_v2, (CuAddress, CuAddress, std::size_t, CuStream))                          \
    X(cuMemsetD8Async, cuMemsetD8Async, (CuAddress, unsigned char, std::size_t, CuStream))                             \
    X(cuMemsetD16Async, cuMemsetD16Async, (CuAddress, unsigned short, std::size_t, CuStream))                          \
    X(cuMemsetD32Async, cuMemsetD32Async, (CuAddress, unsigned, std::size_t, CuStream))                                \
    X(cuModuleLoadDataEx, cuModuleLoadDataEx, (CuModule*, const void*, unsigned, int*, void**))                        \
    X(cuModuleUnload, cuModuleUnload, (CuModule))                                                                      \
    X(cuModuleGetFunction, cuModuleGetFunction, (CuFunction*, CuModule, const char*))                                  \
    X(cuFuncGetAttribute, cuFuncGetAttribute, (int*, int, CuFunction))                                                 \
    X(cuFuncSetAttribute, cuFuncSetAttribute, (CuFunction, int, int))                                                  \
    X(cuLaunchKernel, cuLaunchKernel,                                                                                  \
      (CuFunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CuStream, void**, void**))
// CUDA 12.4 and later.
#define FARLANE_CUDA_OPTIONAL(X)                                                                     \
    X(cuFuncGetParamInfo, cuFuncGetParamInfo, (CuFunction, std::size_t, std::size_t*, std::size_t*)) \
    X(cuFuncGetName, cuFuncGetName, (const char**, CuFunction))                                      \
    X(cuModuleGetFunctionCount, cuModuleGetFunctionCount, (unsigned*, CuModule))                     \
    X(cuModuleEnumerateFunctions, cuModuleEnumerateFunctions, (CuFunction*, unsigned, CuModule))

struct Api {
#define FARLANE_CUDA_MEMBER(name, symbol, parameters) CuResult(*name) parameters = nullptr;
    FARLANE_CUDA_FUNCTIONS(FARLANE_CUDA_MEMBER)
    FARLANE_CUDA_OPTIONAL(FARLANE_CUDA_MEMBER)
#undef FARLANE_CUDA_MEMBER

    [[nodiscard]] int attribute(CuDevice device, int what) const noexcept {
        int value = 0;
        return cuDeviceGetAttribute(&value, what, device) == kSuccess ? value : 0;
    }
    [[nodiscard]] int attribute(CuFunction function, int what) const noexcept {
        int value = 0;
        return cuFuncGetAttribute(&value, what, function) == kSuccess ? value : 0;
    }
    /// "CUDA_ERROR_OUT_OF_MEMORY (2)".
    [[nodiscard]] std::string text(CuResult result) const;
};

/// nullptr: `why` says what is missing. The driver is initialized, as kernels of others need it (driver.cpp).
[[nodiscard]] const Api* load_api(std::string& why);

/// After it nothing works any more in a context but to end it.
[[nodiscard]] constexpr bool is_fatal(CuResult r) noexcept {
    return r == kIllegalAddress || r == kLaunchTimeout || r == kContextIsDestroyed || r == kAssert ||
           (r >= kFirstFault && r <= kLastFault) || r == kEccUncorrectable || r == kNvlinkUncorrectable ||
           r == kContained || r == kTensorMemoryLeak || r == kInvalidContext || r == kUnknown;
}

/// Unit of physical memory of all devices so far.
inline constexpr std::uint64_t kChunkBytes = std::uint64_t{2} << 20;

}  // namespace farlane::backend::worker::cuda
