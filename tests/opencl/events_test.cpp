// SPDX-License-Identifier: Apache-2.0
// What waits for what: user events, wait lists, queues beside each other, callbacks, several threads, times.
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "opencl/program.hpp"

namespace farlane::test {
namespace {

constexpr const char* kSource = R"(
kernel void append(global int *list, int value) { list[1 + list[0]] = value; list[0] += 1; }
kernel void spin(global volatile int *x, int rounds) { for (int i = 0; i < rounds; ++i) x[0] = x[0] + 1; }
)";

class OpenclEvents : public OpenclProgram {
protected:
    void SetUp() override {
        OpenclProgram::SetUp();
        if (HasFatalFailure()) return;
        program_ = build(kSource);
        append_ = make_kernel(program_, "append");
        list_ = make_buffer(std::vector<int>(64));
    }
    cl_event append(cl_command_queue q, int value, const std::vector<cl_event>& waits = {}) {
        set_arguments(append_, list_, value);
        const std::size_t one = 1;
        cl_event e = nullptr;
        EXPECT_EQ(clEnqueueNDRangeKernel(q, append_, 1, nullptr, &one, nullptr, static_cast<cl_uint>(waits.size()),
                                         waits.empty() ? nullptr : waits.data(), &e),
                  CL_SUCCESS);
        return keep(e);
    }
    std::vector<int> appended() {
        auto all = content_of<int>(list_, 64);
        return {all.begin() + 1, all.begin() + 1 + all[0]};
    }
    cl_program program_ = nullptr;
    cl_kernel append_ = nullptr;
    cl_mem list_ = nullptr;
};

/// Notes what a callback was told, for a test that waits for it.
struct Told {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<cl_int> all;
    static void CL_CALLBACK note(cl_event, cl_int status, void* self) {
        auto& told = *static_cast<Told*>(self);
        const std::lock_guard lock(told.mutex);
        told.all.push_back(status);
        told.changed.notify_all();
    }
    void wait_for(std::size_t count) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return all.size() >= count; });
    }
};

TEST_F(OpenclEvents, AUserEventHoldsItsQueueBack) {
    cl_event gate = user_event();
    const cl_event first = append(queue_, 1, {gate});
    const cl_event second = append(queue_, 2);
    EXPECT_EQ(status_of(second), CL_QUEUED);
    cl_command_queue other = make_queue(0);
    append(other, 3);  // another queue is not held back
    OK(clFinish(other));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    EXPECT_EQ(clSetUserEventStatus(gate, CL_COMPLETE), CL_INVALID_OPERATION);
    OK(clWaitForEvents(1, &second));
    EXPECT_EQ(status_of(first), CL_COMPLETE);
    EXPECT_EQ(appended(), (std::vector<int>{3, 1, 2}));
}

