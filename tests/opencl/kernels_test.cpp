// SPDX-License-Identifier: Apache-2.0
// Programs as people write them to learn OpenCL: every kernel against the same done here.
#include <algorithm>
#include <array>
#include <cmath>

#include "opencl/program.hpp"

namespace farlane::test {
namespace {

constexpr const char* kSource = R"(
kernel void add(global const float *a, global const float *b, global float *c, uint n) {
    size_t i = get_global_id(0);
    if (i < n) c[i] = a[i] + b[i];
}
#define TILE 16
kernel __attribute__((reqd_work_group_size(TILE, TILE, 1)))
void multiply(global const float *a, global const float *b, global float *c, int n) {
    local float at[TILE][TILE], bt[TILE][TILE];
    int x = get_global_id(0), y = get_global_id(1), lx = get_local_id(0), ly = get_local_id(1);
    float sum = 0;
    for (int t = 0; t < n; t += TILE) {
        at[ly][lx] = a[y * n + t + lx];
        bt[ly][lx] = b[(t + ly) * n + x];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = 0; i < TILE; ++i) sum += at[ly][i] * bt[i][lx];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    c[y * n + x] = sum;
}
kernel void reduce(global const int *in, local int *part, global long *out) {
    uint l = get_local_id(0);
    part[l] = in[get_global_id(0)];
    for (uint s = get_local_size(0) / 2; s > 0; s /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (l < s) part[l] += part[l + s];
    }
    if (l == 0) out[get_group_id(0)] = part[0];
}
kernel void histogram(global const uchar *in, global uint *bins, uint n) {
    local uint mine[256];
    for (uint i = get_local_id(0); i < 256; i += get_local_size(0)) mine[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_global_id(0); i < n; i += get_global_size(0)) atomic_inc(&mine[in[i]]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_local_id(0); i < 256; i += get_local_size(0)) atomic_add(&bins[i], mine[i]);
}
typedef struct { int scale; float3 shift; char tag; } setup;
kernel void places(global int4 *out, setup s, constant int *extra, long wide, uchar narrow) {
    size_t x = get_global_id(0) - get_global_offset(0), y = get_global_id(1) - get_global_offset(1);
    out[y * get_global_size(0) + x] = (int4)(get_global_id(0) * s.scale, get_global_id(1) + (int)s.shift.z,
                                             extra[0] + s.tag, (int)wide + narrow);
}
kernel void maybe(global int *there, global int *absent) { there[0] = absent == 0 ? 1 : 2; }
)";

class OpenclKernels : public OpenclProgram {
protected:
    void SetUp() override {
        OpenclProgram::SetUp();
        if (HasFatalFailure()) return;
        program_ = build(kSource);
    }
    std::vector<float> floats(std::size_t n) {
        std::uniform_real_distribution<float> d(-1, 1);
        std::vector<float> v(n);
        for (float& f : v) f = d(random_);
        return v;
    }
    cl_program program_ = nullptr;
};

TEST_F(OpenclKernels, AddsVectors) {
    constexpr cl_uint kN = 100'003;
    const auto a = floats(kN), b = floats(kN);
    cl_mem am = make_buffer(a, CL_MEM_READ_ONLY), bm = make_buffer(b, CL_MEM_READ_ONLY);
    cl_mem cm = make_buffer(kN * sizeof(float), CL_MEM_WRITE_ONLY);
    cl_kernel add = make_kernel(program_, "add");
    set_arguments(add, am, bm, cm, kN);
    const std::size_t global = (kN + 63) / 64 * 64, local = 64;
    OK(clEnqueueNDRangeKernel(queue_, add, 1, nullptr, &global, &local, 0, nullptr, nullptr));
    const auto c = content_of<float>(cm, kN);
    for (std::size_t i = 0; i < kN; ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
}

TEST_F(OpenclKernels, MultipliesMatricesInLocalMemory) {
    constexpr int kN = 64;
    const auto a = floats(kN * kN), b = floats(kN * kN);
    cl_mem am = make_buffer(a), bm = make_buffer(b), cm = make_buffer(kN * kN * sizeof(float));
    cl_kernel multiply = make_kernel(program_, "multiply");
    set_arguments(multiply, am, bm, cm, kN);
    const std::size_t global[] = {kN, kN}, local[] = {16, 16}, wrong[] = {8, 8};
    EXPECT_EQ(clEnqueueNDRangeKernel(queue_, multiply, 2, nullptr, global, wrong, 0, nullptr, nullptr),
              CL_INVALID_WORK_GROUP_SIZE);
    OK(clEnqueueNDRangeKernel(queue_, multiply, 2, nullptr, global, local, 0, nullptr, nullptr));
    const auto c = content_of<float>(cm, kN * kN);
    for (int y = 0; y < kN; ++y) {
        for (int x = 0; x < kN; ++x) {
            double sum = 0;
            for (int i = 0; i < kN; ++i) sum += double{a[y * kN + i]} * b[i * kN + x];
            ASSERT_NEAR(c[y * kN + x], sum, 1e-4) << x << ' ' << y;
        }
    }
    std::size_t required[3] = {};
    OK(clGetKernelWorkGroupInfo(multiply, device_, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof required, required,
                                nullptr));
    EXPECT_EQ(required[0], 16u);
    EXPECT_EQ(required[2], 1u);
}

TEST_F(OpenclKernels, ReducesWithLocalArgument) {
    constexpr std::size_t kN = 1 << 16, kGroup = 128;
    const auto in = counting(kN);
    cl_mem im = make_buffer(in), om = make_buffer(kN / kGroup * sizeof(cl_long));
    cl_kernel reduce = make_kernel(program_, "reduce");
    OK(clSetKernelArg(reduce, 0, sizeof im, &im));
    EXPECT_EQ(clSetKernelArg(reduce, 1, 0, nullptr), CL_INVALID_ARG_SIZE);
    EXPECT_EQ(clSetKernelArg(reduce, 1, sizeof im, &im), CL_INVALID_ARG_VALUE);
    OK(clSetKernelArg(reduce, 1, kGroup * sizeof(int), nullptr));
    OK(clSetKernelArg(reduce, 2, sizeof om, &om));
    OK(clEnqueueNDRangeKernel(queue_, reduce, 1, nullptr, &kN, &kGroup, 0, nullptr, nullptr));
    const auto sums = content_of<cl_long>(om, kN / kGroup);
    EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), cl_long{0}), cl_long{kN} * (kN - 1) / 2);
}

