// SPDX-License-Identifier: Apache-2.0
// Receives: questions of the ICD loader for entry points. Hands on: the table of them, those that are absent included.
// Owns: that table. docs/opencl.md lists it for people; tests/opencl compares the two.
#include <cstring>
#include <string_view>
#include <tuple>

#include "opencl/context.hpp"

namespace farlane::opencl {
namespace {

/// An entry point that does nothing but fail: with a code, or with null and the code by the last parameter.
template <class Function, cl_int Code>
struct Absent;
template <class... Arguments, cl_int Code>
struct Absent<cl_int(CL_API_CALL*)(Arguments...), Code> {
    static cl_int CL_API_CALL call(Arguments...) noexcept { return Code; }
};
template <class Object, class... Arguments, cl_int Code>
struct Absent<Object*(CL_API_CALL*)(Arguments...), Code> {
    static Object* CL_API_CALL call(Arguments... arguments) noexcept {
        cl_int* error = std::get<sizeof...(arguments) - 1>(std::tuple(arguments...));
        if (error != nullptr) *error = Code;
        return nullptr;
    }
};
template <class Function, cl_int Code>
constexpr Function absent() noexcept {
    return Absent<Function, Code>::call;
}

}  // namespace

// Windows' sharing has no place on Linux: the loader does not have it either.
extern const cl_icd_dispatch kDispatch = {
    .clGetPlatformIDs = clGetPlatformIDs,
    .clGetPlatformInfo = clGetPlatformInfo,
    .clGetDeviceIDs = clGetDeviceIDs,
    .clGetDeviceInfo = clGetDeviceInfo,
    .clCreateContext = clCreateContext,
    .clCreateContextFromType = clCreateContextFromType,
    .clRetainContext = clRetainContext,
    .clReleaseContext = clReleaseContext,
    .clGetContextInfo = clGetContextInfo,
    .clCreateCommandQueue = clCreateCommandQueue,
    .clRetainCommandQueue = clRetainCommandQueue,
    .clReleaseCommandQueue = clReleaseCommandQueue,
    .clGetCommandQueueInfo = clGetCommandQueueInfo,
    .clSetCommandQueueProperty = clSetCommandQueueProperty,
    .clCreateBuffer = clCreateBuffer,
    .clCreateImage2D = absent<decltype(cl_icd_dispatch::clCreateImage2D), CL_INVALID_OPERATION>(),
    .clCreateImage3D = absent<decltype(cl_icd_dispatch::clCreateImage3D), CL_INVALID_OPERATION>(),
    .clRetainMemObject = clRetainMemObject,
    .clReleaseMemObject = clReleaseMemObject,
    .clGetSupportedImageFormats = clGetSupportedImageFormats,
    .clGetMemObjectInfo = clGetMemObjectInfo,
    .clGetImageInfo = absent<decltype(cl_icd_dispatch::clGetImageInfo), CL_INVALID_MEM_OBJECT>(),
    .clCreateSampler = absent<decltype(cl_icd_dispatch::clCreateSampler), CL_INVALID_OPERATION>(),
    .clRetainSampler = absent<decltype(cl_icd_dispatch::clRetainSampler), CL_INVALID_SAMPLER>(),
    .clReleaseSampler = absent<decltype(cl_icd_dispatch::clReleaseSampler), CL_INVALID_SAMPLER>(),
    .clGetSamplerInfo = absent<decltype(cl_icd_dispatch::clGetSamplerInfo), CL_INVALID_SAMPLER>(),
    .clCreateProgramWithSource = clCreateProgramWithSource,
    .clCreateProgramWithBinary = clCreateProgramWithBinary,
    .clRetainProgram = clRetainProgram,
    .clReleaseProgram = clReleaseProgram,
    .clBuildProgram = clBuildProgram,
    .clUnloadCompiler = clUnloadCompiler,
    .clGetProgramInfo = clGetProgramInfo,
    .clGetProgramBuildInfo = clGetProgramBuildInfo,
    .clCreateKernel = clCreateKernel,
    .clCreateKernelsInProgram = clCreateKernelsInProgram,
    .clRetainKernel = clRetainKernel,
    .clReleaseKernel = clReleaseKernel,
    .clSetKernelArg = clSetKernelArg,
    .clGetKernelInfo = clGetKernelInfo,
    .clGetKernelWorkGroupInfo = clGetKernelWorkGroupInfo,
    .clWaitForEvents = clWaitForEvents,
    .clGetEventInfo = clGetEventInfo,
    .clRetainEvent = clRetainEvent,
    .clReleaseEvent = clReleaseEvent,
    .clGetEventProfilingInfo = clGetEventProfilingInfo,
    .clFlush = clFlush,
    .clFinish = clFinish,
    .clEnqueueReadBuffer = clEnqueueReadBuffer,
    .clEnqueueWriteBuffer = clEnqueueWriteBuffer,
    .clEnqueueCopyBuffer = clEnqueueCopyBuffer,
    .clEnqueueReadImage = absent<decltype(cl_icd_dispatch::clEnqueueReadImage), CL_INVALID_OPERATION>(),
    .clEnqueueWriteImage = absent<decltype(cl_icd_dispatch::clEnqueueWriteImage), CL_INVALID_OPERATION>(),
    .clEnqueueCopyImage = absent<decltype(cl_icd_dispatch::clEnqueueCopyImage), CL_INVALID_OPERATION>(),
    .clEnqueueCopyImageToBuffer = absent<decltype(cl_icd_dispatch::clEnqueueCopyImageToBuffer), CL_INVALID_OPERATION>(),
    .clEnqueueCopyBufferToImage = absent<decltype(cl_icd_dispatch::clEnqueueCopyBufferToImage), CL_INVALID_OPERATION>(),
    .clEnqueueMapBuffer = clEnqueueMapBuffer,
    .clEnqueueMapImage = absent<decltype(cl_icd_dispatch::clEnqueueMapImage), CL_INVALID_OPERATION>(),
    .clEnqueueUnmapMemObject = clEnqueueUnmapMemObject,
    .clEnqueueNDRangeKernel = clEnqueueNDRangeKernel,
    .clEnqueueTask = clEnqueueTask,
    .clEnqueueNativeKernel = clEnqueueNativeKernel,
    .clEnqueueMarker = clEnqueueMarker,
    .clEnqueueWaitForEvents = clEnqueueWaitForEvents,
    .clEnqueueBarrier = clEnqueueBarrier,
    .clGetExtensionFunctionAddress = clGetExtensionFunctionAddress,
    .clCreateFromGLBuffer = absent<decltype(cl_icd_dispatch::clCreateFromGLBuffer), CL_INVALID_OPERATION>(),
    .clCreateFromGLTexture2D = absent<decltype(cl_icd_dispatch::clCreateFromGLTexture2D), CL_INVALID_OPERATION>(),
    .clCreateFromGLTexture3D = absent<decltype(cl_icd_dispatch::clCreateFromGLTexture3D), CL_INVALID_OPERATION>(),
    .clCreateFromGLRenderbuffer = absent<decltype(cl_icd_dispatch::clCreateFromGLRenderbuffer), CL_INVALID_OPERATION>(),
    .clGetGLObjectInfo = absent<decltype(cl_icd_dispatch::clGetGLObjectInfo), CL_INVALID_GL_OBJECT>(),
    .clGetGLTextureInfo = absent<decltype(cl_icd_dispatch::clGetGLTextureInfo), CL_INVALID_GL_OBJECT>(),
    .clEnqueueAcquireGLObjects = absent<decltype(cl_icd_dispatch::clEnqueueAcquireGLObjects), CL_INVALID_OPERATION>(),
    .clEnqueueReleaseGLObjects = absent<decltype(cl_icd_dispatch::clEnqueueReleaseGLObjects), CL_INVALID_OPERATION>(),
    .clGetGLContextInfoKHR = absent<decltype(cl_icd_dispatch::clGetGLContextInfoKHR), CL_INVALID_OPERATION>(),
    .clGetDeviceIDsFromD3D10KHR = nullptr,
    .clCreateFromD3D10BufferKHR = nullptr,
    .clCreateFromD3D10Texture2DKHR = nullptr,
    .clCreateFromD3D10Texture3DKHR = nullptr,
    .clEnqueueAcquireD3D10ObjectsKHR = nullptr,
    .clEnqueueReleaseD3D10ObjectsKHR = nullptr,
    .clSetEventCallback = clSetEventCallback,
    .clCreateSubBuffer = clCreateSubBuffer,
    .clSetMemObjectDestructorCallback = clSetMemObjectDestructorCallback,
    .clCreateUserEvent = clCreateUserEvent,
    .clSetUserEventStatus = clSetUserEventStatus,
    .clEnqueueReadBufferRect = clEnqueueReadBufferRect,
    .clEnqueueWriteBufferRect = clEnqueueWriteBufferRect,
    .clEnqueueCopyBufferRect = clEnqueueCopyBufferRect,
    .clCreateSubDevicesEXT = absent<decltype(cl_icd_dispatch::clCreateSubDevicesEXT), CL_INVALID_VALUE>(),
    .clRetainDeviceEXT = clRetainDevice,
    .clReleaseDeviceEXT = clReleaseDevice,
    .clCreateEventFromGLsyncKHR = absent<decltype(cl_icd_dispatch::clCreateEventFromGLsyncKHR), CL_INVALID_OPERATION>(),
    .clCreateSubDevices = clCreateSubDevices,
    .clRetainDevice = clRetainDevice,
    .clReleaseDevice = clReleaseDevice,
    .clCreateImage = absent<decltype(cl_icd_dispatch::clCreateImage), CL_INVALID_OPERATION>(),
    .clCreateProgramWithBuiltInKernels = clCreateProgramWithBuiltInKernels,
    .clCompileProgram = clCompileProgram,
    .clLinkProgram = clLinkProgram,
    .clUnloadPlatformCompiler = clUnloadPlatformCompiler,
    .clGetKernelArgInfo = clGetKernelArgInfo,
    .clEnqueueFillBuffer = clEnqueueFillBuffer,
    .clEnqueueFillImage = absent<decltype(cl_icd_dispatch::clEnqueueFillImage), CL_INVALID_OPERATION>(),
    .clEnqueueMigrateMemObjects = clEnqueueMigrateMemObjects,
    .clEnqueueMarkerWithWaitList = clEnqueueMarkerWithWaitList,
    .clEnqueueBarrierWithWaitList = clEnqueueBarrierWithWaitList,
    .clGetExtensionFunctionAddressForPlatform = clGetExtensionFunctionAddressForPlatform,
    .clCreateFromGLTexture = absent<decltype(cl_icd_dispatch::clCreateFromGLTexture), CL_INVALID_OPERATION>(),
    .clGetDeviceIDsFromD3D11KHR = nullptr,
    .clCreateFromD3D11BufferKHR = nullptr,
    .clCreateFromD3D11Texture2DKHR = nullptr,
    .clCreateFromD3D11Texture3DKHR = nullptr,
    .clCreateFromDX9MediaSurfaceKHR = nullptr,
    .clEnqueueAcquireD3D11ObjectsKHR = nullptr,
    .clEnqueueReleaseD3D11ObjectsKHR = nullptr,
    .clGetDeviceIDsFromDX9MediaAdapterKHR = nullptr,
    .clEnqueueAcquireDX9MediaSurfacesKHR = nullptr,
    .clEnqueueReleaseDX9MediaSurfacesKHR = nullptr,
    .clCreateFromEGLImageKHR = absent<decltype(cl_icd_dispatch::clCreateFromEGLImageKHR), CL_INVALID_OPERATION>(),
    .clEnqueueAcquireEGLObjectsKHR =
        absent<decltype(cl_icd_dispatch::clEnqueueAcquireEGLObjectsKHR), CL_INVALID_OPERATION>(),
    .clEnqueueReleaseEGLObjectsKHR =
        absent<decltype(cl_icd_dispatch::clEnqueueReleaseEGLObjectsKHR), CL_INVALID_OPERATION>(),
    .clCreateEventFromEGLSyncKHR =
        absent<decltype(cl_icd_dispatch::clCreateEventFromEGLSyncKHR), CL_INVALID_OPERATION>(),
    .clCreateCommandQueueWithProperties = clCreateCommandQueueWithProperties,
    .clCreatePipe = absent<decltype(cl_icd_dispatch::clCreatePipe), CL_INVALID_OPERATION>(),
    .clGetPipeInfo = absent<decltype(cl_icd_dispatch::clGetPipeInfo), CL_INVALID_MEM_OBJECT>(),
    .clSVMAlloc = clSVMAlloc,
    .clSVMFree = clSVMFree,
    .clEnqueueSVMFree = absent<decltype(cl_icd_dispatch::clEnqueueSVMFree), CL_INVALID_OPERATION>(),
    .clEnqueueSVMMemcpy = absent<decltype(cl_icd_dispatch::clEnqueueSVMMemcpy), CL_INVALID_OPERATION>(),
    .clEnqueueSVMMemFill = absent<decltype(cl_icd_dispatch::clEnqueueSVMMemFill), CL_INVALID_OPERATION>(),
    .clEnqueueSVMMap = absent<decltype(cl_icd_dispatch::clEnqueueSVMMap), CL_INVALID_OPERATION>(),
    .clEnqueueSVMUnmap = absent<decltype(cl_icd_dispatch::clEnqueueSVMUnmap), CL_INVALID_OPERATION>(),
    .clCreateSamplerWithProperties =
        absent<decltype(cl_icd_dispatch::clCreateSamplerWithProperties), CL_INVALID_OPERATION>(),
    .clSetKernelArgSVMPointer = absent<decltype(cl_icd_dispatch::clSetKernelArgSVMPointer), CL_INVALID_OPERATION>(),
    .clSetKernelExecInfo = absent<decltype(cl_icd_dispatch::clSetKernelExecInfo), CL_INVALID_OPERATION>(),
    .clGetKernelSubGroupInfoKHR = absent<decltype(cl_icd_dispatch::clGetKernelSubGroupInfoKHR), CL_INVALID_OPERATION>(),
    .clCloneKernel = clCloneKernel,
    .clCreateProgramWithIL = clCreateProgramWithIL,
    .clEnqueueSVMMigrateMem = absent<decltype(cl_icd_dispatch::clEnqueueSVMMigrateMem), CL_INVALID_OPERATION>(),
    .clGetDeviceAndHostTimer = clGetDeviceAndHostTimer,
    .clGetHostTimer = clGetHostTimer,
    .clGetKernelSubGroupInfo = clGetKernelSubGroupInfo,
    .clSetDefaultDeviceCommandQueue = clSetDefaultDeviceCommandQueue,
    .clSetProgramReleaseCallback = clSetProgramReleaseCallback,
    .clSetProgramSpecializationConstant = clSetProgramSpecializationConstant,
    .clCreateBufferWithProperties = clCreateBufferWithProperties,
    .clCreateImageWithProperties =
        absent<decltype(cl_icd_dispatch::clCreateImageWithProperties), CL_INVALID_OPERATION>(),
    .clSetContextDestructorCallback = clSetContextDestructorCallback,
};

namespace {

struct Named {
    std::string_view name;
    void* function;
};

template <class Function>
void* address_of(Function* function) noexcept {
    return reinterpret_cast<void*>(function);
}

}  // namespace
}  // namespace farlane::opencl

