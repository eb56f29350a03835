// SPDX-License-Identifier: Apache-2.0
// Receives: a picture and a filter. Hands on: what the accelerator should have computed.
// Owns: nothing. Written from docs/accelerator.md, "conv2d_rgba8"; shares no code with the executor.
#include <algorithm>

#include "demo/picture.hpp"

namespace farlane::demo {
namespace {

/// The definition, for one channel of one pixel, with a border of nearest pixels.
std::uint8_t filtered(const Picture& p, const IntegerFilter& f, std::int64_t x, std::int64_t y,
                      std::uint8_t Rgba8::*channel) {
    const auto size = static_cast<std::int64_t>(f.size);
    std::int64_t sum = 0;
    for (std::int64_t j = 0; j < size; ++j) {
        const auto row = std::clamp<std::int64_t>(y + j - size / 2, 0, std::int64_t{p.height} - 1);
        for (std::int64_t i = 0; i < size; ++i) {
            const auto column = std::clamp<std::int64_t>(x + i - size / 2, 0, std::int64_t{p.width} - 1);
            const Rgba8& pixel = p.pixels[static_cast<std::size_t>(row * p.width + column)];
            sum += std::int64_t{f.weights[static_cast<std::size_t>(j * size + i)]} * pixel.*channel;
        }
    }
    const std::int64_t round = f.shift == 0 ? 0 : std::int64_t{1} << (f.shift - 1);
    return static_cast<std::uint8_t>(std::clamp<std::int64_t>(((sum + round) >> f.shift) + f.bias, 0, 255));
}

}  // namespace

Picture filter_reference(const Picture& picture, const IntegerFilter& filter) {
    Picture out{picture.width, picture.height, std::vector<Rgba8>(picture.pixels.size())};
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        for (std::uint32_t x = 0; x < picture.width; ++x) {
            const std::size_t i = std::size_t{y} * picture.width + x;
            out.pixels[i] = {filtered(picture, filter, x, y, &Rgba8::r), filtered(picture, filter, x, y, &Rgba8::g),
                             filtered(picture, filter, x, y, &Rgba8::b), picture.pixels[i].a};
        }
    }
    return out;
}

}  // namespace farlane::demo
