// SPDX-License-Identifier: Apache-2.0
// Buffers: host pointers, parts, rectangles, mapping, filling; each against the same done here.
#include <array>
#include <cstring>

#include "opencl/program.hpp"

namespace farlane::test {
namespace {

using OpenclMemory = OpenclProgram;
using Bytes = std::vector<unsigned char>;

Bytes noise(std::mt19937& random, std::size_t n) {
    Bytes v(n);
    for (auto& b : v) b = static_cast<unsigned char>(random());
    return v;
}

TEST_F(OpenclMemory, LargeTransfersArrive) {
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{4097}, std::size_t{3 << 20}, std::size_t{37'000'001}}) {
        const Bytes in = noise(random_, bytes);
        cl_mem m = make_buffer(bytes);
        OK(clEnqueueWriteBuffer(queue_, m, CL_FALSE, 0, bytes, in.data(), 0, nullptr, nullptr));
        Bytes out(bytes), again(bytes);
        cl_event e = nullptr;
        OK(clEnqueueReadBuffer(queue_, m, CL_TRUE, 0, bytes, out.data(), 0, nullptr, &e));
        keep(e);
        EXPECT_EQ(status_of(e), CL_COMPLETE);
        EXPECT_TRUE(in == out) << bytes;
        OK(clEnqueueReadBuffer(queue_, m, CL_FALSE, 0, bytes, again.data(), 0, nullptr, &e));
        OK(clWaitForEvents(1, &e));
        keep(e);
        EXPECT_TRUE(in == again) << bytes;
    }
}

/// Everything is in flight at once: what is written, copied and read is in the order of the queue.
TEST_F(OpenclMemory, HostMemoryIsInOrder) {
    constexpr std::size_t kBytes = 6 << 20;
    const Bytes in = noise(random_, kBytes);
    Bytes between(kBytes), out(kBytes);
    cl_mem a = make_buffer(kBytes), b = make_buffer(kBytes), c = make_buffer(kBytes);
    OK(clEnqueueWriteBuffer(queue_, a, CL_FALSE, 0, kBytes, in.data(), 0, nullptr, nullptr));
    OK(clEnqueueCopyBuffer(queue_, a, b, 0, 0, kBytes, 0, nullptr, nullptr));
    OK(clEnqueueReadBuffer(queue_, b, CL_FALSE, 0, kBytes, between.data(), 0, nullptr, nullptr));
    OK(clEnqueueWriteBuffer(queue_, c, CL_FALSE, 0, kBytes, between.data(), 0, nullptr, nullptr));
    const unsigned char zero = 0;
    OK(clEnqueueFillBuffer(queue_, b, &zero, 1, 0, kBytes, 0, nullptr, nullptr));
    OK(clEnqueueWriteBuffer(queue_, b, CL_FALSE, 100, 50, in.data(), 0, nullptr, nullptr));
    OK(clEnqueueReadBuffer(queue_, c, CL_FALSE, 0, kBytes, out.data(), 0, nullptr, nullptr));
    OK(clFinish(queue_));
    EXPECT_TRUE(out == in);
    const Bytes end = content_of<unsigned char>(b, 200);
    for (std::size_t i = 0; i < 200; ++i) ASSERT_EQ(end[i], i >= 100 && i < 150 ? in[i - 100] : 0) << i;
}

struct Box {
    std::array<std::size_t, 3> origin;
    std::size_t row, slice;
    [[nodiscard]] std::size_t at(std::size_t x, std::size_t y, std::size_t z) const {
        return (origin[2] + z) * slice + (origin[1] + y) * row + origin[0] + x;
    }
};

