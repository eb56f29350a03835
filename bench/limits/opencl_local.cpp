// SPDX-License-Identifier: Apache-2.0
// Receives: which work. Hands on: milliseconds of it on a local OpenCL device, data resident, from enqueue to
// completion. Owns: an OpenCL context. The library is loaded when it runs, so that it builds everywhere.
#include <dlfcn.h>

#include "common.hpp"
#include "opencl_work.hpp"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

namespace limits {
namespace {

void* library() {
    static void* const it = dlopen("libOpenCL.so.1", RTLD_NOW);
    if (it == nullptr)
        throw std::runtime_error("no libOpenCL.so.1: apt-get install ocl-icd-libopencl1 pocl-opencl-icd");
    return it;
}
template <class F>
F* load(F*, const char* name) {
    void* f = dlsym(library(), name);
    if (f == nullptr) throw std::runtime_error(std::string("no ") + name);
    return reinterpret_cast<F*>(f);
}
#define CALL(name) load(static_cast<decltype(&name)>(nullptr), #name)

void check(cl_int error, const char* what) {
    if (error != CL_SUCCESS) throw std::runtime_error(std::string(what) + ": OpenCL error " + std::to_string(error));
}

struct Local {
    cl_device_id device{};
    cl_context context{};
    cl_command_queue queue{};
    cl_program program{};
    std::string name;

    explicit Local(const std::string& wanted) {
        cl_uint count = 0;
        CALL(clGetPlatformIDs)(0, nullptr, &count);
        std::vector<cl_platform_id> platforms(count);
        check(CALL(clGetPlatformIDs)(count, platforms.data(), nullptr), "clGetPlatformIDs");
        for (auto p : platforms) take(p, wanted);
        if (device == nullptr) throw std::runtime_error("no OpenCL device; apt-get install pocl-opencl-icd");
        cl_int error = 0;
        context = CALL(clCreateContext)(nullptr, 1, &device, nullptr, nullptr, &error);
        check(error, "clCreateContext");
        queue = CALL(clCreateCommandQueue)(context, device, 0, &error);
        check(error, "clCreateCommandQueue");
        const char* source = kOpenclSource;
        program = CALL(clCreateProgramWithSource)(context, 1, &source, nullptr, &error);
        check(error, "clCreateProgramWithSource");
        check(CALL(clBuildProgram)(program, 1, &device, "", nullptr, nullptr), "clBuildProgram");
    }
    void take(cl_platform_id platform, const std::string& wanted) {
        cl_uint count = 0;
        if (device != nullptr || CALL(clGetDeviceIDs)(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) != CL_SUCCESS)
            return;
        std::vector<cl_device_id> devices(count);
        check(CALL(clGetDeviceIDs)(platform, CL_DEVICE_TYPE_ALL, count, devices.data(), nullptr), "clGetDeviceIDs");
        for (auto d : devices) {
            char text[256] = {};
            CALL(clGetDeviceInfo)(d, CL_DEVICE_NAME, sizeof text - 1, text, nullptr);
            if (device != nullptr || std::strstr(text, wanted.c_str()) == nullptr) continue;
            device = d;
            name = text;
        }
    }
    cl_mem buffer(std::size_t bytes) const {
        cl_int error = 0;
        const std::vector<float> ones(bytes / sizeof(float), 1.0F);
        auto m = CALL(clCreateBuffer)(context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes,
                                      const_cast<float*>(ones.data()), &error);
        check(error, "clCreateBuffer");
        return m;
    }
    cl_kernel kernel(const char* name_of) const {
        cl_int error = 0;
        auto k = CALL(clCreateKernel)(program, name_of, &error);
        check(error, name_of);
        return k;
    }
    double once(cl_kernel k, cl_uint dimensions, const std::size_t* global) const {
        const auto start = now_ns();
        check(CALL(clEnqueueNDRangeKernel)(queue, k, dimensions, nullptr, global, nullptr, 0, nullptr, nullptr),
              "clEnqueueNDRangeKernel");
        check(CALL(clFinish)(queue), "clFinish");
        return double(now_ns() - start) / 1e6;
    }
};

template <class T>
void set(cl_kernel k, cl_uint at, const T& value) {
    check(CALL(clSetKernelArg)(k, at, sizeof value, &value), "clSetKernelArg");
}

int run(const Options& o) {
    const Local l(o.text("device"));
    const bool saxpy = o.text("work") == "saxpy";
    if (!saxpy && o.text("work") != "gemm") throw std::runtime_error("--work saxpy or gemm");
    std::vector<double> ms;
    cl_kernel k = l.kernel(saxpy ? "saxpy" : "gemm");
    const std::size_t global[2] = {saxpy ? kSaxpyElements : kGemmSize / kGemmColumns, kGemmSize / kGemmRows};
    if (saxpy) {
        set(k, 0, 2.0F);
        for (const cl_uint i : {1U, 2U}) set(k, i, l.buffer(kSaxpyElements * sizeof(float)));
    } else {
        set(k, 0, kGemmSize);
        for (const cl_uint i : {1U, 2U, 3U}) set(k, i, l.buffer(std::size_t{kGemmSize} * kGemmSize * sizeof(float)));
    }
    for (std::int64_t i = 0; i <= o.number("count"); ++i) {
        const double t = l.once(k, saxpy ? 1 : 2, global);
        if (i > 0) ms.push_back(t);  // the first builds and touches
    }
    std::sort(ms.begin(), ms.end());
    std::printf(
        "{\"program\": \"opencl_local\", \"work\": \"%s\", \"device\": \"%s\", \"median_ms\": %.4f, \"min_ms\": "
        "%.4f}\n",
        o.text("work").c_str(), l.name.c_str(), ms[ms.size() / 2], ms.front());
    return 0;
}

}  // namespace
}  // namespace limits

int main(int argc, char** argv) {
    const limits::Options options(argc, argv, {{"work", "saxpy"}, {"count", "20"}, {"device", ""}});
    try {
        return limits::run(options);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "opencl_local: %s\n", e.what());
        return 1;
    }
}
