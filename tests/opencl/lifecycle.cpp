// SPDX-License-Identifier: Apache-2.0
// How a program ends, or never begins: exit code 0 when `mode` went as it must. Each runs in a process of its own.
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

void need(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::_Exit(1);
}
#define NEED(holds) need((holds), #holds)

struct Program {
    cl_device_id device = nullptr;
    cl_context context = nullptr;
    cl_command_queue queue = nullptr;
    cl_mem memory = nullptr;
    void begin() {
        cl_platform_id platform = nullptr;
        NEED(clGetPlatformIDs(1, &platform, nullptr) == CL_SUCCESS);
        NEED(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr) == CL_SUCCESS);
        context = clCreateContext(nullptr, 1, &device, nullptr, nullptr, nullptr);
        NEED(context != nullptr);
        queue = clCreateCommandQueueWithProperties(context, device, nullptr, nullptr);
        memory = clCreateBuffer(context, 0, 1 << 20, nullptr, nullptr);
        NEED(queue != nullptr && memory != nullptr);
    }
    void work() const {
        std::vector<unsigned char> out(1 << 20);
        const unsigned char five = 5;
        NEED(clEnqueueFillBuffer(queue, memory, &five, 1, 0, out.size(), 0, nullptr, nullptr) == CL_SUCCESS);
        NEED(clEnqueueReadBuffer(queue, memory, CL_TRUE, 0, out.size(), out.data(), 0, nullptr, nullptr) == CL_SUCCESS);
        NEED(out.front() == 5 && out.back() == 5);
    }
    void end() const {
        NEED(clReleaseMemObject(memory) == CL_SUCCESS);
        NEED(clReleaseCommandQueue(queue) == CL_SUCCESS);
        NEED(clReleaseContext(context) == CL_SUCCESS);
    }
};

/// No daemon, or none that has accelerators: a platform without devices.
void none() {
    cl_platform_id platform = nullptr;
    NEED(clGetPlatformIDs(1, &platform, nullptr) == CL_SUCCESS);
    char name[32] = "";
    NEED(clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, nullptr) == CL_SUCCESS);
    NEED(std::strcmp(name, "Farlane") == 0);
    cl_uint count = 7;
    cl_device_id device = nullptr;
    NEED(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) == CL_DEVICE_NOT_FOUND);
    NEED(clGetDeviceIDs(platform, CL_DEVICE_TYPE_GPU, 1, &device, nullptr) == CL_DEVICE_NOT_FOUND);
    cl_int error = CL_SUCCESS;
    const cl_context_properties of[] = {CL_CONTEXT_PLATFORM, reinterpret_cast<cl_context_properties>(platform), 0};
    NEED(clCreateContextFromType(of, CL_DEVICE_TYPE_ALL, nullptr, nullptr, &error) == nullptr);
    NEED(error == CL_DEVICE_NOT_FOUND);
}

/// Whatever there is: what is said of it is the test's.
void asks() {
    cl_platform_id platform = nullptr;
    cl_uint count = 0;
    NEED(clGetPlatformIDs(1, &platform, nullptr) == CL_SUCCESS);
    for (int i = 0; i < 2; ++i) (void)clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);
}

/// A child that does nothing with OpenCL, and one that asks for devices of its own.
void forks() {
    Program p;
    p.begin();
    p.work();
    for (const bool asks : {false, true}) {
        const pid_t child = fork();
        if (child == 0) {
            if (asks) {
                cl_platform_id platform = nullptr;
                cl_uint count = 0;
                NEED(clGetPlatformIDs(1, &platform, nullptr) == CL_SUCCESS);
                (void)clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);  // the parent may have them all
            }
            std::exit(0);
        }
        int status = 0;
        NEED(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        p.work();
    }
    p.end();
}

/// With work in flight, a thread that waits for ever, and nothing released.
void exits() {
    static Program p;
    p.begin();
    static cl_event gate = clCreateUserEvent(p.context, nullptr);
    static unsigned char out[4096];
    static cl_event read = nullptr;
    NEED(clEnqueueReadBuffer(p.queue, p.memory, CL_FALSE, 0, sizeof out, out, 1, &gate, &read) == CL_SUCCESS);
    const unsigned char one = 1;
    cl_command_queue other = clCreateCommandQueueWithProperties(p.context, p.device, nullptr, nullptr);
    for (int i = 0; i < 100; ++i) clEnqueueFillBuffer(other, p.memory, &one, 1, 0, 1 << 20, 0, nullptr, nullptr);
    std::thread([] { clWaitForEvents(1, &read); }).detach();
    std::thread([] { clFinish(p.queue); }).detach();
    std::exit(0);
}

/// Released by a destructor that runs behind main().
struct Late {
    Program p;
    ~Late() {
        if (p.context != nullptr) p.end();
    }
} late;

void releases_late() {
    late.p.begin();
    late.p.work();
}

/// The loader is unloaded and loaded again.
void unloads() {
    for (int i = 0; i < 2; ++i) {
        void* loader = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
        NEED(loader != nullptr);
        const auto platforms = reinterpret_cast<decltype(&clGetPlatformIDs)>(dlsym(loader, "clGetPlatformIDs"));
        const auto devices = reinterpret_cast<decltype(&clGetDeviceIDs)>(dlsym(loader, "clGetDeviceIDs"));
        cl_platform_id platform = nullptr;
        cl_uint count = 0;
        NEED(platforms(1, &platform, nullptr) == CL_SUCCESS);
        NEED(devices(platform, CL_DEVICE_TYPE_ALL, 0, nullptr, &count) == CL_SUCCESS && count == 1);
        dlclose(loader);
    }
}

}  // namespace

int main(int, char** arguments) {
    const std::string mode = arguments[1] == nullptr ? "" : arguments[1];
    if (mode == "none")
        none();
    else if (mode == "ask")
        asks();
    else if (mode == "fork")
        forks();
    else if (mode == "exit")
        exits();
    else if (mode == "late")
        releases_late();
    else if (mode == "unload")
        unloads();
    else
        return 2;
    return 0;
}
