// SPDX-License-Identifier: Apache-2.0
// Receives: attached devices and settings. Hands on: work done and checked; results to the report.
// Owns: nothing. One function for each part of the demonstration; each throws Error, with
// Status::compare when a result differs from its reference.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>

#include <farlane/accel.hpp>
#include <farlane/fabric.hpp>

#include "demo/picture.hpp"
#include "demo/report.hpp"

namespace farlane::demo {

/// Blurs and sharpens the picture, and finds its edges; checks every pixel of both.
struct Filtered {
    Picture picture, edges;
};
[[nodiscard]] Filtered filter_picture(accel::Context& context, const Picture& picture, Report& report);

/// Multiplies two size x size matrices and checks every element.
void multiply_matrices(accel::Context& context, std::uint32_t size, Report& report);

/// Writes `data` to the start of the remote NVMe, reads it back, compares, and puts back what was there.
void store_file(Device& nvme, std::span<const std::byte> data, const std::string& name, Report& report);

/// Round trip of 8-byte register reads, synchronous no-op commands, uploads and downloads.
void measure(Device& device, accel::Context& context, Report& report);

/// Seconds since it was made.
class Stopwatch {
public:
    [[nodiscard]] double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace farlane::demo
