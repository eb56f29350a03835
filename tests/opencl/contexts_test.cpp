// SPDX-License-Identifier: Apache-2.0
// Many contexts one after the other, many at once, and many queues: the device has few queue pairs for all of them.
#include <array>
#include <atomic>
#include <thread>

#include "opencl/program.hpp"

namespace farlane::test {
namespace {

constexpr const char* kSource = "kernel void turn(global uint *x, uint n) { x[0] = x[0] * 3 + n; }";

cl_uint step(cl_uint x, cl_uint n) {
    return x * 3 + n;
}

class OpenclContexts : public OpenclProgram {
protected:
    void SetUp() override {
        OpenclProgram::SetUp();
        program_ = build(kSource);
    }
    /// x = 3 x + n, behind `wait`.
    cl_event enqueue_step(cl_command_queue q, cl_mem m, cl_uint n, cl_event wait) {
        cl_kernel k = make_kernel(program_, "turn");
        set_arguments(k, m, n);
        const std::size_t one = 1;
        cl_event done = nullptr;
        EXPECT_EQ(clEnqueueNDRangeKernel(q, k, 1, nullptr, &one, nullptr, wait != nullptr ? 1 : 0,
                                         wait != nullptr ? &wait : nullptr, &done),
                  CL_SUCCESS);
        return keep(done);
    }
    cl_program program_ = nullptr;
};

/// The last reference may be that of a callback, so that contexts end in other threads, later.
TEST_F(OpenclContexts, WhatReleasedOnesHaveIsWaitedFor) {
    for (int i = 0; i < 100; ++i) {
        cl_int error = CL_SUCCESS;
        cl_context c = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &error);
        OK(error) << "round " << i;
        cl_command_queue q = clCreateCommandQueueWithProperties(c, device_, nullptr, &error);
        OK(error) << "round " << i;
        cl_mem m = clCreateBuffer(c, 0, 1 << 20, nullptr, &error);
        OK(error) << "round " << i;
        cl_event filled = nullptr;
        OK(clEnqueueFillBuffer(q, m, &i, sizeof i, 0, 1 << 20, 0, nullptr, &filled));
        OK(clSetEventCallback(
            filled, CL_COMPLETE, [](cl_event, cl_int, void*) {}, nullptr));
        OK(clReleaseEvent(filled));
        OK(clReleaseMemObject(m));
        OK(clReleaseCommandQueue(q));
        OK(clReleaseContext(c));
    }
}

/// Who comes late has the pair that builds and allocates, and later another one beside it. What waits for something in
/// the first waits on the device all the same.
TEST_F(OpenclContexts, NothingWaitsWhereAQueueHasTheFirstPair) {
    cl_int error = CL_SUCCESS;
    cl_context early = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &error);
    OK(error);
    std::array<cl_command_queue, 3> pairs{};
    for (auto& q : pairs) {
        q = clCreateCommandQueueWithProperties(early, device_, nullptr, &error);
        OK(error);
    }
    cl_context late = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &error);
    OK(error);
    cl_command_queue first = clCreateCommandQueueWithProperties(late, device_, nullptr, &error);
    OK(error);
    for (cl_command_queue q : pairs) OK(clReleaseCommandQueue(q));
    OK(clReleaseContext(early));
    cl_command_queue second = clCreateCommandQueueWithProperties(late, device_, nullptr, &error);
    OK(error);
    const char* source =
        "kernel void spin(global volatile int *x, int rounds) { for (int i = 0; i < rounds; ++i) x[0] = x[0] + 1; }";
    cl_program p = clCreateProgramWithSource(late, 1, &source, nullptr, &error);
    OK(clBuildProgram(p, 0, nullptr, "", nullptr, nullptr));
    cl_kernel spin = clCreateKernel(p, "spin", &error);
    OK(error);
    cl_mem one = clCreateBuffer(late, 0, 4096, nullptr, &error), other = clCreateBuffer(late, 0, 4096, nullptr, &error);
    const int rounds = 300000000, none = 0, zero = 0;
    const std::size_t item = 1;
    set_arguments(spin, one, none);  // so that it is there when it counts
    OK(clEnqueueNDRangeKernel(first, spin, 1, nullptr, &item, nullptr, 0, nullptr, nullptr));
    OK(clEnqueueFillBuffer(second, other, &zero, sizeof zero, 0, 4096, 0, nullptr, nullptr));
    OK(clFinish(first));
    OK(clFinish(second));
    set_arguments(spin, one, rounds);
    cl_event spun = nullptr, filled = nullptr;
    OK(clEnqueueNDRangeKernel(first, spin, 1, nullptr, &item, nullptr, 0, nullptr, &spun));
    OK(clEnqueueNDRangeKernel(first, spin, 1, nullptr, &item, nullptr, 0, nullptr, nullptr));
    OK(clEnqueueFillBuffer(second, other, &zero, sizeof zero, 0, 4096, 1, &spun, &filled));
    EXPECT_NE(status_of(spun), CL_COMPLETE) << "the call waited for the kernel";
    OK(clWaitForEvents(1, &filled));
    EXPECT_EQ(status_of(spun), CL_COMPLETE);
    OK(clFinish(first));
    for (cl_event e : {spun, filled}) OK(clReleaseEvent(e));
    for (cl_mem m : {one, other}) OK(clReleaseMemObject(m));
    OK(clReleaseKernel(spin));
    OK(clReleaseProgram(p));
    for (cl_command_queue q : {first, second}) OK(clReleaseCommandQueue(q));
    OK(clReleaseContext(late));
}