TEST_F(OpenclKernels, CountsWithAtomics) {
    constexpr cl_uint kN = 300'000;
    std::vector<unsigned char> in(kN);
    std::vector<cl_uint> wanted(256);
    for (auto& v : in) ++wanted[v = static_cast<unsigned char>(random_() % 251)];
    cl_mem im = make_buffer(in), bm = make_buffer(256 * sizeof(cl_uint));
    const cl_uint zero = 0;
    OK(clEnqueueFillBuffer(queue_, bm, &zero, sizeof zero, 0, 256 * sizeof(cl_uint), 0, nullptr, nullptr));
    cl_kernel histogram = make_kernel(program_, "histogram");
    set_arguments(histogram, im, bm, kN);
    const std::size_t global = 4096, local = 64;
    OK(clEnqueueNDRangeKernel(queue_, histogram, 1, nullptr, &global, &local, 0, nullptr, nullptr));
    EXPECT_EQ(content_of<cl_uint>(bm, 256), wanted);
}

TEST_F(OpenclKernels, TakesEveryKindOfArgument) {
    struct Setup {
        cl_int scale = 3;
        alignas(16) cl_float3 shift = {{1, 2, 40, 0}};
        cl_char tag = 5;
    } setup;
    const cl_long wide = -1000;
    const cl_uchar narrow = 200;
    cl_mem extra = make_buffer(std::vector<int>{70}), om = make_buffer(6 * 4 * sizeof(cl_int4));
    cl_kernel places = make_kernel(program_, "places");
    set_arguments(places, om, setup, extra, wide, narrow);
    const std::size_t offset[] = {10, 20}, global[] = {6, 4};
    OK(clEnqueueNDRangeKernel(queue_, places, 2, offset, global, nullptr, 0, nullptr, nullptr));
    const auto out = content_of<cl_int4>(om, 24);
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 6; ++x) {
            const cl_int4 v = out[y * 6 + x];
            ASSERT_EQ(v.s[0], (10 + x) * 3);
            ASSERT_EQ(v.s[1], 20 + y + 40);
            ASSERT_EQ(v.s[2], 75);
            ASSERT_EQ(v.s[3], -800);
        }
    }
    EXPECT_EQ(clSetKernelArg(places, 3, 4, &wide), CL_INVALID_ARG_SIZE);
    EXPECT_EQ(clSetKernelArg(places, 5, 4, &wide), CL_INVALID_ARG_INDEX);
    EXPECT_EQ(clSetKernelArg(places, 0, 4, &om), CL_INVALID_ARG_SIZE);
}

