// SPDX-License-Identifier: Apache-2.0
// What the OpenCL programs of this folder have in common: the first device of the first platform, checked calls, and
// a test that has both. They are ordinary programs: nothing in them knows of Farlane.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_0_APIS
#define CL_USE_DEPRECATED_OPENCL_1_1_APIS
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace farlane::test {

#define OK(call) ASSERT_EQ(CL_SUCCESS, (call)) << #call

inline cl_device_id first_device() {
    cl_platform_id platform = nullptr;
    cl_device_id device = nullptr;
    if (clGetPlatformIDs(1, &platform, nullptr) != CL_SUCCESS) return nullptr;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, nullptr) != CL_SUCCESS) return nullptr;
    return device;
}

class OpenclProgram : public ::testing::Test {
protected:
    void SetUp() override {
        device_ = first_device();
        ASSERT_NE(device_, nullptr) << "no OpenCL device";
        cl_int error = CL_SUCCESS;
        context_ = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &error);
        OK(error);
        queue_ = make_queue(0);
        ASSERT_NE(queue_, nullptr);
    }
    void TearDown() override {
        for (cl_event e : events_) EXPECT_EQ(clReleaseEvent(e), CL_SUCCESS);
        for (cl_kernel k : kernels_) EXPECT_EQ(clReleaseKernel(k), CL_SUCCESS);
        for (cl_program p : programs_) EXPECT_EQ(clReleaseProgram(p), CL_SUCCESS);
        for (cl_mem m : memory_) EXPECT_EQ(clReleaseMemObject(m), CL_SUCCESS);
        for (cl_command_queue q : queues_) EXPECT_EQ(clReleaseCommandQueue(q), CL_SUCCESS);
        if (context_ != nullptr) {
            EXPECT_EQ(clReleaseContext(context_), CL_SUCCESS);
        }
    }
    cl_command_queue make_queue(cl_command_queue_properties properties) {
        const cl_queue_properties list[] = {CL_QUEUE_PROPERTIES, properties, 0};
        cl_int error = CL_SUCCESS;
        cl_command_queue q = clCreateCommandQueueWithProperties(context_, device_, list, &error);
        EXPECT_EQ(error, CL_SUCCESS);
        if (q != nullptr) queues_.push_back(q);
        return q;
    }
    template <class T>
    cl_mem make_buffer(const std::vector<T>& content, cl_mem_flags flags = CL_MEM_READ_WRITE) {
        cl_int error = CL_SUCCESS;
        cl_mem m = clCreateBuffer(context_, flags | CL_MEM_COPY_HOST_PTR, content.size() * sizeof(T),
                                  const_cast<T*>(content.data()), &error);
        EXPECT_EQ(error, CL_SUCCESS);
        if (m != nullptr) memory_.push_back(m);
        return m;
    }
    cl_mem make_buffer(std::size_t bytes, cl_mem_flags flags = CL_MEM_READ_WRITE, void* host = nullptr) {
        cl_int error = CL_SUCCESS;
        cl_mem m = clCreateBuffer(context_, flags, bytes, host, &error);
        EXPECT_EQ(error, CL_SUCCESS);
        if (m != nullptr) memory_.push_back(m);
        return m;
    }
    static std::string log_of(cl_program program, cl_device_id device) {
        std::size_t bytes = 0;
        clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, nullptr, &bytes);
        std::string log(bytes, '\0');
        clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, bytes, log.data(), nullptr);
        while (!log.empty() && log.back() == '\0') log.pop_back();
        return log;
    }
    cl_program build(const char* source, const char* options = "") {
        cl_int error = CL_SUCCESS;
        cl_program p = clCreateProgramWithSource(context_, 1, &source, nullptr, &error);
        EXPECT_EQ(error, CL_SUCCESS);
        programs_.push_back(p);
        EXPECT_EQ(clBuildProgram(p, 1, &device_, options, nullptr, nullptr), CL_SUCCESS) << log_of(p, device_);
        return p;
    }
    cl_kernel make_kernel(cl_program program, const char* name) {
        cl_int error = CL_SUCCESS;
        cl_kernel k = clCreateKernel(program, name, &error);
        EXPECT_EQ(error, CL_SUCCESS) << name;
        if (k != nullptr) kernels_.push_back(k);
        return k;
    }
    template <class... Values>
    static void set_arguments(cl_kernel kernel, const Values&... values) {
        cl_uint index = 0;
        const auto set = [&](std::size_t bytes, const void* value) {
            EXPECT_EQ(clSetKernelArg(kernel, index, bytes, value), CL_SUCCESS) << index;
            ++index;
        };
        (set(sizeof values, &values), ...);
    }
    template <class T>
    std::vector<T> content_of(cl_mem memory, std::size_t count) {
        std::vector<T> v(count);
        EXPECT_EQ(clEnqueueReadBuffer(queue_, memory, CL_TRUE, 0, count * sizeof(T), v.data(), 0, nullptr, nullptr),
                  CL_SUCCESS);
        return v;
    }
    cl_event keep(cl_event e) {
        events_.push_back(e);
        return e;
    }
    static cl_int status_of(cl_event e) {
        cl_int status = CL_QUEUED;
        EXPECT_EQ(clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, nullptr), CL_SUCCESS);
        return status;
    }
    cl_event user_event() {
        cl_int error = CL_SUCCESS;
        cl_event e = clCreateUserEvent(context_, &error);
        EXPECT_EQ(error, CL_SUCCESS);
        return keep(e);
    }
    std::vector<int> counting(std::size_t n, int first = 0) {
        std::vector<int> v(n);
        std::iota(v.begin(), v.end(), first);
        return v;
    }

    cl_device_id device_ = nullptr;
    cl_context context_ = nullptr;
    cl_command_queue queue_ = nullptr;
    std::vector<cl_command_queue> queues_;
    std::vector<cl_mem> memory_;
    std::vector<cl_program> programs_;
    std::vector<cl_kernel> kernels_;
    std::vector<cl_event> events_;
    std::mt19937 random_{7};
};

}  // namespace farlane::test
