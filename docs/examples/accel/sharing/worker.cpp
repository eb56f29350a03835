// SPDX-License-Identifier: Apache-2.0
// Receives: an accelerator that others use too. Hands on: rounds of work (worker.hpp). Owns: nothing further.
#include "sharing/worker.hpp"

#include <algorithm>
#include <string>

namespace example {
namespace {

using namespace farlane;

constexpr std::uint32_t kSide = 128, kMixed = 16384, kMine = 1 << 20, kSteps = 64;

constexpr const char* kSource = R"CLC(
__kernel void mix_numbers(__global uint* out, uint seed, uint steps) {
    uint v = seed ^ (uint)get_global_id(0) * 0x9e3779b1u;
    for (uint i = 0; i < steps; ++i) { v ^= v << 13; v ^= v >> 17; v ^= v << 5; }
    out[get_global_id(0)] = v;
}
)CLC";

std::uint32_t mix(std::uint32_t seed, std::uint32_t i) {
    std::uint32_t v = seed ^ i * 0x9e3779b1U;
    for (std::uint32_t step = 0; step < kSteps; ++step) {
        v ^= v << 13;
        v ^= v >> 17;
        v ^= v << 5;
    }
    return v;
}

/// Small integers: the product is exact.
std::vector<float> matrix(std::uint32_t seed) {
    std::vector<float> m(std::size_t{kSide} * kSide);
    for (std::uint32_t i = 0; i < m.size(); ++i) m[i] = static_cast<float>(mix(seed, i) % 17) - 8;
    return m;
}

}  // namespace

Worker::Worker(Device& device, std::uint32_t number)
    : number_(number),
      context_(device),
      a_(context_.allocate<float>(kSide * kSide)),
      b_(context_.allocate<float>(kSide * kSide)),
      c_(context_.allocate<float>(kSide * kSide)),
      mine_(context_.allocate<std::uint32_t>(kMine)),
      mixed_(context_.allocate<std::uint32_t>(kMixed)) {
    context_.stream().fill(mine_, number);
    if (context_.takes(accel::ModuleKind::opencl_c)) {
        module_ = context_.load(accel::ModuleKind::opencl_c, kSource, {.build = "", .name = "mix"});
        mix_ = module_.kernel("mix_numbers");
    }
    context_.synchronize();
}

void Worker::round(std::uint32_t round) {
    const std::uint32_t seed = (number_ << 16) + round;
    accel::Stream& stream = context_.stream();
    stream.upload(a_, matrix(seed));
    stream.upload(b_, matrix(~seed));
    stream.launch(accel::Gemm{.a = a_, .b = b_, .c = c_, .m = kSide, .n = kSide, .k = kSide});
    if (mix_.valid()) stream.launch(mix_, {kMixed}, mixed_, seed, kSteps);
    check_product(seed);
    if (mix_.valid()) check_mixed(seed);
    std::vector<std::uint32_t> mine(kMine);
    stream.download(mine_, mine);
    if (!std::all_of(mine.begin(), mine.end(), [&](std::uint32_t v) { return v == number_; }))
        throw Error(Status::compare, "memory of process " + std::to_string(number_) + " was written by another one");
}

void Worker::check_product(std::uint32_t seed) {
    std::vector<float> c(a_.size()), wanted(a_.size(), 0);
    context_.stream().download(c_, c);
    const std::vector<float> a = matrix(seed), b = matrix(~seed);
    for (std::size_t i = 0; i < kSide; ++i) {
        for (std::size_t k = 0; k < kSide; ++k) {
            for (std::size_t j = 0; j < kSide; ++j) wanted[i * kSide + j] += a[i * kSide + k] * b[k * kSide + j];
        }
    }
    if (c != wanted) throw Error(Status::compare, "a product of process " + std::to_string(number_) + " is wrong");
}

void Worker::check_mixed(std::uint32_t seed) {
    std::vector<std::uint32_t> mixed(kMixed);
    context_.stream().download(mixed_, mixed);
    for (std::uint32_t i = 0; i < kMixed; ++i) {
        if (mixed[i] != mix(seed, i))
            throw Error(Status::compare,
                        "number " + std::to_string(i) + " of process " + std::to_string(number_) + " is wrong");
    }
}

}  // namespace example