using namespace farlane::opencl;

extern "C" CL_API_ENTRY cl_int CL_API_CALL clIcdGetPlatformIDsKHR(cl_uint, cl_platform_id*, cl_uint*);

/// Functions of extensions, of which there is the one of the loader; and what the loader looks for in this way.
CL_API_ENTRY void* CL_API_CALL clGetExtensionFunctionAddress(const char* name) {
    const Named all[] = {
        {"clIcdGetPlatformIDsKHR", address_of(clIcdGetPlatformIDsKHR)},
        {"clGetPlatformInfo", address_of(clGetPlatformInfo)},
    };
    for (const Named& n : all) {
        if (name != nullptr && n.name == name) return n.function;
    }
    return nullptr;
}

CL_API_ENTRY void* CL_API_CALL clGetExtensionFunctionAddressForPlatform(cl_platform_id platform, const char* name) {
    void* function = nullptr;
    (void)guarded(__func__, [&] {
        (void)checked<Platform>(platform);
        function = clGetExtensionFunctionAddress(name);
    });
    return function;
}

/// No image has a format here.
CL_API_ENTRY cl_int CL_API_CALL clGetSupportedImageFormats(cl_context context, cl_mem_flags, cl_mem_object_type type,
                                                           cl_uint room, cl_image_format* formats, cl_uint* count) {
    return guarded(__func__, [&] {
        (void)checked<Context>(context);
        require(type >= CL_MEM_OBJECT_IMAGE2D && type <= CL_MEM_OBJECT_IMAGE1D_BUFFER, CL_INVALID_VALUE);
        require(room != 0 || formats == nullptr, CL_INVALID_VALUE);
        if (count != nullptr) *count = 0;
    });
}

CL_API_ENTRY void* CL_API_CALL clSVMAlloc(cl_context, cl_svm_mem_flags, size_t, cl_uint) {
    return nullptr;  // CL_DEVICE_SVM_CAPABILITIES is 0
}

CL_API_ENTRY void CL_API_CALL clSVMFree(cl_context, void*) {}
