// SPDX-License-Identifier: Apache-2.0
// Receives: an accelerator that others use too. Hands on: rounds of work, each result checked.
// Owns: a context of its own.
#pragma once

#include <cstdint>
#include <vector>

#include <farlane/accel.hpp>

namespace example {

/// What one process does. Its numbers differ from every other one's, so that a mix-up is seen.
class Worker {
public:
    Worker(farlane::Device& device, std::uint32_t number);
    /// New numbers, a matrix product, and a kernel of its own where the accelerator takes OpenCL C. Throws
    /// farlane::Error compare when any result is wrong, or when memory that nobody else knows of has changed.
    void round(std::uint32_t round);

private:
    void check_product(std::uint32_t seed);
    void check_mixed(std::uint32_t seed);

    std::uint32_t number_;
    farlane::accel::Context context_;
    farlane::accel::Buffer<float> a_, b_, c_;
    farlane::accel::Buffer<std::uint32_t> mine_, mixed_;
    farlane::accel::Module module_;
    farlane::accel::Kernel mix_;
};

}  // namespace example