TEST_F(OpenclMemory, Rectangles) {
    constexpr std::size_t kBytes = 64 * 1024;
    const Box wide{{5, 2, 1}, 100, 100 * 20}, narrow{{3, 1, 0}, 33, 33 * 11}, tight{{0, 0, 0}, 17, 17 * 8};
    const std::size_t region[] = {17, 8, 5};
    const auto each = [&](auto&& f) {
        for (std::size_t z = 0; z < region[2]; ++z)
            for (std::size_t y = 0; y < region[1]; ++y)
                for (std::size_t x = 0; x < region[0]; ++x) f(x, y, z);
    };
    const std::array<Box, 3> boxes{wide, narrow, tight};
    for (const Box& device : boxes) {
        for (const Box& host : boxes) {
            Bytes there = noise(random_, kBytes), here = noise(random_, kBytes);
            cl_mem m = make_buffer(there);
            OK(clEnqueueWriteBufferRect(queue_, m, CL_TRUE, device.origin.data(), host.origin.data(), region,
                                        device.row, device.slice, host.row, host.slice, here.data(), 0, nullptr,
                                        nullptr));
            each([&](auto x, auto y, auto z) { there[device.at(x, y, z)] = here[host.at(x, y, z)]; });
            ASSERT_TRUE(content_of<unsigned char>(m, kBytes) == there);
            Bytes back = noise(random_, kBytes), wanted = back;
            OK(clEnqueueReadBufferRect(queue_, m, CL_TRUE, device.origin.data(), host.origin.data(), region, device.row,
                                       device.slice, host.row, host.slice, back.data(), 0, nullptr, nullptr));
            each([&](auto x, auto y, auto z) { wanted[host.at(x, y, z)] = there[device.at(x, y, z)]; });
            ASSERT_TRUE(back == wanted);
            Bytes other = noise(random_, kBytes);
            cl_mem o = make_buffer(other);
            OK(clEnqueueCopyBufferRect(queue_, m, o, device.origin.data(), host.origin.data(), region, device.row,
                                       device.slice, host.row, host.slice, 0, nullptr, nullptr));
            each([&](auto x, auto y, auto z) { other[host.at(x, y, z)] = there[device.at(x, y, z)]; });
            ASSERT_TRUE(content_of<unsigned char>(o, kBytes) == other);
            // While the buffer is in use.
            OK(clEnqueueCopyBuffer(queue_, o, m, 0, 0, kBytes, 0, nullptr, nullptr));
            OK(clEnqueueWriteBufferRect(queue_, m, CL_FALSE, device.origin.data(), host.origin.data(), region,
                                        device.row, device.slice, host.row, host.slice, here.data(), 0, nullptr,
                                        nullptr));
            each([&](auto x, auto y, auto z) { other[device.at(x, y, z)] = here[host.at(x, y, z)]; });
            ASSERT_TRUE(content_of<unsigned char>(m, kBytes) == other);
        }
    }
}

/// Which regions of one buffer meet is counted byte by byte here.
TEST_F(OpenclMemory, RectanglesThatOverlap) {
    constexpr std::size_t kRow = 16, kSlice = 16 * 8;
    cl_mem m = make_buffer(kSlice * 8);
    const std::size_t region[] = {5, 3, 2}, from[] = {4, 2, 1};
    for (std::size_t z = 0; z < 4; ++z) {
        for (std::size_t y = 0; y < 5; ++y) {
            for (std::size_t x = 0; x < 11; ++x) {
                const std::size_t to[] = {x, y, z};
                std::vector<bool> used(kSlice * 8);
                bool meets = false;
                for (const bool second : {false, true}) {
                    const auto* o = second ? to : from;
                    for (std::size_t c = 0; c < 2; ++c)
                        for (std::size_t b = 0; b < 3; ++b)
                            for (std::size_t a = 0; a < 5; ++a) {
                                const std::size_t at = (o[2] + c) * kSlice + (o[1] + b) * kRow + o[0] + a;
                                meets = meets || (second && used[at]);
                                if (!second) used[at] = true;
                            }
                }
                const cl_int code = clEnqueueCopyBufferRect(queue_, m, m, from, to, region, kRow, kSlice, kRow, kSlice,
                                                            0, nullptr, nullptr);
                ASSERT_EQ(code, meets ? CL_MEM_COPY_OVERLAP : CL_SUCCESS) << x << ' ' << y << ' ' << z;
            }
        }
    }
    OK(clFinish(queue_));
    EXPECT_EQ(clEnqueueCopyBuffer(queue_, m, m, 0, 10, 11, 0, nullptr, nullptr), CL_MEM_COPY_OVERLAP);
}

TEST_F(OpenclMemory, FillsWithEveryPattern) {
    for (std::size_t bytes = 1; bytes <= 128; bytes *= 2) {
        const Bytes pattern = noise(random_, bytes);
        Bytes wanted = noise(random_, 128 * 9);
        cl_mem m = make_buffer(wanted);
        OK(clEnqueueFillBuffer(queue_, m, pattern.data(), bytes, 128, 128 * 7, 0, nullptr, nullptr));
        for (std::size_t i = 0; i < 128 * 7; ++i) wanted[128 + i] = pattern[i % bytes];
        ASSERT_TRUE(content_of<unsigned char>(m, wanted.size()) == wanted) << bytes;
    }
    cl_mem m = make_buffer(64);
    EXPECT_EQ(clEnqueueFillBuffer(queue_, m, "abc", 3, 0, 63, 0, nullptr, nullptr), CL_INVALID_VALUE);
    EXPECT_EQ(clEnqueueFillBuffer(queue_, m, "abcd", 4, 2, 8, 0, nullptr, nullptr), CL_INVALID_VALUE);
}

