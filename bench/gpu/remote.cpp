// SPDX-License-Identifier: Apache-2.0
// Receives: an open fabric with the accelerator "accel0". Hands on: figures of work on it. Owns: contexts while they
// are measured.
#include <chrono>
#include <stdexcept>

#include <farlane/accel.hpp>

#include "gpu/kernels.hpp"
#include "gpu/work.hpp"

namespace farlane::bench::gpu {
namespace {

using Clock = std::chrono::steady_clock;

template <class Once>
std::vector<double> repeat(Once once) {
    std::vector<double> ms;
    for (unsigned i = 0; i <= kRepeats; ++i) {
        const auto start = Clock::now();
        once();
        if (i != 0) ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
    return ms;
}

}  // namespace

std::vector<double> remote_ms(Fabric& fabric, const std::string& work) {
    auto device = fabric.attach("accel0");
    accel::ContextOptions options;
    options.spin = std::chrono::seconds(1);
    accel::Context context(device, options);
    auto& stream = context.stream();
    auto module = context.load(accel::ModuleKind::ptx, kernels_ptx());
    if (work == "launches") {
        auto kernel = module.kernel("tiny");
        auto count = context.allocate<std::uint32_t>(1);
        auto ms = repeat([&] {
            for (unsigned i = 0; i < kSmallLaunches; ++i) stream.launch(kernel, {1, 32}, count);
            stream.synchronize();
        });
        std::vector<std::uint32_t> counted(1);
        stream.download(count, counted);
        stream.synchronize();
        if (counted[0] != kSmallLaunches * (kRepeats + 1)) throw std::runtime_error("launches were lost");
        return ms;
    }
    const std::size_t width = work == "gemm_bf16" ? 2 : 4, elements = std::size_t{kGemm} * kGemm;
    auto a = context.allocate<std::byte>(elements * width), b = context.allocate<std::byte>(elements * width);
    auto c = context.allocate<float>(elements);
    auto kernel = module.kernel(work);
    const accel::LaunchShape shape{{kGemm / kGemmTile, kGemm / kGemmTile}, {kGemmThreads, 1U}};
    return repeat([&] {
        stream.launch(kernel, shape, a, b, c, kGemm);
        stream.synchronize();
    });
}

std::vector<double> remote_context(Fabric& fabric) {
    const double before = local_free_bytes();
    auto device = fabric.attach("accel0");
    const auto start = Clock::now();
    accel::Context context(device);
    auto module = context.load(accel::ModuleKind::ptx, kernels_ptx());
    auto count = context.allocate<std::uint32_t>(1);
    context.stream().launch(module.kernel("tiny"), {1, 32}, count);
    context.synchronize();
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    const double after = local_free_bytes();
    return {before - after, static_cast<double>(context.properties().worker_bytes), ms};
}

}  // namespace farlane::bench::gpu
