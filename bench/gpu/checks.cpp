// SPDX-License-Identifier: Apache-2.0
// Receives: an open fabric with the accelerator "accel0", a CUDA device. Hands on: whether every command does there
// what it should. Owns: contexts while they are checked.
#include <bit>
#include <cmath>
#include <random>
#include <stdexcept>

#include <farlane/accel.hpp>

#include "gpu/kernels.hpp"
#include "gpu/work.hpp"

namespace farlane::bench::gpu {
namespace {

using accel::ModuleKind;

void expect(bool holds, const std::string& what) {
    if (!holds) throw std::runtime_error(what);
}
/// The error that waiting gives, or what is wrong.
template <class Call>
std::string failure_of(Call call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    throw std::runtime_error("nothing failed");
}

struct Gpu {
    explicit Gpu(Fabric& fabric)
        : device(fabric.attach("accel0")), context(device), module(context.load(ModuleKind::ptx, kernels_ptx())) {}
    accel::Stream& stream() { return context.stream(); }
    template <class T>
    accel::Buffer<T> put(const std::vector<T>& data) {
        auto buffer = context.allocate<T>(data.size());
        stream().upload(buffer, data);
        return buffer;
    }
    template <class T>
    std::vector<T> get(const accel::Buffer<T>& buffer) {
        std::vector<T> data(buffer.size());
        stream().download(buffer, data);
        stream().synchronize();
        return data;
    }
    Device device;
    accel::Context context;
    accel::Module module;
};

std::vector<float> numbers(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> d(-8, 8);
    std::vector<float> all(count);
    for (float& f : all) f = static_cast<float>(d(random)) / 8;  // exact in bf16; sums of 512 products are in f32
    return all;
}

void vectors(Fabric& fabric) {
    Gpu gpu(fabric);
    constexpr std::uint32_t kCount = 1 << 22;
    const auto a = numbers(kCount, 1), b = numbers(kCount, 2);
    auto on_a = gpu.put(a), on_b = gpu.put(b), on_c = gpu.context.allocate<float>(kCount);
    gpu.stream().launch(gpu.module.kernel("add"), {kCount / 256, 256}, on_a, on_b, on_c, kCount);
    const auto c = gpu.get(on_c);
    for (std::size_t i = 0; i < kCount; ++i) expect(c[i] == a[i] + b[i], "element " + std::to_string(i) + " is wrong");
}

void reductions(Fabric& fabric) {
    Gpu gpu(fabric);
    const std::vector<float> x(1'000'003, 1.0F);
    auto on_x = gpu.put(x), to = gpu.context.allocate<float>(1);
    gpu.stream().launch(gpu.module.kernel("sum"), {128, 256}, on_x, to, static_cast<std::uint32_t>(x.size()));
    expect(gpu.get(to)[0] == 1'000'003.0F, "the sum is wrong");
    auto built_in = gpu.context.allocate<float>(1);
    gpu.stream().launch(accel::Reduce{accel::Reduction::sum, on_x, built_in});
    expect(gpu.get(built_in)[0] == 1'000'003.0F, "the sum of the built-in kernel is wrong");
}

template <class T, class Convert>
void gemm(Fabric& fabric, const char* name, Convert convert) {
    Gpu gpu(fabric);
    constexpr std::uint32_t n = 512;
    const auto a = numbers(n * n, 3), b = numbers(n * n, 4);
    std::vector<T> left(a.size()), right(b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        left[i] = convert(a[i]);
        right[i] = convert(b[i]);
    }
    auto on_a = gpu.put(left), on_b = gpu.put(right);
    auto on_c = gpu.context.allocate<float>(n * n);
    const accel::LaunchShape shape{{n / kGemmTile, n / kGemmTile}, {kGemmThreads, 1U}};
    gpu.stream().launch(gpu.module.kernel(name), shape, on_a, on_b, on_c, n);
    const auto c = gpu.get(on_c);
    for (std::size_t at = 0; at < c.size(); at += 97) {
        float sum = 0;  // exact
        for (std::size_t k = 0; k < n; ++k) sum += a[at / n * n + k] * b[k * n + at % n];
        expect(c[at] == sum, std::string(name) + ": element " + std::to_string(at) + " is wrong");
    }
}
void gemm_f32(Fabric& fabric) {
    gemm<float>(fabric, "gemm_f32", [](float f) { return f; });
}
void gemm_bf16(Fabric& fabric) {
    gemm<std::uint16_t>(fabric, "gemm_bf16",
                        [](float f) { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(f) >> 16); });
}

void pointers(Fabric& fabric) {
    Gpu gpu(fabric);
    auto second = gpu.context.allocate<std::uint64_t>(2);
    gpu.stream().upload(second, std::vector<std::uint64_t>{0, 37});
    auto first = gpu.put(std::vector<std::uint64_t>{second.address(), 5});
    auto to = gpu.context.allocate<std::uint64_t>(1);
    gpu.stream().launch(gpu.module.kernel("chase"), {1, 1}, first, to);
    expect(gpu.get(to)[0] == 42, "device addresses are not the pointers of kernels");
}

void events(Fabric& fabric) {
    Gpu gpu(fabric);
    auto count = gpu.context.allocate<std::uint32_t>(1);
    auto other = gpu.context.create_stream();
    auto kernel = gpu.module.kernel("tiny");
    // By turns on two streams, each behind the other's event: no count is lost.
    constexpr unsigned kTurns = 100;
    std::vector<accel::Event> recorded;
    for (unsigned i = 0; i < kTurns; ++i) {
        auto& stream = i % 2 == 0 ? gpu.stream() : other;
        if (i != 0) stream.wait(recorded.back());
        stream.launch(kernel, {1, 32}, count);
        recorded.push_back(gpu.context.create_event());
        stream.record(recorded.back());
    }
    other.synchronize();
    expect(gpu.get(count)[0] == kTurns, "streams did not wait for each other");
}

/// Memory that comes and goes beside a kernel does not wait for it, though the driver may wait there as it likes.
void memory_beside(Fabric& fabric) {
    Gpu gpu(fabric);
    constexpr std::size_t kBytes = 16 << 20;
    auto other = gpu.context.create_stream();
    auto stop = gpu.context.allocate<std::uint32_t>(1);
    gpu.stream().synchronize();
    // As a number: no stream shall wait because of the buffer.
    other.launch(gpu.module.kernel("endless"), {1, 1}, std::uint64_t{stop.address()});
    for (int i = 0; i < 3; ++i) {
        const auto more = gpu.put(std::vector<std::uint32_t>(kBytes / 4, 7));
        expect(gpu.get(more).back() == 7, "memory that came beside a kernel is wrong");
    }
    const std::vector<std::uint32_t> one = {1};
    gpu.stream().upload(stop, one);
    gpu.stream().synchronize();
    other.synchronize();
}

void source(Fabric& fabric) {
    Gpu gpu(fabric);
    if (!gpu.context.takes(ModuleKind::cuda_c)) return;  // no NVRTC there
    const char* text = "extern \"C\" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }";
    auto x = gpu.put(std::vector<float>(32, 21.0F));
    auto module = gpu.context.load(ModuleKind::cuda_c, text);
    gpu.stream().launch(module.kernel("twice"), {1, 32}, x);
    expect(gpu.get(x)[31] == 42.0F, "a kernel of CUDA C is wrong");
    auto broken = gpu.context.load(ModuleKind::cuda_c, "__global__ void broken() { missing(); }");
    expect(failure_of([&] { broken.wait(); }).find("missing") != std::string::npos, "the build log does not arrive");
}

void arguments(Fabric& fabric) {
    Gpu gpu(fabric);
    auto x = gpu.context.allocate<float>(32);
    auto kernel = gpu.module.kernel("add");
    (void)failure_of([&] {
        gpu.stream().launch(kernel, {1, 32}, x, x);
        gpu.stream().synchronize();
    });
    (void)failure_of([&] {
        gpu.stream().launch(kernel, {1, 4096}, x, x, x, 32U);
        gpu.stream().synchronize();
    });
    gpu.stream().launch(kernel, {1, 32}, x, x, x, 32U);
    gpu.stream().synchronize();
}

void out_of_memory(Fabric& fabric) {
    Gpu gpu(fabric);
    const auto free_bytes = gpu.context.properties().local_free_bytes;
    (void)failure_of([&] {
        const auto all = gpu.context.allocate<std::byte>(free_bytes);  // the driver keeps some for itself
        gpu.stream().fill(all, std::byte{1});
        gpu.stream().synchronize();
        const auto more = gpu.context.allocate<std::byte>(1);
        gpu.stream().synchronize();
    });
    auto x = gpu.put(std::vector<float>(32, 1.0F));
    expect(gpu.get(x)[31] == 1.0F, "the context does not go on after it");
}

void wild_pointer(Fabric& fabric) {
    {
        Gpu gpu(fabric);
        gpu.stream().launch(gpu.module.kernel("wild"), {1, 1}, std::uint64_t{16});
        const std::string text = failure_of([&] { gpu.stream().synchronize(); });
        expect(text.find("kernel 'wild'") != std::string::npos && text.find("process died") != std::string::npos,
               "the error does not name the launch and its reason: " + text);
    }
    vectors(fabric);
}

void endless(Fabric& fabric) {
    {
        Gpu gpu(fabric);
        auto stop = gpu.context.allocate<std::uint32_t>(1);
        gpu.stream().launch(gpu.module.kernel("endless"), {1, 1}, stop);
        const std::string text = failure_of([&] { gpu.stream().synchronize(); });
        expect(text.find("time limit") != std::string::npos, "the error does not name the time limit: " + text);
    }
    vectors(fabric);
}

}  // namespace

const std::vector<Check>& checks() {
    static const std::vector<Check> all = {{"vectors", vectors},
                                           {"reductions", reductions},
                                           {"gemm_f32", gemm_f32},
                                           {"gemm_bf16", gemm_bf16},
                                           {"pointers", pointers},
                                           {"events", events},
                                           {"memory_beside", memory_beside},
                                           {"source", source},
                                           {"arguments", arguments},
                                           {"out_of_memory", out_of_memory},
                                           {"wild_pointer", wild_pointer},
                                           {"endless", endless}};
    return all;
}

}  // namespace farlane::bench::gpu
