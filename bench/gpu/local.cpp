// SPDX-License-Identifier: Apache-2.0
// Receives: what to measure. Hands on: figures of the same work without Farlane, by the CUDA driver API. Owns: a
// context, for as long as the process; run it in one of its own.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "backend/worker/cuda/driver.hpp"
#include "gpu/kernels.hpp"
#include "gpu/process.hpp"
#include "gpu/work.hpp"

namespace farlane::bench::gpu {
namespace {

using namespace backend::worker::cuda;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// A device, its kernels and a stream.
class Local {
public:
    Local() {
        std::string why;
        api_ = load_api(why);
        if (api_ == nullptr) throw std::runtime_error(why);
        CuDevice device = 0;
        check(api_->cuDeviceGet(&device, 0), "cuDeviceGet");
        properties_.location.id = access_.location.id = device;
        CuContext context = nullptr;
        check(api_->cuCtxCreate(&context, 0, device), "cuCtxCreate");
        check(api_->cuStreamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
        check(api_->cuModuleLoadDataEx(&module_, kernels_ptx().c_str(), 0, nullptr, nullptr), "cuModuleLoadDataEx");
        check(api_->cuEventCreate(&end_, 0), "cuEventCreate");
    }
    const Api& operator*() const { return *api_; }
    const Api* operator->() const { return api_; }
    [[nodiscard]] CuStream stream() const { return stream_; }
    void check(CuResult r, const char* what) const {
        if (r != kSuccess) throw std::runtime_error(std::string(what) + ": " + api_->text(r));
    }
    CuFunction function(const std::string& name) {
        CuFunction f = nullptr;
        check(api_->cuModuleGetFunction(&f, module_, name.c_str()), name.c_str());
        return f;
    }
    CuAddress allocate(std::size_t bytes) {
        const std::size_t whole = (bytes + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
        CuAddress address = 0;
        CuMemory memory = 0;
        check(api_->cuMemAddressReserve(&address, whole, kChunkBytes, 0, 0), "cuMemAddressReserve");
        check(api_->cuMemCreate(&memory, whole, &properties_, 0), "cuMemCreate");
        check(api_->cuMemMap(address, whole, 0, memory, 0), "cuMemMap");
        check(api_->cuMemSetAccess(address, whole, &access_, 1), "cuMemSetAccess");
        check(api_->cuMemsetD8Async(address, 0, whole, stream_), "cuMemsetD8Async");
        return address;
    }
    void launch(CuFunction f, unsigned gx, unsigned gy, unsigned block, void** parameters) {
        check(api_->cuLaunchKernel(f, gx, gy, 1, block, 1, 1, 0, stream_, parameters, nullptr), "cuLaunchKernel");
    }
    /// Spins, as the quickest local program does.
    void wait() {
        check(api_->cuEventRecord(end_, stream_), "cuEventRecord");
        CuResult r = kNotReady;
        while (r == kNotReady) r = api_->cuEventQuery(end_);
        check(r, "cuEventQuery");
    }

private:
    const Api* api_ = nullptr;
    MemoryProperties properties_;
    MemoryAccess access_;
    CuStream stream_ = nullptr;
    CuModule module_ = nullptr;
    CuEvent end_ = nullptr;
};

template <class Once>
std::vector<double> repeat(Once once) {
    std::vector<double> ms;
    for (unsigned i = 0; i <= kRepeats; ++i) {
        const auto start = Clock::now();
        once();
        if (i != 0) ms.push_back(ms_since(start));
    }
    return ms;
}

}  // namespace

std::vector<double> local_ms(const std::string& work) {
    Local gpu;
    if (work == "launches") {
        const CuFunction f = gpu.function("tiny");
        CuAddress count = gpu.allocate(4);
        void* parameters[] = {&count};
        return repeat([&] {
            for (unsigned i = 0; i < kSmallLaunches; ++i) gpu.launch(f, 1, 1, 32, parameters);
            gpu.wait();
        });
    }
    const std::size_t width = work == "gemm_bf16" ? 2 : 4, elements = std::size_t{kGemm} * kGemm;
    CuAddress a = gpu.allocate(elements * width), b = gpu.allocate(elements * width), c = gpu.allocate(elements * 4);
    unsigned n = kGemm;
    void* parameters[] = {&a, &b, &c, &n};
    const CuFunction f = gpu.function(work);
    return repeat([&] {
        gpu.launch(f, kGemm / kGemmTile, kGemm / kGemmTile, kGemmThreads, parameters);
        gpu.wait();
    });
}

std::vector<double> local_copy_rates(std::size_t bytes) {
    Local gpu;
    const CuAddress device = gpu.allocate(bytes);
    constexpr std::size_t kPage = 4096;
    const std::unique_ptr<std::byte, void (*)(void*)> host(
        static_cast<std::byte*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage)), std::free);
    gpu.check(gpu->cuMemHostRegister(host.get(), (bytes + kPage - 1) / kPage * kPage, 0), "cuMemHostRegister");
    const auto rate = [&](auto copy) {
        copy();
        gpu.wait();
        constexpr unsigned kCount = 20;
        const auto start = Clock::now();
        for (unsigned i = 0; i < kCount; ++i) {
            copy();
            gpu.wait();
        }
        return static_cast<double>(bytes) * kCount / ms_since(start) / 1e6;
    };
    std::vector<double> rates;
    rates.push_back(
        rate([&] { gpu.check(gpu->cuMemcpyHtoDAsync(device, host.get(), bytes, gpu.stream()), "copy up"); }));
    rates.push_back(
        rate([&] { gpu.check(gpu->cuMemcpyDtoHAsync(host.get(), device, bytes, gpu.stream()), "copy down"); }));
    (void)gpu->cuMemHostUnregister(host.get());
    return rates;
}

double local_free_bytes() {
    return in_child([] {
        const Local gpu;
        std::size_t free = 0, total = 0;
        gpu.check(gpu->cuMemGetInfo(&free, &total), "cuMemGetInfo");
        return std::vector{static_cast<double>(free)};
    })[0];
}

std::vector<double> local_context() {
    const double before = local_free_bytes();
    const auto start = Clock::now();
    const Holder holder([] {
        Local gpu;
        CuAddress count = gpu.allocate(4);
        void* parameters[] = {&count};
        gpu.launch(gpu.function("tiny"), 1, 1, 32, parameters);
        gpu.wait();
    });
    const double ms = ms_since(start);
    return {before - local_free_bytes(), holder.resident_bytes(), ms};
}

}  // namespace farlane::bench::gpu
