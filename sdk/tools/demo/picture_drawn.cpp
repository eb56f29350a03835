// SPDX-License-Identifier: Apache-2.0
// Receives: a size. Hands on: a picture to filter when the user has none. Owns: nothing.
#include <algorithm>
#include <cmath>

#include "demo/picture.hpp"

namespace farlane::demo {
namespace {

std::uint8_t channel(double v) {
    return static_cast<std::uint8_t>(std::clamp(v, 0.0, 255.0));
}

/// Grain that a blur takes away: the same for the same pixel.
double grain(std::uint32_t x, std::uint32_t y) {
    std::uint32_t h = x * 0x9e3779b1u ^ y * 0x85ebca6bu;
    h = (h ^ h >> 15) * 0x2c1b3c6du;
    return static_cast<double>((h >> 8) & 0xff) / 255.0 - 0.5;
}

}  // namespace

Picture draw_picture(std::uint32_t width, std::uint32_t height) {
    Picture p{width, height, std::vector<Rgba8>(std::size_t{width} * height)};
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            const double u = static_cast<double>(x) / width, v = static_cast<double>(y) / height;
            // Sky to ground, a disc, rings that get finer, a grid: smooth areas, edges and detail.
            double r = 60 + 120 * v, g = 110 + 60 * v, b = 200 - 150 * v;
            const double dx = u - 0.3, dy = (v - 0.35) * height / width;
            const double distance = std::sqrt(dx * dx + dy * dy);
            if (distance < 0.09) r = 250, g = 220, b = 120;
            const double rings = std::sin(1500 * ((u - 0.72) * (u - 0.72) + (v - 0.6) * (v - 0.6)));
            if (v > 0.3 && u > 0.45) r += 40 * rings, g += 40 * rings, b += 40 * rings;
            if (v > 0.75 && u < 0.45 && ((x / 12 + y / 12) & 1) != 0) r -= 60, g -= 30, b += 60;
            const double noise = 36 * grain(x, y);
            p.pixels[std::size_t{y} * width + x] = {channel(r + noise), channel(g + noise), channel(b + noise), 255};
        }
    }
    return p;
}

}  // namespace farlane::demo
