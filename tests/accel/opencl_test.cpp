// SPDX-License-Identifier: Apache-2.0
// The OpenCL executor on a real OpenCL device (PoCL), with kernels' memory in the aperture and in the device.
#include <bit>
#include <numeric>

#include "accel/worker_fixture.hpp"

namespace farlane::test {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr const char* kAdd = R"(
kernel void add(global const float* a, global const float* b, global float* c, uint n) {
    const size_t i = get_global_id(0);
    if (i < n) c[i] = a[i] + b[i];
})";

class OpenCl : public testing::TestWithParam<WorkerPlace> {
protected:
    OpenCl()
        : worker([] {
              auto o = worker_options();
              o.place = GetParam();
              o.local_bytes = 64 << 20;
              return o;
          }()) {}

    [[nodiscard]] bool local() const { return GetParam() == WorkerPlace::local; }
    /// Memory for kernels.
    std::uint64_t allocate(std::uint64_t bytes, JobOwner who = {}) {
        const std::uint64_t whole = (bytes + kPage - 1) / kPage * kPage;
        const std::uint64_t address =
            (local() ? worker.local_base(who.context) : worker.base(who.context) + kStaging) + used_[who.context];
        used_[who.context] += whole;
        EXPECT_TRUE(worker.commit(who, address, whole).ok());
        return address;
    }
    void open(std::uint32_t context = 0) {
        worker->open(context);
        ASSERT_TRUE(worker.commit({context, 0}, worker.base(context), kStaging).ok());
    }
    template <class T>
    std::uint64_t put(const std::vector<T>& data, JobOwner who = {}) {
        const std::uint64_t bytes = data.size() * sizeof(T);
        const std::uint64_t address = allocate(bytes, who);
        if (!local()) {
            std::memcpy(worker.at(address), data.data(), bytes);
        } else {
            std::memcpy(worker.at(worker.base(who.context)), data.data(), bytes);
            EXPECT_TRUE(worker.copy(who, address, worker.base(who.context), bytes).ok());
        }
        return address;
    }
    template <class T>
    std::vector<T> get(std::uint64_t address, std::size_t count, JobOwner who = {}) {
        std::vector<T> data(count);
        if (local()) {
            EXPECT_TRUE(worker.copy(who, worker.base(who.context), address, count * sizeof(T)).ok());
            address = worker.base(who.context);
        }
        std::memcpy(data.data(), worker.at(address), count * sizeof(T));
        return data;
    }

    static constexpr std::uint64_t kStaging = 8 << 20;
    WorkerHarness worker;
    std::map<std::uint32_t, std::uint64_t> used_;
};
INSTANTIATE_TEST_SUITE_P(Places, OpenCl, testing::Values(WorkerPlace::aperture, WorkerPlace::local),
                         [](const auto& test) { return test.param == WorkerPlace::local ? "local" : "aperture"; });

TEST_P(OpenCl, AddsVectors) {
    open();
    ASSERT_TRUE(worker.load({}, 1, kAdd, worker.base(0)).ok()) << worker.log;
    EXPECT_EQ(worker.names, "add");
    ASSERT_TRUE(worker.bind({}, 1, 7, "add").ok());
    std::vector<float> a(1000), b(1000);
    std::iota(a.begin(), a.end(), 1.F);
    std::iota(b.begin(), b.end(), 100.F);
    const auto at_a = put(a), at_b = put(b), at_c = allocate(4000);
    const Arguments arguments = Arguments().address(at_a).address(at_b).address(at_c).value(std::uint32_t{1000});
    ASSERT_TRUE(worker.launch(WorkerHarness::request({}, 7, arguments, 1024, 64)).ok());
    const auto c = get<float>(at_c, 1000);
    for (std::size_t i = 0; i < c.size(); ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
    EXPECT_EQ(worker->usage(0).kernels, 1U);
    EXPECT_GT(worker->usage(0).worker_bytes, 0U);
    EXPECT_TRUE(worker.close(0).ok());
}

}  // namespace
}  // namespace farlane::test