/// Kernels that may print and reads take mapped memory: more threads want it than there is for them at once.
TEST_F(OpenclContexts, ThreadsWaitForHostMemoryOfEachOther) {
    constexpr int kThreads = 6, kRounds = 3, kCommands = 40;
    cl_program p = build("kernel void add(global int *x, int n) { if (n < 0) printf(\"never\\n\"); x[0] += n; }");
    std::vector<cl_command_queue> queues;
    std::vector<cl_kernel> kernels;
    std::vector<cl_mem> memory;
    for (int t = 0; t < kThreads; ++t) {
        queues.push_back(make_queue(0));
        kernels.push_back(make_kernel(p, "add"));
        memory.push_back(make_buffer(std::vector<int>(1)));
    }
    std::atomic<int> failed{0}, wrong{0};
    const auto work = [&](int t) {
        const auto ok = [&](cl_int code) { failed += code == CL_SUCCESS ? 0 : 1; };
        const std::size_t one = 1;
        const int n = t + 1;
        std::vector<int> sums(kRounds * kCommands);
        ok(clSetKernelArg(kernels[t], 0, sizeof memory[t], &memory[t]));
        ok(clSetKernelArg(kernels[t], 1, sizeof n, &n));
        for (std::size_t i = 0; i < sums.size(); ++i) {
            ok(clEnqueueNDRangeKernel(queues[t], kernels[t], 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
            ok(clEnqueueReadBuffer(queues[t], memory[t], CL_FALSE, 0, sizeof(int), &sums[i], 0, nullptr, nullptr));
            if (i % kCommands == kCommands - 1) ok(clFinish(queues[t]));
        }
        for (std::size_t i = 0; i < sums.size(); ++i) wrong += sums[i] == n * static_cast<int>(i + 1) ? 0 : 1;
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    EXPECT_EQ(failed, 0);
    EXPECT_EQ(wrong, 0);
}

TEST_F(OpenclContexts, ManyQueuesShareFewPairs) {
    constexpr cl_uint kQueues = 100, kSteps = 300, kInOrder = 5;
    std::vector<cl_command_queue> queues;
    std::vector<cl_mem> own;
    for (cl_uint i = 0; i < kQueues; ++i) {
        queues.push_back(make_queue(i % 2 == 0 ? 0 : CL_QUEUE_PROFILING_ENABLE));
        own.push_back(make_buffer(std::vector<cl_uint>(1)));
        ASSERT_NE(queues.back(), nullptr) << i;
    }
    // From queue to queue by events, behind one that the application keeps back.
    cl_mem chain = make_buffer(std::vector<cl_uint>(1));
    cl_event gate = user_event(), last = gate;
    cl_uint expected = 0;
    for (cl_uint n = 0; n < kSteps; ++n) {
        last = enqueue_step(queues[n * 37 % kQueues], chain, n, last);
        expected = step(expected, n);
    }
    // A queue that shares its pair with others that wait goes on.
    cl_command_queue free_queue = make_queue(0);
    cl_mem m = make_buffer(std::vector<cl_uint>(1));
    (void)enqueue_step(free_queue, m, 7, nullptr);
    OK(clFinish(free_queue));
    EXPECT_NE(status_of(last), CL_COMPLETE);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clWaitForEvents(1, &last));
    EXPECT_EQ(content_of<cl_uint>(chain, 1)[0], expected);
    // Each in its own order, without events.
    for (cl_uint n = 0; n < kInOrder; ++n) {
        for (cl_uint i = 0; i < kQueues; ++i) (void)enqueue_step(queues[i], own[i], n + i, nullptr);
    }
    for (cl_uint i = 0; i < kQueues; ++i) {
        OK(clFinish(queues[i]));
        cl_uint x = 0;
        for (cl_uint n = 0; n < kInOrder; ++n) x = step(x, n + i);
        EXPECT_EQ(content_of<cl_uint>(own[i], 1)[0], x) << i;
    }
    // The others still find a pair.
    struct Other {
        cl_context context = nullptr;
        cl_command_queue queue = nullptr;
        cl_mem memory = nullptr;
    };
    std::vector<Other> others(8);
    for (Other& o : others) {
        cl_int error = CL_SUCCESS;
        o.context = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &error);
        OK(error);
        o.queue = clCreateCommandQueueWithProperties(o.context, device_, nullptr, &error);
        OK(error);
        o.memory = clCreateBuffer(o.context, 0, 4096, nullptr, &error);
        OK(error);
        const cl_uint nine = 9;
        OK(clEnqueueFillBuffer(o.queue, o.memory, &nine, sizeof nine, 0, 4096, 0, nullptr, nullptr));
        // A build that fails in the same pair is no failure of the queue.
        const char* broken = "kernel void b(global int *x) { x[0] = no_such_thing; }";
        cl_program p = clCreateProgramWithSource(o.context, 1, &broken, nullptr, &error);
        OK(error);
        EXPECT_EQ(clBuildProgram(p, 0, nullptr, "", nullptr, nullptr), CL_BUILD_PROGRAM_FAILURE);
        OK(clReleaseProgram(p));
    }
    for (const Other& o : others) {
        cl_uint value = 0;
        OK(clEnqueueReadBuffer(o.queue, o.memory, CL_TRUE, 4092, 4, &value, 0, nullptr, nullptr));
        EXPECT_EQ(value, 9u);
        OK(clFinish(o.queue));
        OK(clReleaseMemObject(o.memory));
        OK(clReleaseCommandQueue(o.queue));
        OK(clReleaseContext(o.context));
    }
}

/// Commands of several threads in one pair, each thread with a queue of its own, and builds beside them.
TEST_F(OpenclContexts, ThreadsOnSharedPairs) {
    constexpr int kThreads = 10, kRounds = 60, kWords = 4096;
    std::atomic<int> bad{0};
    std::vector<std::thread> threads;
    std::vector<cl_command_queue> queues;
    for (int t = 0; t < kThreads; ++t) queues.push_back(make_queue(0));
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            cl_int error = CL_SUCCESS;
            cl_mem m = clCreateBuffer(context_, 0, kWords * sizeof(cl_uint), nullptr, &error);
            cl_kernel k = clCreateKernel(program_, "turn", &error);
            const auto need = [&](cl_int code) { bad += code == CL_SUCCESS ? 0 : 1; };
            need(error);
            std::vector<cl_uint> in(kWords), out(kWords);
            for (int r = 0; r < kRounds; ++r) {
                std::iota(in.begin(), in.end(), static_cast<cl_uint>(t * kRounds + r));
                const cl_uint n = static_cast<cl_uint>(r);
                const std::size_t one = 1, bytes = kWords * sizeof(cl_uint);
                need(clEnqueueWriteBuffer(queues[t], m, CL_TRUE, 0, bytes, in.data(), 0, nullptr, nullptr));
                need(clSetKernelArg(k, 0, sizeof m, &m));
                need(clSetKernelArg(k, 1, sizeof n, &n));
                need(clEnqueueNDRangeKernel(queues[t], k, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
                need(clEnqueueReadBuffer(queues[t], m, CL_TRUE, 0, bytes, out.data(), 0, nullptr, nullptr));
                in[0] = step(in[0], n);
                bad += in == out ? 0 : 1;
            }
            need(clFinish(queues[t]));
            need(clReleaseKernel(k));
            need(clReleaseMemObject(m));
        });
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace farlane::test
