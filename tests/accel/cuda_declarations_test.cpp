// SPDX-License-Identifier: Apache-2.0
// Receives: cuda.h, on machines that have it. Hands on: a build that fails when our declarations differ. Owns: nothing.
#include "backend/worker/cuda/driver.hpp"

#include <type_traits>

namespace farlane::backend::worker::cuda {
// Before cuda.h, which makes macros of some names.
#define FARLANE_CUDA_OURS(name, symbol, parameters) using Our_##symbol = decltype(Api::name);
FARLANE_CUDA_FUNCTIONS(FARLANE_CUDA_OURS)
FARLANE_CUDA_OPTIONAL(FARLANE_CUDA_OURS)
}  // namespace farlane::backend::worker::cuda

#include <cuda.h>

namespace farlane::backend::worker::cuda {
namespace {

template <class A, class B>
constexpr bool is_alike() {
    if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>) {
        return std::is_pointer_v<A> && std::is_pointer_v<B>;
    } else {
        return sizeof(A) == sizeof(B) && std::is_floating_point_v<A> == std::is_floating_point_v<B>;
    }
}
template <class Ours, class Theirs>
struct Alike : std::false_type {};
template <class R, class... A, class S, class... B>
struct Alike<R (*)(A...), S (*)(B...)> {
    static constexpr bool check() {
        if constexpr (sizeof...(A) == sizeof...(B)) {
            return sizeof(R) == sizeof(S) && (is_alike<A, B>() && ...);
        } else {
            return false;
        }
    }
    static constexpr bool value = check();
};

#define FARLANE_CUDA_SAME(symbol) static_assert(Alike<Our_##symbol, decltype(&::symbol)>::value, #symbol)
FARLANE_CUDA_SAME(cuDeviceTotalMem_v2);
FARLANE_CUDA_SAME(cuMemHostRegister_v2);
FARLANE_CUDA_SAME(cuMemGetInfo_v2);
FARLANE_CUDA_SAME(cuMemcpyHtoDAsync_v2);
FARLANE_CUDA_SAME(cuMemcpyDtoHAsync_v2);
FARLANE_CUDA_SAME(cuMemcpyDtoDAsync_v2);
FARLANE_CUDA_SAME(cuInit);
FARLANE_CUDA_SAME(cuGetErrorName);
FARLANE_CUDA_SAME(cuDriverGetVersion);
FARLANE_CUDA_SAME(cuDeviceGetCount);
FARLANE_CUDA_SAME(cuDeviceGet);
FARLANE_CUDA_SAME(cuDeviceGetName);
FARLANE_CUDA_SAME(cuDeviceGetPCIBusId);
FARLANE_CUDA_SAME(cuDeviceGetAttribute);
FARLANE_CUDA_SAME(cuCtxSetCurrent);
FARLANE_CUDA_SAME(cuStreamCreate);
FARLANE_CUDA_SAME(cuEventCreate);
FARLANE_CUDA_SAME(cuEventRecord);
FARLANE_CUDA_SAME(cuEventQuery);
FARLANE_CUDA_SAME(cuMemAddressReserve);
FARLANE_CUDA_SAME(cuMemAddressFree);
FARLANE_CUDA_SAME(cuMemCreate);
FARLANE_CUDA_SAME(cuMemMap);
FARLANE_CUDA_SAME(cuMemSetAccess);
FARLANE_CUDA_SAME(cuMemUnmap);
FARLANE_CUDA_SAME(cuMemRelease);
FARLANE_CUDA_SAME(cuMemGetAllocationGranularity);
FARLANE_CUDA_SAME(cuMemHostUnregister);
FARLANE_CUDA_SAME(cuMemsetD8Async);
FARLANE_CUDA_SAME(cuMemsetD16Async);
FARLANE_CUDA_SAME(cuMemsetD32Async);
FARLANE_CUDA_SAME(cuModuleLoadDataEx);
FARLANE_CUDA_SAME(cuModuleUnload);
FARLANE_CUDA_SAME(cuModuleGetFunction);
FARLANE_CUDA_SAME(cuFuncGetAttribute);
FARLANE_CUDA_SAME(cuFuncSetAttribute);
FARLANE_CUDA_SAME(cuLaunchKernel);
#if CUDA_VERSION >= 12040
FARLANE_CUDA_SAME(cuFuncGetParamInfo);
FARLANE_CUDA_SAME(cuFuncGetName);
FARLANE_CUDA_SAME(cuModuleGetFunctionCount);
FARLANE_CUDA_SAME(cuModuleEnumerateFunctions);
#endif
static_assert(sizeof(MemoryProperties) == sizeof(CUmemAllocationProp));
static_assert(offsetof(MemoryProperties, location) == offsetof(CUmemAllocationProp, location));
static_assert(offsetof(MemoryProperties, flags) == offsetof(CUmemAllocationProp, allocFlags));
static_assert(sizeof(MemoryAccess) == sizeof(CUmemAccessDesc));
static_assert(MemoryProperties{}.type == CU_MEM_ALLOCATION_TYPE_PINNED && kOnDevice == CU_MEM_LOCATION_TYPE_DEVICE);
static_assert(kReadWrite == CU_MEM_ACCESS_FLAGS_PROT_READWRITE && kStreamNonBlocking == CU_STREAM_NON_BLOCKING);
static_assert(kContextBlockingSync == CU_CTX_SCHED_BLOCKING_SYNC);

static_assert(kInvalidValue == CUDA_ERROR_INVALID_VALUE && kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(kInvalidImage == CUDA_ERROR_INVALID_IMAGE && kInvalidContext == CUDA_ERROR_INVALID_CONTEXT);
static_assert(kNoBinary == CUDA_ERROR_NO_BINARY_FOR_GPU && kEccUncorrectable == CUDA_ERROR_ECC_UNCORRECTABLE);
static_assert(kInvalidPtx == CUDA_ERROR_INVALID_PTX && kNvlinkUncorrectable == CUDA_ERROR_NVLINK_UNCORRECTABLE);
static_assert(kUnsupportedPtxVersion == CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
static_assert(kInvalidSource == CUDA_ERROR_INVALID_SOURCE && kNotFound == CUDA_ERROR_NOT_FOUND);
static_assert(kNotReady == CUDA_ERROR_NOT_READY && kIllegalAddress == CUDA_ERROR_ILLEGAL_ADDRESS);
static_assert(kOutOfResources == CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES && kLaunchTimeout == CUDA_ERROR_LAUNCH_TIMEOUT);
static_assert(kContextIsDestroyed == CUDA_ERROR_CONTEXT_IS_DESTROYED && kAssert == CUDA_ERROR_ASSERT);
static_assert(kFirstFault == CUDA_ERROR_HARDWARE_STACK_ERROR && kLastFault == CUDA_ERROR_LAUNCH_FAILED);
static_assert(kUnknown == CUDA_ERROR_UNKNOWN);
#if CUDA_VERSION >= 12080
static_assert(kContained == CUDA_ERROR_CONTAINED && kTensorMemoryLeak == CUDA_ERROR_TENSOR_MEMORY_LEAK);
#endif

static_assert(kMaxThreadsPerBlock == CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
static_assert(kMaxBlockX == CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X && kMaxBlockZ == CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z);
static_assert(kMaxGridX == CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X && kMaxGridZ == CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
static_assert(kSharedPerBlock == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
static_assert(kWarpSize == CU_DEVICE_ATTRIBUTE_WARP_SIZE && kUnits == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(kUnifiedAddressing == CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING);
static_assert(kMajor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(kMinor == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(kSharedOptIn == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
static_assert(kVirtualMemory == CU_DEVICE_ATTRIBUTE_VIRTUAL_ADDRESS_MANAGEMENT_SUPPORTED);
static_assert(kFunctionMaxThreads == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
static_assert(kFunctionShared == CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
static_assert(kFunctionLocal == CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
static_assert(kFunctionMaxDynamicShared == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(kJitMaxRegisters == CU_JIT_MAX_REGISTERS && kJitOptimization == CU_JIT_OPTIMIZATION_LEVEL);
static_assert(kJitInfoLog == CU_JIT_INFO_LOG_BUFFER && kJitInfoLogBytes == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
static_assert(kJitErrorLog == CU_JIT_ERROR_LOG_BUFFER && kJitErrorLogBytes == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);

}  // namespace
}  // namespace farlane::backend::worker::cuda
