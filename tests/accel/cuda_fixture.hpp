// SPDX-License-Identifier: Apache-2.0
// Receives: nothing. Hands on: the CUDA executor on the stand-in driver of fake_cuda/. Owns: that executor.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "accel/worker_fixture.hpp"

namespace farlane::test {

inline constexpr std::uint64_t kCudaPage = 4096, kCudaChunk = 2 << 20;
/// PTX whose kernels the stand-in knows by name.
inline constexpr const char* kCudaPtx = R"(.version 6.5
.target sm_75
.address_size 64
.visible .entry add(.param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n) { ret; }
.visible .entry step(.param .u64 p, .param .u32 n) { ret; }
.visible .entry hold(.param .u64 p) { ret; }
.visible .entry chase(.param .u64 first, .param .u64 to) { ret; }
.visible .entry shape(.param .u64 p) { ret; }
.visible .entry wild(.param .u64 p) { ret; }
.visible .entry endless(.param .u64 p) { ret; }
)";
enum CudaKernel : std::uint32_t { kAddKernel = 1, kStep, kHold, kChase, kShape, kWild, kEndless };

/// What was built for this test: where it was built, or beside it, when all of it has moved (bench/gpu/bundle.sh).
inline std::string built(const std::string& path) {
    if (std::filesystem::exists(path)) return path;
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    return here / std::filesystem::path(path).filename();
}

/// The environment of workers that are started from now on.
inline void use_cuda(const std::string& folder, const std::string& settings) {
    ::setenv("LD_LIBRARY_PATH", built(folder).c_str(), 1);
    ::setenv("CUDA_FAKE", settings.c_str(), 1);
}

inline backend::WorkerExecutorOptions cuda_options(const std::string& settings = "",
                                                   const std::string& folder = FARLANE_FAKE_CUDA) {
    use_cuda(folder, settings);
    auto o = worker_options();
    o.kind = FL_ACCEL_EXECUTOR_CUDA;
    return o;
}

/// A context with staging memory, and the kernels of kCudaPtx.
class CudaWorker {
public:
    static constexpr std::uint64_t kStaging = 16 << 20;

    explicit CudaWorker(const backend::WorkerExecutorOptions& options = cuda_options()) : worker(options) {}
    void open(std::uint32_t context = 0) {
        worker->open(context);
        ASSERT_TRUE(worker.commit({context, 0}, worker.base(context), kStaging).ok());
    }
    void load(std::uint32_t context = 0) {
        const JobOwner who{context, 0};
        ASSERT_TRUE(worker.load(who, 1, kCudaPtx, worker.base(context), "", FL_ACCEL_MODULE_PTX).ok()) << worker.log;
        const char* names[] = {"add", "step", "hold", "chase", "shape", "wild", "endless"};
        std::uint32_t kernel = kAddKernel;
        for (const char* name : names) ASSERT_TRUE(worker.bind(who, 1, kernel++, name).ok()) << name;
    }
    [[nodiscard]] std::uint64_t local(std::uint64_t offset = 0, std::uint32_t context = 0) const {
        return worker.local_base(context) + offset;
    }
    Outcome commit(std::uint64_t address, std::uint64_t bytes, JobOwner who = {}) {
        return worker.commit(who, address, bytes);
    }
    template <class T>
    void put(std::uint64_t address, const std::vector<T>& data, JobOwner who = {}) {
        std::memcpy(worker.at(worker.base(who.context)), data.data(), data.size() * sizeof(T));
        ASSERT_TRUE(worker.copy(who, address, worker.base(who.context), data.size() * sizeof(T)).ok());
    }
    template <class T>
    std::vector<T> get(std::uint64_t address, std::size_t count, JobOwner who = {}) {
        std::vector<T> data(count);
        EXPECT_TRUE(worker.copy(who, worker.base(who.context), address, count * sizeof(T)).ok());
        std::memcpy(data.data(), worker.at(worker.base(who.context)), count * sizeof(T));
        return data;
    }
    std::uint64_t give(const LaunchRequest& r) {
        const std::uint64_t job = worker.number();
        EXPECT_TRUE(worker.prepare(r).ok());
        EXPECT_FALSE(worker->launch(job, r).has_value());
        return job;
    }
    Outcome end(std::uint64_t job) { return worker.wait(job, std::nullopt); }

    WorkerHarness worker;
};

}  // namespace farlane::test