TEST_F(OpenclEvents, AFailedUserEventEndsWhatWaitsForIt) {
    cl_event gate = user_event();
    const cl_event hit = append(queue_, 1, {gate});
    const cl_event after = append(queue_, 2, {hit});
    const cl_event free = append(queue_, 3);
    OK(clSetUserEventStatus(gate, -7));
    const cl_event all[] = {hit, after, free};
    EXPECT_EQ(clWaitForEvents(3, all), CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    EXPECT_LT(status_of(hit), 0);
    EXPECT_LT(status_of(after), 0);
    EXPECT_EQ(status_of(free), CL_COMPLETE);
    int value = 0;
    EXPECT_EQ(clEnqueueReadBuffer(queue_, list_, CL_TRUE, 0, 4, &value, 1, &hit, nullptr),
              CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
    (void)clFinish(queue_);  // tells of the failure, once
    EXPECT_EQ(appended(), std::vector<int>{3});
}

TEST_F(OpenclEvents, QueuesWaitForEachOther) {
    cl_command_queue a = make_queue(0), b = make_queue(0), c = make_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    std::vector<int> wanted;
    cl_event last = append(a, 0);
    wanted.push_back(0);
    for (int i = 1; i < 40; ++i) {
        last = append(i % 3 == 0 ? a : i % 3 == 1 ? b : c, i, {last});
        wanted.push_back(i);
    }
    OK(clWaitForEvents(1, &last));
    EXPECT_EQ(appended(), wanted);
}

/// The second must not wait for the first, or nobody would ever set the event.
TEST_F(OpenclEvents, OutOfOrderGoesPast) {
    cl_command_queue q = make_queue(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    cl_event gate = user_event();
    const cl_event held = append(q, 1, {gate});
    const cl_event passes = append(q, 2);
    OK(clWaitForEvents(1, &passes));
    cl_event marker = nullptr, barrier = nullptr;
    OK(clEnqueueMarkerWithWaitList(q, 0, nullptr, &marker));
    keep(marker);
    const cl_event passes_too = append(q, 3);
    OK(clWaitForEvents(1, &passes_too));
    OK(clEnqueueBarrierWithWaitList(q, 0, nullptr, &barrier));
    keep(barrier);
    const cl_event behind = append(q, 4);
    EXPECT_GT(status_of(marker), CL_COMPLETE);
    EXPECT_GT(status_of(behind), CL_COMPLETE);
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    OK(clWaitForEvents(1, &behind));
    EXPECT_EQ(status_of(held), CL_COMPLETE);
    EXPECT_EQ(status_of(marker), CL_COMPLETE);
    EXPECT_EQ(status_of(barrier), CL_COMPLETE);
    EXPECT_EQ(appended(), (std::vector<int>{2, 3, 1, 4}));
}

TEST_F(OpenclEvents, CallbacksAreCalled) {
    Told told;
    cl_event gate = user_event();
    const cl_event e = append(queue_, 1, {gate});
    OK(clSetEventCallback(e, CL_COMPLETE, Told::note, &told));
    OK(clSetEventCallback(e, CL_SUBMITTED, Told::note, &told));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    told.wait_for(2);  // nobody here asks the device
    EXPECT_EQ(status_of(e), CL_COMPLETE);
    OK(clSetEventCallback(e, CL_COMPLETE, Told::note, &told));  // long done: called at once
    told.wait_for(3);
    EXPECT_EQ(std::count(told.all.begin(), told.all.end(), CL_COMPLETE), 2);
    EXPECT_EQ(clSetEventCallback(e, CL_QUEUED, Told::note, &told), CL_INVALID_VALUE);
}

TEST_F(OpenclEvents, ACallbackMayEnqueue) {
    struct State {
        cl_command_queue queue;
        cl_mem list;
        cl_kernel kernel;
        cl_event gate;
    } state{queue_, list_, append_, user_event()};
    const cl_event first = append(queue_, 1);
    OK(clSetEventCallback(
        first, CL_COMPLETE,
        [](cl_event, cl_int, void* data) {
            const auto& s = *static_cast<State*>(data);
            const int two = 2;
            const std::size_t one = 1;
            clSetKernelArg(s.kernel, 1, sizeof two, &two);
            clEnqueueNDRangeKernel(s.queue, s.kernel, 1, nullptr, &one, nullptr, 0, nullptr, nullptr);
            clSetUserEventStatus(s.gate, CL_COMPLETE);
        },
        &state));
    OK(clWaitForEvents(1, &state.gate));
    EXPECT_EQ(appended(), (std::vector<int>{1, 2}));
}

/// Nobody waits, and the program lets go of everything: it runs all the same.
TEST_F(OpenclEvents, ReleasedInFlight) {
    Told told;
    cl_int error = CL_SUCCESS;
    cl_context context = clCreateContext(nullptr, 1, &device_, nullptr, nullptr, &error);
    OK(error);
    cl_command_queue q = clCreateCommandQueueWithProperties(context, device_, nullptr, &error);
    OK(error);
    cl_mem m = clCreateBuffer(context, 0, 1 << 20, nullptr, &error);
    OK(error);
    std::vector<unsigned char> out(1 << 20, 1);
    const unsigned char nine = 9;
    cl_event e = nullptr;
    OK(clEnqueueFillBuffer(q, m, &nine, 1, 0, out.size(), 0, nullptr, nullptr));
    OK(clEnqueueReadBuffer(q, m, CL_FALSE, 0, out.size(), out.data(), 0, nullptr, &e));
    OK(clSetEventCallback(e, CL_COMPLETE, Told::note, &told));
    OK(clReleaseEvent(e));
    OK(clReleaseMemObject(m));
    OK(clReleaseCommandQueue(q));
    OK(clReleaseContext(context));
    told.wait_for(1);
    EXPECT_EQ(std::count(out.begin(), out.end(), 9), 1 << 20);
}

TEST_F(OpenclEvents, CountsReferences) {
    cl_event e = user_event();
    const auto count = [&] {
        cl_uint n = 0;
        EXPECT_EQ(clGetEventInfo(e, CL_EVENT_REFERENCE_COUNT, sizeof n, &n, nullptr), CL_SUCCESS);
        return n;
    };
    EXPECT_EQ(count(), 1u);
    OK(clRetainEvent(e));
    EXPECT_EQ(count(), 2u);
    OK(clReleaseEvent(e));
    EXPECT_EQ(count(), 1u);
    cl_uint n = 0;
    OK(clRetainCommandQueue(queue_));
    OK(clGetCommandQueueInfo(queue_, CL_QUEUE_REFERENCE_COUNT, sizeof n, &n, nullptr));
    EXPECT_EQ(n, 2u);
    OK(clReleaseCommandQueue(queue_));
    OK(clSetUserEventStatus(e, CL_COMPLETE));
}

/// Each thread has a queue and a buffer of its own; all share the context.
TEST_F(OpenclEvents, ManyThreads) {
    constexpr int kThreads = 6, kRounds = 60;
    std::vector<std::future<int>> all;
    for (int t = 0; t < kThreads; ++t) {
        cl_command_queue q = make_queue(t % 2 == 0 ? 0 : CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
        cl_mem list = make_buffer(std::vector<int>(kRounds + 1));
        cl_kernel kernel = make_kernel(program_, "append");
        all.push_back(std::async(std::launch::async, [=] {
            cl_event last = nullptr;
            int bad = 0;
            for (int i = 0; i < kRounds; ++i) {
                const int value = t * 1000 + i;
                bad += clSetKernelArg(kernel, 0, sizeof list, &list) != CL_SUCCESS;
                bad += clSetKernelArg(kernel, 1, sizeof value, &value) != CL_SUCCESS;
                const std::size_t one = 1;
                cl_event e = nullptr;
                bad += clEnqueueNDRangeKernel(q, kernel, 1, nullptr, &one, nullptr, last != nullptr,
                                              last != nullptr ? &last : nullptr, &e) != CL_SUCCESS;
                if (last != nullptr) clReleaseEvent(last);
                last = e;
                if (i % 7 == 0) bad += clWaitForEvents(1, &e) != CL_SUCCESS;
            }
            std::vector<int> out(kRounds + 1);
            bad += clEnqueueReadBuffer(q, list, CL_TRUE, 0, out.size() * sizeof(int), out.data(), 1, &last, nullptr) !=
                   CL_SUCCESS;
            clReleaseEvent(last);
            for (int i = 0; i < kRounds; ++i) bad += out[static_cast<std::size_t>(i) + 1] != t * 1000 + i;
            return bad;
        }));
    }
    for (auto& f : all) EXPECT_EQ(f.get(), 0);
}

/// One thread waits for what another one must still allow.
TEST_F(OpenclEvents, OneThreadWaitsAnotherSets) {
    cl_event gate = user_event();
    const cl_event e = append(queue_, 1, {gate});
    auto waiting = std::async(std::launch::async, [&] { return clWaitForEvents(1, &e); });
    auto finishing = std::async(std::launch::async, [&] { return clFinish(queue_); });
    cl_command_queue other = make_queue(0);
    append(other, 2);
    OK(clFinish(other));
    OK(clSetUserEventStatus(gate, CL_COMPLETE));
    EXPECT_EQ(waiting.get(), CL_SUCCESS);
    EXPECT_EQ(finishing.get(), CL_SUCCESS);
}

TEST_F(OpenclEvents, ManyQueuesAndCommands) {
    std::vector<cl_command_queue> queues;
    for (int i = 0; i < 40; ++i) queues.push_back(make_queue(0));  // more than the device has
    std::vector<cl_event> last(1, append(queues[0], 0));
    std::vector<int> wanted{0};
    for (int i = 1; i < 40; ++i) {
        last[0] = append(queues[static_cast<std::size_t>(i)], i, last);
        wanted.push_back(i);
    }
    OK(clFinish(queues.back()));
    EXPECT_EQ(appended(), wanted);
    cl_mem count = make_buffer(std::vector<int>(1));
    cl_kernel spin = make_kernel(program_, "spin");
    const int one_round = 1;
    set_arguments(spin, count, one_round);
    const std::size_t one = 1;
    for (int i = 0; i < 3000; ++i) {  // more than a queue pair has slots
        OK(clEnqueueNDRangeKernel(queue_, spin, 1, nullptr, &one, nullptr, 0, nullptr, nullptr));
    }
    EXPECT_EQ(content_of<int>(count, 1)[0], 3000);
}

TEST_F(OpenclEvents, TellsTimes) {
    cl_command_queue q = make_queue(CL_QUEUE_PROFILING_ENABLE);
    cl_mem count = make_buffer(std::vector<int>(1));
    cl_kernel spin = make_kernel(program_, "spin");
    const std::size_t one = 1;
    const auto time_of = [&](int rounds) {
        set_arguments(spin, count, rounds);
        cl_event e = nullptr;
        EXPECT_EQ(clEnqueueNDRangeKernel(q, spin, 1, nullptr, &one, nullptr, 0, nullptr, &e), CL_SUCCESS);
        EXPECT_EQ(clWaitForEvents(1, &e), CL_SUCCESS);
        keep(e);
        std::array<cl_ulong, 4> t{};
        cl_profiling_info what = CL_PROFILING_COMMAND_QUEUED;
        for (auto& v : t) EXPECT_EQ(clGetEventProfilingInfo(e, what++, sizeof v, &v, nullptr), CL_SUCCESS);
        for (std::size_t i = 1; i < 4; ++i) EXPECT_LE(t[i - 1], t[i]) << i;
        return t[3] - t[2];
    };
    (void)time_of(1);
    // A loop through memory takes at least a tenth of a nanosecond a round, however loaded the machine is.
    EXPECT_GT(time_of(20'000'000), 2'000'000u);
    cl_event without = append(queue_, 1);
    OK(clWaitForEvents(1, &without));
    cl_ulong v = 0;
    EXPECT_EQ(clGetEventProfilingInfo(without, CL_PROFILING_COMMAND_START, sizeof v, &v, nullptr),
              CL_PROFILING_INFO_NOT_AVAILABLE);
}

TEST_F(OpenclEvents, MarkersAndOldCalls) {
    append(queue_, 1);
    cl_event marker = nullptr;
    OK(clEnqueueMarker(queue_, &marker));
    keep(marker);
    OK(clEnqueueBarrier(queue_));
    OK(clEnqueueWaitForEvents(queue_, 1, &marker));
    OK(clWaitForEvents(1, &marker));
    cl_command_type type = 0;
    OK(clGetEventInfo(marker, CL_EVENT_COMMAND_TYPE, sizeof type, &type, nullptr));
    EXPECT_EQ(type, static_cast<cl_command_type>(CL_COMMAND_MARKER));
    cl_event migrated = nullptr;
    OK(clEnqueueMigrateMemObjects(queue_, 1, &list_, CL_MIGRATE_MEM_OBJECT_HOST, 0, nullptr, &migrated));
    OK(clWaitForEvents(1, &migrated));
    keep(migrated);
    EXPECT_EQ(appended(), std::vector<int>{1});
}

}  // namespace
}  // namespace farlane::test