TEST_F(OpenclKernels, NullBuffersAndTasks) {
    cl_mem there = make_buffer(std::vector<int>{0});
    cl_kernel maybe = make_kernel(program_, "maybe");
    OK(clSetKernelArg(maybe, 0, sizeof there, &there));
    EXPECT_EQ(clEnqueueTask(queue_, maybe, 0, nullptr, nullptr), CL_INVALID_KERNEL_ARGS);
    OK(clSetKernelArg(maybe, 1, sizeof(cl_mem), nullptr));
    OK(clEnqueueTask(queue_, maybe, 0, nullptr, nullptr));
    EXPECT_EQ(content_of<int>(there, 1)[0], 1);
}

TEST_F(OpenclKernels, ArgumentsCountWhenEnqueued) {
    cl_mem m = make_buffer(std::vector<int>(4));
    cl_kernel maybe = make_kernel(program_, "maybe");
    cl_event gate = user_event();
    const cl_mem null = nullptr;
    set_arguments(maybe, m, null);
    OK(clEnqueueTask(queue_, maybe, 1, &gate, nullptr));
    set_arguments(maybe, m, m);  // later; the command has its own
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    EXPECT_EQ(content_of<int>(m, 1)[0], 1);
}

/// As if it ran here; when the command has completed it is there.
TEST_F(OpenclKernels, PrintToTheProgramsOutput) {
    cl_program p = build(
        "kernel void say(int n, global int *x) { printf(\"%d of %d\\n\", (int)get_global_id(0), n); }\n"
        "kernel void much(global int *x) {\n"
        " for (int i = 0; i < 20000; ++i) printf(\"line %d\\n\", i); x[0] = 5; }");
    cl_kernel say = make_kernel(p, "say"), much = make_kernel(p, "much");
    cl_mem m = make_buffer(std::vector<int>(4));
    const std::size_t items = 8, one = 1;
    testing::internal::CaptureStdout();
    for (int n = 1; n <= 3; ++n) {
        set_arguments(say, n, m);
        OK(clEnqueueNDRangeKernel(queue_, say, 1, nullptr, &items, nullptr, 0, nullptr, nullptr));
    }
    OK(clFinish(queue_));
    const std::string said = testing::internal::GetCapturedStdout();
    for (int n = 1; n <= 3; ++n) {
        for (int i = 0; i < 8; ++i) {
            const std::string line = std::to_string(i) + " of " + std::to_string(n) + "\n";
            EXPECT_NE(said.find(line), std::string::npos) << line << " is missing in:\n" << said;
        }
    }
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 24) << said;
    // More than there is room for: it runs to its end all the same, and the next one is heard.
    testing::internal::CaptureStdout();
    set_arguments(much, m);
    OK(clEnqueueNDRangeKernel(queue_, much, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
    OK(clFinish(queue_));
    EXPECT_TRUE(testing::internal::GetCapturedStdout().starts_with("line 0\nline 1\n"));
    EXPECT_EQ(content_of<int>(m, 1)[0], 5);
    testing::internal::CaptureStdout();
    const int n = 9;
    set_arguments(say, n, m);
    OK(clEnqueueNDRangeKernel(queue_, say, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
    OK(clFinish(queue_));
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "0 of 9\n");
}

/// More at once than a program that shares the device may have mapped.
TEST_F(OpenclKernels, PrintManyTimesBeforeAnybodyWaits) {
    cl_program p = build(
        "kernel void say(global int *x, int n) { printf(\"line %d\\n\", n); x[0] += 1; }\n"
        "kernel void quiet(global int *x, int n) { if (n < 0) printf(\"never\\n\"); x[0] += 1; }");
    cl_kernel say = make_kernel(p, "say"), quiet = make_kernel(p, "quiet");
    cl_mem m = make_buffer(std::vector<int>(1));
    constexpr int kTimes = 300;
    const std::size_t one = 1;
    testing::internal::CaptureStdout();
    for (cl_kernel k : {quiet, say}) {
        for (int n = 0; n < kTimes; ++n) {
            set_arguments(k, m, n);
            OK(clEnqueueNDRangeKernel(queue_, k, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
        }
        EXPECT_EQ(content_of<int>(m, 1)[0], k == quiet ? kTimes : 2 * kTimes);
    }
    OK(clFinish(queue_));
    const std::string said = testing::internal::GetCapturedStdout();
    std::string expected;
    for (int n = 0; n < kTimes; ++n) expected += "line " + std::to_string(n) + "\n";
    EXPECT_EQ(said, expected);
}

/// The compiler's name for it may be the program's own.
TEST_F(OpenclKernels, PrintByANameOfTheOptions) {
    cl_program p = build("kernel void say(int n) { SAY(\"it is %d\\n\", n); }", "-DSAY=printf");
    cl_kernel say = make_kernel(p, "say");
    const int n = 7;
    const std::size_t one = 1;
    set_arguments(say, n);
    testing::internal::CaptureStdout();
    OK(clEnqueueNDRangeKernel(queue_, say, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
    OK(clFinish(queue_));
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "it is 7\n");
}

/// What one queue's kernel printed may come along with another's; it is out when its queue has finished.
TEST_F(OpenclKernels, PrintFromTwoQueues) {
    cl_program p = build("kernel void say(int q, int n) { printf(\"%d: %d\\n\", q, n); }");
    cl_kernel say = make_kernel(p, "say");
    const std::array<cl_command_queue, 2> both{queue_, make_queue(0)};
    const std::size_t one = 1;
    constexpr int kTimes = 8;
    for (int round = 0; round < 60; ++round) {
        testing::internal::CaptureStdout();
        for (int n = 0; n < kTimes; ++n) {
            for (int q = 0; q < 2; ++q) {
                set_arguments(say, q, n);
                OK(clEnqueueNDRangeKernel(both[q], say, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
            }
        }
        const int first = round % 2;
        OK(clFinish(both[first]));
        const std::string early = testing::internal::GetCapturedStdout();
        testing::internal::CaptureStdout();
        OK(clFinish(both[1 - first]));
        const std::string all = early + testing::internal::GetCapturedStdout();
        for (int n = 0; n < kTimes; ++n) {
            const std::string line = std::to_string(first) + ": " + std::to_string(n) + "\n";
            EXPECT_NE(early.find(line), std::string::npos) << "round " << round << ": " << line << "is not in\n"
                                                           << early;
        }
        EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 2 * kTimes) << all;
    }
}

TEST_F(OpenclKernels, TellsOfItsArguments) {
    cl_program p = build(kSource, "-cl-kernel-arg-info");
    cl_kernel places = make_kernel(p, "places");
    const auto text = [&](cl_uint index, cl_kernel_arg_info what) {
        char name[64] = "";
        EXPECT_EQ(clGetKernelArgInfo(places, index, what, sizeof name, name, nullptr), CL_SUCCESS);
        return std::string(name);
    };
    EXPECT_EQ(text(0, CL_KERNEL_ARG_NAME), "out");
    EXPECT_EQ(text(0, CL_KERNEL_ARG_TYPE_NAME), "int4*");
    EXPECT_EQ(text(2, CL_KERNEL_ARG_NAME), "extra");
    cl_kernel_arg_address_qualifier space = 0;
    OK(clGetKernelArgInfo(places, 2, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof space, &space, nullptr));
    EXPECT_EQ(space, static_cast<cl_uint>(CL_KERNEL_ARG_ADDRESS_CONSTANT));
    OK(clGetKernelArgInfo(places, 3, CL_KERNEL_ARG_ADDRESS_QUALIFIER, sizeof space, &space, nullptr));
    EXPECT_EQ(space, static_cast<cl_uint>(CL_KERNEL_ARG_ADDRESS_PRIVATE));
    cl_uint count = 0;
    OK(clGetKernelInfo(places, CL_KERNEL_NUM_ARGS, sizeof count, &count, nullptr));
    EXPECT_EQ(count, 5u);
    cl_int error = CL_SUCCESS;
    cl_kernel copy = clCloneKernel(places, &error);
    OK(error);
    EXPECT_EQ(clReleaseKernel(copy), CL_SUCCESS);
}

}  // namespace
}  // namespace farlane::test
