// SPDX-License-Identifier: Apache-2.0
// Receives: PNG files, and things to draw. Hands on: pixels, and PNG files of them.
// Owns: nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <farlane/accel_kernels.hpp>

namespace example {

using farlane::accel::Rgba8;

struct Picture {
    std::uint32_t width = 0, height = 0;
    std::vector<Rgba8> pixels;  ///< row by row

    Picture() = default;
    Picture(std::uint32_t w, std::uint32_t h, Rgba8 colour = {})
        : width(w), height(h), pixels(std::size_t{w} * h, colour) {}
    [[nodiscard]] Rgba8& at(std::uint32_t x, std::uint32_t y) { return pixels[std::size_t{y} * width + x]; }
    [[nodiscard]] const Rgba8& at(std::uint32_t x, std::uint32_t y) const { return pixels[std::size_t{y} * width + x]; }
};

/// Throws farlane::Error invalid (no such file, no PNG), limit (more than 64 Mi pixels).
[[nodiscard]] Picture read_png(const std::string& path);
/// Before the work is done: throws farlane::Error invalid when there can be no such file.
void check_writable(const std::string& path);
/// Throws farlane::Error io.
void write_png(const std::string& path, const Picture& picture);

/// A disc around x, y; what lies outside of the picture is not drawn. Edges are smooth.
void draw_disc(Picture& picture, double x, double y, double radius, Rgba8 colour);

}  // namespace example