TEST_F(OpenclMemory, MapsAndUnmaps) {
    constexpr std::size_t kInts = 100'000;
    auto wanted = counting(kInts);
    cl_mem m = make_buffer(wanted);
    cl_int error = CL_SUCCESS;
    cl_event mapped = nullptr, unmapped = nullptr;
    auto* p = static_cast<int*>(
        clEnqueueMapBuffer(queue_, m, CL_FALSE, CL_MAP_READ | CL_MAP_WRITE, 400, 4000, 0, nullptr, &mapped, &error));
    OK(error);
    OK(clWaitForEvents(1, &mapped));
    keep(mapped);
    cl_uint count = 0;
    OK(clGetMemObjectInfo(m, CL_MEM_MAP_COUNT, sizeof count, &count, nullptr));
    EXPECT_EQ(count, 1u);
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(p[i], 100 + i);
        wanted[static_cast<std::size_t>(100 + i)] = p[i] = -i;
    }
    OK(clEnqueueUnmapMemObject(queue_, m, p, 0, nullptr, &unmapped));
    keep(unmapped);
    EXPECT_EQ(content_of<int>(m, kInts), wanted);
    EXPECT_EQ(status_of(unmapped), CL_COMPLETE);
    EXPECT_EQ(clEnqueueUnmapMemObject(queue_, m, p, 0, nullptr, nullptr), CL_INVALID_VALUE);
    // Only written, and only read.
    p = static_cast<int*>(
        clEnqueueMapBuffer(queue_, m, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0, 8, 0, nullptr, nullptr, &error));
    OK(error);
    wanted[0] = p[0] = 5;
    wanted[1] = p[1] = 6;
    OK(clEnqueueUnmapMemObject(queue_, m, p, 0, nullptr, nullptr));
    p = static_cast<int*>(
        clEnqueueMapBuffer(queue_, m, CL_TRUE, CL_MAP_READ, 0, kInts * 4, 0, nullptr, nullptr, &error));
    OK(error);
    EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), p));
    OK(clEnqueueUnmapMemObject(queue_, m, p, 0, nullptr, nullptr));
    OK(clFinish(queue_));
}

TEST_F(OpenclMemory, UsesTheHostsMemory) {
    alignas(128) static int host[1024];
    std::iota(std::begin(host), std::end(host), 0);
    cl_mem m = make_buffer(sizeof host, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, host);
    cl_program p = build("kernel void twice(global int *x) { x[get_global_id(0)] *= 2; }");
    cl_kernel twice = make_kernel(p, "twice");
    set_arguments(twice, m);
    const std::size_t n = 1024;
    OK(clEnqueueNDRangeKernel(queue_, twice, 1, nullptr, &n, nullptr, 0, nullptr, nullptr));
    cl_int error = CL_SUCCESS;
    auto* q = static_cast<int*>(clEnqueueMapBuffer(queue_, m, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, sizeof host, 0,
                                                   nullptr, nullptr, &error));
    OK(error);
    EXPECT_EQ(q, host);
    for (int i = 0; i < 1024; ++i) ASSERT_EQ(host[i], 2 * i);
    host[7] = 70;
    OK(clEnqueueUnmapMemObject(queue_, m, q, 0, nullptr, nullptr));
    EXPECT_EQ(content_of<int>(m, 8)[7], 70);
    void* told = nullptr;
    OK(clGetMemObjectInfo(m, CL_MEM_HOST_PTR, sizeof told, &told, nullptr));
    EXPECT_EQ(told, host);
    // Other flags.
    EXPECT_EQ(content_of<int>(make_buffer(std::vector<int>{1, 2, 3}, CL_MEM_ALLOC_HOST_PTR), 3),
              (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(clCreateBuffer(context_, CL_MEM_COPY_HOST_PTR, 4, nullptr, &error), nullptr);
    EXPECT_EQ(error, CL_INVALID_HOST_PTR);
    EXPECT_EQ(clCreateBuffer(context_, CL_MEM_USE_HOST_PTR | CL_MEM_ALLOC_HOST_PTR, 4, host, &error), nullptr);
    EXPECT_EQ(error, CL_INVALID_VALUE);
    EXPECT_EQ(clCreateBuffer(context_, 0, 0, nullptr, &error), nullptr);
    EXPECT_EQ(error, CL_INVALID_BUFFER_SIZE);
    EXPECT_EQ(clCreateBuffer(context_, 0, std::size_t{1} << 60, nullptr, &error), nullptr);
    EXPECT_EQ(error, CL_INVALID_BUFFER_SIZE);
    cl_mem hidden = make_buffer(64, CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS);
    EXPECT_EQ(clEnqueueReadBuffer(queue_, hidden, CL_TRUE, 0, 4, host, 0, nullptr, nullptr), CL_INVALID_OPERATION);
    EXPECT_EQ(clEnqueueWriteBuffer(queue_, hidden, CL_TRUE, 0, 4, host, 0, nullptr, nullptr), CL_INVALID_OPERATION);
}

TEST_F(OpenclMemory, PartsOfBuffers) {
    const auto all = counting(4096);
    cl_mem m = make_buffer(all);
    cl_int error = CL_SUCCESS;
    const cl_buffer_region region{4096, 2048}, odd{4, 64}, outside{4096 * 4, 64};
    cl_mem part = clCreateSubBuffer(m, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    OK(error);
    memory_.push_back(part);
    EXPECT_EQ(clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &odd, &error), nullptr);
    EXPECT_EQ(error, CL_MISALIGNED_SUB_BUFFER_OFFSET);
    EXPECT_EQ(clCreateSubBuffer(m, 0, CL_BUFFER_CREATE_TYPE_REGION, &outside, &error), nullptr);
    EXPECT_EQ(error, CL_INVALID_VALUE);
    EXPECT_EQ(clCreateSubBuffer(part, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error), nullptr);
    EXPECT_EQ(error, CL_INVALID_MEM_OBJECT);
    EXPECT_EQ(content_of<int>(part, 512), counting(512, 1024));
    cl_program p = build("kernel void negate_it(global int *x) { x[get_global_id(0)] *= -1; }");
    cl_kernel negate = make_kernel(p, "negate_it");
    set_arguments(negate, part);
    const std::size_t n = 512;
    OK(clEnqueueNDRangeKernel(queue_, negate, 1, nullptr, &n, nullptr, 0, nullptr, nullptr));
    const auto now = content_of<int>(m, 4096);
    for (int i = 0; i < 4096; ++i) ASSERT_EQ(now[static_cast<std::size_t>(i)], i >= 1024 && i < 1536 ? -i : i);
    std::size_t offset = 0;
    OK(clGetMemObjectInfo(part, CL_MEM_OFFSET, sizeof offset, &offset, nullptr));
    EXPECT_EQ(offset, 4096u);
}

TEST_F(OpenclMemory, MoreThanThereIs) {
    cl_ulong global = 0, largest = 0;
    OK(clGetDeviceInfo(device_, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof global, &global, nullptr));
    OK(clGetDeviceInfo(device_, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof largest, &largest, nullptr));
    if (global > (cl_ulong{1} << 31)) GTEST_SKIP() << "a device with that much memory gives it out as it is touched";
    std::vector<cl_mem> all;
    cl_int error = CL_SUCCESS;
    for (cl_ulong given = 0; given <= 2 * global && error == CL_SUCCESS; given += 16 << 20) {
        cl_mem m = clCreateBuffer(context_, 0, 16 << 20, nullptr, &error);
        if (m != nullptr) all.push_back(m);
    }
    EXPECT_EQ(error, CL_MEM_OBJECT_ALLOCATION_FAILURE);
    EXPECT_GE(all.size() * (16 << 20), global / 2);
    for (cl_mem m : all) OK(clReleaseMemObject(m));
    // It all comes back.
    cl_mem m = clCreateBuffer(context_, 0, global / 2, nullptr, &error);
    OK(error);
    OK(clReleaseMemObject(m));
}

TEST_F(OpenclMemory, DestructorsAreCalledBackwards) {
    static std::vector<int> order;
    order.clear();
    cl_int error = CL_SUCCESS;
    cl_mem m = clCreateBuffer(context_, 0, 64, nullptr, &error);
    OK(error);
    static int numbers[] = {1, 2};
    const auto note = [](cl_mem, void* n) { order.push_back(*static_cast<int*>(n)); };
    OK(clSetMemObjectDestructorCallback(m, note, &numbers[0]));
    OK(clSetMemObjectDestructorCallback(m, note, &numbers[1]));
    OK(clReleaseMemObject(m));
    EXPECT_EQ(order, (std::vector<int>{2, 1}));
}

/// More than a program that shares the device may have mapped, and then one for which nothing that is free will do.
TEST_F(OpenclMemory, ManyReadsBeforeAnybodyWaits) {
    constexpr std::size_t kReads = 400, kLarge = 4 << 20;
    const auto numbers = counting(kReads);
    cl_mem m = make_buffer(numbers), large = make_buffer(std::vector<char>(kLarge, 'x'));
    std::vector<int> got(kReads, -1);
    for (std::size_t i = 0; i < kReads; ++i) {
        OK(clEnqueueReadBuffer(queue_, m, CL_FALSE, i * sizeof(int), sizeof(int), &got[i], 0, nullptr, nullptr)) << i;
    }
    OK(clFinish(queue_));
    EXPECT_EQ(got, numbers);
    EXPECT_EQ(content_of<char>(large, kLarge), std::vector<char>(kLarge, 'x'));
}

}  // namespace
}  // namespace farlane::test
